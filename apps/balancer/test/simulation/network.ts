/** The network between the processes of the simulated world: messages get lost, are late, come twice, overtake each other, are cut off. */
import type { ErrorBody } from '#common/contracts/errors';
import type { Result } from '../../src/core/kernel/effects';
import type { Dice, Scheduler } from './scheduler';

/** How badly messages fare. */
export interface Weather {
  /** Of requests and of answers. */
  lossProbability: number;
  /** Messages that take much longer than others, so that they are overtaken or come after their deadline. */
  slowProbability: number;
  /** Messages that arrive a second time, sooner or later than the first. */
  twiceProbability: number;
}

export const CALM: Weather = { lossProbability: 0, slowProbability: 0, twiceProbability: 0 };

/** Everybody, where it is said who is cut off from whom. */
export const ANYBODY = '*';

/** A request from one process to another. */
export interface Request {
  from: string;
  to: string;
  timeoutMs: number;
  /** What kind of request it is, where that matters: some kinds fare worse than others for a while. */
  kind?: string;
  /** For the timeline. */
  label: () => string;
}

/** What becomes of one kind of request for a while: all are lost, all arrive once more, much later, or all arrive only then. */
export type Mishap = 'lost' | 'come again' | 'late';

/** How long after the first time a request comes again: also when it was given up long ago. */
const AGAIN_MS = [200, 1_600] as const;
/** How late a request that is late arrives. */
const LATE_MS = [1_400, 2_000] as const;

export class Network {
  weather = CALM;
  /** By `from>to`: how many reasons there are that nothing arrives. */
  private readonly cuts = new Map<string, number>();
  /** By `kind from>to`: what becomes of such requests. */
  private readonly mishaps = new Map<string, Mishap>();
  private readonly dice: Dice;

  constructor(private readonly scheduler: Scheduler) {
    this.dice = scheduler.dice(3);
  }

  /** From now on requests of one kind from one process (`ANYBODY` for all) to another meet with a mishap, for so long. */
  strike(mishap: Mishap, kind: string, from: string, to: string, ms: number): void {
    const name = `${kind} ${from}>${to}`;
    if (this.mishaps.has(name)) return;
    this.scheduler.note(() => `requests ${name}: ${mishap} for ${ms}`);
    this.mishaps.set(name, mishap);
    this.scheduler.after(ms, () => {
      this.mishaps.delete(name);
    });
  }

  /** From now on nothing arrives from one at the other (`ANYBODY` for all), for so long. */
  cut(from: string, to: string, ms: number): void {
    const name = `${from}>${to}`;
    this.scheduler.note(() => `${name} is cut for ${ms}`);
    this.cuts.set(name, (this.cuts.get(name) ?? 0) + 1);
    this.scheduler.after(ms, () => {
      const left = (this.cuts.get(name) ?? 0) - 1;
      if (left > 0) this.cuts.set(name, left);
      else this.cuts.delete(name);
    });
  }

  /** Everything is whole and calm again. */
  heal(): void {
    this.cuts.clear();
    this.mishaps.clear();
    this.weather = CALM;
  }

  /** Sends a message; `arrive` is called as often as it arrives. Returns whether it is sent twice. */
  send(from: string, to: string, arrive: () => void): boolean {
    this.sendOnce(from, to, arrive);
    const isTwice = this.dice.chance(this.weather.twiceProbability);
    if (isTwice) this.sendOnce(from, to, arrive);
    return isTwice;
  }

  /** Sends a message that does not come twice. */
  sendOnce(from: string, to: string, arrive: () => void): void {
    const delayMs = this.delay();
    if (this.dice.chance(this.weather.lossProbability) || this.isCut(from, to)) return;
    this.scheduler.after(delayMs, () => {
      if (!this.isCut(from, to)) arrive();
    });
  }

  /**
   * Asks another process. `handle` is called whenever the request arrives there, with the way to answer it; `done` once, within the
   * deadline, with the first answer that comes back.
   */
  ask<T>(
    request: Request,
    handle: (reply: (outcome: Result<T>) => void) => void,
    done: (outcome: Result<T>) => void,
  ): void {
    const { scheduler } = this;
    const { from, to, timeoutMs, label } = request;
    let isSettled = false;
    const settle = (outcome: Result<T>): void => {
      if (isSettled) return;
      isSettled = true;
      scheduler.note(
        () => `${from} <- ${to} ${label()}: ${outcome.ok ? 'ok' : `${outcome.error.code} ${outcome.error.message}`}`,
      );
      done(outcome);
    };
    scheduler.after(timeoutMs, () => {
      settle({ ok: false, error: noAnswer(to) });
    });
    const mishap = this.mishapOf(request);
    if (mishap === 'lost') return;
    const arrive = (): void => {
      handle((outcome) => {
        this.send(to, from, () => {
          settle(outcome);
        });
      });
    };
    if (mishap === 'late') scheduler.after(this.dice.between(...LATE_MS), arrive);
    else this.send(from, to, arrive);
    if (mishap === 'come again') scheduler.after(this.dice.between(...AGAIN_MS), arrive);
  }

  /** How long a message takes; it may be longer than any deadline. */
  private delay(): number {
    const { dice, weather } = this;
    if (!dice.chance(weather.slowProbability)) return dice.between(1, 4);
    return dice.chance(0.2) ? dice.between(150, 900) : dice.between(10, 150);
  }

  private mishapOf({ kind = '', from, to }: Request): Mishap | undefined {
    const { mishaps } = this;
    return mishaps.size === 0
      ? undefined
      : (mishaps.get(`${kind} ${from}>${to}`) ?? mishaps.get(`${kind} ${ANYBODY}>${to}`));
  }

  private isCut(from: string, to: string): boolean {
    const { cuts } = this;
    if (cuts.size === 0) return false;
    return cuts.has(`${from}>${to}`) || cuts.has(`${from}>${ANYBODY}`) || cuts.has(`${ANYBODY}>${to}`);
  }
}

function noAnswer(from: string): ErrorBody {
  return { code: 'OUTCOME_UNKNOWN', message: `no answer from ${from} in time`, retryable: false };
}
