/** Asking again where that is safe, for a bounded time. */
import { setTimeout as sleep } from 'node:timers/promises';
import { ShardlineError } from '#common/contracts/errors';

const FIRST_PAUSE_MS = 25;
/** What has come back must not be waited for much longer than it was away. */
const MAX_PAUSE_MS = 100;

/** Repeats `attempt` while it fails with what is safe to ask again after, until `holdMs` have passed. @throws its last failure */
export async function withPatience<T>(holdMs: number, attempt: () => Promise<T>): Promise<T> {
  const endMs = performance.now() + holdMs;
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 2, MAX_PAUSE_MS)) {
    try {
      return await attempt();
    } catch (thrown) {
      const error = ShardlineError.from(thrown);
      if (!error.retryable || performance.now() + pauseMs >= endMs) throw error;
    }
    await sleep(pauseMs);
  }
}
