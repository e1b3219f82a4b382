/** Which servers an /rm takes, where their copies go, and what it waits for. */
import type { ClusterRecord, ReplicaMove } from '#common/contracts/node';
import { BUCKET_KEYS } from '#common/contracts/subjects';
import type { Ask } from '../src/core/kernel/effects';
import { SHARD, SmallWorld as World } from './support/small-world';

const LONG_MS = 20_000;
let nextRequest = 10;

async function ask(world: World, n: number, ...servers: string[]): Promise<object> {
  const request = nextRequest++;
  const command = { request, op: 'rm' as const, command: { n, servers } };
  world.balancer.dispatch({ on: 'admin', command });
  await world.until(() => world.administered.has(request), LONG_MS);
  return world.administered.get(request)!;
}

const remove = (world: World, ...servers: string[]): Promise<object> => ask(world, servers.length, ...servers);
const recordOf = (world: World): ClusterRecord => world.catalog.valueOf(BUCKET_KEYS.cluster) as ClusterRecord;
const movesOf = (world: World): readonly ReplicaMove[] => recordOf(world).moves ?? [];
const replicasOf = (world: World, shard: string): string[] =>
  [...(world.balancer.cluster.shards.get(shard)?.record.replicas ?? [])].sort();

/** No copy is made before the returned function is called. */
function holdCopies(world: World): () => void {
  world.intercept = (asked, answer) => {
    if (asked.do !== 'catchup') return false;
    world.scheduler.after(100, () => {
      answer({ ok: false, error: { code: 'STORE_FAILED', message: 'not yet', retryable: true } });
    });
    return true;
  };
  return () => {
    world.intercept = () => false;
  };
}

test('beside those that are named it takes others, each once, until there are as many as asked for', async () => {
  const world = await World.laidOut({ S0: [SHARD], S1: [SHARD], S2: [SHARD], S3: [SHARD] });
  const reply = (await ask(world, 3, 'S0')) as { value: { rm: { n: number; removed: string[] } } };
  expect(reply).toMatchObject({ ok: true, value: { rm: { n: 1 } } });
  const { removed } = reply.value.rm;
  expect(removed[0]).toBe('S0');
  expect(new Set(removed).size).toBe(3);
  expect(recordOf(world).servers).toHaveLength(1);
});

test('it copies nothing to a server that leaves as well, however little that holds', async () => {
  const world = await World.laidOut({ S0: [SHARD], S1: [SHARD], S2: [SHARD, 'sh1'], S3: [], S4: ['sh1'] });
  expect(await remove(world, 'S0', 'S3')).toMatchObject({ ok: true });
  expect(replicasOf(world, SHARD)).toEqual(['S1', 'S2', 'S4']);
  expect(replicasOf(world, 'sh1')).toEqual(['S2', 'S4']);
});

test('what an earlier one has begun is kept when another server is to go, too', async () => {
  const both = [SHARD, 'sh1'];
  const world = await World.laidOut({ S0: both, S1: both, S2: both, S3: [], S4: [], S5: [], S6: [] });
  const release = holdCopies(world);
  expect(await remove(world, 'S0')).toMatchObject({
    error: { message: expect.stringMatching(/^S0 is being removed/) as string },
  });
  const first = movesOf(world);
  expect(first.map(({ shard, from }) => [shard, from]).sort()).toEqual(both.map((shard) => [shard, 'S0']));
  expect(await remove(world, 'S0', 'S1')).toMatchObject({
    error: { message: expect.stringMatching(/^S0, S1 are being removed.*shows them/) as string },
  });
  expect(movesOf(world)).toHaveLength(4);
  expect(movesOf(world)).toEqual(expect.arrayContaining([...first]));
  release();
  await world.until(() => ['S0', 'S1'].every((server) => !world.replicas.byName.has(server)), LONG_MS);
  for (const shard of both) {
    expect(replicasOf(world, shard)).toHaveLength(3);
    const meant = first.find((move) => move.shard === shard)!.to;
    expect(replicasOf(world, shard)).toContain(meant);
  }
});

test('a server that holds nothing goes at once, whatever becomes of shards that it never held', async () => {
  const world = await World.laidOut({ S0: [SHARD], S1: [SHARD], S2: ['sh1'], S3: [] });
  await world.pass(500);
  world.powerOff('S2');
  await world.until(() => world.balancer.cluster.health('S2') === 'dead');
  expect(await remove(world, 'S3')).toMatchObject({ ok: true, value: { rm: { removed: ['S3'] } } });
});

