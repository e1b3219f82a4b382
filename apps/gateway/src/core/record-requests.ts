/** `/read`, `/write`, `/update` and `/del`: the parts of their bodies around the rows. */
import { CONFLICT_POLICIES, type OnConflict } from '#common/contracts/commands';
import { ShardlineError } from '#common/contracts/errors';
import { badRequest, describe, fieldsOf, isObject, keyOf, listOf, requiredField, type Fields } from './body-fields';

/** Both ends are included. */
export interface KeyRange {
  low: number;
  high: number;
}

/** Query parameters by name; one that stands twice is a list. */
export type Query = Readonly<Record<string, unknown>>;

/** `{Stud_id: {low, high}}`, `{Stud_id: 5}`, or without a body `?low=&high=`. @throws ShardlineError BAD_REQUEST */
export function keyRangeOf(body: unknown, query: Query, key: string): KeyRange {
  if (body === undefined) return rangeOf(queryFields(query), 'the query (or a body)');
  const asked = requiredField(fieldsOf(body, 'the body of /read'), key, 'the body of /read');
  if (isObject(asked)) return rangeOf(fieldsOf(asked, key), key);
  const one = keyOf(asked, key);
  return { low: one, high: one };
}

function rangeOf(fields: Fields, what: string): KeyRange {
  const low = keyOf(requiredField(fields, 'low', what), 'low');
  const high = keyOf(requiredField(fields, 'high', what), 'high');
  if (low > high) throw badRequest(`low (${low}) is greater than high (${high}): swap them`);
  return { low, high };
}

/** The rows of a `/write`, not looked at yet. @throws ShardlineError BAD_REQUEST */
export function writtenRowsOf(body: unknown): unknown[] {
  return listOf(requiredField(fieldsOf(body, 'the body of /write'), 'data', 'the body of /write'), 'data');
}

/** What the client wants done with keys that exist: its own word, else the gateway's. @throws ShardlineError BAD_REQUEST */
export function conflictPolicyOf(query: Query, fallback: OnConflict): OnConflict {
  const asked = queryFields(query).get('onconflict');
  if (asked === undefined) return fallback;
  const policy = CONFLICT_POLICIES.find((known) => known === asked);
  if (policy === undefined)
    throw badRequest(`onConflict must be one of ${CONFLICT_POLICIES.join(', ')}, not ${describe(asked)}`);
  return policy;
}

/** `{Stud_id, data: row}`; the row is not looked at yet. @throws ShardlineError BAD_REQUEST */
export function updateOf(body: unknown, key: string): { key: number; row: unknown } {
  const what = 'the body of /update';
  const fields = fieldsOf(body, what);
  return { key: keyOf(requiredField(fields, key, what), key), row: requiredField(fields, 'data', what) };
}

/** `{Stud_id}`. @throws ShardlineError BAD_REQUEST */
export function deletedKeyOf(body: unknown, key: string): number {
  const what = 'the body of /del';
  return keyOf(requiredField(fieldsOf(body, what), key, what), key);
}

/** Rows with their keys, in the order of the request. */
export interface KeyedRows {
  keys: number[];
  rows: string[];
}

/**
 * The rows with every key once: of a key that stands several times `ignore` keeps the first row and `replace` the last.
 *
 * @throws ShardlineError KEY_REPEATED with `error`
 */
export function withoutRepeats({ keys, rows }: KeyedRows, onConflict: OnConflict, key: string): KeyedRows {
  if (keys.length < 2) return { keys, rows };
  const kept = new Map<number, string>();
  keys.forEach((value, index) => {
    const row = rows[index] ?? '';
    if (!kept.has(value)) kept.set(value, row);
    else if (onConflict === 'replace') kept.set(value, row);
    else if (onConflict === 'error') throw repeated(key, value);
  });
  return kept.size === keys.length ? { keys, rows } : { keys: [...kept.keys()], rows: [...kept.values()] };
}

function repeated(key: string, value: number): ShardlineError {
  return new ShardlineError(
    'KEY_REPEATED',
    `${key} ${value} appears twice in the request, nothing was written: send each key once, or choose ?onConflict=ignore|replace`,
  );
}

/** A parameter that stands twice stays a list, which none of our parameters may be. */
function queryFields(query: Query): Fields {
  return fieldsOf({ ...query }, 'the query');
}
