/**
 * Whatever a client sends, wherever it stands: the gateway's work on it grows no faster than its size, and the message that refuses
 * it is short. From the bytes of a body to what is published to the leader, for every route and every field.
 */
import { growthFault } from '#common/testing/growth';
import { ShardlineError } from '#common/contracts/errors';
import { DEFAULT_SCHEMA, DTYPES, MAX_COLUMNS, type TableSchema } from '#common/contracts/schema';
import { joinRows } from '#common/nats/lines';
import { Operation } from '../../src/bus/operations';
import { addCommandOf, initCommandOf, rmCommandOf } from '../../src/core/admin-requests';
import {
  conflictPolicyOf,
  deletedKeyOf,
  keyRangeOf,
  updateOf,
  withoutRepeats,
  writtenRowsOf,
} from '../../src/core/record-requests';
import { operationIdOf } from '../../src/http/change-requests';
import { parseBody } from '../../src/http/request-body';
import { RouteTable } from '../../src/http/routes';
import { RowChecker } from '../../src/rows/row-checker';

const MOST_OF_A_MESSAGE = 2_000;
/** Long enough that quadratic work shows beside everything else, short enough that linear work takes no time. */
const SIZE = 8_192;

const students = new RowChecker(DEFAULT_SCHEMA);
/** A column of each type behind the key. */
const every = new RowChecker({ columns: ['K', ...DTYPES], dtypes: ['Number', ...DTYPES] });

/** What a route does with a body before it asks anybody else. */
type Route = (body: unknown) => unknown;
const writeTo =
  (rows: RowChecker): Route =>
  (body) => {
    const checked = withoutRepeats(rows.check(writtenRowsOf(body)), 'error', rows.key);
    const text = joinRows(checked.rows);
    return [new Operation('a', true, 0).fingerprint('write', ['error', text]), JSON.stringify(checked.keys)];
  };
const updateOn =
  (rows: RowChecker): Route =>
  (body) =>
    rows.checkOne(updateOf(body, rows.key).row);
const ROUTES: Record<string, Route> = {
  '/init': (body) => void JSON.stringify(initCommandOf(body, false)),
  '/add': (body) => void JSON.stringify(addCommandOf(body)),
  '/rm': (body) => void JSON.stringify(rmCommandOf(body)),
  '/read': (body) => keyRangeOf(body, {}, 'Stud_id'),
  '/write': writeTo(students),
  '/write to every type': writeTo(every),
  '/update': updateOn(students),
  '/update of every type': updateOn(every),
  '/del': (body) => deletedKeyOf(body, 'Stud_id'),
};

/** Bodies that are right but for `value`, a JSON text, in one field. */
type BodyWith = (value: string) => string;
const shard = (field: string, value: string): string =>
  `{"Stud_id_low":0,"Shard_id":"a","Shard_size":1,"${field}":${value}}`;
const row = (field: string, value: string): string =>
  `{"Stud_id":1,"Stud_name":"a","Stud_marks":"b","${field}":${value}}`;
const any = (field: string, value: string): string =>
  `{"K":1,"Number":1,"String":"a","Boolean":true,"Timestamp":"2024-02-29T12:00:00Z","JSON":{},"${field}":${value}}`;
