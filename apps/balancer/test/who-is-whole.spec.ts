/** What counts as a sign that a member is whole, and what does not; what waits for such signs, and for how long. */
import type { NodeShardState, PingReply } from '#common/contracts/node';
import { Cluster } from '../src/core/cluster/cluster';
import { StepContext } from '../src/core/kernel/step-context';
import { PUBLISHED_HASH } from '../src/core/cluster/hash-ring';
import type { InSyncSets } from '../src/core/replicas/in-sync-sets';
import { RollCall } from '../src/core/replicas/roll-call';
import { Shard, type ShardRecord } from '../src/core/cluster/shard';
import { spawn } from '../src/core/kernel/workflow';
import { SETTINGS } from './simulation/balancer';
import { SHARD, SmallWorld as World } from './support/small-world';

const LONG_MS = 3_000;
const NO_ANSWER = { code: 'OUTCOME_UNKNOWN' as const, message: 'no answer', retryable: false };
const write = (key: number): object => {
  const rows = [JSON.stringify({ id: key, mark: `m${key}` })];
  return { op: 'write', onConflict: 'error', keys: [key], rows };
};

interface Disk {
  contents: { states: Map<string, object> };
}
const diskOf = (world: World, server: string): Disk => world.replicas.server(server).disk as unknown as Disk;

test('a member that stays away is taken out as soon as another one is back', async () => {
  const world = await World.of(2);
  world.powerOff('S0');
  world.powerOff('S1');
  await world.pass(LONG_MS);
  world.powerOn('S0');
  await world.until(() => world.balancer.cluster.isWritable(world.shard));
  expect(world.shard.inSync).toEqual(['S0']);
});

test('a disk that was rolled back is no whole one: found by a heartbeat, and no reason to take out the other', async () => {
  const world = await World.of(2);
  const { contents } = diskOf(world, 'S0');
  await world.write(7);
  world.powerOff('S0');
  world.powerOff('S1');
  diskOf(world, 'S0').contents = contents;
  await world.pass(LONG_MS);
  world.powerOn('S0');
  await world.pass(LONG_MS);
  expect(world.shard.inSync).toContain('S1');
  expect(world.balancer.cluster.serving(world.shard)).toEqual([]);
  world.powerOn('S1');
  await world.until(() => world.isWhole(), 20_000);
  expect(world.keys('S0')).toContain(7);
});

test('a member without Postgres shows nothing', async () => {
  const world = await World.of(2);
  world.intercept = (ask, answer, carryOut) => {
    if (ask.do !== 'ping' || ask.server !== 'S0') return false;
    carryOut(ask, (outcome) => {
      answer(outcome.ok ? { ok: true, value: { ...(outcome.value as PingReply), postgres: 'down' } } : outcome);
    });
    return true;
  };
  world.powerOff('S1');
  await world.pass(LONG_MS);
  expect(world.shard.inSync).toEqual(['S0', 'S1']);
  world.intercept = () => false;
  await world.until(() => world.shard.inSync.length === 1);
});

test('a member that is being copied shows nothing to a new leader', async () => {
  const world = await World.of(3);
  for (const server of world.servers) world.powerOff(server);
  world.balancer.crash();
  const { states } = diskOf(world, 'S1').contents;
  const catchUp = { from: 2, to: 6, source: 'S0', after: null };
  states.set(SHARD, { ...states.get(SHARD), catchUp });
  world.balancer = world.newBalancer('L2');
  world.powerOn('S0');
  world.powerOn('S1');
  await world.pass(LONG_MS);
  expect(world.shard.inSync).toEqual(['S0', 'S1', 'S2']);
  world.powerOn('S2');
  await world.until(() => world.balancer.isServing && world.isWhole(), 20_000);
});

test('who has stored a round and then lost its disk shows nothing', async () => {
  const world = await World.of(3);
  const lateMs = 1_000;
  world.intercept = (ask, answer) => {
    if (ask.do !== 'apply' || ask.server !== 'S2') return false;
    return world.unanswered(answer, lateMs);
  };
  world.scheduler.after(100, () => {
    world.loseDisk('S1');
  });
  expect(await world.change(write(7))).toHaveProperty('error');
  // S2 has everything, too, and the round that it did not get is none that was acknowledged.
  expect(world.published('shard.stale').map(({ server }) => server)).not.toContain('S2');
});

