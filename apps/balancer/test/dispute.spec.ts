/**
 * Members hold different things, and it takes the word of one that is silent to know who is right: that outlives the bucket, nothing
 * old or partial ends it, and it ends although the one that is silent never comes back.
 */
import type { BalancerCore } from '../src/core/balancer-core';
import { SHARD, SmallWorld as World } from './support/small-world';

const DELETED = 3;
const RIGHT = [0, 1, 2, 4, 5];
const NO_ANSWER = { code: 'OUTCOME_UNKNOWN' as const, message: 'no answer in time', retryable: false };
const LONG_MS = 5_000;

/** Key 3 is deleted, which is acknowledged, and comes back on the disk of S0 alone. */
async function makeGhost(world: World): Promise<void> {
  const ghost = world.living('S0').find(({ key }) => key === DELETED)!;
  expect(await world.change({ op: 'delete', key: DELETED })).toMatchObject({ added: 1 });
  await world.pass(100);
  world.disk('S0').set(`${DELETED}/${ghost.cat}`, { ...ghost });
}

/** S0 and S1 have shown different things, and S2 is gone. */
async function disputed(servers: Record<string, string[]> = { S0: [SHARD], S1: [SHARD], S2: [SHARD] }): Promise<World> {
  const world = await World.laidOut(servers);
  await makeGhost(world);
  world.powerOff('S2');
  const rows = [JSON.stringify({ id: DELETED, mark: 'again' })];
  const again = { op: 'write', onConflict: 'error', keys: [DELETED], rows };
  expect(await world.change(again)).toHaveProperty('error');
  await world.until(
    () => isDisputed(world) && !world.shard.unacknowledged.has('S0') && !world.shard.unacknowledged.has('S1'),
  );
  return world;
}

const isDisputed = (world: World): boolean => world.shard.record.disputed === true;

function isWhole(world: World, servers: readonly string[]): boolean {
  const { cluster } = world.balancer;
  return (
    cluster.shards.has(SHARD) &&
    cluster.isWritable(world.shard) &&
    servers.every((server) => world.shard.stateOf(server) === 'in-sync')
  );
}

/** Another leader begins. The first of them may find that its epoch has been used, and ends. */
async function takeOver(world: World): Promise<void> {
  for (const name of ['L2', 'L3']) {
    world.balancer = world.newBalancer(name);
    await world.pass(LONG_MS);
    if (world.balancer.isAlive) return;
  }
}

/** Asks the leader for a comparison of all shards. */
function scrub(world: World): void {
  world.balancer.dispatch({ on: 'admin', command: { request: 7, op: 'scrub' } });
}

function remove(world: World, server: string): void {
  const command = { n: 1, servers: [server] };
  world.balancer.dispatch({ on: 'admin', command: { request: 8, op: 'rm', command } });
}

/** The replica has another version of the key than what was written, or none. */
function spoil(world: World, server: string, key: number): void {
  const version = world.living(server).find((one) => one.key === key)!;
  world.disk(server).delete(`${key}/${version.cat}`);
}

test.each([
  [
    'is lost',
    (world: World): void => {
      world.catalog.lose();
    },
  ],
  [
    'is rolled back',
    (world: World): void => {
      world.catalog.rollBack(LONG_MS);
    },
  ],
])('the bucket %s: whoever leads next hears of the dispute from the replicas', async (_, fault) => {
  const world = await disputed();
  await world.pass(LONG_MS);
  world.balancer.crash();
  fault(world);
  await takeOver(world);
  expect(isDisputed(world)).toBe(true);
  expect(world.shard.inSync).toEqual(['S0', 'S1', 'S2']);
  world.powerOn('S2');
  await world.until(() => isWhole(world, ['S0', 'S1', 'S2']) && !isDisputed(world), 20_000);
  await world.until(() => world.living('S0').length === RIGHT.length, 20_000);
  for (const server of world.servers) expect(world.keys(server)).toEqual(RIGHT);
});