test('it names the shards that a server held, or was to hold: none that another one was to hold', async () => {
  const world = await World.laidOut({ S0: [SHARD], S1: [SHARD, 'sh1'], S2: ['sh1'], S3: [], S4: [] });
  holdCopies(world);
  await remove(world, 'S2');
  const [move] = movesOf(world);
  expect(move).toMatchObject({ shard: 'sh1', from: 'S2' });
  const idle = ['S3', 'S4'].find((server) => server !== move!.to)!;
  expect(await remove(world, idle)).toMatchObject({ ok: true });
  expect(world.published('server.removed')).toEqual([{ cause: '/rm', shards: [] }]);
});

test('a server stays while the only other replica of a shard is still being made', async () => {
  const world = await World.laidOut({ S0: [SHARD] });
  const release = holdCopies(world);
  const command = { n: 1, newShards: [], servers: { N0: [SHARD] } };
  world.balancer.dispatch({ on: 'admin', command: { request: 2, op: 'add', command } });
  await world.until(() => world.administered.has(2) && replicasOf(world, SHARD).length === 2, LONG_MS);
  expect(await remove(world, 'S0')).toMatchObject({
    error: { message: expect.stringMatching(/^S0 is being removed/) as string },
  });
  expect(world.shard.inSync).toEqual(['S0']);
  release();
  await world.until(() => !world.replicas.byName.has('S0'), LONG_MS);
  expect(replicasOf(world, SHARD)).toEqual(['N0']);
  expect(world.keys('N0')).toEqual([0, 1, 2, 3, 4, 5]);
});

test('a replica of a shard that is not served yet is made only when its data are known', async () => {
  const world = await World.laidOut({ S0: [SHARD, 'sh1'], S1: [SHARD], S2: [SHARD] });
  // An /add whose leader goes away before it has made the replica.
  world.intercept = (asked) => asked.do === 'store' && asked.key === BUCKET_KEYS.shard('sh1');
  const command = { n: 1, newShards: [], servers: { N0: ['sh1'] } };
  world.balancer.dispatch({ on: 'admin', command: { request: 2, op: 'add', command } });
  await world.until(() => movesOf(world).length === 1);
  world.intercept = () => false;
  world.powerOff('S0');
  world.changeLeader('L2');
  await world.until(() => world.balancer.isServing, LONG_MS);
  await world.pass(1_000);
  expect(world.balancer.cluster.shards.get('sh1')?.resolved).toBe(false);
  expect(replicasOf(world, 'sh1')).toEqual(['S0']);
  world.powerOn('S0');
  await world.until(() => world.balancer.cluster.shards.get('sh1')?.inSync.includes('N0') === true, LONG_MS);
});

/** Of two servers one is to go; what it asks for next, of the kind that is meant, waits until the other one has lost its disk. */
async function lostBefore(isMeant: (asked: Ask, world: World) => boolean): Promise<World> {
  const world = await World.of(2);
  let letGo: (() => void) | null = null;
  world.intercept = (asked, answer, carryOut) => {
    if (letGo !== null || !isMeant(asked, world)) return false;
    letGo = () => {
      carryOut(asked, answer);
    };
    return true;
  };
  const command = { request: 99, op: 'rm' as const, command: { n: 1, servers: ['S1'] } };
  world.balancer.dispatch({ on: 'admin', command });
  await world.until(() => letGo !== null);
  world.loseDisk('S0');
  await world.pass(500);
  letGo!();
  return world;
}

/** S1 has been removed by a leader that ended before its data went. */
async function leftBehind(): Promise<World> {
  const world = await World.of(2);
  let isGoing = false;
  world.intercept = (asked) => {
    if (asked.do !== 'removeNode') return false;
    isGoing = true;
    return true;
  };
  void remove(world, 'S1').catch(() => undefined);
  await world.until(() => isGoing);
  world.changeLeader('L2');
  return world;
}

const names = (asked: Ask, key: string): boolean => asked.do === 'store' && asked.key === key;

