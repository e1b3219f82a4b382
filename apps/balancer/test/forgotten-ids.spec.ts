/** Outcomes of ops are forgotten by and by, and a new leader asks for none that its members may have forgotten. */
import { SmallWorld } from './support/small-world';

test('a new leader knows from the first round on what members have forgotten', async () => {
  const world = await SmallWorld.of(3);
  // Longer than the horizon.
  await world.pass(8_000);
  for (let key = 6; key <= 9; key += 1) await world.write(key);
  expect(world.shard.forgottenIds.upTo).toBeGreaterThan(0);
  const refused: unknown[] = [];
  world.intercept = (ask, answer, carryOut) => {
    if (ask.do !== 'apply') return false;
    carryOut(ask, (outcome) => {
      if (!outcome.ok) refused.push(outcome.error);
      answer(outcome);
    });
    return true;
  };
  world.changeLeader('L2');
  await world.until(() => world.balancer.isServing && world.balancer.cluster.isWritable(world.shard));
  expect(refused).toEqual([]);
  expect(world.published('shard.unavailable')).toEqual([]);
});
