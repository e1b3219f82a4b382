/** The errors that clients get where their change, or their read, was not carried out. */
import type { ErrorBody } from '#common/contracts/errors';
import type { OpOutcome } from '#common/contracts/node';

/** So many shards are named in a message, which must not grow with the request. */
const SHARDS_NAMED = 10;
/** The change may have been made, or not. */
export const NOBODY_KNOWS: ErrorBody = {
  code: 'OUTCOME_UNKNOWN',
  message: 'too few in-sync replicas answered in time; whether the change was made is not known',
  retryable: false,
};

/** By what the replicas have refused. */
export function refusalOf({ refused: code, key }: Extract<OpOutcome, { refused: string }>): ErrorBody {
  return { code, message: REFUSALS[code](key), retryable: false };
}

const REFUSALS: Record<Extract<OpOutcome, { refused: string }>['refused'], (key: number) => string> = {
  KEY_EXISTS: (key) => `a record with the key ${key} exists`,
  KEY_NOT_FOUND: (key) => `there is no record with the key ${key}`,
  ID_REUSED: () => 'this id was given to another change before',
};

/** Nothing was changed. */
export function unavailable(shards: readonly string[]): ErrorBody {
  const more = shards.length - SHARDS_NAMED;
  const names = shards.slice(0, SHARDS_NAMED).join(', ') + (more > 0 ? ` and ${more} more` : '');
  return { code: 'SHARD_UNAVAILABLE', message: `too few in-sync replicas of ${names} answer now`, retryable: true };
}

/** What an answer of the configuration before says nothing of. */
export const REPLACED: ErrorBody = {
  code: 'CONFIG_CHANGED',
  message: 'the configuration has been replaced meanwhile',
  retryable: true,
};