test('who stores a configuration and has lost its disk shows nothing', async () => {
  const world = await World.of(4);
  let isFirst = true;
  world.intercept = (ask, answer, carryOut) => {
    if (ask.do !== 'config') return false;
    if (ask.server === 'S2') answer({ ok: false, error: NO_ANSWER });
    if (ask.server !== 'S1' || !isFirst) return ask.server === 'S2';
    isFirst = false;
    world.loseDisk('S1');
    world.scheduler.after(200, () => {
      carryOut(ask, answer);
    });
    return true;
  };
  world.powerOff('S3');
  await world.until(() => !isFirst);
  await world.pass(230);
  expect(world.shard.inSync).toContain('S2');
});

test('a round that has all it needs waits for the members to acknowledge who has left', async () => {
  const world = await World.of(3);
  world.intercept = (ask, answer, carryOut) => {
    const isToS2 = 'server' in ask && ask.server === 'S2' && (ask.do === 'apply' || ask.do === 'ping');
    if (isToS2) {
      const failed = { ok: false as const, error: NO_ANSWER };
      const isRound = ask.do === 'apply';
      const afterMs = isRound ? 700 : 10;
      world.scheduler.after(afterMs, () => {
        answer(failed);
      });
    }
    if (ask.do !== 'config' || ask.server !== 'S0') return isToS2;
    world.scheduler.after(600, () => {
      carryOut(ask, answer);
    });
    return true;
  };
  const batch = world.send(write(7));
  await world.until(() => world.shard.unacknowledged.has('S0'));
  await world.until(() => world.answers[batch] !== undefined);
  expect(world.answers[batch]).toMatchObject({ added: 1 });
});

test('a shard that waits is looked at now and then, not all the time', async () => {
  const world = await World.of(3);
  for (const server of world.servers) world.powerOff(server);
  world.wipe('S0');
  world.changeLeader('L2');
  world.powerOn('S0');
  world.powerOn('S1');
  await world.pass(LONG_MS);
  let asked = 0;
  world.intercept = () => {
    asked += 1;
    return false;
  };
  await world.pass(LONG_MS);
  // Two servers' heartbeats, starts of the third, the lease: everybody's pace is the heartbeat's.
  expect(asked).toBeLessThan((8 * LONG_MS) / SETTINGS.heartbeatIntervalMs);
});

test('what keeps waiting does not grow while the bucket is away', async () => {
  const world = await World.of(2);
  world.intercept = (ask) => ask.do === 'store' && ask.key.startsWith('shard.');
  world.loseDisk('S1');
  await world.pass(LONG_MS);
  const { queue } = world.shard.configLock as unknown as { queue: unknown[] };
  expect(queue.length).toBeLessThan(2);
});

test('a replica that is removed while it waits to enter the set does not enter it', async () => {
  const world = await World.of(3);
  world.powerOff('S2');
  await world.until(() => !world.shard.inSync.includes('S2'));
  let isRemoved = false;
  world.intercept = (ask, answer, carryOut) => {
    if (ask.do !== 'catchup' || isRemoved) return false;
    if (ask.isHurried) {
      isRemoved = true;
      const command = { n: 1, servers: ['S2'] };
      world.balancer.dispatch({ on: 'admin', command: { request: 2, op: 'rm', command } });
      world.scheduler.after(50, () => {
        carryOut(ask, answer);
      });
      return true;
    }
    // A write that the last page is to carry.
    carryOut(ask, (outcome) => {
      world.send({ op: 'update', key: 0, row: JSON.stringify({ id: 0, mark: 'new' }) });
      world.scheduler.after(30, () => {
        answer(outcome);
      });
    });
    return true;
  };
  world.powerOn('S2');
  await world.until(() => isRemoved && !world.balancer.cluster.servers.has('S2'), 10_000);
  expect(world.shard.inSync).toEqual(['S0', 'S1']);
  expect(world.balancer.cluster.isWritable(world.shard)).toBe(true);
});

