/**
 * No configuration that makes an in-sync set smaller is stored before enough of those who remain have shown that they live and are
 * whole: else a dead or empty replica could be all that is left, while the last whole copy is left out forever.
 */
import { BUCKET_KEYS } from '#common/contracts/subjects';
import type { InSyncSets } from '../src/core/replicas/in-sync-sets';
import { spawn, type Workflow } from '../src/core/kernel/workflow';
import { SHARD, SmallWorld as World } from './support/small-world';

const ALL_KEYS = [0, 1, 2, 3, 4, 5];
/** Long enough for flatlines, and for replacements that do not come. */
const LONG_MS = 3_000;

async function healed(world: World): Promise<void> {
  await world.until(() => world.balancer.isServing && world.isWhole(), 20_000);
  for (const server of world.servers) expect(world.keys(server)).toEqual(ALL_KEYS);
  await world.write(7);
  world.expectAlike();
}

describe('two replicas, both down, and one loses its disk', () => {
  // Which of the two flatlines is called first is chance: each of them may lose its disk.
  test.each([
    ['S0', 'S0', 'S1'],
    ['S0', 'S1', 'S0'],
    ['S1', 'S0', 'S1'],
    ['S1', 'S1', 'S0'],
  ])('%s, and %s comes back first', async (empty, firstBack, lastBack) => {
    const world = await World.of(2);
    world.powerOff('S0');
    world.powerOff('S1');
    world.wipe(empty);
    await world.pass(LONG_MS);
    world.powerOn(firstBack);
    await world.pass(LONG_MS);
    world.powerOn(lastBack);
    await healed(world);
  });

  test.each(['S0', 'S1'])('%s, while a new leader takes over', async (empty) => {
    const world = await World.of(2);
    world.powerOff('S0');
    world.powerOff('S1');
    world.wipe(empty);
    world.changeLeader('L2');
    world.powerOn(empty);
    await world.pass(LONG_MS);
    world.powerOn(empty === 'S0' ? 'S1' : 'S0');
    await healed(world);
  });
});

describe('three replicas, of which two lose their disks', () => {
  test.each([[['S0', 'S1', 'S2']], [['S0', 'S2', 'S1']], [['S2', 'S1', 'S0']]])(
    'they come back in the order %s',
    async (order) => {
      const world = await World.of(3);
      for (const server of world.servers) world.powerOff(server);
      world.wipe('S0');
      world.wipe('S1');
      for (const server of order) {
        await world.pass(LONG_MS);
        world.powerOn(server);
      }
      await healed(world);
    },
  );
});

test('one of three whose data is gone counts for nothing when another one is missed', async () => {
  const world = await World.of(3);
  world.powerOff('S2');
  world.replicas.server('S1').kill();
  world.wipe('S1');
  world.replicas.server('S1').start();
  // With one whole copy left, the one that is missed may be the second: it stays until there are two.
  await world.until(() => world.shard.inSync.length < 3);
  expect(world.keys('S1')).toEqual(ALL_KEYS);
  await world.until(() => world.balancer.cluster.isWritable(world.shard));
  world.powerOn('S2');
  await healed(world);
});

test('a new leader takes no silent member out while only one of the others has its data', async () => {
  const world = await World.of(3);
  for (const server of world.servers) world.powerOff(server);
  world.wipe('S0');
  world.changeLeader('L2');
  world.powerOn('S0');
  world.powerOn('S1');
  await world.pass(LONG_MS);
  expect(world.shard.inSync).toEqual(['S0', 'S1', 'S2']);
  world.powerOn('S2');
  await healed(world);
});

