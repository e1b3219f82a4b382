/** The SQL of `op_t`, the outcomes of ops; `$1` is the shard. */
import type { OpRecord } from '#common/contracts/node';
import { outcomeText, parseOutcome } from '../../../core/op-records';
import { prepared } from './shard-statements';
import type { Cells } from './writer-connection';

/**
 * Outcomes under the ids `$2` in `($3, $4]`: term, id, fingerprint, outcome. `term + 0` keeps the planner from looking through all
 * terms by the primary key, which it does while nothing has been counted in the table yet.
 */
export const KNOWN_OPS = prepared(
  'SELECT term, id, fingerprint, outcome FROM op_t WHERE shard = $1 AND id = ANY($2::text[]) AND term + 0 > $3 AND term + 0 <= $4',
);

/** Outcomes above `$2` go. */
export const UNDO_OPS = prepared('DELETE FROM op_t WHERE shard = $1 AND term > $2');

/** Up to `$3` outcomes up to `$2` go; answers how many. */
export const FORGET_OPS = prepared(`
  WITH old AS (SELECT term FROM op_t WHERE shard = $1 AND term <= $2 ORDER BY term LIMIT $3),
  gone AS (DELETE FROM op_t WHERE shard = $1 AND term <= (SELECT max(term) FROM old) RETURNING 1)
  SELECT count(*) FROM gone`);

export const CLEAR_OPS = prepared('DELETE FROM op_t WHERE shard = $1');
export const CLEAR_ALL_OPS = 'DELETE FROM op_t';

/** Stores outcomes `$2…$5`: terms, ids, fingerprints, outcomes. */
export const PUT_OPS = prepared(`
  INSERT INTO op_t (shard, term, id, fingerprint, outcome)
  SELECT $1, op.* FROM unnest($2::bigint[], $3::text[], $4::text[], $5::text[]) AS op
  ON CONFLICT (shard, term) DO NOTHING`);

/** Up to `$4` outcomes in `($2, $3]`, in the order of their terms. */
export const OP_PAGE = prepared(
  'SELECT term, id, fingerprint, outcome FROM op_t WHERE shard = $1 AND term > $2 AND term <= $3 ORDER BY term LIMIT $4',
);

/** Outcomes under the id `$1` in the shards `$2`, behind the terms `$3` and up to the terms `$4`: shard, term, outcome. */
export const FIND_OPS = prepared(`
  SELECT op_t.shard, op_t.term, op_t.outcome
  FROM unnest($2::text[], $3::bigint[], $4::bigint[]) AS asked(shard, after, up_to), op_t
  WHERE op_t.shard = asked.shard AND op_t.id = $1 AND op_t.term + 0 > asked.after AND op_t.term + 0 <= asked.up_to`);

/** The sum of 64-bit hashes of what is stored in `($2, $3]`; of each `recordText` is hashed. */
export const DIGEST_OPS = prepared(`
  SELECT coalesce(sum(('x' || left(md5(term || ' ' || id || ' ' || coalesce(fingerprint, '') || ' ' || outcome), 16))::bit(64)::bigint), 0)
  FROM op_t WHERE shard = $1 AND term > $2 AND term <= $3`);

/** Parameters for outcomes: terms, ids, fingerprints, outcomes. */
export function recordValues(records: readonly OpRecord[]): unknown[] {
  return [
    `{${records.map(({ term }) => term).join(',')}}`,
    texts(records.map(({ id }) => id)),
    texts(records.map(({ fingerprint }) => fingerprint)),
    texts(records.map(({ outcome }) => outcomeText(outcome))),
  ];
}

/** A row of `KNOWN_OPS` or `OP_PAGE`. */
export function recordOf([term, id, fingerprint, outcome]: Cells): OpRecord {
  const fingerprinted = fingerprint === null || fingerprint === undefined ? {} : { fingerprint: String(fingerprint) };
  return { term: Number(term), id: String(id), ...fingerprinted, outcome: parseOutcome(String(outcome)) };
}

/** Texts as a Postgres array; cheaper than having `pg` look at each. */
export function texts(list: readonly (string | undefined)[]): string {
  return `{${list.map((text) => (text === undefined ? 'NULL' : quoted(text))).join(',')}}`;
}

const SPECIAL = /["\\]/g;

function quoted(text: string): string {
  return `"${text.replace(SPECIAL, '\\$&')}"`;
}