test('a shard that is recreated by /init is not changed by what was asked of the one before', async () => {
  const world = await World.of(2);
  const { inSyncSets } = world.balancer.core as unknown as { inSyncSets: InSyncSets };
  const before = world.shard;
  world.powerOff('S1');
  await world.until(() => before.inSync.length === 1);
  world.intercept = (ask, answer, carryOut) => {
    if (ask.do !== 'store' || (ask.value as ShardRecord | null)?.disputed !== true) return false;
    world.scheduler.after(1_000, () => {
      carryOut(ask, answer);
    });
    return true;
  };
  const ended: string[] = [];
  spawn(inSyncSets.dispute(before), () => ended.push('what was being stored'));
  const schema = { columns: ['id', 'mark'], dtypes: ['Number' as const, 'String' as const] };
  const shards = [{ shard: SHARD, low: 0, size: 20 }];
  const command = { n: 1, schema, shards, servers: { S0: [SHARD] }, allowReinit: true };
  world.balancer.dispatch({ on: 'admin', command: { request: 2, op: 'init', command } });
  await world.until(() => world.balancer.cluster.phase === 'configuring');
  spawn(inSyncSets.endDispute(before, []), () => ended.push('what waited for that'));
  spawn(inSyncSets.demote(before, ['S0'], 'a test'), () => ended.push('what would wait on'));
  await world.until(() => world.balancer.cluster.configId === 2 && world.balancer.cluster.phase === 'serving', 10_000);
  await world.pass(LONG_MS);
  expect(world.balancer.isAlive).toBe(true);
  expect(world.shard).not.toBe(before);
  expect(world.shard.record).toMatchObject({ configId: 2, configVersion: 1, inSync: ['S0'] });
  expect(ended).toHaveLength(3);
  expect((inSyncSets as unknown as { waiting: Set<Shard> }).waiting.size).toBe(0);
  expect(await world.change(write(7))).toMatchObject({ added: 1 });
});

test('an answer counts for those alone who had asked when the question was sent', () => {
  const context = new StepContext();
  const cluster = new Cluster(3, SETTINGS.suspicion, PUBLISHED_HASH);
  cluster.begin(1);
  cluster.addServer('S0', 0).starting = false;
  const shardOf = (id: string): Shard => {
    const record = { shard: id, low: 0, size: 1, configEpoch: 1, configVersion: 1, configId: 1 };
    const shard = new Shard({ ...record, replicas: ['S0'], joining: [], inSync: ['S0'] }, true);
    shard.vat = 5;
    return shard;
  };
  const rollCall = new RollCall(context, cluster);
  const present: Record<string, string[]> = {};
  const call = (id: string, atMs: number): void => {
    context.nowMs = atMs;
    spawn(rollCall.present(shardOf(id), ['S0']), (servers) => {
      present[id] = servers;
    });
  };
  call('a', 1);
  call('b', 1);
  call('c', 2);
  call('d', 3);
  const asks = context.takeEffects() as { token: number }[];
  expect(asks).toHaveLength(3);
  const states = (currentTerm: number): Partial<NodeShardState>[] =>
    ['a', 'b', 'c', 'd'].map((shard) => ({ shard, currentTerm, catchingUp: false }));
  context.deliver(asks[0]!.token, { ok: true, value: { postgres: 'ok', configId: 0, shards: states(5) } });
  expect(present).toEqual({ a: ['S0'], b: ['S0'] });
  context.deliver(asks[1]!.token, { ok: true, value: { postgres: 'ok', configId: 0, shards: states(4) } });
  expect(present.c).toEqual([]);
  // What it holds is of shards of another configuration that have the same names.
  context.deliver(asks[2]!.token, { ok: true, value: { postgres: 'ok', configId: 7, shards: states(5) } });
  expect(present.d).toEqual([]);
});

test('a server that is just being let go is not taken back', () => {
  const context = new StepContext();
  const cluster = new Cluster(3, SETTINGS.suspicion, PUBLISHED_HASH);
  cluster.begin(1);
  const server = cluster.addServer('S0', 0);
  server.starting = false;
  const record = { shard: 'a', low: 0, size: 1, configEpoch: 1, configVersion: 1, configId: 1 };
  const shard = new Shard({ ...record, replicas: ['S0'], joining: [], inSync: [] }, true);
  const found: string[][] = [];
  const look = (): void => {
    spawn(new RollCall(context, cluster).complete(shard, ['S0']), (servers) => {
      found.push(servers);
    });
    const shards = [{ shard: 'a', currentTerm: 1, committedVat: 1, newestRound: null, catchingUp: false }];
    for (const ask of context.takeEffects() as { token: number }[])
      context.deliver(ask.token, { ok: true, value: { postgres: 'ok', configId: 0, shards } });
  };
  look();
  server.leaving = true;
  look();
  expect(found).toEqual([['S0'], []]);
});
