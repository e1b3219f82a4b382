/**
 * Whether anybody leads, and who: what the batchers need to know to send again early and never in vain.
 *
 * The leader is asked (with a question that costs it nothing) when somebody misses an answer, and as long as nobody listens.
 * NATS answers at once when nobody does; a new leader is announced by an event. Only an answer counts as "there is one", since
 * the event comes before the new leader listens.
 */
import type { NatsConnection, Subscription } from 'nats';
import type { SnapshotLeasesRequest } from '#common/contracts/commands';
import { ShardlineError } from '#common/contracts/errors';
import { eventSubject, SUBJECTS, TAKE_OVER_SUBJECT } from '#common/contracts/subjects';
import { readMessage, requestJson } from '#common/nats/codec';
import { COMMAND_MESSAGES, EVENT, TAKE_OVER_NEWS } from '#common/nats/command-messages';

/** Who wants to know. */
export interface LeaderListener {
  /** Somebody leads and listens. What was sent under another epoch has gone to a leader that leads no more. */
  onLeader(epoch: number): void;
  /** Nobody listens; whatever was sent before `askedAtMs` gets its answer late or never. */
  onNobody(askedAtMs: number): void;
}

const NOTHING: SnapshotLeasesRequest = { release: [], renew: [] };
/** How long an answer is waited for. A leader that is only busy is not suspected for it. */
const ASK_TIMEOUT_MS = 500;
/** The same while a leader has been announced: what goes to one that stands still is lost, the new one answers at once. */
const EXPECTING_TIMEOUT_MS = 50;
/** Between questions while nobody listens. */
const NOBODY_PAUSE_MS = 25;
/** Between questions to a leader that is there while an answer is missed. */
const MISSED_PAUSE_MS = 100;
/** An announced leader that has not answered by then is not waited for any more. */
const EXPECTING_MS = 5_000;
/** Whoever waits before it leads says so every second. */
const NEWS_LAST_MS = 3_000;
const SERVERS_NAMED = 5;

export class LeaderWatch {
  private readonly listeners: LeaderListener[] = [];
  private readonly subscriptions: Subscription[];
  private news = { waitingFor: '', untilMs: 0 };
  private leading = 0;
  private nobody = false;
  private expected = { epoch: 0, untilMs: 0 };
  private timer: NodeJS.Timeout | null = null;
  private questions = 0;
  private closed = false;
  private lastAskedMs = Number.NEGATIVE_INFINITY;

  /** @param askTimeoutMs how long an answer is waited for, while no leader is announced */
  constructor(
    private readonly nats: NatsConnection,
    private readonly askTimeoutMs = ASK_TIMEOUT_MS,
  ) {
    const listenTo = (subject: string, take: (data: Uint8Array) => void): Subscription =>
      nats.subscribe(subject, {
        callback: (error, message) => {
          if (error === null) take(message.data);
        },
      });
    this.subscriptions = [
      listenTo(eventSubject('leader.elected'), (data) => {
        this.announced(data);
      }),
      listenTo(TAKE_OVER_SUBJECT, (data) => {
        this.takeOverNews(data);
      }),
    ];
    void nats.closed().then(() => {
      this.stop();
    });
    this.askSoon(0);
  }

  /** The epoch of the leader that answered last; 0 before the first answer. */
  get epoch(): number {
    return this.leading;
  }

  /** True from the moment that nobody listened until somebody has answered. */
  get isNobodyThere(): boolean {
    return this.nobody;
  }

  /** In words for clients, for the time that nobody leads. */
  get whyNobody(): string {
    const { waitingFor, untilMs } = this.news;
    const why = performance.now() < untilMs ? `: the balancer that will lead waits for ${waitingFor}` : '';
    return `nobody leads the cluster right now${why}`;
  }

  listen(listener: LeaderListener): void {
    this.listeners.push(listener);
  }

  /** A message found nobody who listens: asks until somebody does. */
  foundNobody(): void {
    this.nobody = true;
    this.askSoon(NOBODY_PAUSE_MS);
  }

  /** An answer is missed: asks whether anybody leads still. */
  missAnswer(): void {
    this.askSoon(Math.max(0, this.lastAskedMs + MISSED_PAUSE_MS - performance.now()));
  }

  /** The connection is back: a leader may have been announced meanwhile. */
  onConnected(): void {
    this.askSoon(0);
  }

  private stop(): void {
    this.closed = true;
    for (const subscription of this.subscriptions) subscription.unsubscribe();
    if (this.timer !== null) clearTimeout(this.timer);
  }

  private announced(data: Uint8Array): void {
    const epoch = epochOf(data);
    if (epoch === null || epoch <= this.leading) return;
    this.expected = { epoch, untilMs: performance.now() + EXPECTING_MS };
    // At once, also where a question is out: it may have gone to a leader that stands still.
    void this.ask();
  }

  private takeOverNews(data: Uint8Array): void {
    try {
      const { waitingFor } = readMessage(TAKE_OVER_NEWS, data);
      const more = waitingFor.length > SERVERS_NAMED ? ` and ${waitingFor.length - SERVERS_NAMED} more` : '';
      const named = waitingFor.slice(0, SERVERS_NAMED).join(', ') + more;
      this.news = { waitingFor: named, untilMs: performance.now() + NEWS_LAST_MS };
    } catch {
      // Of another version: it is only for people.
    }
  }

  private askSoon(afterMs: number): void {
    if (this.questions > 0 || this.closed) return;
    if (this.timer !== null) {
      if (afterMs > 0) return;
      clearTimeout(this.timer);
    }
    this.timer = setTimeout(() => {
      this.timer = null;
      void this.ask();
    }, afterMs);
  }

  /** Never rejects. */
  private async ask(): Promise<void> {
    this.questions += 1;
    const askedAtMs = performance.now();
    this.lastAskedMs = askedAtMs;
    const timeoutMs = this.isExpecting() ? EXPECTING_TIMEOUT_MS : this.askTimeoutMs;
    try {
      const { epoch } = await requestJson(
        this.nats,
        SUBJECTS.cmd.snapshotLeases,
        NOTHING,
        timeoutMs,
        COMMAND_MESSAGES.snapshotLeases.reply,
      );
      this.answered(epoch);
    } catch (thrown) {
      if (ShardlineError.from(thrown).code === 'NO_LEADER') this.foundNobodySince(askedAtMs);
    } finally {
      this.questions -= 1;
    }
    if (this.nobody || this.isExpecting()) this.askSoon(NOBODY_PAUSE_MS);
  }

  private answered(epoch: number): void {
    const isNews = this.nobody || epoch !== this.leading;
    this.nobody = false;
    this.leading = epoch;
    if (isNews) for (const listener of this.listeners) listener.onLeader(epoch);
  }

  private foundNobodySince(askedAtMs: number): void {
    this.nobody = true;
    for (const listener of this.listeners) listener.onNobody(askedAtMs);
  }

  /** A leader was announced, and one of before may be what answers, or what stands still. */
  private isExpecting(): boolean {
    return this.expected.epoch > this.leading && performance.now() < this.expected.untilMs;
  }
}

/** Null when the event cannot be read: it is somebody else's, then. */
function epochOf(data: Uint8Array): number | null {
  try {
    const { epoch } = readMessage(EVENT, data).data;
    return typeof epoch === 'number' ? epoch : null;
  } catch {
    return null;
  }
}