test('the bucket is lost: whoever leads next hears of a member that was found to be wrong and could not leave', async () => {
  const world = await World.of(3);
  world.powerOff('S2');
  await world.until(() => !world.shard.inSync.includes('S2'));
  spoil(world, 'S1', 4);
  // It is fully re-copied only later.
  world.intercept = (ask, answer) => {
    if (ask.do !== 'catchup') return false;
    answer({ ok: false, error: NO_ANSWER });
    return true;
  };
  await world.until(() => world.shard.isDiverged('S1') && world.shard.unacknowledged.size === 0);
  expect(world.shard.inSync).toEqual(['S0', 'S1']);
  world.balancer.crash();
  world.catalog.lose();
  await takeOver(world);
  await world.until(() => world.balancer.cluster.shards.get(SHARD)?.resolved === true, 20_000);
  expect(world.balancer.cluster.serving(world.shard)).toEqual(['S0']);
  world.intercept = () => false;
  world.powerOn('S2');
  await world.until(() => isWhole(world, world.servers), 20_000);
  world.expectAlike();
});

test('a new leader knows nothing of a dispute that nobody has stored, and so nothing is acknowledged before', async () => {
  const world = await World.of(3);
  await makeGhost(world);
  const deaf = { config: ['S1'], digest: ['S2'] };
  world.intercept = (ask, answer) => {
    if (ask.do !== 'config' && ask.do !== 'digest') return false;
    const isNews = ask.do === 'config' && ask.request.shards.length === 0;
    if (!deaf[ask.do].includes(ask.server) || isNews) return false;
    answer({ ok: false, error: NO_ANSWER });
    return true;
  };
  await world.until(() => isDisputed(world));
  await world.pass(1_000);
  expect([...world.shard.unacknowledged]).toEqual(['S1']);
  expect(world.balancer.cluster.isWritable(world.shard)).toBe(false);
  deaf.config = [];
  await world.until(() => world.balancer.cluster.isWritable(world.shard));
  expect(isDisputed(world)).toBe(true);
  deaf.digest = [];
  await world.until(() => isWhole(world, world.servers) && !isDisputed(world), 20_000);
});

test('nobody enters the set who waited for its configuration when members were found to differ', async () => {
  const world = await World.of(4);
  world.powerOff('S3');
  await world.until(() => !world.shard.inSync.includes('S3'));
  await makeGhost(world);
  world.intercept = (ask, answer) => {
    if (ask.do !== 'digest' || ask.server !== 'S2') return false;
    answer({ ok: false, error: NO_ANSWER });
    return true;
  };
  world.powerOn('S3');
  await world.until(() => world.shard.replicas.get('S3')?.syncing === true);
  const { configLock } = world.shard;
  configLock.acquire()(() => undefined);
  expect(configLock.isHeld).toBe(true);
  await world.until(() => world.shard.entering.has('S3'), 10_000);
  const { divergedMs } = world.shard;
  scrub(world);
  await world.until(() => world.shard.divergedMs > divergedMs);
  configLock.release();
  await world.until(() => isDisputed(world));
  expect(world.shard.inSync).toEqual(['S0', 'S1', 'S2']);
  world.intercept = () => false;
  await world.until(() => isWhole(world, world.servers), 20_000);
  for (const server of world.servers) expect(world.keys(server)).toEqual(RIGHT);
});

test('a round in which one differs from all others does not show who of these is right', async () => {
  const world = await World.of(3);
  await makeGhost(world);
  world.intercept = (ask, answer) => {
    if (ask.do !== 'digest' || ask.server !== 'S2') return false;
    answer({ ok: false, error: NO_ANSWER });
    return true;
  };
  await world.until(() => isDisputed(world));
  spoil(world, 'S2', 5);
  await world.until(() => isWhole(world, world.servers));
  let isSeen = false;
  listen(world, () => {
    if (world.shard.inSync.includes('S2') || isSeen) return;
    isSeen = true;
    expect(isDisputed(world)).toBe(true);
  });
  expect(await world.change({ op: 'delete', key: 5 })).toMatchObject({ added: 1 });
  expect(isSeen).toBe(true);
  world.intercept = () => false;
  await world.until(() => isWhole(world, world.servers) && !isDisputed(world), 20_000);
  world.expectAlike();
});

