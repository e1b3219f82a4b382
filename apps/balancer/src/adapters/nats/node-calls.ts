/**
 * Requests to shard-nodes, which fail as soon as the node's process is found to be gone.
 *
 * NATS answers at once when nobody listens to a request that is being sent, but says nothing of a request that is under way to a
 * process that dies: it would wait for its whole deadline. So while a request takes long, its node is asked something
 * else every now and then, only to see whether anybody listens there.
 *
 * A request that was under way when the connection to NATS was lost is sent again as soon as that is back: every verb may be.
 */
import { ShardlineError } from '#common/contracts/errors';
import { nodeSubject, type NodeVerb } from '#common/contracts/subjects';
import { isNoResponders, request, wasLostWithConnection, type NatsConnection } from '#common/nats/connection';
import { retryUntilDeadline } from '#common/waiting/retry';
import { AbsenceWatch } from './absence-watch';
import { ReconnectWatch } from './reconnect-watch';

/** From when on a request counts as slow, and how often its node is looked at. */
const LOOK_EVERY_MS = 50;
/** A node that lives refuses an empty ping at once, without asking its store. */
const LOOK_TIMEOUT_MS = 300;
const EMPTY = new Uint8Array(0);
const RETRY_MS = 50;
const ABSENCE_RETRY_MS = 15;
/** Who does not answer these leaves its in-sync sets: that nobody listens must be certain. */
const GRAVE: ReadonlySet<NodeVerb> = new Set(['apply', 'config']);

/** A node's answer. */
export interface NodeAnswer {
  data: Uint8Array;
  /** The request was sent before, and may have been carried out then: a refusal does not say that it was not. */
  isRepeat: boolean;
}

interface UnderWay {
  sinceMs: number;
  fail: (error: ShardlineError) => void;
}

export class NodeCalls {
  private readonly underWay = new Map<string, Set<UnderWay>>();
  private readonly beingLookedAt = new Set<string>();
  private readonly connection: ReconnectWatch;
  private readonly absence: AbsenceWatch;
  private looking: NodeJS.Timeout | undefined;

  /** @param confirmAbsenceMs see `AbsenceWatch` */
  constructor(
    private readonly nats: NatsConnection,
    confirmAbsenceMs?: number,
  ) {
    this.connection = new ReconnectWatch(nats);
    this.absence = new AbsenceWatch(nats, confirmAbsenceMs);
  }

  /**
   * Asks a node and waits for its answer.
   *
   * @throws ShardlineError NO_LEADER when nobody listens, or the node's process is gone before it has answered; then
   * `retryable` says whether the request was never delivered. OUTCOME_UNKNOWN when no answer came within `timeoutMs`
   */
  async call(server: string, verb: NodeVerb, payload: Uint8Array | string, timeoutMs: number): Promise<NodeAnswer> {
    const sent = { isRepeat: false };
    const attempt = async (leftMs: number): Promise<NodeAnswer> => {
      const data = await this.callOnce(server, verb, payload, Math.max(1, Math.ceil(leftMs)));
      this.absence.present(server);
      return { data, ...sent };
    };
    try {
      return await retryUntilDeadline(attempt, timeoutMs, (error) => {
        // A ping shows how the node is now: the next one asks again.
        const isLost = wasLostWithConnection(error) && verb !== 'ping';
        sent.isRepeat ||= isLost;
        return isLost ? 0 : this.pauseAfter(error, server, verb);
      });
    } catch (error) {
      throw sent.isRepeat ? uncertain(error) : error;
    }
  }

  /** How long to wait before a request that nobody has got is sent again, in milliseconds; null when it is not. */
  private pauseAfter(error: unknown, server: string, verb: NodeVerb): number | null {
    if (!wasNotDelivered(error)) return null;
    const isUncertain = this.absence.missing(server, performance.now()) === null;
    // The node may be back in a moment, after a restart of NATS in any case.
    if (verb !== 'ping' && this.connection.isSettling()) return RETRY_MS;
    return isUncertain && GRAVE.has(verb) ? ABSENCE_RETRY_MS : null;
  }

  private async callOnce(
    server: string,
    verb: NodeVerb,
    payload: Uint8Array | string,
    timeoutMs: number,
  ): Promise<Uint8Array> {
    let entry: UnderWay | undefined;
    const gone = new Promise<never>((_, reject) => {
      entry = { sinceMs: performance.now(), fail: reject };
    });
    if (entry !== undefined) this.note(server, entry);
    try {
      return await Promise.race([request(this.nats, nodeSubject(server, verb), payload, timeoutMs), gone]);
    } finally {
      if (entry !== undefined) this.forget(server, entry);
    }
  }

  private note(server: string, entry: UnderWay): void {
    const entries = this.underWay.get(server) ?? new Set();
    entries.add(entry);
    this.underWay.set(server, entries);
    this.looking ??= setInterval(() => {
      this.lookAround();
    }, LOOK_EVERY_MS);
  }

  private forget(server: string, entry: UnderWay): void {
    const entries = this.underWay.get(server);
    entries?.delete(entry);
    if (entries?.size === 0) this.underWay.delete(server);
  }

  private lookAround(): void {
    if (this.underWay.size === 0) {
      clearInterval(this.looking);
      this.looking = undefined;
      return;
    }
    if (this.connection.isSettling()) return;
    const slowSinceMs = performance.now() - LOOK_EVERY_MS;
    for (const [server, entries] of this.underWay) {
      const isSlow = [...entries].some((entry) => entry.sinceMs <= slowSinceMs);
      if (isSlow && !this.beingLookedAt.has(server)) void this.lookAt(server);
    }
  }

  /** Never rejects. What was sent after nobody was seen does not count. */
  private async lookAt(server: string): Promise<void> {
    const lookedMs = performance.now();
    const judged = [...(this.underWay.get(server) ?? [])];
    this.beingLookedAt.add(server);
    try {
      await this.nats.request(nodeSubject(server, 'ping'), EMPTY, { timeout: LOOK_TIMEOUT_MS });
      this.absence.present(server);
    } catch (error) {
      if (!isNoResponders(error)) this.absence.present(server);
      else if (!this.connection.isSettling()) {
        const goneMs = this.absence.missing(server, lookedMs);
        if (goneMs !== null) for (const { sinceMs, fail } of judged) if (sinceMs <= goneMs) fail(processGone(server));
      }
    } finally {
      this.beingLookedAt.delete(server);
    }
  }
}

/** Nobody has got the request. */
function wasNotDelivered(error: unknown): boolean {
  return error instanceof ShardlineError && error.code === 'NO_LEADER' && error.retryable;
}

/** That nobody has got it this time does not say that nobody has. */
function uncertain(error: unknown): unknown {
  if (!wasNotDelivered(error)) return error;
  const { message } = error as ShardlineError;
  return new ShardlineError('NO_LEADER', message, false, { cause: error });
}

function processGone(server: string): ShardlineError {
  return new ShardlineError('NO_LEADER', `the process of ${server} went away before it answered`, false);
}