const FIELDS: Record<keyof typeof ROUTES, BodyWith[]> = {
  '/init': [
    (value) => `{"N":${value},"shards":[${shard('Shard_size', '1')}]}`,
    (value) => `{"shards":${value}}`,
    ...['Stud_id_low', 'Shard_id', 'Shard_size', 'x_low'].map(
      (field): BodyWith =>
        (value) =>
          `{"shards":[${shard(field, value)}]}`,
    ),
    (value) => `{"shards":[${value}]}`,
    (value) => `{"shards":[${shard('x', '1')}],"servers":${value}}`,
    (value) => `{"shards":[${shard('x', '1')}],"servers":{"A":${value}}}`,
    (value) => `{"shards":[${shard('x', '1')}],"servers":{"A":[${value}]}}`,
    (value) => `{"shards":[${shard('x', '1')}],"schema":${value}}`,
    (value) => `{"shards":[${shard('x', '1')}],"schema":{"columns":${value},"dtypes":["Number"]}}`,
    (value) => `{"shards":[${shard('x', '1')}],"schema":{"columns":["a"],"dtypes":${value}}}`,
    (value) => `{"shards":[${shard('x', '1')}],"schema":{"columns":[${value}],"dtypes":[${value}]}}`,
  ],
  '/add': [
    (value) => `{"n":${value},"servers":{"A":["a"]}}`,
    (value) => `{"n":1,"servers":${value}}`,
    (value) => `{"n":1,"servers":{"A":${value}}}`,
    (value) => `{"n":1,"servers":{"A":["a"]},"new_shards":${value}}`,
    (value) => `{"n":1,"servers":{"A":["a"]},"new_shards":[${value}]}`,
  ],
  '/rm': [
    (value) => `{"n":${value},"servers":["A"]}`,
    (value) => `{"n":1,"servers":${value}}`,
    (value) => `{"n":64,"servers":[${value}]}`,
  ],
  '/read': [
    (value) => `{"Stud_id":${value}}`,
    (value) => `{"Stud_id":{"low":${value},"high":1}}`,
    (value) => `{"Stud_id":{"low":1,"high":${value}}}`,
  ],
  '/write': [
    (value) => `{"data":${value}}`,
    (value) => `{"data":[${value}]}`,
    ...['Stud_id', 'Stud_name', 'Stud_marks', 'x'].map(
      (field): BodyWith =>
        (value) =>
          `{"data":[${row(field, value)}]}`,
    ),
  ],
  '/write to every type': ['K', ...DTYPES].map(
    (field): BodyWith =>
      (value) =>
        `{"data":[${any(field, value)}]}`,
  ),
  '/update': [
    (value) => `{"Stud_id":${value},"data":${row('x', '1')}}`,
    (value) => `{"Stud_id":1,"data":${value}}`,
    (value) => `{"Stud_id":1,"data":${row('Stud_name', value)}}`,
  ],
  '/update of every type': [(value) => `{"K":1,"data":${any('JSON', value)}}`],
  '/del': [(value) => `{"Stud_id":${value}}`],
};

const numbered = (size: number, itemOf: (index: number) => string): string[] =>
  Array.from({ length: Math.ceil(size / 8) }, (_, index) => itemOf(index));

/** JSON texts of about so many characters. */
const VALUES: Record<string, (size: number) => string> = {
  'a number with zeros within': (size) => `1.${'0'.repeat(size)}1`,
  'a number of zeros': (size) => `0.${'0'.repeat(size)}`,
  'a number with zeros at its end': (size) => `1${'0'.repeat(size)}`,
  'a number of nines': (size) => `-${'9'.repeat(size)}`,
  'a number with a long exponent': (size) => `1e${'0'.repeat(size)}1`,
  'a number that is a text': (size) => `"1.${'0'.repeat(size)}1"`,
  'zeros and ones': (size) => `0.${'01'.repeat(size / 2)}`,
  'a long text': (size) => `"${'a'.repeat(size)}"`,
  'a text of digits': (size) => `"${'1'.repeat(size)}"`,
  'a text of blanks': (size) => `"${' '.repeat(size)}"`,
  'a text of zeros and dots': (size) => `"${'.0'.repeat(size / 2)}"`,
  'a text of backslashes': (size) => `"${'\\\\'.repeat(size / 2)}"`,
  'a text of quotes': (size) => `"${'\\"'.repeat(size / 2)}"`,
  'a text of escaped zeros': (size) => `"${String.raw`\u0000`.repeat(size / 6)}"`,
  'a text of half characters': (size) => `"${String.raw`\ud800`.repeat(size / 6)}"`,
  'a timestamp with many digits': (size) => `"2024-02-29T12:00:00.${'0'.repeat(size)}1Z"`,
  'a list of numbers': (size) => `[${numbered(size, String).join()}]`,
  'a list of long numbers': (size) => `[${numbered(size, (index) => `${index}.0000000`).join()}]`,
  'a list of names': (size) => `[${numbered(size, (index) => `"n${index}"`).join()}]`,
  'a list of one name': (size) => `[${numbered(size, () => '"name"').join()}]`,
  'a list of lists': (size) => `[${numbered(size, () => '[]').join()}]`,
  'a list of objects': (size) => `[${numbered(size, () => '{}').join()}]`,
  'a list of shards': (size) => `[${numbered(size / 6, (index) => shard('Shard_id', `"s${index}"`)).join()}]`,
  'a list of rows': (size) => `[${numbered(size / 6, (index) => row('Stud_id', String(index))).join()}]`,
  'a list of equal rows': (size) => `[${numbered(size / 6, () => row('Stud_id', '7')).join()}]`,
  'an object of many names': (size) => `{${numbered(size, (index) => `"n${index}":1`).join()}}`,
  'an object of lists': (size) => `{${numbered(size, (index) => `"n${index}":["a"]`).join()}}`,
  'an object of numbers': (size) => `{${numbered(size, (index) => `"${index}":1`).join()}}`,
  'an object of one name': (size) => `{${numbered(size, () => '"name":1').join()}}`,
  'deep lists': (size) => `${'['.repeat(size / 2)}${']'.repeat(size / 2)}`,
  'deep objects': (size) => `${'{"a":'.repeat(size / 6)}1${'}'.repeat(size / 6)}`,
};

