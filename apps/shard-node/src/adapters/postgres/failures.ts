import { ShardlineError } from '#common/contracts/errors';

/** SQLSTATE of a division by zero: how a round's statement says that the shard is not as this process believes. */
const STATE_MISMATCH = '22012';
/** Data that no column takes, rows that break a constraint, values nested too deeply: the message is at fault, not the store. */
const BAD_DATA = /^(22...|23...|54001)$/;

/** Whatever Postgres or its connection failed with: BAD_MESSAGE when it refused the rows, else STORE_FAILED. */
export function asStoreFailure(thrown: unknown): ShardlineError {
  if (thrown instanceof ShardlineError) return thrown;
  const code = (thrown as { code?: unknown } | null)?.code;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  if (code === STATE_MISMATCH) return failure('STORE_FAILED', 'what is stored is not what this replica knows', thrown);
  const refused = typeof code === 'string' && BAD_DATA.test(code);
  return failure(refused ? 'BAD_MESSAGE' : 'STORE_FAILED', message, thrown);
}

function failure(code: 'BAD_MESSAGE' | 'STORE_FAILED', why: string, cause: unknown): ShardlineError {
  return new ShardlineError(code, `postgres: ${why}`, false, { cause });
}
