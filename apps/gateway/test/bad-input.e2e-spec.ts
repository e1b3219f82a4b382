/** Malformed requests of every kind to every route, on the real cluster: the right 4xx, and nothing changes. */
import { sharedCluster } from '#common/testing/cluster-harness';
import { failure, PUBLISHED, student } from './asking';

jest.setTimeout(120_000);

const shared = sharedCluster({ init: PUBLISHED });
const { ask } = shared;
let before: unknown;
const KEPT = [student(1), student(4096, 'O\'Neil "x"; --'), student(9000)];

beforeAll(async () => {
  expect((await ask('POST', '/write', { data: KEPT })).status).toBe(200);
  before = await everything();
});

/**
 * All that a client could have changed: the configuration, the placement and the rows; and which gateway answers. A VAT may
 * grow, since a change that the replicas refuse (a key that exists) uses up its terms.
 */
async function everything(): Promise<unknown> {
  const { body } = await ask('GET', '/status');
  const status = body as {
    N: number;
    schema: object;
    configId: number;
    servers: object;
    shards: Record<string, unknown>[];
  };
  const { N, schema, configId, servers, shards } = status;
  const ranges = shards.map(({ Stud_id_low: low, Shard_id: id, Shard_size: size }) => ({ low, id, size }));
  const rows = await ask('POST', '/read', { Stud_id: { low: 0, high: 12_287 } });
  return { N, schema, configId, servers, ranges, rows: rows.body, gateway: shared.cluster.pidOf('gateway') };
}

const deep = (levels: number): string => '['.repeat(levels) + ']'.repeat(levels);
const overLimit = Buffer.alloc(4 * 1024 * 1024 + 1, 0x20);
const SQL = '1; DROP TABLE students; --';
/** A row as JSON text, with `value` in the place of the name. */
const rowWith = (name: string): string => `{"Stud_id":5,"Stud_name":${name},"Stud_marks":"1"}`;
const write = (row: string): string => `{"data":[${row}]}`;