/** What the client is answered when it is refused. */
function refusal(run: () => unknown): string {
  try {
    const result = run();
    return typeof result === 'string' ? result : '';
  } catch (thrown) {
    const error = ShardlineError.from(thrown);
    if (error.code === 'INTERNAL') throw thrown;
    return error.message;
  }
}

function faultOf(work: (text: string) => unknown, textOf: (size: number) => string): string | null {
  const { length } = refusal(() => work(textOf(SIZE)));
  if (length > MOST_OF_A_MESSAGE) return `the message has ${length} characters`;
  return growthFault(SIZE, textOf, (text) => void refusal(() => work(text)));
}

const QUERY_VALUES: Record<string, (size: number) => string> = {
  'a number with zeros within': (size) => `1.${'0'.repeat(size)}1`,
  'a long text': (size) => 'a'.repeat(size),
  quotes: (size) => '"'.repeat(size),
  slashes: (size) => '/'.repeat(size),
  'question marks': (size) => '?'.repeat(size),
  'hashes and dots': (size) => '#./'.repeat(size / 3),
};

const PLACES: Record<string, (value: string) => unknown> = {
  '?low=': (low) => keyRangeOf(undefined, { low, high: 1 }, 'Stud_id'),
  '?high=': (high) => keyRangeOf(undefined, { low: 1, high }, 'Stud_id'),
  '?low= that stands often': (low) => keyRangeOf(undefined, { low: Array.from(low), high: 1 }, 'Stud_id'),
  '?onConflict=': (onConflict) => conflictPolicyOf({ onConflict }, 'error'),
  'the Idempotency-Key': (id) => operationIdOf(id, 'the Idempotency-Key'),
  'a path': (path) => new RouteTable().failure('GET', `/${path}x`).message,
  'a path with a query': (path) => new RouteTable().failure('GET', `/x?${path}`).message,
};

const wide = (columns: number): TableSchema => ({
  columns: Array.from({ length: columns }, (_, index) => `column_${index}`),
  dtypes: Array.from({ length: columns }, () => 'Number'),
});

/** A message must not grow with the table. */
function faultOfWideMessages(): string | null {
  const rows = new RowChecker(wide(MAX_COLUMNS));
  const messages = [{}, 7, { x: 1 }].map((bad) => refusal(() => rows.checkOne(bad)));
  return messages.find((message) => message === '' || message.length > MOST_OF_A_MESSAGE) ?? null;
}

/** By name: what is wrong, or null. */
export const CASES: Record<string, () => string | null> = {
  ...Object.fromEntries(
    Object.entries(FIELDS).flatMap(([name, fields]) =>
      Object.entries(VALUES).flatMap(([what, valueOf]) =>
        fields.map((bodyWith): [string, () => string | null] => [
          `${name}: ${bodyWith('…')} with ${what}`,
          () =>
            faultOf(
              (text) => ROUTES[name]?.(parseBody(Buffer.from(text))),
              (size) => bodyWith(valueOf(size)),
            ),
        ]),
      ),
    ),
  ),
  ...Object.fromEntries(
    Object.entries(ROUTES).map(([name, route]): [string, () => string | null] => [
      `${name}: a field with a long name`,
      () =>
        faultOf(
          (text) => route(parseBody(Buffer.from(text))),
          (size) => `{"${'\\"a'.repeat(size / 3)}":1}`,
        ),
    ]),
  ),
  ...Object.fromEntries(
    Object.entries(PLACES).flatMap(([place, take]) =>
      Object.entries(QUERY_VALUES).map(([what, valueOf]): [string, () => string | null] => [
        `${place} with ${what}`,
        () => faultOf((text) => take(text), valueOf),
      ]),
    ),
  ),
  'a table of many columns': () =>
    growthFault(MAX_COLUMNS / 8, wide, (schema) => {
      new RowChecker(schema).checkOne(Object.fromEntries(schema.columns.map((column) => [column, '1'])));
    }),
  'messages of a table of many columns': faultOfWideMessages,
};
