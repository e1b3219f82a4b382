/** What becomes of the messages of a story: each arrives, unless the story says otherwise. */
import type { ErrorBody } from '#common/contracts/errors';
import type { Ask, Result } from '../../../src/core/kernel/effects';
import type { StillScheduler } from './still-scheduler';

export type Answer = (outcome: Result<unknown>) => void;
export type CarryOut = (ask: Ask, answer: Answer) => void;

/** The bucket's name where it is said who is cut off from whom. */
const BUCKET = 'bucket';

/** What is to become of the next round to a server. */
export type Fate = 'lose round' | 'lose answer' | 'hold round' | 'copy round';

const TIMEOUTS_MS: Partial<Record<Ask['do'], number>> = { apply: 250, catchup: 500, readOne: 200 };
const TIMEOUT_MS = 130;

export class Post {
  private readonly cuts = new Set<string>();
  private readonly fates = new Map<string, Fate>();
  private held: (() => void)[] = [];

  /** @param late called with what came of a message that was delivered late */
  constructor(
    private readonly scheduler: StillScheduler,
    private readonly late: (from: string, ask: Ask, outcome: Result<unknown>) => void,
  ) {}

  /** From now on nothing arrives between the two, in either direction. */
  cut(one: string, other: string): void {
    this.cuts.add(pair(one, other));
  }
  heal(): void {
    this.cuts.clear();
  }
  isCut(one: string, other: string): boolean {
    return this.cuts.has(pair(one, other));
  }

  decree(server: string, fate: Fate): void {
    this.fates.set(server, fate);
  }

  /** What was held or copied arrives now. */
  deliver(): void {
    for (const arrive of this.held.splice(0)) arrive();
  }

  /** Sends what a balancer asks for; `answer` is called once, within the time that such an answer may take. */
  send(from: string, ask: Ask, carryOut: CarryOut, answer: Answer): void {
    const to = receiverOf(ask);
    let isSettled = false;
    const settle = (outcome: Result<unknown>): void => {
      if (isSettled) return;
      isSettled = true;
      answer(outcome);
    };
    this.scheduler.after(TIMEOUTS_MS[ask.do] ?? TIMEOUT_MS, () => {
      settle({ ok: false, error: noAnswer(to) });
    });
    const arrive: Answer = (outcome) => {
      if (!this.isCut(from, to)) settle(outcome);
    };
    if (this.isCut(from, to)) return;
    const fate = ask.do === 'apply' ? this.takeFate(to) : undefined;
    if (fate === 'lose round') return;
    if (fate === 'hold round' || fate === 'copy round') {
      this.held.push(() => {
        carryOut(ask, (outcome) => {
          this.late(from, ask, outcome);
        });
      });
    }
    if (fate === 'hold round') return;
    carryOut(ask, fate === 'lose answer' ? () => undefined : arrive);
  }

  private takeFate(server: string): Fate | undefined {
    const fate = this.fates.get(server);
    this.fates.delete(server);
    return fate;
  }
}

/** Whom the message goes to. */
function receiverOf(ask: Ask): string {
  if (ask.do === 'startNode' || ask.do === 'removeNode' || ask.do === 'nodeFailure') return 'launcher';
  return 'server' in ask ? ask.server : BUCKET;
}

function pair(one: string, other: string): string {
  return [one, other].sort().join(' and ');
}

function noAnswer(from: string): ErrorBody {
  return { code: 'OUTCOME_UNKNOWN', message: `no answer from ${from} in time`, retryable: false };
}
