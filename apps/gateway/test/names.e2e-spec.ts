/** Every name that is accepted works from end to end on a real Postgres; every other one is refused with a word about it. */
import { sharedCluster } from '#common/testing/cluster-harness';
import { ODD_KEYS } from '#common/testing/odd-names';
import { DTYPES, RESERVED_COLUMNS } from '#common/contracts/schema';
import { failure, success } from './asking';

jest.setTimeout(300_000);

const { ask } = sharedCluster({ env: { ALLOW_REINIT: 'true', NODE_ADMIN_TIMEOUT_MS: '60000' } });

/** What the statements call something of their own, what SQL, HTTP bodies and JavaScript mean by it, and the longest there is. */
const COLUMNS = [
  ...[
    'k',
    'j',
    'c',
    'fits',
    'part',
    'page',
    'rows',
    'count',
    'sum',
    'max',
    'int8',
    'md5',
    'version',
    'birth',
    'death',
    'term',
  ],
  ...[
    'staged',
    'put',
    'before',
    'living',
    'gone',
    'risen',
    'dead',
    'op',
    'records',
    'excluded',
    'oid',
    'column0',
    'term_t',
  ],
  ...[
    'select',
    'order',
    'table',
    'user',
    'null',
    'case',
    'row',
    'text',
    'json',
    'bigint',
    'current_user',
    'ordinality',
  ],
  ...['low', 'high', 'n', 'N2', 'shards', 'servers', 'Shard_id', 'stud_id', 'status', 'message'],
  ...['constructor', 'toString', 'hasOwnProperty', '__defineGetter__', 'valueOf', 'length', 'toJSON', 'then'],
  ...['a-b', 'a[0]', 'a]', '_', '__', 'A'.repeat(63), 'b'.repeat(62)],
];

const shards = [
  { Stud_id_low: 0, Shard_id: 'sh1', Shard_size: 100 },
  { Stud_id_low: 100, Shard_id: 'sh2', Shard_size: 100 },
];

const tableOf = (columns: readonly string[]): object => ({
  N: 2,
  schema: { columns, dtypes: columns.map((_, index) => (index === 0 ? 'Number' : 'String')) },
  shards,
  servers: { Server0: ['sh1'], Server1: ['sh1', 'sh2'] },
});

/** A row whose texts sort the other way round than its key. */
const rowOf = (columns: readonly string[], key: number, word = 'is'): Record<string, unknown> =>
  Object.fromEntries(columns.map((column, index) => [column, index === 0 ? key : `${999 - key} ${word} ${column}`]));

/** Writes, reads, updates, deletes, and compares replicas. */
async function exercise(columns: readonly string[]): Promise<void> {
  const key = columns[0]!;
  const rows = [1, 2, 3, 101, 102].map((id) => rowOf(columns, id));
  const all = (data: unknown[]): unknown => success({ shards_queried: ['sh1', 'sh2'], data, status: 'success' });
  const read = (): Promise<unknown> => ask('POST', '/read', { [key]: { low: 0, high: 199 } });
  expect([key, await ask('POST', '/init', tableOf(columns))]).toMatchObject([key, { status: 200 }]);
  expect([key, await ask('POST', '/write', { data: rows })]).toMatchObject([key, { status: 200 }]);
  expect(await read()).toEqual(all(rows));
  expect(await ask('POST', '/read', { [key]: 2 })).toMatchObject({ status: 200, body: { data: [rows[1]] } });
  const changed = rowOf(columns, 2, 'was');
  expect(await ask('PUT', '/update', { [key]: 2, data: changed })).toMatchObject({ status: 200 });
  expect(await ask('DELETE', '/del', { [key]: 3 })).toMatchObject({ status: 200 });
  const left = [rows[0], changed, rows[3], rows[4]];
  expect(await read()).toEqual(all(left));
  expect(await ask('POST', '/scrub')).toMatchObject({
    status: 200,
    body: { shards: [{ compared: ['Server0', 'Server1'], diverged: [] }, { diverged: [] }] },
  });
}

