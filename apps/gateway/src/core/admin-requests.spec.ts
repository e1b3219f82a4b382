import { DEFAULT_SCHEMA } from '#common/contracts/schema';
import { addCommandOf, initCommandOf, rmCommandOf } from './admin-requests';

const shard = { Stud_id_low: 0, Shard_id: 'sh1', Shard_size: 4096 };
const refused = (message: RegExp): unknown =>
  expect.objectContaining({ code: 'BAD_REQUEST', message: expect.stringMatching(message) as string });

describe('/init', () => {
  test('takes the published configuration, field names in any case', () => {
    const body = {
      n: '3',
      SCHEMA: { Columns: ['Stud_id', 'Stud_name'], DTYPES: ['Number', 'String'] },
      Shards: [
        { stud_id_low: 0, shard_id: 'sh1', SHARD_SIZE: 4096 },
        { Stud_id_low: '4096', Shard_id: 'sh2', Shard_size: 4096 },
      ],
      servers: { Server0: ['sh1', 'sh2'], 'Server[1]': [] },
    };
    expect(initCommandOf(body, true)).toEqual({
      n: 3,
      schema: { columns: ['Stud_id', 'Stud_name'], dtypes: ['Number', 'String'] },
      shards: [
        { shard: 'sh1', low: 0, size: 4096 },
        { shard: 'sh2', low: 4096, size: 4096 },
      ],
      servers: { Server0: ['sh1', 'sh2'], 'Server[1]': [] },
      allowReinit: true,
    });
  });

  test('takes shards alone', () => {
    expect(initCommandOf({ shards: [shard] }, false)).toEqual({
      n: null,
      schema: DEFAULT_SCHEMA,
      shards: [{ shard: 'sh1', low: 0, size: 4096 }],
      servers: null,
      allowReinit: false,
    });
  });

  test("takes the shard's start under the name of another key", () => {
    const { shards } = initCommandOf({ shards: [{ Roll_low: -5, Shard_id: 'a', Shard_size: 1 }] }, false);
    expect(shards).toEqual([{ shard: 'a', low: -5, size: 1 }]);
  });

  const schema = (columns: unknown, dtypes: unknown): object => ({ shards: [shard], schema: { columns, dtypes } });
  test.each<[string, unknown, RegExp]>([
    ['no body', undefined, /must be a JSON object/],
    ['a list', [], /must be a JSON object/],
    ['null', null, /must be a JSON object/],
    ['no shards', {}, /lacks the field "shards"/],
    ['empty shards', { shards: [] }, /empty/],
    ['an object for shards', { shards: { sh1: shard } }, /must be a list/],
    ['a negative N', { N: -1, shards: [shard] }, /between/],
    ['a huge N', { N: 1e9, shards: [shard] }, /between/],
    ['a fraction N', { N: 1.5, shards: [shard] }, /whole number/],
    ['n and N', { n: 1, N: 2, shards: [shard] }, /twice/],
    [
      'a shard without a size',
      { shards: [{ Stud_id_low: 0, Shard_id: 'a' }] },
      /shards\[0\] lacks the field "Shard_size"/,
    ],
    ['a shard without a start', { shards: [{ Shard_id: 'a', Shard_size: 1 }] }, /lacks the field "Stud_id_low"/],
    ['a shard of size 0', { shards: [{ ...shard, Shard_size: 0 }] }, /between/],
    ['a shard beyond 2^53', { shards: [{ ...shard, Stud_id_low: 2 ** 53, Shard_size: 2 }] }, /2\^53/],
    ['a numeric shard name', { shards: [{ ...shard, Shard_id: 7 }] }, /must be a text/],
    ['SQL in a shard name', { shards: [{ ...shard, Shard_id: 'a"; DROP TABLE x; --' }] }, /a name starts with/],
    ['NUL in a shard name', { shards: [{ ...shard, Shard_id: 'a\0' }] }, /a name starts with/],
    ['half a surrogate pair in a shard name', { shards: [{ ...shard, Shard_id: 'a\ud800' }] }, /a name starts with/],
    ['a line feed behind a shard name', { shards: [{ ...shard, Shard_id: 'a\n' }] }, /a name starts with/],
    ['a long shard name', { shards: [{ ...shard, Shard_id: 'a'.repeat(64) }] }, /a name starts with/],
    ['a reserved name as a shard', { shards: [{ ...shard, Shard_id: 'constructor' }] }, /a reserved name/],
    ['a shard twice', { shards: [shard, shard] }, /twice/],
    ['a reserved name as a server', { shards: [shard], servers: { toString: ['sh1'] } }, /a reserved name/],
    ['a list for servers', { shards: [shard], servers: [['sh1']] }, /must be an object/],
    ['a text for the shards of a server', { shards: [shard], servers: { S: 'sh1' } }, /must be a list/],
    ['SQL in a server name', { shards: [shard], servers: { "S'; --": ['sh1'] } }, /a name starts with/],
    ['dots in a server name', { shards: [shard], servers: { 'a.>': ['sh1'] } }, /a name starts with/],
    ['a shard twice on a server', { shards: [shard], servers: { S: ['sh1', 'sh1'] } }, /twice/],
    ['a list for the schema', { shards: [shard], schema: [] }, /must be a JSON object/],
    ['no columns', schema([], []), /empty/],
    ['fewer dtypes than columns', schema(['a', 'b'], ['Number']), /one dtype per column/],
    ['an unknown dtype', schema(['a'], ['Integer']), /must be one of/],
    ['a dtype that is an object', schema(['a'], [{}]), /must be one of/],
    ['a key that is no number', schema(['a'], ['String']), /must be a Number/],
    ['a column twice', schema(['a', 'a'], ['Number', 'String']), /twice/],
    ['a reserved column', schema(['a', 'CAT'], ['Number', 'String']), /already/],
    ['columns that differ in case alone', schema(['a', 'b', 'B'], ['Number', 'String', 'String']), /"b" and "B"/],
    ['a key that /update has no place for', schema(['Data', 'b'], ['Number', 'String']), /body of \/update/],
    ['__proto__ as a column', schema(['a', '__proto__'], ['Number', 'String']), /another name/],
    ['SQL in a column', schema(['a', 'b" int; --'], ['Number', 'String']), /a name starts with/],
    [
      'too many columns',
      schema(
        Array.from({ length: 1_001 }, (_, i) => `c${i}`),
        Array(1_001).fill('Number'),
      ),
      /at most 1000/,
    ],
  ])('refuses %s', (_, body, message) => {
    expect(() => initCommandOf(body, false)).toThrow(refused(message) as Error);
  });

  test.each(['tableoid', 'xmin', 'cmin', 'xmax', 'cmax', 'ctid', 'XMIN', 'cat', 'Dat'])(
    'refuses %s as a column, and as the key: every table has it already',
    (name) => {
      for (const columns of [
        ['a', name],
        [name, 'a'],
      ]) {
        const message = `schema.columns names "${name}", which every table has already: choose another name`;
        expect(() => initCommandOf(schema(columns, ['Number', 'Number']), false)).toThrow(message);
      }
    },
  );

  test('a server called __proto__ changes nothing for anyone', () => {
    const body: unknown = JSON.parse('{"shards":[],"servers":{"__proto__":["sh1"]}}');
    expect(() => initCommandOf({ ...(body as object), shards: [shard] }, false)).toThrow(/another name/);
  });
});