test('/rm takes no replica from a shard while the others have not shown that they are whole', async () => {
  const world = await World.of(3);
  world.powerOff('S0');
  world.replicas.server('S2').kill();
  world.wipe('S2');
  world.replicas.server('S2').start();
  let isHeld = true;
  world.intercept = (ask, answer) => {
    if (!isHeld || ask.do !== 'catchup') return false;
    world.scheduler.after(50, () => {
      answer({ ok: false, error: { code: 'STORE_FAILED', message: 'not yet', retryable: true } });
    });
    return true;
  };
  const command = { n: 1, servers: ['S1'] };
  world.balancer.dispatch({ on: 'admin', command: { request: 2, op: 'rm', command } });
  await world.pass(2 * LONG_MS);
  expect(world.shard.record.replicas).toContain('S1');
  isHeld = false;
  world.powerOn('S0');
  await world.until(() => !world.replicas.byName.has('S1'), 20_000);
  await world.until(() => world.shard.inSync.length === 2 && world.balancer.cluster.isWritable(world.shard), 20_000);
  for (const server of ['S0', 'S2']) expect(world.keys(server)).toEqual(ALL_KEYS);
});

describe('while the bucket does not answer', () => {
  /** The bucket gets changes of the shard's record only from when the returned function is called; then perhaps the first that was late, too. */
  function closeBucket(world: World): (isFirstLate: boolean) => void {
    const late: (() => void)[] = [];
    let isOpen = false;
    world.intercept = (ask, answer, carryOut) => {
      if (isOpen || ask.do !== 'store' || ask.key !== BUCKET_KEYS.shard(SHARD)) return false;
      late.push(() => {
        carryOut(ask, () => undefined);
      });
      return world.unanswered(answer);
    };
    return (isFirstLate) => {
      isOpen = true;
      if (isFirstLate) late[0]?.();
    };
  }

  test('whoever was whole is asked again, and a change that is right no more is withdrawn', async () => {
    const world = await World.of(2);
    const open = closeBucket(world);
    world.powerOff('S1');
    await world.pass(1_000);
    // S0 could show that it is whole. By the time the bucket answers it cannot.
    world.powerOff('S0');
    world.wipe('S0');
    await world.pass(1_000);
    open(false);
    await world.pass(1_000);
    expect(world.shard.inSync).toEqual(['S0', 'S1']);
    world.powerOn('S0');
    await world.pass(1_000);
    world.powerOn('S1');
    await healed(world);
  });

  test('a change that has been stored after all is in force', async () => {
    const world = await World.of(3);
    const open = closeBucket(world);
    world.powerOff('S2');
    await world.pass(1_000);
    world.powerOff('S1');
    await world.pass(1_000);
    open(true);
    await world.pass(1_000);
    expect(world.shard.inSync).toEqual(['S0', 'S1']);
    world.powerOn('S1');
    world.powerOn('S2');
    await healed(world);
  });
});

