/** The clock of one process: it runs a little too fast or too slow, and began somewhere. Only differences of its times mean anything. */
import type { Dice, Scheduler } from './scheduler';

/** Clocks are off by up to so much. */
const DRIFT = 0.05;

export class Clock {
  private readonly rate: number;
  private readonly offsetMs: number;

  constructor(
    private readonly scheduler: Scheduler,
    /** Null for a clock that is right. */
    dice: Dice | null,
  ) {
    this.rate = dice === null ? 1 : 1 + (DRIFT * dice.between(-100, 100)) / 100;
    this.offsetMs = dice === null ? 0 : dice.between(0, 1_000_000);
  }

  get nowMs(): number {
    return this.offsetMs + this.scheduler.nowMs * this.rate;
  }

  /** Does the work when this clock has run for so long. */
  after(ms: number, work: () => void): void {
    this.scheduler.after(ms / this.rate, work);
  }
}
