/** The simulation's clock without its dice: every delay is the middle of what it may be, and nothing happens by chance. */
import { Dice, Scheduler } from '../../simulation/scheduler';

const NO_SEED = 1;

/** Dice that always fall in the middle. */
class LoadedDice extends Dice {
  override between(low: number, high: number): number {
    return middle(low, high);
  }
  override chance(): boolean {
    return false;
  }
  override oneOf<T>(items: readonly T[]): T {
    return items[0]!;
  }
}

export class StillScheduler extends Scheduler {
  constructor() {
    super(NO_SEED, false);
  }

  override dice(): Dice {
    return new LoadedDice(NO_SEED);
  }
  override between(low: number, high: number): number {
    return middle(low, high);
  }
  override chance(): boolean {
    return false;
  }
  override oneOf<T>(items: readonly T[]): T {
    return items[0]!;
  }

  /** Lets so much time pass, or less when it is `done` earlier. */
  async pass(ms: number, isDone: () => boolean = () => false): Promise<void> {
    const untilMs = this.nowMs + ms;
    await this.run(untilMs, isDone);
    if (!isDone()) this.nowMs = untilMs;
  }
}

function middle(low: number, high: number): number {
  return Math.floor((low + high) / 2);
}