describe('a member that is silent has not acknowledged it', () => {
  /** The server does not store configurations. */
  function refuseConfigs(world: World, server: string): () => void {
    let isDeaf = true;
    world.intercept = (ask, answer) => {
      if (!isDeaf || ask.do !== 'config' || ask.server !== server) return false;
      world.scheduler.after(20, () => {
        answer({ ok: false, error: { code: 'STORE_FAILED', message: 'no', retryable: false } });
      });
      return true;
    };
    return () => {
      isDeaf = false;
    };
  }
  const versionAt = async (world: World, server: string): Promise<number> =>
    (await world.replicas.server(server).disk.load()).shards.get(SHARD)!.configVersion;

  test('of who has left: nothing is acknowledged before it has', async () => {
    const world = await World.of(3);
    const listen = refuseConfigs(world, 'S1');
    world.powerOff('S2');
    await world.until(() => !world.shard.inSync.includes('S2'));
    const write = { op: 'write', onConflict: 'error', keys: [7], rows: [JSON.stringify({ id: 7, mark: 'm7' })] };
    expect(await world.change(write)).toHaveProperty('error');
    expect(world.shard.inSync).toEqual(['S0', 'S1']);
    listen();
    await world.until(() => world.balancer.cluster.isWritable(world.shard));
    expect(await versionAt(world, 'S1')).toBe(world.shard.record.configVersion);
    world.powerOn('S2');
    await healed(world);
  });

  test('of who has left: a round that was under way is not acknowledged before it has', async () => {
    const world = await World.of(3);
    refuseConfigs(world, 'S1');
    world.powerOff('S2');
    const write = { op: 'write', onConflict: 'error', keys: [7], rows: [JSON.stringify({ id: 7, mark: 'm7' })] };
    expect(await world.change(write)).toHaveProperty('error');
    expect(world.shard.inSync).toEqual(['S0', 'S1']);
  });

  test('of what the last leader stored: the next one sends it before anything is acknowledged', async () => {
    const world = await World.of(3);
    refuseConfigs(world, 'S1');
    world.powerOff('S2');
    await world.until(() => !world.shard.inSync.includes('S2'));
    expect(await versionAt(world, 'S1')).toBeLessThan(world.shard.record.configVersion);
    world.intercept = () => false;
    world.changeLeader('L2');
    await world.until(() => world.balancer.isServing && world.shard.resolved, 10_000);
    expect(await versionAt(world, 'S1')).toBe(world.shard.record.configVersion);
    world.powerOn('S2');
    await healed(world);
  });

  test('of a removal: the server stays until it has', async () => {
    const world = await World.of(2);
    const listen = refuseConfigs(world, 'S0');
    const command = { n: 1, servers: ['S1'] };
    world.balancer.dispatch({ on: 'admin', command: { request: 2, op: 'rm', command } });
    await world.pass(1_500);
    expect(world.shard.record.replicas).toEqual(['S0']);
    expect(world.replicas.byName.has('S1')).toBe(true);
    listen();
    await world.until(() => !world.replicas.byName.has('S1'));
  });

  test('and is taken out where there are enough others', async () => {
    const world = await World.of(4);
    refuseConfigs(world, 'S1');
    world.powerOff('S3');
    await world.until(() => !world.shard.inSync.includes('S1'));
    expect(world.shard.inSync).toEqual(['S0', 'S2']);
    await world.until(() => world.balancer.cluster.isWritable(world.shard));
  });
});

test('a member that comes back in the moment in which the others get it gets it as well', async () => {
  const world = await World.of(3);
  const { cluster } = world.balancer;
  const back = cluster.servers.get('S2')!;
  back.starting = true;
  const { inSyncSets } = world.balancer.core as unknown as { inSyncSets: InSyncSets };
  inSyncSets.sendSoon(world.shard, ['S0', 'S2']);
  const sent: string[] = [];
  world.intercept = (ask, answer, carryOut) => {
    if (ask.do !== 'config') return false;
    sent.push(ask.server);
    carryOut(ask, (outcome) => {
      back.starting = false;
      answer(outcome);
    });
    return true;
  };
  await world.until(() => cluster.isWritable(world.shard));
  expect(sent).toEqual(['S0', 'S2']);
});

test('a member that was found to be wrong vouches for nobody', async () => {
  const world = await World.of(2);
  world.shard.setRecord({ ...world.shard.record, diverged: ['S1'] });
  world.shard.replicas.get('S1')!.suspended = true;
  world.powerOff('S0');
  await world.until(() => world.published('server.flatline').length > 0);
  await world.pass(1_000);
  expect(world.shard.inSync).toContain('S0');
  world.powerOn('S0');
  await world.until(() => world.isWhole(), 10_000);
  world.expectAlike();
});

test('a member that was found to be wrong leaves under the next leader when enough others are whole', async () => {
  const world = await World.of(3);
  const { shard } = world;
  const { inSyncSets } = world.balancer.core as unknown as { inSyncSets: { mark(...args: unknown[]): Workflow } };
  spawn(inSyncSets.mark(shard, { ...shard.record, diverged: ['S1'] }));
  await world.until(() => shard.isDiverged('S1') && shard.unacknowledged.size === 0);
  expect(shard.inSync).toEqual(['S0', 'S1', 'S2']);
  world.intercept = (ask) => ask.do === 'catchup';
  world.changeLeader('L2');
  await world.until(() => world.balancer.isServing && world.balancer.cluster.isWritable(world.shard), 10_000);
  expect(world.shard.inSync).toEqual(['S0', 'S2']);
});
