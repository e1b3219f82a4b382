/** Asking again where that is safe, for a bounded time. */
import { ShardlineError } from '#common/contracts/errors';
import { retryUntilDeadline } from '#common/waiting/retry';

const FIRST_PAUSE_MS = 25;
/** What has come back must not be waited for much longer than it was away. */
const LONGEST_PAUSE_MS = 100;

/** Asks until there is an answer, or a failure that is not safe to ask again after. @throws ShardlineError the last failure */
export async function retryQuestion<T>(holdMs: number, ask: () => Promise<T>): Promise<T> {
  const pauses = { firstPauseMs: FIRST_PAUSE_MS, longestPauseMs: LONGEST_PAUSE_MS };
  const isRetryable = (thrown: unknown): boolean => thrown instanceof ShardlineError && thrown.retryable;
  return retryUntilDeadline(ask, { deadlineMs: holdMs, ...pauses, isRetryable });
}
