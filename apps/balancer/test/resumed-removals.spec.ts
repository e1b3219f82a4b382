/** An /rm that takes longer than its administrator waits goes on by itself, whoever leads, and leaves nothing behind. */
import type { ClusterRecord } from '#common/contracts/node';
import { BUCKET_KEYS } from '#common/contracts/subjects';
import { add, ask, holdCopies, remove, replicasOf } from './support/administrator';
import { SHARD, SmallWorld as World } from './support/small-world';

const LONG_MS = 15_000;
const THREE_AND_TWO = { S0: [SHARD], S1: [SHARD], S2: [SHARD], S3: [], S4: [] };
const record = (world: World): ClusterRecord => world.catalog.valueOf(BUCKET_KEYS.cluster) as ClusterRecord;
const isGone = (world: World, server: string): boolean => !world.replicas.byName.has(server);

/** An /rm of these servers has been answered that it takes longer, and no copy is made before the returned function is called. */
async function begun(world: World, ...servers: string[]): Promise<() => void> {
  const release = holdCopies(world);
  expect(await remove(world, ...servers)).toMatchObject({
    ok: false,
    error: { code: 'OUTCOME_UNKNOWN', message: expect.stringMatching(/being removed.*continues by itself/) as string },
  });
  expect(record(world).leaving).toEqual(servers);
  return release;
}

async function nothingIsLeftOf(world: World, server: string): Promise<void> {
  await world.until(() => isGone(world, server), LONG_MS);
  await world.until(() => world.published('server.removed').length > 0);
  expect(world.balancer.cluster.servers.has(server)).toBe(false);
  expect(record(world).servers).not.toContain(server);
  expect(record(world)).not.toHaveProperty('leaving');
  expect(record(world).moves ?? []).toEqual([]);
  expect(replicasOf(world)).toHaveLength(3);
  expect(replicasOf(world)).not.toContain(server);
  for (const name of replicasOf(world)) expect(world.keys(name)).toEqual([0, 1, 2, 3, 4, 5]);
}

test('it ends without being asked again', async () => {
  const world = await World.laidOut(THREE_AND_TWO);
  const release = await begun(world, 'S0');
  await world.pass(3_000);
  expect(isGone(world, 'S0')).toBe(false);
  release();
  await nothingIsLeftOf(world, 'S0');
});

test('it ends under the next leader', async () => {
  const world = await World.laidOut(THREE_AND_TWO);
  const release = await begun(world, 'S0');
  world.changeLeader('L2');
  await world.until(() => world.balancer.isServing && world.balancer.cluster.isWritable(world.shard), LONG_MS);
  release();
  await nothingIsLeftOf(world, 'S0');
});

test('it ends when the leader goes away in the middle of it', async () => {
  const world = await World.laidOut(THREE_AND_TWO);
  const release = await begun(world, 'S0');
  release();
  // The shard has left it already; that the server has gone is not stored any more.
  world.intercept = (asked) => asked.do === 'store' && asked.key === BUCKET_KEYS.cluster;
  await world.until(() => !replicasOf(world).includes('S0'), LONG_MS);
  world.intercept = () => false;
  world.changeLeader('L2');
  await world.until(() => world.balancer.isServing, LONG_MS);
  await nothingIsLeftOf(world, 'S0');
});

test('it ends when the bucket has lost what it says of it', async () => {
  const world = await World.laidOut(THREE_AND_TWO);
  const release = await begun(world, 'S0');
  world.balancer.crash();
  world.catalog.lose();
  let number = 2;
  await world.until(() => {
    if (!world.balancer.isAlive) world.balancer = world.newBalancer(`L${number++}`);
    return world.balancer.isServing && world.balancer.cluster.isWritable(world.shard);
  }, LONG_MS);
  release();
  await nothingIsLeftOf(world, 'S0');
});

test('it makes another copy for one whose server does not come back', async () => {
  const world = await World.laidOut(THREE_AND_TWO);
  const release = await begun(world, 'S0');
  const [taker] = replicasOf(world).filter((server) => !['S0', 'S1', 'S2'].includes(server));
  world.powerOff(taker!);
  await world.until(() => world.balancer.cluster.health(taker!) === 'dead');
  release();
  await nothingIsLeftOf(world, 'S0');
  expect(replicasOf(world)).toEqual(['S1', 'S2', taker === 'S3' ? 'S4' : 'S3']);
});

test('commands in between are carried out, and give the server nothing', async () => {
  const two = { S2: [SHARD, 'sh1'], S3: ['sh2'], S4: ['sh2'] };
  const world = await World.laidOut({ ...THREE_AND_TWO, ...two, S5: [SHARD, 'sh2'] });
  const release = await begun(world, 'S0', 'S1');
  expect(await add(world, { S0: [SHARD] })).toMatchObject({
    ok: false,
    error: { code: 'BAD_REQUEST', message: 'server S0 is being removed: add it when it is gone' },
  });
  // Nobody would be left but those that are going.
  const others = ['S2', 'S3', 'S4', 'S5'];
  expect(await remove(world, ...others)).toMatchObject({ ok: false, error: { code: 'BAD_REQUEST' } });
  expect(await ask(world, { op: 'rm', command: { n: 2, servers: [] } })).toMatchObject({
    error: { code: 'OUTCOME_UNKNOWN', message: expect.stringContaining('S0, S1 are being removed') as string },
  });
  // They hold less than the others, and get nothing all the same.
  expect(await remove(world, 'S2')).toMatchObject({ error: { code: 'OUTCOME_UNKNOWN' } });
  expect(replicasOf(world, 'sh1').filter((server) => ['S0', 'S1'].includes(server))).toEqual([]);
  release();
  await world.until(() => ['S0', 'S1', 'S2'].every((server) => isGone(world, server)), LONG_MS);
  expect(replicasOf(world)).toEqual(['S3', 'S4', 'S5']);
  expect(record(world)).not.toHaveProperty('leaving');
  expect(await add(world, { S0: [SHARD] })).toMatchObject({ ok: true });
  await world.pass(3_000);
  expect(replicasOf(world)).toEqual(['S0', 'S3', 'S4', 'S5']);
});

test('it waits as long as the shard would lose its last copy', async () => {
  const world = await World.laidOut({ S0: [SHARD], S1: [] });
  const release = await begun(world, 'S0');
  world.powerOff('S1');
  await world.until(() => world.balancer.cluster.health('S1') === 'dead');
  release();
  await world.pass(5_000);
  expect(replicasOf(world)).toContain('S0');
  expect(isGone(world, 'S0')).toBe(false);
  world.powerOn('S1');
  await world.until(() => isGone(world, 'S0'), LONG_MS);
  expect(world.keys('S1')).toEqual([0, 1, 2, 3, 4, 5]);
});

test('an /init of another configuration ends it', async () => {
  const world = await World.laidOut(THREE_AND_TWO);
  const release = await begun(world, 'S0');
  const schema = { columns: ['id', 'mark'], dtypes: ['Number', 'String'] };
  const shards = [{ shard: SHARD, low: 0, size: 20 }];
  const command = { n: 2, schema, shards, servers: { S0: [SHARD], S1: [SHARD] }, allowReinit: true };
  expect(await ask(world, { op: 'init', command })).toMatchObject({ ok: true });
  release();
  await world.pass(5_000);
  expect(replicasOf(world)).toEqual(['S0', 'S1']);
  expect(isGone(world, 'S0')).toBe(false);
});
