import { ShardlineError } from '#common/contracts/errors';

/** SQLSTATE of a division by zero: how a round's statement says that the shard is not as this process believes. */
const STATE_MISMATCH = '22012';

/** Whatever Postgres or its connection failed with, as STORE_FAILED. */
export function asStoreFailure(thrown: unknown): ShardlineError {
  if (thrown instanceof ShardlineError) return thrown;
  const code = (thrown as { code?: unknown } | null)?.code;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  const why = code === STATE_MISMATCH ? 'what is stored is not what this replica knows' : message;
  return new ShardlineError('STORE_FAILED', `postgres: ${why}`, false, { cause: thrown });
}
