/**
 * Which servers owe an answer to which rounds, and who has kept the others waiting for too long.
 *
 * A server takes its messages one after the other. So what counts is the oldest round that it owes an answer to. It is late when the
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

/** When a round began, and when it was last answered, by the waking clock. */
interface RoundTimes {
  readonly beganMs: number;
  answeredMs: number | null;
}

/** One answer that a server owes to a round. */
export interface Debt {
  readonly debtor: Debtor;
  readonly round: AwaitedRound;
  readonly times: RoundTimes;
  readonly sentMs: number;
  readonly giveUp: (error: ErrorBody) => void;
}

/** A server. */
interface Debtor {
  /** The oldest first. */
  readonly debts: Set<Debt>;
  answeredMs: number;
}

export class OwedAnswers {
  /** By server. */
  private readonly debtors = new Map<string, Debtor>();
  private readonly clock = new WakingClock();
  private readonly rounds = new WeakMap<AwaitedRound, RoundTimes>();

  constructor(private readonly patience: Patience) {}

  /**
   * @param giveUp is called at most once, when the round need not wait for the server any longer
   * @returns what is to be `settled`
   */
  sent(server: string, round: AwaitedRound, giveUp: (error: ErrorBody) => void, nowMs: number): Debt {
    const sentMs = this.clock.at(nowMs);
    const times = this.rounds.get(round) ?? { beganMs: sentMs, answeredMs: null };
    this.rounds.set(round, times);
    const debtor = this.debtors.get(server) ?? { debts: new Set(), answeredMs: -Infinity };
    this.debtors.set(server, debtor);
    const debt = { debtor, round, times, sentMs, giveUp };
    debtor.debts.add(debt);
    return debt;
  }

  /** The server has answered, or certainly will not. Call once, before the round hears of it. */
  settled(debt: Debt, isAnswer: boolean, nowMs: number): void {
    const { debtor, times } = debt;
    const atMs = this.clock.at(nowMs);
    const silentMs = silence(debtor, atMs);
    const isLate = this.isLate(debtor, atMs, nowMs);
    debtor.debts.delete(debt);
    if (!isAnswer) return;
    if (!isLate) this.patience.learn(silentMs, nowMs);
    debtor.answeredMs = atMs;
    times.answeredMs = atMs;
  }

  /** Gives up the answers that are too late and that their rounds can do without. Returns the servers. */
  giveUpLate(nowMs: number): string[] {
    this.clock.tick(nowMs);
    const atMs = this.clock.at(nowMs);
    const late = [...this.debtors].filter(([, debtor]) => this.isLate(debtor, atMs, nowMs));
    return late.filter(([server, debtor]) => giveUp(server, debtor, atMs)).map(([server]) => server);
  }

  private isLate(debtor: Debtor, atMs: number, nowMs: number): boolean {
    const [oldest] = debtor.debts;
    if (oldest === undefined) return false;
    const { answeredMs, beganMs } = oldest.times;
    return silence(debtor, atMs) > this.patience.limitMs((answeredMs ?? atMs) - beganMs, nowMs);
  }
}

/** For how long the server has kept the others waiting that have answered its oldest round; 0 when none has. */
function silence({ debts, answeredMs }: Debtor, atMs: number): number {
  const [oldest] = debts;
  return atMs - Math.max(oldest?.times.answeredMs ?? atMs, answeredMs);
}

function giveUp(server: string, { debts }: Debtor, atMs: number): boolean {
  const dispensable = [...debts].filter(({ round }) => round.waitsFor(server) && round.canDoWithout(server));
  for (const { sentMs, giveUp } of dispensable) {
    const message = `no answer for ${Math.round(atMs - sentMs)} ms, long after the others`;
    giveUp({ code: 'OUTCOME_UNKNOWN', message, retryable: false });
  }
  return dispensable.length > 0;
}
