/**
 * Which servers owe an answer to which rounds, and who has kept the others waiting for too long.
 *
 * A server takes its messages one after the other. So it is judged by the oldest round that it owes an answer to: it is late when the
 * others have answered that one, and it has been silent since for longer than is usual; as long as none of the others has
 * answered, the round may just be a large one. A server that is late is late for everything that it has got since, and
 * does not get the whole patience once more for each shard. A round that it was given up for stands here until its answer
 * comes, or certainly will not.
 */
import type { ErrorBody } from '#common/contracts/errors';
import { WakingClock, type Patience } from './patience';

/** What is to be known of a round. */
export interface AwaitedRound {
  waitsFor(server: string): boolean;
  canDoWithout(server: string): boolean;
}

interface Debt {
  sentMs: number;
  giveUp: (error: ErrorBody) => void;
}

interface Debtor {
  /** The oldest first. */
  readonly debts: Map<AwaitedRound, Debt>;
  answeredMs: number;
}

export class OwedAnswers {
  private readonly debtors = new Map<string, Debtor>();
  private readonly clock = new WakingClock();
  /** When a round began, and when it was last answered, by `clock`. */
  private readonly rounds = new WeakMap<AwaitedRound, { beganMs: number; answeredMs: number | null }>();

  constructor(private readonly patience: Patience) {}

  /** @param giveUp is called at most once, when the round need not wait for the server any longer */
  sent(server: string, round: AwaitedRound, giveUp: (error: ErrorBody) => void, nowMs: number): void {
    const sentMs = this.clock.at(nowMs);
    if (!this.rounds.has(round)) this.rounds.set(round, { beganMs: sentMs, answeredMs: null });
    let debtor = this.debtors.get(server);
    if (debtor === undefined) this.debtors.set(server, (debtor = { debts: new Map(), answeredMs: -Infinity }));
    debtor.debts.set(round, { sentMs, giveUp });
  }

  /** The server has answered, or certainly will not. Call before the round hears of it. */
  settled(server: string, round: AwaitedRound, isAnswer: boolean, nowMs: number): void {
    const debtor = this.debtors.get(server);
    if (debtor === undefined) return;
    const times = this.rounds.get(round);
    const atMs = this.clock.at(nowMs);
    const silentMs = this.silentMs(debtor, atMs);
    const isLate = this.isLate(debtor, atMs, nowMs);
    debtor.debts.delete(round);
    if (debtor.debts.size === 0) this.debtors.delete(server);
    if (!isAnswer || times === undefined) return;
    if (silentMs !== null && !isLate) this.patience.learn(silentMs, nowMs);
    debtor.answeredMs = atMs;
    times.answeredMs = atMs;
  }

  /** Gives up the answers that are too late and that their rounds can do without. Returns the servers. */
  giveUpLate(nowMs: number): string[] {
    this.clock.tick(nowMs);
    const atMs = this.clock.at(nowMs);
    const late = [...this.debtors].filter(([, debtor]) => this.isLate(debtor, atMs, nowMs)).map(([server]) => server);
    return late.filter((server) => this.giveUp(server, atMs));
  }

  private giveUp(server: string, atMs: number): boolean {
    const debts = [...(this.debtors.get(server)?.debts ?? [])];
    const dispensable = debts.filter(([round]) => round.waitsFor(server) && round.canDoWithout(server));
    for (const [, { sentMs, giveUp }] of dispensable) {
      const message = `no answer for ${Math.round(atMs - sentMs)} ms, long after the others`;
      giveUp({ code: 'OUTCOME_UNKNOWN', message, retryable: false });
    }
    return dispensable.length > 0;
  }

  private isLate(debtor: Debtor, atMs: number, nowMs: number): boolean {
    const silentMs = this.silentMs(debtor, atMs);
    const [oldest] = debtor.debts.keys();
    const times = oldest === undefined ? undefined : this.rounds.get(oldest);
    if (silentMs === null || times === undefined || times.answeredMs === null) return false;
    return silentMs > this.patience.limitMs(times.answeredMs - times.beganMs, nowMs);
  }

  /** For how long the server has kept the others waiting that have answered its oldest round; null when none has. */
  private silentMs(debtor: Debtor, atMs: number): number | null {
    const [oldest] = debtor.debts.keys();
    const othersMs = oldest === undefined ? null : (this.rounds.get(oldest)?.answeredMs ?? null);
    return othersMs === null ? null : atMs - Math.max(othersMs, debtor.answeredMs);
  }
}