describe('what was needed no more when it left, and is the last copy by the time that it would go, stays', () => {
  const isWithoutIt = ({ servers }: ClusterRecord): boolean => !servers.includes('S1');
  test.each<[string, (asked: Ask, world: World) => boolean]>([
    [
      'the bucket was away meanwhile',
      (asked) => names(asked, BUCKET_KEYS.cluster) && asked.do === 'store' && isWithoutIt(asked.value as ClusterRecord),
    ],
    ['the others were being informed', (asked, world) => asked.do === 'config' && isWithoutIt(recordOf(world))],
  ])('%s', async (_name, isMeant) => {
    const world = await lostBefore(isMeant);
    await world.until(() => world.balancer.cluster.isWritable(world.shard), LONG_MS);
    expect(recordOf(world)).toMatchObject({ servers: ['S0', 'S1'], leaving: ['S1'] });
    // It goes as soon as the other one has everything again.
    await world.until(() => !world.replicas.byName.has('S1'), LONG_MS);
    expect(world.keys('S0')).toEqual([0, 1, 2, 3, 4, 5]);
    expect(recordOf(world)).not.toHaveProperty('leaving');
  });

  test('the leader ended before it, and the next one finds what is left', async () => {
    const world = await leftBehind();
    let isLost = false;
    world.intercept = (asked, answer, carryOut) => {
      const { cluster } = world.balancer;
      if (isLost || asked.do !== 'config' || cluster.shards.get(SHARD)?.resolved !== true) return false;
      isLost = true;
      world.loseDisk('S0');
      world.scheduler.after(300, () => {
        carryOut(asked, answer);
      });
      return true;
    };
    await world.until(() => isLost, LONG_MS);
    await world.pass(3_000);
    expect(world.keys('S1')).toEqual([0, 1, 2, 3, 4, 5]);
  });

  /**
   * The bucket is away from the next configuration on that is meant, which comes after the lease has run out. What is found out then is
   * no longer so when the bucket is back.
   */
  async function lostWhileAway(world: World, isMeant: () => boolean): Promise<void> {
    let release: (() => void) | null = null;
    let isAway = false;
    world.intercept = (asked, answer, carryOut) => {
      if (isAway && names(asked, BUCKET_KEYS.leader)) {
        return world.unanswered(answer, 5);
      }
      if (release !== null || asked.do !== 'config' || !isMeant()) return false;
      isAway = true;
      release = () => {
        carryOut(asked, answer);
      };
      return true;
    };
    await world.until(() => release !== null, LONG_MS);
    await world.pass(3_000);
    release!();
    await world.pass(500);
    world.loseDisk('S0');
    await world.pass(100);
    isAway = false;
  }

  test('the order to remove it waited for the lease', async () => {
    const world = await World.of(2);
    void remove(world, 'S1').catch(() => undefined);
    await lostWhileAway(world, () => isWithoutIt(recordOf(world)));
    await world.until(() => world.balancer.cluster.isWritable(world.shard), LONG_MS);
    await world.until(() => !world.replicas.byName.has('S1'), LONG_MS);
    expect(world.keys('S0')).toEqual([0, 1, 2, 3, 4, 5]);
  });

  test('that of the next leader did, which had found what is left', async () => {
    const world = await leftBehind();
    await lostWhileAway(world, () => world.balancer.cluster.shards.get(SHARD)?.resolved === true);
    await world.pass(3_000);
    expect(world.keys('S1')).toEqual([0, 1, 2, 3, 4, 5]);
  });

  test('it did not run, and is started again', async () => {
    const world = await World.of(2);
    world.powerOff('S1');
    await world.until(() => !world.shard.inSync.includes('S1') && world.balancer.cluster.isWritable(world.shard));
    let release: (() => void) | null = null;
    world.intercept = (asked, answer, carryOut) => {
      const isMeant = asked.do === 'store' && names(asked, BUCKET_KEYS.cluster);
      if (release !== null || !isMeant || !isWithoutIt(asked.value as ClusterRecord)) return false;
      release = () => {
        carryOut(asked, answer);
      };
      return true;
    };
    void remove(world, 'S1').catch(() => undefined);
    await world.until(() => release !== null, LONG_MS);
    await world.pass(10_000);
    world.loseDisk('S0');
    world.powerOn('S1');
    await world.pass(500);
    release!();
    await world.until(() => world.balancer.cluster.isWritable(world.shard), LONG_MS);
  });
});
