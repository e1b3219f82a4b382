import type { ClusterRecord } from '#common/contracts/node';
import { Cluster, unconfigured } from './cluster';
import { PUBLISHED_HASH } from './hash-ring';
import { Shard, type ShardRecord } from './shard';

const SUSPICION = { misses: 2, diskFreeBytes: 100, eventLoopMs: 50, answerMs: 40, answerFactor: 4, pings: 3 };
const SIGNS = { postgres: 'ok' as const, diskFreeBytes: 1_000, eventLoopDelayMs: 0 };
const STAMP = { configId: 1, configEpoch: 1, configVersion: 1 };

function shardOf(shard: string, low: number, size: number, servers: readonly string[] = []): Shard {
  const replicas = [...servers];
  const record: ShardRecord = { ...STAMP, shard, low, size, replicas, joining: [], inSync: replicas };
  return new Shard(record, true);
}

/** A cluster of running servers with these shards. */
function clusterOf(servers: readonly string[], shards: readonly Shard[]): Cluster {
  const cluster = new Cluster(3, SUSPICION, PUBLISHED_HASH);
  servers.forEach((name, number) => (cluster.addServer(name, number).starting = false));
  cluster.addShards(shards);
  return cluster;
}

test('without a configuration it is said whether there may be one', () => {
  expect(unconfigured({ foundData: null })).toMatchObject({ code: 'NOT_CONFIGURED', retryable: false });
  const found = unconfigured({ foundData: 'S1 holds data' });
  expect(found).toMatchObject({ code: 'SHARD_UNAVAILABLE', retryable: true });
  expect(found.message).toContain('S1 holds data');
});

test('no configuration gets an id that any server has heard of, in force or prepared', () => {
  const cluster = clusterOf([], []);
  cluster.heardOfConfig(5, null);
  expect(cluster.nextConfigId()).toBe(6);
  cluster.heardOfConfig(2, 9);
  expect(cluster.nextConfigId()).toBe(10);
  cluster.heardOfConfig(3, 4);
  expect(cluster.nextConfigId()).toBe(11);
});

test('servers are sent shards under the cluster’s record, and nothing without one', () => {
  const cluster = clusterOf(['S0'], []);
  expect(() => cluster.configRequest([])).toThrow('there is no configuration');
  const schema = { columns: ['id'], dtypes: ['Number' as const] };
  expect(() => cluster.inForce).toThrow('no configuration');
  cluster.record = { ...STAMP, schema } as ClusterRecord;
  expect(cluster.inForce).toBe(cluster.record);
  expect(cluster.configRequest([])).toEqual({ epoch: 0, configId: 1, schema, shards: [], drop: [] });
  cluster.mark = () => ({ epoch: 0, instance: 'i', revision: 3 });
  expect(cluster.configRequest([])).toMatchObject({ mark: { revision: 3 } });
});

describe('keys', () => {
  const shards = [shardOf('b', 20, 10), shardOf('a', 0, 10), shardOf('c', 30, 1)];
  const cluster = clusterOf([], shards);

  test.each([
    [-1, undefined],
    [0, 'a'],
    [9, 'a'],
    [10, undefined],
    [19, undefined],
    [20, 'b'],
    [29, 'b'],
    [30, 'c'],
    [31, undefined],
  ])('%i lies in %s', (key, shard) => {
    expect(cluster.shardOf(key)?.id).toBe(shard);
  });

  test.each<[number, number, string[]]>([
    [-5, -1, []],
    [-5, 0, ['a']],
    [9, 20, ['a', 'b']],
    [10, 19, []],
    [25, 25, ['b']],
    [29, 100, ['b', 'c']],
    [31, 100, []],
  ])('%i to %i meet %j', (low, high, ids) => {
    expect(cluster.shardsIn(low, high).map(({ id }) => id)).toEqual(ids);
  });

  test('up to both ends of all keys lie in their shards', () => {
    const whole = clusterOf([], [shardOf('all', -(2 ** 53), 2 ** 53), shardOf('rest', 0, 2 ** 53)]);
    expect(whole.shardOf(-(2 ** 53))?.id).toBe('all');
    expect(whole.shardOf(2 ** 53 - 1)?.id).toBe('rest');
    expect(clusterOf([], []).shardOf(0)).toBeUndefined();
  });

  test('one is there by its name, for whoever knows that it is', () => {
    const cluster = clusterOf([], [shardOf('a', 0, 10)]);
    expect(cluster.shardNamed('a').record.size).toBe(10);
    expect(() => cluster.shardNamed('b')).toThrow('there is no shard b');
  });
});

