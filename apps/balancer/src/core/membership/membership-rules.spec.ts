import type { AddCommand, InitCommand, RmCommand } from '#common/contracts/commands';
import { DEFAULT_SCHEMA } from '#common/contracts/schema';
import { growthFault } from '#common/testing/growth';
import { validateAdd, validateInit, validateRm, isSameInit, type Standing } from './membership-rules';

const SHARDS = [
  { shard: 'sh1', low: 0, size: 4096 },
  { shard: 'sh2', low: 4096, size: 4096 },
];

function init(change: Partial<InitCommand>): InitCommand {
  const servers = { Server0: ['sh1', 'sh2'], Server1: ['sh1'] };
  return { n: 2, schema: DEFAULT_SCHEMA, shards: SHARDS, servers, allowReinit: false, ...change };
}

const manyShards = (count: number): InitCommand['shards'] =>
  Array.from({ length: count }, (_, index) => ({ shard: `s${index}`, low: index, size: 1 }));
const manyServers = (count: number, shards: readonly { shard: string }[]): Record<string, string[]> =>
  Object.fromEntries(Array.from({ length: count }, (_, index) => [`S${index}`, shards.map(({ shard }) => shard)]));

describe('a cluster may have', () => {
  test('1,024 shards and 64 servers from the beginning, and no more', () => {
    const full = { shards: manyShards(1_024), servers: manyServers(64, manyShards(1_024)), n: 64 };
    expect(validateInit(init(full))).toBeNull();
    expect(validateInit(init({ ...full, shards: manyShards(1_025) }))).toBe('1025 shards are more than 1024');
    expect(validateInit(init({ ...full, servers: manyServers(65, full.shards) }))).toBe('65 servers are more than 64');
    expect(validateInit(init({ ...full, servers: null, n: 65 }))).toBe('65 servers are more than 64');
  });

  test('as many by and by, and no more', () => {
    const standing: Standing = { servers: new Set(Object.keys(manyServers(63, []))), shards: manyShards(1_023) };
    const newShard = { shard: 'new', low: 2_000, size: 1 };
    const other = { shard: 'other', low: 3_000, size: 1 };
    const add = { n: 1, newShards: [newShard], servers: { New: ['new'] } };
    expect(validateAdd(add, standing)).toBeNull();
    expect(validateAdd({ n: 2, newShards: [newShard], servers: { New: ['new'], Other: [] } }, standing)).toMatch(
      /no more than 64 servers/,
    );
    expect(validateAdd({ ...add, newShards: [newShard, other], servers: { New: ['new', 'other'] } }, standing)).toBe(
      '1025 shards are more than 1024',
    );
  });

  test('all keys that there are', () => {
    const shards = [
      { shard: 'a', low: -(2 ** 53), size: 2 ** 53 },
      { shard: 'b', low: 0, size: 2 ** 53 },
      { shard: 'c', low: 2 ** 53, size: 1 },
    ];
    expect(validateInit(init({ shards, servers: { S: ['a', 'b', 'c'] }, n: 1 }))).toBeNull();
  });
});

test('the rules look at each name once', () => {
  const shards = (count: number): InitCommand => init({ shards: manyShards(count / 8), servers: null });
  const lists = (count: number): InitCommand =>
    init({ shards: manyShards(count / 8), servers: manyServers(8, manyShards(count / 8)), n: 8 });
  const named = (count: number): RmCommand => ({ n: count, servers: Object.keys(manyServers(count, [])) });
  expect(growthFault(1_024, shards, (command) => void validateInit(command))).toBeNull();
  expect(growthFault(1_024, lists, (command) => void validateInit(command))).toBeNull();
  const standing = { servers: new Set(named(8_192).servers), shards: SHARDS };
  expect(growthFault(1_024, named, (command) => void validateRm(command, standing))).toBeNull();
});

