/** Changes of the cluster's shape that take long, are asked again, fail half-way, or lose their leader: nothing is left behind, hangs or grows. */
import type { ClusterRecord, ShardConfig } from '#common/contracts/node';
import { BUCKET_KEYS } from '#common/contracts/subjects';
import { add, ask, holdCopies, remove, replicasOf } from './support/administrator';
import { SHARD, SmallWorld as World } from './support/small-world';

/** Longer than an administrator waits. */
const LONG_MS = 10_000;
const stored = (world: World, key: string): unknown => world.catalog.valueOf(key);
const storedMoves = (world: World): object[] => (stored(world, BUCKET_KEYS.cluster) as ClusterRecord).moves ?? [];

const THREE_AND_TWO = { S0: [SHARD], S1: [SHARD], S2: [SHARD], S3: [], S4: [] };

describe('an /rm whose copies take longer than an administrator waits', () => {
  test('makes one replica however often it is asked again, and ends as meant', async () => {
    const world = await World.laidOut(THREE_AND_TWO);
    const release = holdCopies(world);
    const versions: number[] = [];
    for (let turn = 0; turn < 3; turn += 1) {
      expect(await remove(world, 'S0')).toMatchObject({ ok: false, error: { code: 'OUTCOME_UNKNOWN' } });
      expect(replicasOf(world)).toHaveLength(4);
      versions.push(
        (stored(world, BUCKET_KEYS.cluster) as ClusterRecord).configVersion,
        world.shard.record.configVersion,
      );
    }
    // Asked again it finds what is stored, and stores nothing.
    expect(versions.slice(4)).toEqual(versions.slice(2, 4));
    expect(versions.slice(2, 4)).toEqual(versions.slice(0, 2));
    release();
    expect(await remove(world, 'S0')).toMatchObject({ ok: true, value: { rm: { n: 4, removed: ['S0'] } } });
    expect(replicasOf(world)).toHaveLength(3);
    expect(replicasOf(world)).not.toContain('S0');
    expect(storedMoves(world)).toEqual([]);
    expect(world.replicas.byName.has('S0')).toBe(false);
  });

  test('so it is under the next leader', async () => {
    const world = await World.laidOut(THREE_AND_TWO);
    const release = holdCopies(world);
    await remove(world, 'S0');
    const begun = replicasOf(world);
    world.changeLeader('L2');
    await world.until(() => world.balancer.isServing && world.balancer.cluster.isWritable(world.shard), LONG_MS);
    release();
    expect(await remove(world, 'S0')).toMatchObject({ ok: true });
    expect(replicasOf(world)).toEqual(begun.filter((server) => server !== 'S0'));
  });

  test('and a number of servers alone means the same ones when it is asked again', async () => {
    const world = await World.laidOut(THREE_AND_TWO);
    const release = holdCopies(world);
    await remove(world, 'S1');
    release();
    const reply = await ask(world, { op: 'rm', command: { n: 1, servers: [] } });
    expect(reply).toMatchObject({ ok: true, value: { rm: { removed: ['S1'] } } });
  });

  test('gives up a replica that cannot be made for one that can', async () => {
    const world = await World.laidOut(THREE_AND_TWO);
    const release = holdCopies(world);
    await remove(world, 'S0');
    const [taker] = replicasOf(world).filter((server) => !['S0', 'S1', 'S2'].includes(server));
    world.powerOff(taker!);
    await world.until(() => world.balancer.cluster.health(taker!) === 'dead');
    release();
    expect(await remove(world, 'S0')).toMatchObject({ ok: true });
    expect(replicasOf(world)).toEqual(['S1', 'S2', taker === 'S3' ? 'S4' : 'S3']);
  });
});

