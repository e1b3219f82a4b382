/**
 * No configuration that makes an in-sync set smaller is stored before enough of those who remain have shown that they live and are
 * whole: else a dead or empty replica could be all that is left, while the last whole copy is left out for ever.
 */
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
  const command = { n: 1, servers: ['S1'] };
  world.balancer.dispatch({ on: 'admin', command: { request: 2, op: 'rm', command } });
  await world.pass(LONG_MS);
  expect(world.balancer.cluster.shards.get(SHARD)?.record.replicas).toContain('S1');
  world.powerOn('S0');
  await healed(world);
});
