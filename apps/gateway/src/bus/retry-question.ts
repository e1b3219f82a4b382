/** Asking again where that is safe, for a bounded time. */
import { ShardlineError } from '#common/contracts/errors';
import { doublingPause, retryUntilDeadline } from '#common/waiting/retry';

/** From 25 to 100 ms: what has come back must not be waited for much longer than it was away. */
const pause = doublingPause(25, 100);

/** Asks until there is an answer, or a failure that is not safe to ask again after. @throws ShardlineError the last failure */
export async function retryQuestion<T>(holdMs: number, ask: () => Promise<T>): Promise<T> {
  return retryUntilDeadline(ask, holdMs, (thrown, failures) =>
    thrown instanceof ShardlineError && thrown.retryable ? pause(failures) : null,
  );
}