describe('an /add', () => {
  const NEW_SHARD = [{ shard: 'sh9', low: 90, size: 10 }];

  test('that fails leaves no server, process, shard or record, and may be asked again', async () => {
    const world = await World.of(2);
    world.intercept = (ask, answer) => {
      if (ask.do !== 'config' || ask.request.areNew !== true || ask.server !== 'N1') return false;
      world.scheduler.after(20, () => {
        answer({ ok: false, error: { code: 'STORE_FAILED', message: 'no room', retryable: false } });
      });
      return true;
    };
    const before = stored(world, BUCKET_KEYS.cluster);
    const command = { N0: ['sh9', SHARD], N1: ['sh9'] };
    expect(await add(world, command, NEW_SHARD)).toMatchObject({ ok: false, error: { message: 'no room' } });
    for (const server of ['N0', 'N1']) expect(world.replicas.byName.has(server)).toBe(false);
    expect(stored(world, BUCKET_KEYS.cluster)).toEqual(before);
    expect(stored(world, BUCKET_KEYS.shard('sh9'))).toBeUndefined();
    world.intercept = () => false;
    expect(await add(world, command, NEW_SHARD)).toMatchObject({ ok: true });
    expect(replicasOf(world, 'sh9')).toEqual(['N0', 'N1']);
    expect(replicasOf(world)).toEqual(['N0', 'S0', 'S1']);
    expect(storedMoves(world)).toEqual([]);
  });

  test('whose leader goes away before it is in force leaves nothing', async () => {
    const world = await World.of(2);
    world.intercept = (ask) => ask.do === 'store' && ask.key === BUCKET_KEYS.cluster;
    const command = { n: 1, newShards: NEW_SHARD, servers: { N0: ['sh9', SHARD] } };
    world.balancer.dispatch({ on: 'admin', command: { request: 2, op: 'add', command } });
    await world.until(() => stored(world, BUCKET_KEYS.shard('sh9')) !== undefined);
    await world.pass(100);
    expect(world.replicas.byName.has('N0')).toBe(true);
    world.intercept = () => false;
    world.changeLeader('L2');
    await world.until(() => world.balancer.isServing && !world.replicas.byName.has('N0'), LONG_MS);
    expect(stored(world, BUCKET_KEYS.shard('sh9'))).toBeUndefined();
    expect(await add(world, { N0: ['sh9', SHARD] }, NEW_SHARD)).toMatchObject({ ok: true });
  });

  test('whose leader goes away when it is half done is carried out by the next one', async () => {
    const world = await World.of(2);
    // The servers are members; their replicas of what was there before are not stored any more.
    world.intercept = (ask) => ask.do === 'store' && ask.key === BUCKET_KEYS.shard(SHARD);
    world.balancer.dispatch({
      on: 'admin',
      command: { request: 2, op: 'add', command: { n: 1, newShards: NEW_SHARD, servers: { N0: ['sh9', SHARD] } } },
    });
    await world.until(() => storedMoves(world).length === 1);
    world.intercept = () => false;
    world.changeLeader('L2');
    await world.until(() => world.balancer.isServing, LONG_MS);
    await world.until(() => world.shard.inSync.includes('N0'), LONG_MS);
    expect(replicasOf(world, 'sh9')).toEqual(['N0']);
    const record = stored(world, BUCKET_KEYS.shard(SHARD)) as ShardConfig;
    expect(record.joining).toEqual([]);
    await world.until(() => storedMoves(world).length === 0, LONG_MS);
  });
});

test('/rm keeps the data of a server where the one that remains loses its disk in the moment in which it left', async () => {
  const world = await World.of(2);
  let stores = 0;
  const later: (() => void)[] = [];
  world.intercept = (asked, answer, carryOut) => {
    if (asked.do !== 'store' || asked.key !== BUCKET_KEYS.shard(SHARD)) return false;
    stores += 1;
    // The second is that the server is taken back, since it misses nothing.
    if (stores === 2)
      later.push(() => {
        carryOut(asked, answer);
      });
    if (stores === 1) {
      world.loseDisk('S0');
      carryOut(asked, answer);
    }
    return stores <= 2;
  };
  // When it is asked again nothing says any more that it was a replica, but what it holds.
  for (let turn = 0; turn < 3; turn += 1)
    expect(await remove(world, 'S1')).toMatchObject({ ok: false, error: { code: 'OUTCOME_UNKNOWN' } });
  expect(world.keys('S1')).toEqual([0, 1, 2, 3, 4, 5]);
  await world.until(() => later.length === 1);
  later[0]?.();
  await world.until(() => world.isWhole(), LONG_MS);
  expect(world.keys('S0')).toEqual([0, 1, 2, 3, 4, 5]);
  expect(await remove(world, 'S1')).toMatchObject({ ok: true });
  expect(world.keys('S0')).toEqual([0, 1, 2, 3, 4, 5]);
});

