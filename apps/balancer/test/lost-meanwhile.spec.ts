/** A disk that is lost while the leader waits for something else: what its server said before counts for nothing. */
import { BUCKET_KEYS } from '#common/contracts/subjects';
import type { ShardRecord } from '../src/core/cluster/shard';
import { SHARD, SmallWorld as World } from './support/small-world';

const LONG_MS = 3_000;
const NO_ANSWER = { code: 'OUTCOME_UNKNOWN' as const, message: 'no answer', retryable: false };
const ALL = [0, 1, 2, 3, 4, 5, 6];

/** The server ends, loses its disk, and stays away. */
function lose(world: World, server: string): void {
  world.powerOff(server);
  world.wipe(server);
}

/** S2 has missed a write. */
async function withoutS2(copies: number): Promise<World> {
  const world = await World.of(copies);
  world.powerOff('S2');
  await world.write(6);
  await world.until(() => !world.shard.inSync.includes('S2'));
  return world;
}

/** Does something, once, in place of storing a record that makes the server a member that counts. */
function whenItEnters(
  world: World,
  server: string,
  act: (carryOut: () => void, fail: () => void) => void,
): () => boolean {
  let isDone = false;
  const isCopied = (): boolean =>
    world.shard.entering.has(server) || world.shard.replicas.get(server)?.syncing === true;
  world.intercept = (ask, answer, carryOut) => {
    if (world.shard.stateOf(server) === 'in-sync' && !isDone) throw new Error(`${server} is in sync already`);
    if (isDone || ask.do !== 'store' || ask.key !== BUCKET_KEYS.shard(SHARD) || !isCopied()) return false;
    if (!(ask.value as ShardRecord).inSync.includes(server)) return false;
    isDone = true;
    const fail = (): void => {
      answer({ ok: false, error: NO_ANSWER });
    };
    act(() => {
      carryOut(ask, answer);
    }, fail);
    return true;
  };
  return () => isDone;
}

/** Waits until the server is in sync, which it may not be before its disk has everything. */
async function untilItCounts(world: World, server: string): Promise<void> {
  await world.until(() => world.shard.stateOf(server) === 'in-sync', 20_000);
  expect(world.keys(server)).toEqual(ALL);
  await world.until(() => world.isWhole(), 20_000);
}

test('a member that had a round before it lost its disk does not let the others leave', async () => {
  const world = await World.of(2);
  let isLost = false;
  world.intercept = (ask, answer, carryOut) => {
    if (isLost || ask.do !== 'apply' || !('server' in ask)) return false;
    if (ask.server === 'S0') {
      carryOut(ask, (outcome) => {
        answer(outcome);
        isLost = true;
        lose(world, 'S0');
      });
    } else {
      // S1 keeps silent until S0 has answered and lost what it said that it has.
      world.scheduler.after(200, () => {
        answer({ ok: false, error: NO_ANSWER });
      });
    }
    return true;
  };
  const rows = [JSON.stringify({ id: 7, mark: 'm7' })];
  const batch = world.send({ op: 'write', onConflict: 'error', keys: [7], rows, operation: 'write-7' });
  await world.until(() => world.answers[batch] !== undefined);
  expect(isLost).toBe(true);
  expect(world.answers[batch]).toMatchObject({ error: { code: 'OUTCOME_UNKNOWN' } });
  await world.pass(LONG_MS);
  expect(world.shard.inSync).toContain('S1');
  world.powerOn('S0');
  await world.until(() => world.isWhole(), 20_000);
  for (const key of [0, 1, 2, 3, 4, 5]) expect(world.keys('S0')).toContain(key);
});

test('a copy that is lost behind its last digest does not enter the in-sync set', async () => {
  const world = await withoutS2(3);
  let isLost = false;
  world.intercept = (ask, answer, carryOut) => {
    if (isLost || ask.do !== 'digest' || ask.server !== 'S2') return false;
    carryOut(ask, (outcome) => {
      if (outcome.ok) {
        isLost = true;
        world.loseDisk('S2');
      }
      answer(outcome);
    });
    return true;
  };
  world.powerOn('S2');
  await world.until(() => isLost, 10_000);
  await world.until(() => world.shard.inSync.includes('S2'), 20_000);
  expect(world.keys('S2')).toEqual(ALL);
});

