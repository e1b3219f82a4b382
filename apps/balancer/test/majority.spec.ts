/**
 * Of replicas that hold different things a side prevails only with a majority of all that have a word in it, silent ones counted. In
 * each of these worlds one replica is wrong and two are right, and one of those that are right is silent when it shows.
 */
import { SmallWorld as World } from './support/small-world';

const DELETED = 3;
const LEFT = [0, 1, 2, 4, 5];
const UNKNOWN = { code: 'OUTCOME_UNKNOWN' as const, message: 'no answer in time', retryable: false };
const NOBODY_THERE = { code: 'NO_LEADER' as const, message: 'nobody listens', retryable: true };

/** Key 3 is deleted, which is acknowledged, and comes back on the disk of S0 alone. */
async function worldWithGhost(): Promise<World> {
  const world = await World.of(3);
  const ghost = world.living('S0').find(({ key }) => key === DELETED)!;
  expect(await world.change({ op: 'delete', key: DELETED })).toMatchObject({ added: 1 });
  await world.pass(100);
  world.disk('S0').set(`${DELETED}/${ghost.cat}`, { ...ghost });
  expect(world.living('S0')).toHaveLength(6);
  return world;
}

/** The server fails the next round, or all from now on. */
function silence(world: World, server: string, error: object, rounds: number): () => void {
  let left = rounds;
  world.intercept = (ask, answer) => {
    if (ask.do !== 'apply' || ask.server !== server || left === 0) return false;
    left -= 1;
    world.scheduler.after(100, () => {
      answer({ ok: false, error: error as never });
    });
    return true;
  };
  return () => {
    left = 0;
  };
}

/** The servers answer no question of this kind. */
function deafTo(world: World, kind: 'digest', servers: readonly string[]): void {
  world.intercept = (ask, answer) => {
    if (ask.do !== kind || !servers.includes(ask.server)) return false;
    answer({ ok: false, error: UNKNOWN });
    return true;
  };
}

function writeAgain(world: World): Promise<object> {
  const rows = [JSON.stringify({ id: DELETED, mark: 'again' })];
  return world.change({ op: 'write', onConflict: 'error', keys: [DELETED], rows });
}

async function endsWithoutGhost(world: World): Promise<void> {
  await world.until(() => world.isWhole() && world.divergences.length > 0, 20_000);
  expect(world.divergences.map(({ server }) => server)).toEqual(['S0']);
  // What a failed round has left is undone by the next one.
  await world.write(7);
  for (const server of world.servers) expect(world.keys(server)).toEqual([...LEFT, 7]);
}

test.each([
  ['never got it', NOBODY_THERE, 'SHARD_UNAVAILABLE'],
  ['did not answer', UNKNOWN, 'OUTCOME_UNKNOWN'],
])('a round of which the third %s fails, and the wrong one is found by comparing all', async (_what, error, code) => {
  const world = await worldWithGhost();
  silence(world, 'S2', error, 1);
  expect(await writeAgain(world)).toMatchObject({ error: { code } });
  await endsWithoutGhost(world);
  expect(world.divergences[0]).toMatchObject({ hasMajority: true });
  expect(await writeAgain(world)).toMatchObject({ added: 1 });
  world.expectAlike();
});

test('while the third is silent nobody leaves the set, and a new leader waits for it as well', async () => {
  const world = await worldWithGhost();
  world.powerOff('S2');
  expect(await writeAgain(world)).toHaveProperty('error');
  await world.pass(3_000);
  expect(world.shard.inSync).toEqual(['S0', 'S1', 'S2']);
  world.changeLeader('L2');
  await world.pass(5_000);
  expect(world.divergences).toEqual([]);
  expect(world.shard.inSync).toEqual(['S0', 'S1', 'S2']);
  world.powerOn('S2');
  await endsWithoutGhost(world);
});

test('a replica that has lost its disk has no word: the two that are left decide as two do', async () => {
  const world = await worldWithGhost();
  world.powerOff('S2');
  world.wipe('S2');
  expect(await writeAgain(world)).toHaveProperty('error');
  await world.pass(2_000);
  world.powerOn('S2');
  await world.until(() => world.isWhole() && world.divergences.length > 0, 20_000);
  expect(world.divergences[0]).toMatchObject({ hasMajority: false });
  world.expectAlike();
});

test('the scrub keeps the third in the set as long as its word is needed', async () => {
  const world = await worldWithGhost();
  deafTo(world, 'digest', ['S2']);
  await world.until(() => world.shard.record.disputed === true);
  world.powerOff('S2');
  await world.pass(3_000);
  expect(world.shard.inSync).toEqual(['S0', 'S1', 'S2']);
  world.intercept = () => false;
  world.powerOn('S2');
  await endsWithoutGhost(world);
});

test('a copy that differs from its source is not recreated from it before the others have shown the same', async () => {
  const world = await World.of(4);
  world.powerOff('S3');
  await world.until(() => !world.shard.inSync.includes('S3'));
  const ghost = world.living('S0').find(({ key }) => key === DELETED)!;
  expect(await world.change({ op: 'delete', key: DELETED })).toMatchObject({ added: 1 });
  // S3 misses a change of another key, and is right in all the rest.
  world.powerOn('S3');
  await world.until(() => world.isWhole(), 20_000);
  world.powerOff('S3');
  await world.until(() => !world.shard.inSync.includes('S3'));
  await world.write(7);
  world.disk('S0').set(`${DELETED}/${ghost.cat}`, { ...ghost });
  // Copies are made from S0, and the scrub does not get to look before.
  deafTo(world, 'digest', ['S1']);
  world.powerOn('S3');
  await world.until(() => world.copying.includes('S0>S3'), 20_000);
  await world.pass(2_000);
  expect(world.keys('S3')).not.toContain(DELETED);
  world.intercept = () => false;
  await world.until(() => world.isWhole() && world.divergences.length > 0, 20_000);
  for (const server of world.servers) expect(world.keys(server)).toEqual([...LEFT, 7]);
});
