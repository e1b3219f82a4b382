/**
 * A leader whose lease has run out, and that has not heard of a next one: others may lead by now, and the launcher, which knows no epochs,
 * would carry out its orders all the same. Found by a simulated world in which such a leader ended the members of its successor.
 */
import { SHARD, SmallWorld } from './support/small-world';

const LEASE_MS = 400;

/** A world of which the leader cannot renew its lease until `renews` is set. */
async function lapsed(
  servers: Record<string, string[]>,
): Promise<{ world: SmallWorld; orders: string[]; renew: () => void }> {
  const world = await SmallWorld.laidOut(servers);
  const orders: string[] = [];
  let renews = false;
  world.intercept = (ask, answer) => {
    if (ask.do === 'startNode' || ask.do === 'removeNode') orders.push(`${ask.do} ${ask.server}`);
    if (ask.do !== 'store' || ask.key !== 'leader' || renews) return false;
    answer({
      ok: false,
      error: { code: 'STORE_FAILED', message: 'the bucket is out of reach', details: undefined } as never,
    });
    return true;
  };
  await world.pass(2 * LEASE_MS);
  return {
    ...{ world, orders },
    renew: () => {
      renews = true;
    },
  };
}

test.each([
  ['/rm ends no server', { op: 'rm', command: { n: 1, servers: ['S1'] } }, 'removeNode S1'],
  ['/add starts no server', { op: 'add', command: { n: 1, newShards: [], servers: { N0: [] } } }, 'startNode N0'],
])('%s before the lease is renewed, and then it does', async (_, command, order) => {
  const { world, orders, renew } = await lapsed({ S0: [SHARD], S1: [], S2: [SHARD] });
  world.balancer.dispatch({ on: 'admin', command: { request: 7, ...command } as never });
  await world.pass(2_000);
  expect(orders).toEqual([]);
  renew();
  await world.until(() => world.administered.has(7));
  expect(orders).toEqual([order]);
});