describe('/add', () => {
  const servers = { Server4: ['sh3', 'sh5'], 'Server[5]': ['sh2', 'sh5'] };

  test.each(['n', 'N'])('takes %s, and no new_shards', (n) => {
    expect(addCommandOf({ [n]: 2, servers })).toEqual({ n: 2, newShards: [], servers });
  });

  test('takes new shards', () => {
    const command = addCommandOf({ n: 2, new_shards: [{ ...shard, Shard_id: 'sh5' }], servers });
    expect(command.newShards).toEqual([{ shard: 'sh5', low: 0, size: 4096 }]);
  });

  test('says in the published words that n is greater', () => {
    expect(() => addCommandOf({ n: 3, servers })).toThrow(
      'Number of new servers (n) is greater than newly added instances',
    );
  });

  test.each<[string, unknown, RegExp]>([
    ['a smaller n', { n: 1, servers }, /smaller/],
    ['no n', { servers }, /lacks the field "n"/],
    ['no servers', { n: 1 }, /lacks the field "servers"/],
    ['no server', { n: 0, servers: {} }, /between/],
    ['a list for servers', { n: 1, servers: ['Server4'] }, /must be an object/],
    ['an object for new_shards', { n: 2, servers, new_shards: shard }, /must be a list/],
    ['null for new_shards', { n: 2, servers, new_shards: null }, /must be a list/],
    ['a blank in a name', { n: 1, servers: { 'Server 4': [] } }, /a name starts with/],
    ['a huge n', { n: 1e308, servers }, /between/],
    ['a text', 'x', /must be a JSON object/],
  ])('refuses %s', (_, body, message) => {
    expect(() => addCommandOf(body)).toThrow(refused(message) as Error);
  });
});

describe('/rm', () => {
  test('takes as many names as n, or fewer, or none', () => {
    expect(rmCommandOf({ N: 2, servers: ['Server4'] })).toEqual({ n: 2, servers: ['Server4'] });
    expect(rmCommandOf({ n: 1 })).toEqual({ n: 1, servers: [] });
  });

  test('says in the published words that there are too many names', () => {
    expect(() => rmCommandOf({ n: 1, servers: ['a', 'b'] })).toThrow(
      'Length of server list is more than removable instances',
    );
  });

  test.each<[string, unknown, RegExp]>([
    ['no n', { servers: ['a'] }, /lacks the field "n"/],
    ['n of 0', { n: 0, servers: [] }, /between/],
    ['an object for servers', { n: 1, servers: { a: 1 } }, /must be a list/],
    ['a number for a name', { n: 1, servers: [4] }, /must be a text/],
    ['a name twice', { n: 2, servers: ['a', 'a'] }, /twice/],
    ['SQL in a name', { n: 1, servers: ["a' OR '1'='1"] }, /a name starts with/],
  ])('refuses %s', (_, body, message) => {
    expect(() => rmCommandOf(body)).toThrow(refused(message) as Error);
  });
});
