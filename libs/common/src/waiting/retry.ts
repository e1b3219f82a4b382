/** Doing something again until it succeeds, and looking again until something is so: both for a bounded time. */
import { setTimeout as delay } from 'node:timers/promises';

/**
 * What follows a failed attempt: the pause before the next one, in milliseconds, or null when there may be none. `failures` counts
 * the attempts that have failed so far, this one included.
 */
export type PauseAfter = (thrown: unknown, failures: number) => number | null | Promise<number | null>;

/** Pauses of which each is twice as long as the one before, up to the longest; by the number of failures so far, from 1 on. */
export function doublingPause(firstMs: number, longestMs: number): (failures: number) => number {
  return (failures) => Math.min(firstMs * 2 ** (failures - 1), longestMs);
}

/**
 * Repeats `attempt` until it succeeds, for `deadlineMs` from now on; it gets how many of them are left. No pause begins that would
 * end behind the deadline; an attempt is never cut short.
 *
 * @throws what the last attempt threw, when there may be no other or the time is over
 */
export async function retryUntilDeadline<T>(
  attempt: (leftMs: number) => Promise<T>,
  deadlineMs: number,
  pauseAfter: PauseAfter,
): Promise<T> {
  const endMs = performance.now() + deadlineMs;
  return repeat(
    () => attempt(endMs - performance.now()),
    async (thrown, failures) => {
      const pauseMs = await pauseAfter(thrown, failures);
      return pauseMs !== null && performance.now() + pauseMs < endMs ? pauseMs : null;
    },
  );
}

/**
 * The same, `attempts` times at the most; an attempt gets how many have failed before it.
 *
 * @throws what the last attempt threw
 */
export async function retryTimes<T>(
  attempt: (failures: number) => Promise<T>,
  attempts: number,
  pauseAfter: PauseAfter,
): Promise<T> {
  return repeat(attempt, (thrown, failures) => (failures < attempts ? pauseAfter(thrown, failures) : null));
}

async function repeat<T>(attempt: (failures: number) => Promise<T>, pauseAfter: PauseAfter): Promise<T> {
  for (let failures = 0; ;) {
    try {
      return await attempt(failures);
    } catch (thrown) {
      failures += 1;
      const pauseMs = await pauseAfter(thrown, failures);
      if (pauseMs === null) throw thrown;
      if (pauseMs > 0) await delay(pauseMs);
    }
  }
}

export interface PollOptions {
  /** For how long, from now on. It is looked once in any case. */
  deadlineMs: number;
  pauseMs: number;
  /** Ends it early. */
  signal?: AbortSignal | undefined;
}

/** Looks until there is something to see. Resolves to that, or to undefined when it was not there in time. */
export async function pollUntil<T>(
  look: () => Promise<T | undefined>,
  { deadlineMs, pauseMs, signal }: PollOptions,
): Promise<T | undefined> {
  const endMs = performance.now() + deadlineMs;
  while (signal?.aborted !== true) {
    const seen = await look();
    if (seen !== undefined || performance.now() >= endMs) return seen;
    await delay(pauseMs);
  }
  return undefined;
}