test('a copy that is lost while the configuration is being changed does not enter the in-sync set', async () => {
  const world = await withoutS2(3);
  world.powerOn('S2');
  await world.until(() => world.shard.replicas.get('S2')?.syncing === true);
  const { configLock } = world.shard;
  configLock.acquire()(() => undefined);
  expect(configLock.isHeld).toBe(true);
  await world.until(() => world.shard.entering.has('S2'), 10_000);
  world.loseDisk('S2');
  await world.pass(50);
  configLock.release();
  await world.until(() => world.shard.inSync.includes('S2'), 20_000);
  expect(world.keys('S2')).toEqual(ALL);
});

test('a copy that is lost while the bucket is away does not enter the in-sync set', async () => {
  const world = await withoutS2(3);
  const isDone = whenItEnters(world, 'S2', (_, fail) => {
    world.loseDisk('S2');
    world.scheduler.after(100, fail);
  });
  world.powerOn('S2');
  await world.until(isDone, 10_000);
  await untilItCounts(world, 'S2');
});

/** Only two members are left, so that S1 stays one although its disk is lost. */
async function withoutItsData(): Promise<World> {
  const world = await withoutS2(3);
  world.loseDisk('S1');
  await world.until(() => world.shard.stateOf('S1') !== 'in-sync');
  expect(world.shard.inSync).toEqual(['S0', 'S1']);
  return world;
}

test('a member that was fully re-copied and is lost once more while the bucket is away does not count', async () => {
  const world = await withoutItsData();
  const isDone = whenItEnters(world, 'S1', (_, fail) => {
    world.loseDisk('S1');
    world.scheduler.after(100, fail);
  });
  await world.until(isDone, 10_000);
  world.powerOn('S2');
  await untilItCounts(world, 'S1');
});

test.each([
  ['a new member', 'S2', (): Promise<World> => withoutS2(3)],
  ['a member that was fully re-copied', 'S1', withoutItsData],
])('%s that is lost in the moment of the commit is found out when it gets the record', async (_, server, begin) => {
  const world = await begin();
  const { configVersion } = world.shard.record;
  const isDone = whenItEnters(world, server, (carryOut) => {
    world.loseDisk(server);
    carryOut();
  });
  world.powerOn('S2');
  await world.until(isDone, 10_000);
  await world.until(() => world.shard.record.configVersion > configVersion);
  await world.until(() => world.shard.stateOf(server) !== 'in-sync', 50);
  await untilItCounts(world, server);
});

/** S1, which is a member still, has been fully re-copied from S0, which loses its disk before the two could be compared. */
async function copiedButNotCompared(answerMs = 0): Promise<World> {
  const world = await withoutItsData();
  let isAsked = false;
  world.intercept = (ask, answer) => {
    if (ask.do !== 'digest' || ask.server !== 'S0') return false;
    isAsked = true;
    return world.unanswered(answer, answerMs);
  };
  await world.until(() => isAsked && (answerMs > 0 || world.shard.replicas.get('S1')?.syncing === false));
  expect(world.keys('S1')).toEqual(ALL);
  return world;
}

test('a copy that is complete counts when the one that it is to be compared with is lost', async () => {
  const world = await copiedButNotCompared();
  expect(world.shard.stateOf('S1')).not.toBe('in-sync');
  world.loseDisk('S0');
  await world.until(() => world.shard.stateOf('S1') === 'in-sync');
  world.intercept = () => false;
  world.powerOn('S2');
  await world.until(() => world.isWhole(), 20_000);
  for (const server of world.servers) expect(world.keys(server)).toEqual(ALL);
});

test('it does not while there is one to compare it with, or when it was found to be wrong', async () => {
  const world = await copiedButNotCompared();
  await world.pass(LONG_MS);
  expect(world.shard.stateOf('S1')).not.toBe('in-sync');
  world.shard.record = { ...world.shard.record, diverged: ['S1'] };
  world.loseDisk('S0');
  await world.pass(LONG_MS);
  expect(world.balancer.cluster.serving(world.shard)).toEqual([]);
});

test('nor while it is not known yet that the two cannot be compared', async () => {
  const world = await copiedButNotCompared(2_000);
  world.loseDisk('S0');
  await world.pass(1_000);
  expect(world.shard.stateOf('S1')).not.toBe('in-sync');
  await world.until(() => world.shard.stateOf('S1') === 'in-sync', 60_000);
});