describe('/init', () => {
  test.each<[string, Partial<InitCommand>, RegExp | null]>([
    ['the plain case', {}, null],
    ['fewer than listed is a remark', { n: 1 }, null],
    ['no n beside servers', { n: null }, null],
    ['more than listed: the rest is made', { n: 5, servers: { Server0: ['sh1'] } }, null],
    ['no servers, but a number of them', { servers: null }, null],
    ['neither servers nor a number', { servers: null, n: null }, null],
    ['no servers, and none of them', { servers: null, n: 0 }, /at least 1/],
    ['a number of 0 beside servers is a remark', { n: 0 }, null],
    ['no list, but a number of servers', { servers: {}, n: 2 }, null],
    ['keys below -2^53', { shards: [{ shard: 'sh1', low: -(2 ** 53) - 2, size: 1 }] }, /holds no key/],
    ['no shards', { shards: [] }, /at least one shard/],
    ['an empty list of servers', { servers: {}, n: null }, /at least one server/],
    ['overlapping shards', { shards: [...SHARDS, { shard: 'sh3', low: 8191, size: 10 }] }, /sh2 and sh3 overlap/],
    ['a shard defined twice', { shards: [...SHARDS, { shard: 'sh1', low: 9000, size: 10 }] }, /sh1 is defined twice/],
    ['a shard without keys', { shards: [{ shard: 'sh1', low: 0, size: 0 }] }, /holds no key/],
    ['keys beyond ±2^53', { shards: [{ shard: 'sh1', low: 2 ** 53, size: 2 }] }, /holds no key/],
    [
      'keys up to 2^53',
      { shards: [{ shard: 'sh1', low: 2 ** 53 - 9, size: 10 }], servers: { Server0: ['sh1'] } },
      null,
    ],
    [
      'shards that meet at the edge',
      {
        shards: [
          { shard: 'sh1', low: 2 ** 53 - 1, size: 1 },
          { shard: 'sh2', low: 2 ** 53, size: 1 },
        ],
        servers: { Server0: ['sh1', 'sh2'] },
      },
      null,
    ],
    ['an unknown shard', { servers: { Server0: ['sh1', 'sh2', 'sh9'] } }, /sh9, which is not defined/],
    ['a shard listed twice by a server', { servers: { Server0: ['sh1', 'sh1', 'sh2'] } }, /sh1 twice/],
    ['a shard that no server lists', { servers: { Server0: ['sh1'] }, n: 1 }, /no server lists the shard sh2/],
    [
      'names that differ in case alone',
      { servers: { Server0: ['sh1', 'sh2'], server0: [] } },
      /two servers are called/,
    ],
    ['too many servers', { n: 1000 }, /more than 64/],
  ])('%s', (_, change, expected) => {
    const fault = validateInit(init(change));
    if (expected === null) expect(fault).toBeNull();
    else expect(fault).toMatch(expected);
  });

  test('the same asked in another order is the same; anything else is not', () => {
    const servers = { Server1: ['sh1'], Server0: ['sh2', 'sh1'] };
    expect(isSameInit(init({}), init({ servers, shards: [...SHARDS].reverse() }))).toBe(true);
    expect(isSameInit(init({}), init({ n: 1 }))).toBe(true);
    expect(isSameInit(init({}), init({ n: null }))).toBe(true);
    expect(isSameInit(init({}), init({ n: 5 }))).toBe(false);
    expect(isSameInit(init({ servers: null }), init({ servers: null, n: 5 }))).toBe(false);
    expect(isSameInit(init({}), init({ servers: { ...servers, Server2: [] } }))).toBe(false);
    expect(isSameInit(init({}), init({ schema: { columns: ['id'], dtypes: ['Number'] } }))).toBe(false);
  });
});

const STANDING: Standing = { servers: new Set(['Server0', 'Server1']), shards: SHARDS };

describe('/add', () => {
  test.each<[string, Partial<AddCommand>, RegExp | null]>([
    ['a new server with a shard that exists', {}, null],
    ['a new shard', { newShards: [{ shard: 'sh3', low: 8192, size: 10 }], servers: { Server2: ['sh3'] } }, null],
    ['n greater', { n: 2 }, /^Number of new servers \(n\) is greater than newly added instances$/],
    ['n smaller', { n: 0 }, /smaller/],
    ['a name in use', { servers: { Server1: ['sh1'] } }, /Server1 exists/],
    ['a name in use but for its case', { servers: { server1: ['sh1'] } }, /server1 exists/],
    ['an undefined shard', { servers: { Server2: ['sh7'] } }, /sh7, which is not defined/],
    [
      'an overlapping shard',
      { newShards: [{ shard: 'sh3', low: 0, size: 1 }], servers: { Server2: ['sh3'] } },
      /overlap/,
    ],
    ['a new shard nowhere', { newShards: [{ shard: 'sh3', low: 9000, size: 1 }] }, /no new server lists/],
    ['nothing', { n: 0, servers: {} }, /at least one/],
  ])('%s', (_, change, expected) => {
    const fault = validateAdd({ n: 1, newShards: [], servers: { Server2: ['sh1'] }, ...change }, STANDING);
    if (expected === null) expect(fault).toBeNull();
    else expect(fault).toMatch(expected);
  });
});

describe('/rm', () => {
  test.each<[string, RmCommand, RegExp | null]>([
    ['one by name', { n: 1, servers: ['Server0'] }, null],
    ['one at random', { n: 1, servers: [] }, null],
    [
      'more names than n',
      { n: 1, servers: ['Server0', 'Server1'] },
      /^Length of server list is more than removable instances$/,
    ],
    ['an unknown name', { n: 1, servers: ['Server9'] }, /no server Server9/],
    ['a name twice', { n: 2, servers: ['Server0', 'Server0'] }, /named twice/],
    ['more than there are', { n: 3, servers: [] }, /only 2 servers/],
    ['all of them', { n: 2, servers: [] }, /last server/],
    ['none', { n: 0, servers: [] }, /at least 1/],
  ])('%s', (_, command, expected) => {
    const fault = validateRm(command, STANDING);
    if (expected === null) expect(fault).toBeNull();
    else expect(fault).toMatch(expected);
  });
});
