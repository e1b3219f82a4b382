/** What clients are answered for a row that is not there. */
import { ShardlineError } from '#common/contracts/errors';
import type { Operation } from '../../bus/operations';

/**
 * A key outside every shard is absent as well, and for these routes absent is what counts. Not where an earlier attempt may still
 * arrive, and find that the shard has been added: only what a shard has answered is remembered there.
 */
export function asAbsent(operation: Operation, key: string, value: number): (thrown: unknown) => never {
  return (thrown) => {
    const error = ShardlineError.from(thrown);
    const isAbsent = error.code === 'KEY_NOT_FOUND' || (error.code === 'KEY_OUT_OF_RANGE' && !operation.inDoubt);
    if (!isAbsent) throw error;
    throw new ShardlineError('KEY_NOT_FOUND', `no data entry with ${key} ${value} exists`, false, { cause: error });
  };
}