describe('a server', () => {
  test('holds the shards that it has a replica of', () => {
    const cluster = clusterOf(['S0', 'S1'], [shardOf('a', 0, 1, ['S0']), shardOf('b', 1, 1, ['S0', 'S1'])]);
    expect(cluster.shardsOn('S1').map(({ id }) => id)).toEqual(['b']);
    expect(cluster.shardsOn('S2')).toEqual([]);
  });

  test('holds others when a record names other replicas, a shard is added, or all are forgotten', () => {
    const names = (): string[] => cluster.shardsOn('S1').map(({ id }) => id);
    const a = shardOf('a', 0, 1, ['S0']);
    const cluster = clusterOf(['S0', 'S1'], [a]);
    expect(names()).toEqual([]);
    a.setRecord({ ...a.record, replicas: ['S0', 'S1'] });
    expect(names()).toEqual(['a']);
    cluster.addShard(shardOf('b', -1, 1, ['S1']));
    expect(names()).toEqual(['b', 'a']);
    cluster.clear();
    expect(names()).toEqual([]);
  });

  test('is found by its name, and nothing is done about one that is not there', () => {
    const cluster = clusterOf(['S0'], []);
    expect(cluster.serverNamed('S0').name).toBe('S0');
    expect(() => cluster.serverNamed('S1')).toThrow('S1 is no server of this cluster');
  });

  test('is meant by the process that was fenced there last, and by its name alone before any was', () => {
    const cluster = clusterOf(['S0'], []);
    expect(cluster.meantFor('S0')).toStrictEqual({});
    cluster.heardOfProcess('S0', 'first');
    cluster.heardOfProcess('S0', 'second');
    expect(cluster.meantFor('S0')).toStrictEqual({ instance: 'second' });
  });

  test('that is starting, dead or unknown is asked nothing, gets no copy, and is called what it is', () => {
    const cluster = clusterOf(['S0'], []);
    expect([cluster.isReachable('S0'), cluster.mayReceiveCopies('S0'), cluster.health('S0')]).toEqual([
      true,
      true,
      'healthy',
    ]);
    cluster.addServer('S1', 1);
    expect([cluster.isReachable('S1'), cluster.mayReceiveCopies('S1'), cluster.health('S1')]).toEqual([
      false,
      false,
      'starting',
    ]);
    cluster.servers.get('S0')!.dead = true;
    expect([cluster.isReachable('S0'), cluster.mayReceiveCopies('S0'), cluster.health('S0')]).toEqual([
      false,
      false,
      'dead',
    ]);
    expect([cluster.isReachable('S9'), cluster.mayReceiveCopies('S9'), cluster.health('S9')]).toEqual([
      false,
      false,
      'dead',
    ]);
  });

  test('whose disk is nearly full is suspect, and gets no copy', () => {
    const cluster = clusterOf(['S0'], []);
    for (let ping = 0; ping < SUSPICION.pings; ping += 1)
      cluster.detector.answered('S0', cluster.detector.nextPing('S0', ping), ping, { ...SIGNS, diskFreeBytes: 1 });
    expect([cluster.health('S0'), cluster.mayReceiveCopies('S0')]).toEqual(['suspect', false]);
  });

  test('gets no copy while its last heartbeat was missed, or its Postgres is down', () => {
    const cluster = clusterOf(['S0', 'S1'], []);
    const { detector } = cluster;
    detector.answered('S0', detector.nextPing('S0', 0), 0, SIGNS);
    expect(cluster.mayReceiveCopies('S0')).toBe(true);
    detector.missed('S0', detector.nextPing('S0', 1));
    expect(cluster.mayReceiveCopies('S0')).toBe(false);
    detector.answered('S1', detector.nextPing('S1', 0), 0, { ...SIGNS, postgres: 'down' });
    expect(cluster.mayReceiveCopies('S1')).toBe(false);
  });

  test('that is removed is watched no more: what was missed does not count for a new one of its name', () => {
    const cluster = clusterOf(['S0'], []);
    cluster.detector.missed('S0', cluster.detector.nextPing('S0', 0));
    cluster.removeServer('S0');
    expect(cluster.detector.missesInARow('S0')).toBe(0);
    expect(cluster.servers.has('S0')).toBe(false);
  });
});

describe('a shard', () => {
  const owners = (shard: Shard): string[] => [...new Set(shard.ring.slots())].sort();

  test('has on its ring the replicas whose servers are there and not dead, as they are when the ring is built', () => {
    const [a, b] = [shardOf('a', 0, 1, ['S0', 'S1', 'S9']), shardOf('b', 1, 1, ['S0'])];
    const cluster = clusterOf(['S0', 'S1'], [a, b]);
    expect([owners(a), owners(b)]).toEqual([['S0', 'S1'], ['S0']]);
    const ringOfB = b.ring;
    cluster.servers.get('S1')!.dead = true;
    cluster.buildRingsOf('S1');
    expect(owners(a)).toEqual(['S0']);
    // It has no replica there: reads keep using the ring that there is.
    expect(b.ring).toBe(ringOfB);
  });

  test('takes writes when all members serve, know who has left, and are enough; it is read when one serves', () => {
    const shard = shardOf('a', 0, 1, ['S0', 'S1', 'S2']);
    const cluster = clusterOf(['S0', 'S1', 'S2'], [shard]);
    const both = (): boolean[] => [cluster.isWritable(shard), cluster.isReadable(shard)];
    expect(both()).toEqual([true, true]);
    shard.resolved = false;
    expect(both()).toEqual([false, false]);
    shard.resolved = true;
    shard.unacknowledged.add('S0');
    expect(both()).toEqual([false, true]);
    shard.unacknowledged.clear();
    cluster.servers.get('S0')!.dead = true;
    expect(both()).toEqual([false, true]);
    shard.setRecord({ ...shard.record, inSync: ['S1', 'S2'] });
    expect(both()).toEqual([true, true]);
    shard.setRecord({ ...shard.record, inSync: ['S1'] });
    expect(both()).toEqual([false, true]);
    shard.suspend('S1', true);
    expect(both()).toEqual([false, false]);
  });
});
