/** A disk that is lost while the leader waits for something else: what its server said before counts for nothing. */
import { SmallWorld as World } from './support/small-world';

const LONG_MS = 3_000;

/** The server ends, loses its disk, and stays away. */
function lose(world: World, server: string): void {
  world.powerOff(server);
  world.wipe(server);
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
        answer({ ok: false, error: { code: 'OUTCOME_UNKNOWN', message: 'no answer', retryable: false } });
      });
    }
    return true;
  };
  const rows = [JSON.stringify({ id: 7, mark: 'm7' })];
  const commands = [{ batch: 900, id: 0, op: 'write', onConflict: 'error', keys: [7], rows, operation: 'write-7' }];
  world.balancer.dispatch({ on: 'records', configId: world.balancer.cluster.configId, commands: commands as never });
  await world.until(() => isLost);
  await world.pass(LONG_MS);
  expect(world.shard.inSync).toContain('S1');
  expect(world.answers[900] ?? {}).not.toMatchObject({ added: 1 });
  world.powerOn('S0');
  await world.until(() => world.isWhole(), 20_000);
  for (const key of [0, 1, 2, 3, 4, 5]) expect(world.keys('S0')).toContain(key);
});

test('a copy that is lost behind its last digest does not enter the in-sync set', async () => {
  const world = await World.of(3);
  world.powerOff('S2');
  await world.write(6);
  await world.until(() => !world.shard.inSync.includes('S2'));
  let isLost = false;
  world.intercept = (ask, answer, carryOut) => {
    if (isLost || ask.do !== 'digest' || ask.server !== 'S2') return false;
    carryOut(ask, (outcome) => {
      if (outcome.ok) {
        isLost = true;
        lose(world, 'S2');
        world.powerOn('S2');
      }
      answer(outcome);
    });
    return true;
  };
  world.powerOn('S2');
  await world.until(() => isLost, 10_000);
  await world.until(() => world.shard.inSync.includes('S2'), 20_000);
  expect(world.keys('S2')).toEqual([0, 1, 2, 3, 4, 5, 6]);
});
