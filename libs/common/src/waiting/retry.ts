/** Doing something again until it succeeds, and looking again until something is so: both for a bounded time. */
import { setTimeout as delay } from 'node:timers/promises';

export interface RetryOptions {
  /** For how long, from now on. */
  deadlineMs: number;
  firstPauseMs: number;
  /** Each pause is twice as long as the one before, up to this; without it all are alike. */
  longestPauseMs?: number;
  /** Whether an attempt that failed so may be made again. */
  isRetryable: (thrown: unknown) => boolean;
}

/**
 * Repeats `attempt` until it succeeds. No pause begins that would end behind the deadline; an attempt is never cut short.
 *
 * @throws what the last attempt threw, when it may not be made again or the time is over
 */
export async function retryUntilDeadline<T>(attempt: () => Promise<T>, options: RetryOptions): Promise<T> {
  const { deadlineMs, firstPauseMs, longestPauseMs = firstPauseMs, isRetryable } = options;
  const endMs = performance.now() + deadlineMs;
  for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(2 * pauseMs, longestPauseMs)) {
    try {
      return await attempt();
    } catch (thrown) {
      if (!isRetryable(thrown) || performance.now() + pauseMs >= endMs) throw thrown;
    }
    await delay(pauseMs);
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