test('/rm takes a server out once more that was taken back meanwhile, since nobody else served', async () => {
  const world = await World.of(2);
  let isSent = true;
  world.intercept = (asked, answer, carryOut) => {
    const fail = (): void => {
      answer({ ok: false, error: { code: 'OUTCOME_UNKNOWN', message: 'no answer', retryable: false } });
    };
    if (asked.do === 'config' && asked.server === 'S0' && !isSent) {
      world.scheduler.after(20, fail);
      return true;
    }
    const isRecord = asked.do === 'store' && asked.key === BUCKET_KEYS.shard(SHARD);
    if (!isRecord || (asked.value as ShardConfig).replicas.length === 2 || !isSent) return false;
    // S0 has shown that it is whole, and ends before it hears that it is alone.
    isSent = false;
    world.powerOff('S0');
    carryOut(asked, answer);
    return true;
  };
  world.balancer.dispatch({ on: 'admin', command: { request: 2, op: 'rm', command: { n: 1, servers: ['S1'] } } });
  await world.until(() => !replicasOf(world).includes('S1'));
  await world.until(() => world.shard.inSync.includes('S1'));
  isSent = true;
  world.intercept = () => false;
  world.powerOn('S0');
  await world.until(() => !world.balancer.cluster.servers.has('S1'), LONG_MS);
  expect(replicasOf(world)).toEqual(['S0']);
  await world.until(() => world.balancer.cluster.isWritable(world.shard), LONG_MS);
  await world.write(6);
  expect(world.keys('S0')).toEqual([0, 1, 2, 3, 4, 5, 6]);
});

test('/rm of a server whose replicas are just coming into being leaves none of them behind', async () => {
  const world = await World.laidOut({ S0: [SHARD, 'sh1'], S1: [SHARD, 'sh1'] });
  world.intercept = (asked) => asked.do === 'store' && asked.key.startsWith('shard.');
  const command = { n: 1, newShards: [], servers: { N0: ['sh1', SHARD] } };
  world.balancer.dispatch({ on: 'admin', command: { request: 2, op: 'add', command } });
  await world.until(() => storedMoves(world).length === 2);
  // The next leader resumes the first of the two, and the bucket takes its time.
  let isBegun = false;
  world.intercept = (asked, answer, carryOut) => {
    if (isBegun || asked.do !== 'store' || !((asked.value as ShardConfig | null)?.joining ?? []).includes('N0'))
      return false;
    isBegun = true;
    world.scheduler.after(1_000, () => {
      carryOut(asked, answer);
    });
    return true;
  };
  world.changeLeader('L2');
  await world.until(() => isBegun, LONG_MS);
  expect(await remove(world, 'N0')).toMatchObject({ ok: true });
  await world.pass(LONG_MS);
  for (const shard of [SHARD, 'sh1']) expect(replicasOf(world, shard)).toEqual(['S0', 'S1']);
  expect(world.balancer.cluster.servers.has('N0')).toBe(false);
});

test('an /rm keeps a server that is in no set when the only member turns out to have lost everything', async () => {
  const world = await World.of(2);
  world.powerOff('S0');
  await world.until(() => !world.shard.inSync.includes('S0'));
  let isLost = false;
  world.intercept = (ask, answer) => {
    const isShards = ask.do === 'store' && ask.key === BUCKET_KEYS.shard(SHARD);
    if (isLost || !isShards) return false;
    isLost = true;
    world.loseDisk('S1');
    answer({ ok: false, error: { code: 'OUTCOME_UNKNOWN', message: 'no answer', retryable: false } });
    return true;
  };
  expect(await remove(world, 'S0')).toMatchObject({ ok: false });
  expect(isLost).toBe(true);
  expect(world.keys('S0')).toEqual([0, 1, 2, 3, 4, 5]);
  expect(replicasOf(world)).toEqual(['S0', 'S1']);
});

test('/rm does not let go of a server that is just being taken back', async () => {
  const world = await World.of(2);
  let back: (() => void) | null = null;
  let stores = 0;
  let isSent = false;
  world.intercept = (asked, answer, carryOut) => {
    if (asked.do === 'config' && asked.server === 'S0' && stores === 1 && !isSent) {
      isSent = true;
      carryOut(asked, (outcome) => {
        world.powerOff('S0');
        answer(outcome);
      });
      return true;
    }
    if (asked.do !== 'store' || asked.key !== BUCKET_KEYS.shard(SHARD)) return false;
    stores += 1;
    if (stores !== 2) return false;
    // Nobody serves, and S1 is taken back: the bucket takes its time, and S0 is there again.
    back = (): void => {
      carryOut(asked, answer);
    };
    return true;
  };
  world.balancer.dispatch({ on: 'admin', command: { request: 2, op: 'rm', command: { n: 1, servers: ['S1'] } } });
  await world.until(() => back !== null, LONG_MS);
  world.powerOn('S0');
  await world.pass(1_000);
  expect(world.balancer.cluster.servers.has('S1')).toBe(true);
  back!();
  await world.until(() => !world.balancer.cluster.servers.has('S1'), LONG_MS);
  expect(replicasOf(world)).toEqual(['S0']);
  await world.until(() => world.balancer.cluster.isWritable(world.shard), LONG_MS);
  expect(world.keys('S0')).toEqual([0, 1, 2, 3, 4, 5]);
});
