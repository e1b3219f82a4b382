/**
 * The simulated world's clock: everything that happens is an event at some millisecond, and all chance comes from the seed.
 * Nothing here waits for real time, so a run depends on its seed alone.
 */
import { mix32, randomBelow, seededRandom, type Random } from '../../src/core/kernel/random';

const AT_REST = Promise.resolve();

interface UntimedEvent {
  atMs: number;
  order: number;
  work: () => void;
}

/** Chance from one generator. */
export class Dice {
  private readonly random: Random;

  constructor(seed: number) {
    this.random = seededRandom(seed);
  }

  /** A whole number from `low` to `high`. */
  between(low: number, high: number): number {
    return low + randomBelow(high - low + 1, this.random);
  }

  chance(probability: number): boolean {
    return this.random() < probability;
  }

  /** One of the items; there must be one. */
  oneOf<T>(items: readonly T[]): T {
    return items[randomBelow(items.length, this.random)]!;
  }
}

export class Scheduler extends Dice {
  nowMs = 0;
  /** What happened, one line each; null when nobody wants to read it. */
  readonly timeline: string[] | null;
  /** What went wrong in a way that must never happen; the run ends with the first. */
  violation: string | null = null;
  private readonly heap: UntimedEvent[] = [];
  private nextOrder = 0;
  private hasPromises = false;

  constructor(
    private readonly seed: number,
    withTimeline: boolean,
  ) {
    super(mix32(seed));
    this.timeline = withTimeline ? [] : null;
  }

  /** A generator of its own: who draws from it changes nothing of what others draw. */
  dice(number: number): Dice {
    return new Dice(mix32(this.seed ^ mix32(number)));
  }

  /** Does the work so many milliseconds from now. */
  after(ms: number, work: () => void): void {
    this.push({ atMs: this.nowMs + ms, order: this.nextOrder++, work });
  }

  /** The same for those who wait. */
  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.after(ms, () => {
        this.touchPromises();
        resolve();
      });
    });
  }

  /** To be called by an event that resumes asynchronous code: the next event waits until all of it has come to rest. */
  touchPromises(): void {
    this.hasPromises = true;
  }

  /** Runs until nothing is left to happen, `untilMs` has come, or `isOver` says so. */
  run(untilMs: number, isOver: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const proceed = (): void => {
        if (this.runUntilPromises(untilMs, isOver)) process.nextTick(turn);
        else resolve();
      };
      // Promises that wait for nothing but each other are all done before the next tick of the process. What follows a tick runs among
      // other promises only when it did before, so all events happen there.
      const turn = (): void => {
        void AT_REST.then(proceed).catch(reject);
      };
      setImmediate(turn);
    });
  }

  /** Runs until an event has resumed asynchronous code, which must come to rest before the next; false when all is done. */
  private runUntilPromises(untilMs: number, isOver: () => boolean): boolean {
    while (!isOver()) {
      const next = this.heap[0];
      if (next === undefined || next.atMs > untilMs) return false;
      this.pop();
      this.nowMs = next.atMs;
      next.work();
      if (!this.hasPromises) continue;
      this.hasPromises = false;
      return true;
    }
    return false;
  }

  /** Something that must never happen has happened. */
  violate(what: string): void {
    this.note(() => `VIOLATION: ${what}`);
    this.violation ??= what;
  }

  /** A line of the timeline; `text` is only put together when somebody reads it. */
  note(text: () => string): void {
    this.timeline?.push(`${String(this.nowMs).padStart(6)} ${text()}`);
  }

  private push(event: UntimedEvent): void {
    const { heap } = this;
    let place = heap.push(event) - 1;
    while (place > 0) {
      const parent = (place - 1) >> 1;
      if (!isBefore(event, heap[parent]!)) break;
      heap[place] = heap[parent]!;
      place = parent;
    }
    heap[place] = event;
  }

  private pop(): void {
    const { heap } = this;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    let place = 0;
    for (;;) {
      let child = 2 * place + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child += 1;
      if (!isBefore(heap[child]!, last)) break;
      heap[place] = heap[child]!;
      place = child;
    }
    heap[place] = last;
  }
}

function isBefore(a: UntimedEvent, b: UntimedEvent): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}
