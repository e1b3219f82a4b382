/**
 * What makes tables whole ones, with nothing in them or with a copy, may come twice, the second time when its server has lost its disk: a
 * replica that lacks something and has a word in what is committed would have that undone.
 */
import { BUCKET_KEYS } from '#common/contracts/subjects';
import type { Ask, Result } from '../src/core/kernel/effects';
import { add } from './support/administrator';
import { SHARD, SmallWorld as World } from './support/small-world';

type Answer = (outcome: Result<unknown>) => void;

const KEYS = [0, 1, 2, 3, 4, 5];
const isServed = (world: World, shard: string): boolean => {
  const { cluster } = world.balancer;
  const known = cluster.shards.get(shard);
  return known?.resolved === true && cluster.isWritable(known);
};

/** Heartbeats carry no VAT: what was acknowledged last is known to the leader alone. */
function pingOnly(ask: Ask, answer: Answer, carryOut: (ask: Ask, answer: Answer) => void): boolean {
  if (ask.do !== 'ping') return false;
  carryOut({ ...ask, request: { ...ask.request, vats: {} } }, answer);
  return true;
}

/** Takes note of the first request of the kind; what is returned has it arrive once more. No heartbeat carries a VAT meanwhile. */
function noteFirst(world: World, isMeant: (ask: Ask) => boolean): () => void {
  let again: (() => void) | null = null;
  world.intercept = (ask, answer, carryOut) => {
    if (isMeant(ask))
      again ??= () => {
        carryOut(ask, () => undefined);
      };
    return pingOnly(ask, answer, carryOut);
  };
  return () => {
    again!();
  };
}

/** The server loses its disk, of which the leader hears nothing; the request comes again, and another leader takes over. */
async function loseAndTakeOver(world: World, server: string, again: () => void): Promise<void> {
  world.loseDisk(server);
  world.intercept = (ask) => ['ping', 'config', 'catchup', 'fence'].includes(ask.do);
  await world.until(() => world.replicas.server(server).process !== null, 500);
  again();
  await world.pass(20);
  world.changeLeader('L2');
  world.intercept = () => false;
}

test('tables of a configuration that was being prepared', async () => {
  const world = await World.bare(['S0', 'S1']);
  const again = noteFirst(
    world,
    (ask) => ask.do === 'config' && ask.server === 'S1' && ask.request.stage === 'prepare',
  );
  const schema = { columns: ['id', 'mark'], dtypes: ['Number' as const, 'String' as const] };
  const shards = [{ shard: SHARD, low: 0, size: 10 }];
  const command = { n: 2, schema, shards, servers: { S0: [SHARD], S1: [SHARD] }, allowReinit: false };
  world.balancer.dispatch({ on: 'admin', command: { request: 1, op: 'init', command } });
  await world.until(() => world.balancer.cluster.phase === 'serving');
  for (const key of KEYS) await world.write(key);
  await loseAndTakeOver(world, 'S1', again);
  await world.until(() => isServed(world, SHARD), 20_000);
  expect(world.keys('S0')).toEqual(KEYS);
});

test('tables of shards that were added', async () => {
  const world = await World.of(2);
  const again = noteFirst(world, (ask) => ask.do === 'config' && ask.server === 'S3' && ask.request.areNew === true);
  await add(world, { S2: ['new'], S3: ['new'] }, [{ shard: 'new', low: 10, size: 10 }]);
  await world.write(12);
  await loseAndTakeOver(world, 'S3', again);
  await world.until(() => isServed(world, 'new'), 20_000);
  const { rows, committedVat } = (await world.replicas.server('S2').disk.load()).shards.get('new')!;
  expect({ rows, committedVat }).toMatchObject({ rows: 1, committedVat: 1 });
});

test('a copy of what was there once', async () => {
  const world = await World.of(2);
  world.powerOff('S1');
  await world.until(() => !world.shard.inSync.includes('S1') && world.balancer.cluster.isWritable(world.shard));
  await world.write(6);
  world.wipe('S1');
  const again = noteFirst(world, (ask) => ask.do === 'catchup');
  world.powerOn('S1');
  await world.until(() => world.isWhole(), 10_000);
  for (const key of [7, 8]) await world.write(key);
  // S1 is just about to be fully re-copied, and that it has left is not stored yet.
  let isAsked = false;
  world.intercept = (ask, answer, carryOut) => {
    if (ask.do === 'catchup') isAsked = true;
    if (ask.do === 'catchup' || (ask.do === 'store' && ask.key === BUCKET_KEYS.shard(SHARD))) return true;
    return pingOnly(ask, answer, carryOut);
  };
  world.loseDisk('S1');
  await world.until(() => isAsked, 10_000);
  again();
  await world.pass(50);
  world.changeLeader('L2');
  world.intercept = () => false;
  await world.until(() => isServed(world, SHARD), 20_000);
  expect(world.keys('S0')).toEqual([...KEYS, 6, 7, 8]);
});