/** Copies what is there to another server and back. The shard-node's own tests copy with every one of the names. */
async function copy(columns: readonly string[]): Promise<void> {
  const read = async (): Promise<unknown> =>
    (await ask('POST', '/read', { [columns[0]!]: { low: 0, high: 199 } })).body;
  const before = await read();
  expect(await ask('POST', '/add', { n: 1, servers: { Server2: ['sh1', 'sh2'] } })).toEqual(success(expect.anything()));
  expect(await ask('POST', '/scrub')).toMatchObject({
    status: 200,
    body: { shards: [{ compared: ['Server0', 'Server1', 'Server2'], diverged: [] }, { diverged: [] }] },
  });
  expect(await ask('DELETE', '/rm', { n: 1, servers: ['Server2'] })).toEqual(success(expect.anything()));
  expect(await read()).toEqual(before);
}

test('all of these are good names for columns', async () => {
  const columns = ['Stud_id', ...COLUMNS.filter((column) => column !== 'stud_id')];
  await exercise(columns);
  await copy(columns);
});

test.each(ODD_KEYS)('%s is a good name for the key', async (key) => {
  const columns = [key, 'other', 'j2'];
  await exercise(columns);
  if (key === 'order') await copy(columns);
});

test.each([...RESERVED_COLUMNS, 'XMIN', 'Cat'])('%s is no name for a column', async (name) => {
  for (const columns of [
    ['a', name],
    [name, 'a'],
  ]) {
    expect(await ask('POST', '/init', tableOf(columns))).toEqual(failure(400, /every table has already/));
  }
});

test.each(['data', 'Data', 'DATA'])('%s is no name for the key, but one for another column', async (name) => {
  expect(await ask('POST', '/init', tableOf([name, 'a']))).toEqual(failure(400, /the body of \/update/));
  await exercise(['a', name]);
});

test('shards and servers may be called as tables, files and subjects are', async () => {
  const names = [
    '_sh1',
    'SH1',
    'sh1',
    'pg_class',
    'cat',
    'xmin',
    'data',
    'a[1]',
    'a-1',
    's'.repeat(63),
    'S'.repeat(63),
  ];
  const body = {
    shards: names.map((name, index) => ({ Stud_id_low: index * 10, Shard_id: name, Shard_size: 10 })),
    servers: { [`T${'x'.repeat(62)}`]: names, 'Server[1]': names, 'a-b_c': names },
  };
  expect(await ask('POST', '/init', body)).toMatchObject({ status: 200 });
  const row = (id: number): object => ({ Stud_id: id, Stud_name: 'n', Stud_marks: 'm' });
  const data = names.map((_, index) => row(index * 10));
  expect(await ask('POST', '/write', { data })).toMatchObject({ status: 200 });
  const read = await ask('POST', '/read', { Stud_id: { low: 0, high: 200 } });
  expect(read).toEqual(success({ shards_queried: names, data, status: 'success' }));
});

test.each(['constructor', 'toString', '__proto__', 'valueOf'])(
  '%s is no name for a shard or a server',
  async (name) => {
    const named = JSON.stringify({ shards: [{ ...shards[0], Shard_id: 'NAME' }] }).replace('NAME', name);
    expect(await ask('POST', '/init', named)).toEqual(failure(400, /choose another name/));
    const placed = JSON.stringify({ shards, servers: { NAME: ['sh1', 'sh2'] } }).replace('NAME', name);
    expect(await ask('POST', '/init', placed)).toEqual(failure(400, /choose another name/));
  },
);

test('a table may have 1,000 columns of every type', async () => {
  const columns = Array.from({ length: 1_000 }, (_, index) => `column_${index}`);
  const dtypes = columns.map((_, index) => (index === 0 ? 'Number' : DTYPES[index % DTYPES.length]!));
  const values = { Number: 1.5, String: 's', Boolean: true, Timestamp: '2024-02-29T12:00:00Z', JSON: [1] };
  const row = Object.fromEntries(columns.map((column, index) => [column, index === 0 ? 7 : values[dtypes[index]!]]));
  expect(await ask('POST', '/init', { schema: { columns, dtypes }, shards })).toMatchObject({ status: 200 });
  expect(await ask('POST', '/write', { data: [row] })).toMatchObject({ status: 200 });
  expect(await ask('PUT', '/update', { column_0: 7, data: row })).toMatchObject({ status: 200 });
  expect(await ask('POST', '/read', { column_0: 7 })).toMatchObject({ status: 200, body: { data: [row] } });
  expect(await ask('POST', '/scrub')).toMatchObject({ status: 200 });
  expect(await ask('DELETE', '/del', { column_0: 7 })).toMatchObject({ status: 200 });
});