test('what was compared before members were found to differ does not end the dispute', async () => {
  const world = await World.of(3);
  let isSlow = true;
  world.intercept = (ask, answer, carryOut) => {
    if (ask.do === 'digest' && ask.server === 'S2' && isSlow) {
      isSlow = false;
      // What it shows now, reported a second later.
      carryOut(ask, (outcome) => {
        world.scheduler.after(1_000, () => {
          answer(outcome);
        });
      });
      return true;
    }
    if (ask.do !== 'apply' || ask.server !== 'S2') return false;
    answer({ ok: false, error: NO_ANSWER });
    return true;
  };
  scrub(world);
  await world.until(() => !isSlow);
  await world.pass(100);
  const version = world.living('S0').find(({ key }) => key === DELETED)!;
  spoil(world, 'S0', DELETED);
  expect(await world.change({ op: 'delete', key: DELETED })).toHaveProperty('error');
  await world.until(() => isDisputed(world));
  await world.until(() => world.administered.has(7));
  expect(isDisputed(world)).toBe(true);
  world.disk('S0').set(`${DELETED}/${version.cat}`, { ...version });
});

/** Servers that do not answer what they show. */
function deafToDigests(world: World): { servers: string[] } {
  const deaf = { servers: [] as string[] };
  world.intercept = (ask, answer) => {
    if (ask.do !== 'digest' || !deaf.servers.includes(ask.server)) return false;
    answer({ ok: false, error: NO_ANSWER });
    return true;
  };
  return deaf;
}

test('where most show the same, one that is silent leaves with the dispute, and is compared when it comes back', async () => {
  const world = await disputed();
  const deaf = deafToDigests(world);
  deaf.servers = ['S0'];
  world.powerOn('S2');
  await world.until(() => isWhole(world, ['S1', 'S2']) && !isDisputed(world), 20_000);
  expect(world.shard.inSync).toEqual(['S1', 'S2']);
  await world.write(7);
  deaf.servers = [];
  await world.until(() => isWhole(world, world.servers), 20_000);
  for (const server of world.servers) expect(world.keys(server)).toEqual([...RIGHT, 7]);
});

test('half of the members that show the same end no dispute', async () => {
  const world = await World.of(4);
  await makeGhost(world);
  spoil(world, 'S3', 5);
  const deaf = deafToDigests(world);
  deaf.servers = ['S1', 'S2'];
  await world.until(() => isDisputed(world));
  deaf.servers = ['S0', 'S3'];
  await world.pass(LONG_MS);
  expect(isDisputed(world)).toBe(true);
  expect(world.shard.inSync).toEqual(world.servers);
  deaf.servers = [];
  await world.until(() => isWhole(world, world.servers) && !isDisputed(world), 20_000);
  for (const server of world.servers) expect(world.keys(server)).toEqual(RIGHT);
});

test('where most show the same and one shows something else, the dispute goes on as long as another is silent', async () => {
  const world = await World.of(5);
  await makeGhost(world);
  spoil(world, 'S3', 5);
  const deaf = deafToDigests(world);
  deaf.servers = ['S1', 'S2'];
  await world.until(() => isDisputed(world));
  deaf.servers = ['S0'];
  await world.until(() => !isDisputed(world));
  expect(world.divergences.map(({ server }) => server)).toEqual(['S3']);
  expect(world.shard.inSync).toEqual(['S1', 'S2', 'S4']);
  deaf.servers = [];
  await world.until(() => isWhole(world, world.servers), 20_000);
  for (const server of world.servers) expect(world.keys(server)).toEqual(RIGHT);
});

const SPARE = { S0: [SHARD], S1: [SHARD], S2: [SHARD], S3: ['sh1'] };

