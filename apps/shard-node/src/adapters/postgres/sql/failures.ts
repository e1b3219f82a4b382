import { ShardlineError } from '#common/contracts/errors';
import { verdictOn, type Verdict } from './sqlstate';

/** SQLSTATE of a division by zero: how a round's statement says that the shard is not as this process believes. */
const STATE_MISMATCH = '22012';

/** Whether what was thrown shows that the connection it came by is not to be used again. */
export function breaksConnection(thrown: unknown): boolean {
  return !(thrown instanceof ShardlineError) && verdictOn(codeOf(thrown)) === 'broken';
}

/**
 * Whatever Postgres or its connection failed with. BAD_REQUEST: it refused what was to be stored, as every replica does. STORE_FAILED
 * that is retryable: it could not, and certainly did not. STORE_FAILED else: it is broken, and may or may not have.
 */
export function asStoreFailure(thrown: unknown): ShardlineError {
  if (thrown instanceof ShardlineError) return thrown;
  const code = codeOf(thrown);
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  if (code === STATE_MISMATCH) return failure('broken', 'what is stored is not what this replica knows', thrown);
  return failure(verdictOn(code), message, thrown);
}

function codeOf(thrown: unknown): unknown {
  return (thrown as { code?: unknown } | null)?.code;
}

function failure(verdict: Verdict, why: string, cause: unknown): ShardlineError {
  const code = verdict === 'data' ? 'BAD_REQUEST' : 'STORE_FAILED';
  return new ShardlineError(code, `postgres: ${why}`, verdict === 'resource', { cause });
}