/** Bodies that are wrong for every route. */
const ALWAYS_WRONG: [string, unknown, number][] = [
  ['no body', undefined, 400],
  ['an empty body', '', 400],
  ['broken JSON', '{"Stud_id": ', 400],
  ['a list', [], 400],
  ['a list of bodies', [PUBLISHED], 400],
  ['a text', '"x"', 400],
  ['a number', '7', 400],
  ['null', 'null', 400],
  ['true', 'true', 400],
  ['no field at all', {}, 400],
  ['deep nesting', deep(100_000), 400],
  ['deep nesting that does not end', '['.repeat(100_000), 400],
  [
    'deep nesting in a field',
    `{"Stud_id":${deep(5_000)},"data":${deep(5_000)},"n":${deep(5_000)},"shards":${deep(5_000)}}`,
    400,
  ],
  ['a NUL byte', Buffer.from('{"Stud_id":\0 1}'), 400],
  ['bytes that are no UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d]), 400],
  ['half of a surrogate pair as a field', String.raw`{"\ud800":1}`, 400],
  ['fields of every object', '{"__proto__":{"Stud_id":1,"data":[],"n":1},"constructor":{},"toString":1}', 400],
  ['a body over the limit', overLimit, 413],
];

const shard = PUBLISHED.shards[0];
const ROUTES: [string, string, [string, unknown, number][]][] = [
  [
    'POST',
    '/init',
    [
      ['a negative N', { ...PUBLISHED, N: -1 }, 400],
      ['a huge N', { ...PUBLISHED, N: 1e18 }, 400],
      ['a number that no double holds', `{"N":1e999,"shards":[]}`, 400],
      ['an object for the shards', { ...PUBLISHED, shards: shard }, 400],
      ['a list for the schema', { ...PUBLISHED, schema: [] }, 400],
      ['a list for the servers', { ...PUBLISHED, servers: ['Server0'] }, 400],
      ['SQL in a column', { ...PUBLISHED, schema: { columns: [`a"; ${SQL}`], dtypes: ['Number'] } }, 400],
      ['SQL in a shard', { ...PUBLISHED, shards: [{ ...shard, Shard_id: SQL }] }, 400],
      ['SQL in a server', { ...PUBLISHED, servers: { [SQL]: ['sh1'] } }, 400],
      ['NUL in a server', { ...PUBLISHED, servers: { 'a\0': ['sh1'] } }, 400],
      ['half of a surrogate pair in a shard', { ...PUBLISHED, shards: [{ ...shard, Shard_id: 'a\ud800' }] }, 400],
      ['wildcards of NATS in a server', { ...PUBLISHED, servers: { '>': ['sh1'], '*': ['sh1'] } }, 400],
      ['a shard of huge size', { ...PUBLISHED, shards: [{ ...shard, Shard_size: 1e300 }] }, 400],
      ['a shard of no size', { ...PUBLISHED, shards: [{ ...shard, Shard_size: 0 }] }, 400],
      ['an unknown dtype', { ...PUBLISHED, schema: { columns: ['a'], dtypes: ['serial'] } }, 400],
      ['a reserved column', { ...PUBLISHED, schema: { columns: ['a', 'cat'], dtypes: ['Number', 'Number'] } }, 400],
      ['overlapping shards', { shards: [shard, { ...shard, Shard_id: 'x' }] }, 400],
    ],
  ],
  [
    'POST',
    '/add',
    [
      ['a text for n', { n: 'two', servers: { Server4: ['sh1'] } }, 400],
      ['a huge n', { n: 1e308, servers: { Server4: ['sh1'] } }, 400],
      ['a negative n', { n: -1, servers: {} }, 400],
      ['a list for the servers', { n: 1, servers: [['sh1']] }, 400],
      ['a text for the shards of a server', { n: 1, servers: { Server4: 'sh1' } }, 400],
      ['numbers for shards', { n: 1, servers: { Server4: [1] } }, 400],
      ['an object for new_shards', { n: 1, new_shards: {}, servers: { Server4: ['sh1'] } }, 400],
      ['SQL in a server', { n: 1, servers: { [SQL]: ['sh1'] } }, 400],
      ['SQL in a shard', { n: 1, servers: { Server4: [SQL] } }, 400],
      ['NUL in a server', { n: 1, servers: { 'Server4\0': ['sh1'] } }, 400],
      ['half of a surrogate pair in a server', { n: 1, servers: { 'Server\udc00': ['sh1'] } }, 400],
      ['an unknown shard', { n: 1, servers: { Server4: ['sh9'] } }, 400],
      ['a server that is there', { n: 1, servers: { Server0: ['sh1'] } }, 400],
    ],
  ],
  [
    'DELETE',
    '/rm',
    [
      ['a text for n', { n: 'all', servers: [] }, 400],
      ['a huge n', { n: 1e308, servers: [] }, 400],
      ['a fraction', { n: 0.5, servers: [] }, 400],
      ['an object for the servers', { n: 1, servers: { Server0: 1 } }, 400],
      ['a text for the servers', { n: 1, servers: 'Server0' }, 400],
      ['numbers for servers', { n: 1, servers: [0] }, 400],
      ['SQL in a server', { n: 1, servers: [SQL] }, 400],
      ['NUL in a server', { n: 1, servers: ['Server0\0'] }, 400],
      ['half of a surrogate pair', { n: 1, servers: ['Server0\ud800'] }, 400],
      ['one server twice', { n: 2, servers: ['Server0', 'Server0'] }, 400],
      ['an unknown server', { n: 1, servers: ['Server9'] }, 400],
    ],
  ],
  [
    'POST',
    '/read',
    [
      ['SQL for a key', { Stud_id: SQL }, 400],
      ['a list for a range', { Stud_id: [1, 2] }, 400],
      ['null for a key', { Stud_id: null }, 400],
      ['a range without an end', { Stud_id: { low: 1 } }, 400],
      ['a huge end', { Stud_id: { low: 1, high: 1e300 } }, 400],
      ['a key just above 2^53', '{"Stud_id":9007199254740993}', 400],
      ['a number that no double holds', '{"Stud_id":1e999}', 400],
      ['a fraction', { Stud_id: 1.5 }, 400],
      ['low above high', { Stud_id: { low: 2, high: 1 } }, 400],
      ['an object for an end', { Stud_id: { low: {}, high: 1 } }, 400],
      ['NUL in a key', { Stud_id: '1\0' }, 400],
      ['half of a surrogate pair in a key', { Stud_id: '\ud800' }, 400],
    ],
  ],
  [
    'POST',
    '/write',
    [
      ['an object for the rows', { data: student(5) }, 400],
      ['a list for a row', { data: [[5, 'a', 'b']] }, 400],
      ['a text for a row', { data: ['x'] }, 400],
      ['a row that lacks a column', { data: [{ Stud_id: 5, Stud_name: 'a' }] }, 400],
      ['a row with one too many', { data: [{ ...student(5), age: 1 }] }, 400],
      ['SQL in a column name', { data: [{ ...student(5), [`x"; ${SQL}`]: 1 }] }, 400],
      ['a good row and a bad one', { data: [student(5), { ...student(6), Stud_id: 'x' }] }, 400],
      ['a list for a text', write(rowWith('["a"]')), 400],
      ['null for a text', write(rowWith('null')), 400],
      ['NUL in a text', write(rowWith(String.raw`"a\u0000b"`)), 400],
      ['half of a surrogate pair in a text', write(rowWith(String.raw`"a\ud83d"`)), 400],
      ['deep nesting for a text', write(rowWith(deep(50_000))), 400],
      ['a huge key', { data: [{ ...student(5), Stud_id: 1e300 }] }, 400],
      ['a key that no double holds', write('{"Stud_id":1e999,"Stud_name":"a","Stud_marks":"1"}'), 400],
      ['a key outside every shard', { data: [student(5), student(12_288)] }, 400],
      ['a key with SQL', { data: [{ ...student(5), Stud_id: SQL }] }, 400],
      ['__proto__ for a column', write('{"Stud_id":5,"Stud_name":"a","__proto__":"b"}'), 400],
      ['a key that is there', { data: [student(5), student(9000)] }, 409],
      ['a key twice', { data: [student(5), student(5)] }, 409],
    ],
  ],
  [
    'PUT',
    '/update',
    [
      ['no row', { Stud_id: 1 }, 400],
      ['no key', { data: student(1) }, 400],
      ['a list of rows', { Stud_id: 1, data: [student(1)] }, 400],
      ['a text for the row', { Stud_id: 1, data: 'x' }, 400],
      ['another key in the row', { Stud_id: 1, data: student(2) }, 400],
      ['a row that lacks a column', { Stud_id: 1, data: { Stud_id: 1, Stud_name: 'a' } }, 400],
      ['a row with one too many', { Stud_id: 1, data: { ...student(1), [SQL]: 1 } }, 400],
      ['SQL for a key', { Stud_id: SQL, data: student(1) }, 400],
      ['a range for a key', { Stud_id: { low: 1, high: 2 }, data: student(1) }, 400],
      ['a huge key', { Stud_id: 1e300, data: student(1) }, 400],
      ['NUL in a text', { Stud_id: 1, data: student(1, 'a\0') }, 400],
      ['half of a surrogate pair in a text', { Stud_id: 1, data: student(1, '\udc00') }, 400],
      ['a key that is not there', { Stud_id: 2, data: student(2) }, 404],
    ],
  ],
  [
    'DELETE',
    '/del',
    [
      ['SQL for a key', { Stud_id: `1 OR 1=1; ${SQL}` }, 400],
      ['a range for a key', { Stud_id: { low: 0, high: 9999 } }, 400],
      ['a list for a key', { Stud_id: [1] }, 400],
      ['null for a key', { Stud_id: null }, 400],
      ['true for a key', { Stud_id: true }, 400],
      ['a huge key', { Stud_id: 1e300 }, 400],
      ['a number that no double holds', '{"Stud_id":-1e999}', 400],
      ['a fraction', { Stud_id: 0.5 }, 400],
      ['NUL in a key', { Stud_id: '1\0' }, 400],
      ['another field', { id: 1 }, 400],
      ['a key that is not there', { Stud_id: 2 }, 404],
    ],
  ],
];

describe.each(ROUTES)('%s %s', (method, path, bodies) => {
  test.each([...ALWAYS_WRONG, ...bodies])('with %s', async (_, body, status) => {
    expect(await ask(method, path, body)).toEqual(failure(status));
  });
});

test.each([
  '/read',
  '/read?low=1',
  '/read?low=1&low=2&high=3',
  '/read?low=x&high=y',
  `/read?low=${encodeURIComponent(SQL)}&high=9`,
  '/read?low=1e999&high=1e999',
  '/read?low=9&high=1',
  '/read?low=%00&high=9',
  '/read?low=&high=',
  '/read?low[$gt]=0&high=9',
  '/read?low=1.5&high=9',
])('GET %s', async (path) => {
  expect(await ask('GET', path)).toEqual(failure(400));
});

test.each(['/write?onConflict=drop', '/write?onConflict=', '/write?onConflict=ignore&onConflict=replace'])(
  'POST %s',
  async (path) => {
    expect(await ask('POST', path, { data: [student(1)] })).toEqual(failure(400, /onConflict/));
  },
);

test('after all of it nothing has changed, the gateway has not been restarted, and it never answered 500', async () => {
  expect(await everything()).toEqual(before);
  const metrics = (await ask('GET', '/metrics')).body as string;
  expect(metrics).not.toMatch(/status="500"/);
});