test.each([
  ['the same leader', (): void => undefined],
  [
    'the next leader',
    (world: World): void => {
      world.changeLeader('L2');
    },
  ],
])('one that never comes back has no word any more when it was removed: under %s', async (_, change) => {
  const world = await disputed(SPARE);
  change(world);
  await world.pass(LONG_MS);
  expect(world.shard.inSync).toEqual(['S0', 'S1', 'S2']);
  remove(world, 'S2');
  await world.until(() => world.administered.has(8), 20_000);
  expect(world.administered.get(8)).toMatchObject({ ok: true });
  await world.until(() => isWhole(world, ['S0', 'S1', 'S3']) && !isDisputed(world), 20_000);
  expect(world.divergences[0]).toMatchObject({ hasMajority: false });
  expect(world.living('S1')).toEqual(world.living('S0'));
  expect(world.living('S3')).toEqual(world.living('S0'));
});

/** Looks at the world behind every step of the leader. */
function listen({ balancer }: World, look: () => void): void {
  const { core }: { core: BalancerCore } = balancer;
  const step = core.step.bind(core);
  core.step = (event) => {
    const effects = step(event);
    look();
    return effects;
  };
}

test('under the next leader it ends, too, when the wrong one dies for good before the first round is stored', async () => {
  const world = await disputed();
  let isDead = false;
  world.intercept = (ask) => {
    if (ask.do === 'apply' && !isDead) {
      isDead = true;
      world.powerOff('S0');
    }
    return false;
  };
  world.powerOn('S2');
  world.changeLeader('L2');
  await world.until(() => isDead, 20_000);
  await world.until(() => isWhole(world, ['S1', 'S2']), 60_000);
  expect(isDisputed(world)).toBe(false);
  expect(world.keys('S1')).toEqual(RIGHT);
});

test('under the next leader it ends with an /rm of the one that stays away, when that was gone before', async () => {
  const world = await disputed();
  world.powerOff('S0');
  world.powerOn('S2');
  world.changeLeader('L2');
  await world.pass(10_000);
  expect(world.shard.decided).toBe(false);
  remove(world, 'S0');
  await world.until(() => isWhole(world, ['S1', 'S2']), 60_000);
  expect(world.keys('S1')).toEqual(RIGHT);
});

test('of a round over two shards one of which is disputed nothing is kept, and the other one goes on', async () => {
  const both = [SHARD, 'sh1'];
  const world = await World.laidOut({ S0: both, S1: both, S2: both });
  const rowOf = (key: number): string => JSON.stringify({ id: key, mark: `m${key}` });
  const writeOf = (...keys: number[]): object => ({ op: 'write', onConflict: 'error', keys, rows: keys.map(rowOf) });
  await makeGhost(world);
  world.powerOff('S2');
  expect(await world.change(writeOf(DELETED, 13))).toHaveProperty('error');
  await world.until(() => isDisputed(world));
  const other = world.balancer.cluster.shards.get('sh1')!;
  expect(other.record.disputed).not.toBe(true);
  await world.until(() => world.balancer.cluster.isWritable(other));
  expect(await world.change(writeOf(14))).toMatchObject({ added: 1 });
  expect(await world.change({ op: 'read', low: 13, high: 13 })).toMatchObject({ count: 0 });
  world.powerOn('S2');
  await world.until(() => !isDisputed(world) && isWhole(world, ['S0', 'S1', 'S2']), 20_000);
  expect(await world.change({ op: 'read', low: DELETED, high: DELETED })).toMatchObject({ count: 0 });
  expect(await world.change({ op: 'read', low: 13, high: 13 })).toMatchObject({ count: 0 });
  expect(await world.change(writeOf(DELETED, 13))).toMatchObject({ added: 2 });
});

test('a member that answers is not removed before it is known who is right', async () => {
  const world = await disputed();
  remove(world, 'S1');
  await world.pass(2 * LONG_MS);
  expect(isDisputed(world)).toBe(true);
  expect(world.shard.inSync).toEqual(['S0', 'S1', 'S2']);
  world.powerOn('S2');
  await world.until(() => !world.replicas.byName.has('S1') && isWhole(world, ['S0', 'S2']), 20_000);
  for (const server of ['S0', 'S2']) expect(world.keys(server)).toEqual(RIGHT);
});
