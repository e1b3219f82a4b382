/**
 * No wait holds what its own end needs: a round over two shards fails because a member of one of them dies in the middle of it, for good.
 * The other shard goes on; the member is replaced; administrators are answered.
 */
import { BUCKET_KEYS } from '#common/contracts/subjects';
import { SmallWorld as World } from './support/small-world';

const TROUBLED = 'sh0';
const OTHER = 'sh1';

/** `sh0` on S0 to S2, `sh1` on S3 and S4. */
const LAYOUT = {
  S0: [TROUBLED],
  S1: [TROUBLED],
  S2: [TROUBLED],
  S3: [OTHER],
  S4: [OTHER],
};
const WITH_COMMON_SERVER = { S0: [TROUBLED, OTHER], S1: [TROUBLED], S2: [TROUBLED], S3: [OTHER] };

const rowOf = (key: number): string => JSON.stringify({ id: key, mark: `m${key}` });

function writeOf(...keys: number[]): object {
  return { op: 'write', onConflict: 'error', keys, rows: keys.map(rowOf), operation: `write-${keys.join()}` };
}

async function rows(world: World, key: number): Promise<number | undefined> {
  const reply = (await world.change({ op: 'read', low: key, high: key })) as { count?: number };
  return reply.count;
}

/**
 * S2 is away; of the two members that are left S1 dies when it gets its part of a round over both shards, and nobody can know whether it
 * has stored it.
 */
async function troubled(layout: Record<string, string[]>): Promise<World> {
  const world = await World.laidOut(layout);
  const shard = world.balancer.cluster.shards.get(TROUBLED)!;
  world.powerOff('S2');
  await world.until(() => shard.inSync.length === 2);
  await world.until(() => world.balancer.cluster.isWritable(shard));
  world.intercept = (ask, answer) => {
    if (ask.do !== 'apply' || ask.server !== 'S1') return false;
    world.powerOff('S1');
    world.intercept = () => false;
    return world.unanswered(answer);
  };
  expect(await world.change(writeOf(6, 16))).toHaveProperty('error');
  return world;
}

describe.each([
  ['servers of their own', LAYOUT],
  ['a server in common', WITH_COMMON_SERVER],
])('of two shards with %s', (_, layout) => {
  test('the one that was never in trouble takes writes at once', async () => {
    const world = await troubled(layout);
    expect(await world.change(writeOf(17))).toMatchObject({ added: 1 });
    expect(await world.change({ op: 'delete', key: 17 })).toMatchObject({ added: 1 });
    expect(await rows(world, 16)).toBe(0);
  });

  test('the one in trouble gets another member in place of the dead one', async () => {
    const world = await troubled(layout);
    const shard = world.balancer.cluster.shards.get(TROUBLED)!;
    await world.pass(1_000);
    world.powerOn('S2');
    await world.until(() => !shard.inSync.includes('S1') && world.balancer.cluster.isWritable(shard), 10_000);
    expect(await world.change(writeOf(7))).toMatchObject({ added: 1 });
    expect(await rows(world, 6)).toBe(0);
    expect(await world.change(writeOf(8, 18))).toMatchObject({ added: 2 });
  });

  test('/rm of the dead one is answered, and so is what comes behind it', async () => {
    const world = await troubled(layout);
    world.powerOn('S2');
    world.balancer.dispatch({ on: 'admin', command: { request: 2, op: 'rm', command: { n: 1, servers: ['S1'] } } });
    world.balancer.dispatch({ on: 'admin', command: { request: 3, op: 'rm', command: { n: 1, servers: ['S9'] } } });
    await world.until(() => world.administered.has(3), 20_000);
    expect(world.administered.get(3)).toMatchObject({ ok: false, error: { code: 'BAD_REQUEST' } });
    if (world.administered.get(2)?.ok !== true) {
      world.balancer.dispatch({ on: 'admin', command: { request: 4, op: 'rm', command: { n: 1, servers: ['S1'] } } });
      await world.until(() => world.administered.has(4), 20_000);
      expect(world.administered.get(4)).toMatchObject({ ok: true });
    }
    expect(world.balancer.cluster.servers.has('S1')).toBe(false);
  });

  test('after a change of leader the one that was never in trouble is served, and the other one when its member is back', async () => {
    const world = await troubled(layout);
    expect(await world.change(writeOf(15))).toMatchObject({ added: 1 });
    world.changeLeader('L2');
    await world.until(() => world.balancer.isServing, 20_000);
    await world.until(() => world.balancer.cluster.isWritable(world.balancer.cluster.shards.get(OTHER)!), 10_000);
    expect(await rows(world, 15)).toBe(1);
    expect(await world.change(writeOf(17))).toMatchObject({ added: 1 });
    expect(world.balancer.cluster.shards.get(TROUBLED)!.resolved).toBe(false);
    world.powerOn('S1');
    await world.until(() => world.balancer.cluster.isWritable(world.balancer.cluster.shards.get(TROUBLED)!), 10_000);
    expect(await rows(world, 6)).toBe(0);
    expect(await rows(world, 16)).toBe(0);
  });
});

describe('a round that all replicas of one shard have, and that the other one has moved past', () => {
  const PAIRS = { S0: [TROUBLED], S1: [TROUBLED], S2: [OTHER], S3: [OTHER] };

  /** Nobody knows whether the servers have stored the first round that they get from now on (they have); later ones do not reach them. */
  function lastRoundOf(world: World, servers: readonly string[]): void {
    const reached = new Set<string>();
    world.intercept = (ask, answer, carryOut) => {
      if (ask.do !== 'apply' || !servers.includes(ask.server)) return false;
      if (!reached.has(ask.server)) carryOut(ask, () => undefined);
      reached.add(ask.server);
      return world.unanswered(answer);
    };
  }

  test('is found to be none of the first one, either', async () => {
    const world = await World.laidOut(PAIRS);
    lastRoundOf(world, ['S0', 'S1']);
    expect(await world.change(writeOf(6, 16))).toHaveProperty('error');
    await world.until(() => world.balancer.cluster.isWritable(world.balancer.cluster.shards.get(OTHER)!));
    for (const key of [17, 18, 19]) expect(await world.change(writeOf(key))).toMatchObject({ added: 1 });
    world.changeLeader('L2');
    world.intercept = () => false;
    await world.until(() => world.balancer.isServing, 10_000);
    await world.until(() =>
      world.balancer.cluster.inKeyOrder().every((shard) => world.balancer.cluster.isWritable(shard)),
    );
    expect(await rows(world, 6)).toBe(0);
    expect(await rows(world, 16)).toBe(0);
    expect(await rows(world, 19)).toBe(1);
  });

  test('does not tie the two of them together when a member of the first one stays away', async () => {
    const world = await World.laidOut(LAYOUT);
    const shard = world.balancer.cluster.shards.get(TROUBLED)!;
    world.powerOff('S2');
    await world.until(() => shard.inSync.length === 2 && world.balancer.cluster.isWritable(shard));
    lastRoundOf(world, ['S0', 'S1']);
    expect(await world.change(writeOf(6, 16))).toHaveProperty('error');
    expect(await world.change(writeOf(17))).toMatchObject({ added: 1 });
    world.powerOff('S1');
    world.changeLeader('L2');
    await world.until(() => world.balancer.isServing, 20_000);
    await world.until(() => world.balancer.cluster.isWritable(world.balancer.cluster.shards.get(OTHER)!), 10_000);
    expect(await rows(world, 17)).toBe(1);
    expect(await rows(world, 16)).toBe(0);
    expect(world.balancer.cluster.shards.get(TROUBLED)!.resolved).toBe(false);
  });
});

test('a take-over does not wait for a member whose data is gone: that is fully re-copied only after it', async () => {
  const world = await World.of(3);
  world.replicas.server('S2').kill();
  world.wipe('S2');
  world.replicas.server('S2').start();
  // S0 does not hear that S2 has left the set before it loses its own disk, and no first round of the epoch gets through until then.
  let isLost = false;
  world.intercept = (ask, answer) => {
    if (ask.do !== 'apply' && !(ask.do === 'config' && ask.server === 'S0' && !isLost)) return false;
    world.scheduler.after(20, () => {
      answer({ ok: false, error: { code: 'BUSY', message: 'not now', retryable: true } });
    });
    return true;
  };
  world.changeLeader('L2');
  await world.until(() => world.balancer.cluster.shards.get(TROUBLED)?.inSync.length === 2, 10_000);
  world.replicas.server('S0').kill();
  world.wipe('S0');
  world.replicas.server('S0').start();
  isLost = true;
  await world.until(() => world.shard.replicas.get('S0')?.suspended === true, 10_000);
  world.intercept = () => false;
  await world.until(() => world.balancer.isServing && world.isWhole(), 20_000);
  expect(await world.change(writeOf(7))).toMatchObject({ added: 1 });
});

test('a take-over does not wait forever for a member that dies before it has heard that another one has left the set', async () => {
  const world = await World.of(3);
  world.intercept = (ask, answer) => {
    if (ask.do === 'config' && ask.server === 'S1' && world.shard.inSync.length === 2) {
      world.powerOff('S1');
      world.intercept = () => false;
    }
    if (ask.do !== 'apply' || ask.server !== 'S2') return false;
    return world.unanswered(answer);
  };
  world.changeLeader('L2');
  await world.until(() => world.balancer.isServing && world.balancer.cluster.isWritable(world.shard), 20_000);
  expect([...world.shard.inSync].sort()).toEqual(['S0', 'S2']);
  expect(await world.change(writeOf(7))).toMatchObject({ added: 1 });
});

test('nor does it wait for a member to report what it held when one takes the place of the dead that was added since', async () => {
  const world = await World.of(3);
  world.powerOff('S2');
  await world.until(() => world.shard.inSync.length === 2 && world.balancer.cluster.isWritable(world.shard));
  world.intercept = (ask) => {
    if (ask.do === 'apply' && ask.server === 'S1') world.powerOff('S1');
    return false;
  };
  world.changeLeader('L2');
  await world.until(() => world.balancer.isServing, 20_000);
  expect(world.shard).toMatchObject({ decided: true, resolved: false });
  const command = { n: 1, newShards: [], servers: { S3: [TROUBLED] } };
  world.balancer.dispatch({ on: 'admin', command: { request: 2, op: 'add', command } });
  await world.until(() => world.balancer.cluster.isWritable(world.shard), 20_000);
  expect([...world.shard.inSync].sort()).toEqual(['S0', 'S3']);
  expect(await world.change(writeOf(7))).toMatchObject({ added: 1 });
});

describe('of three members one dies for good and another one loses its disk before the first round of a new leader', () => {
  async function bothLost(world: World): Promise<void> {
    let isLost = false;
    world.intercept = (ask) => {
      if (ask.do === 'apply' && !isLost) {
        isLost = true;
        world.powerOff('S1');
        world.loseDisk('S0');
      }
      return false;
    };
    world.changeLeader('L2');
    await world.until(() => isLost, 20_000);
    expect(world.shard).toMatchObject({ decided: true, resolved: false });
  }

  test('the one without data is copied before that round, and takes the place of the dead one', async () => {
    const world = await World.of(3);
    await bothLost(world);
    await world.until(() => world.balancer.cluster.isWritable(world.shard), 20_000);
    expect([...world.shard.inSync].sort()).toEqual(['S0', 'S2']);
    expect(world.keys('S0')).toEqual([0, 1, 2, 3, 4, 5]);
    await world.write(7);
  });

  test('from there on the round does not do without it: the next leader would find it whole, and an earlier VAT', async () => {
    const world = await World.of(3);
    await bothLost(world);
    // It can neither enter nor leave the set for now.
    world.intercept = (ask, answer) => {
      const isHeld = ask.do === 'probe' || (ask.do === 'store' && ask.key === BUCKET_KEYS.shard(TROUBLED));
      if (!isHeld && !(ask.do === 'apply' && ask.server === 'S0')) return false;
      return world.unanswered(answer);
    };
    await world.until(() => world.copying.includes('S2>S0'), 20_000);
    world.powerOn('S1');
    await world.pass(3_000);
    expect(world.shard.resolved).toBe(false);
    world.intercept = () => false;
    await world.until(() => world.isWhole(), 20_000);
    await world.write(7);
    world.expectAlike();
  });
});

describe('a replica that left with the first round of a new leader, and enters again', () => {
  test('is waited for no more when it dies for good in that moment: who has left need not know', async () => {
    const world = await World.of(3);
    let isGone = false;
    world.intercept = (ask, answer) => {
      if (isGone) return false;
      const members = ask.do === 'config' ? (ask.request.shards[0]?.inSync ?? []) : [];
      const isBack =
        world.balancer.cluster.shards.has(TROUBLED) &&
        world.shard.record.configVersion > 1 &&
        members.length === 3 &&
        world.shard.inSync.length === 3;
      const dies = ask.do === 'config' && ask.server === 'S2' && isBack;
      const isSilent =
        ask.do === 'config' ? ask.server === 'S1' && members.length === 2 : ask.do === 'apply' && ask.server === 'S2';
      if (!dies && !isSilent) return false;
      if (dies) {
        isGone = true;
        world.powerOff('S2');
      }
      return world.unanswered(answer, dies ? 100 : 50);
    };
    world.changeLeader('L2');
    await world.until(() => isGone, 30_000);
    await world.until(() => world.balancer.cluster.isWritable(world.shard), 30_000);
    expect([...world.shard.inSync].sort()).toEqual(['S0', 'S1']);
    await world.write(7);
  });

  test('is copied once more when its confirmation is lost and a member is dead', async () => {
    const world = await World.of(3);
    let isDead = false;
    let isLost = false;
    world.intercept = (ask, answer, carryOut) => {
      if (ask.do === 'config' && ask.server === 'S1' && world.shard.inSync.length === 2 && !isDead) {
        isDead = true;
        world.powerOff('S1');
      }
      const members = ask.do === 'config' ? (ask.request.shards[0]?.inSync ?? []) : [];
      const confirms = ask.do === 'config' && ask.server === 'S2' && members.length === 3;
      const loses = isDead && !isLost && confirms;
      const isSilent = !isDead && ask.do === 'apply' && ask.server === 'S2';
      if (!loses && !isSilent) return false;
      if (loses) {
        isLost = true;
        carryOut(ask, () => undefined);
      }
      return world.unanswered(answer, loses ? 250 : 50);
    };
    world.changeLeader('L2');
    await world.until(() => isLost, 30_000);
    await world.until(() => world.balancer.cluster.isWritable(world.shard), 30_000);
    expect([...world.shard.inSync].sort()).toEqual(['S0', 'S2']);
    await world.write(7);
  });
});

test('a decided shard waits for nobody to report what it held, though the bucket was lost and somebody was added since', async () => {
  const world = await World.of(3);
  world.powerOff('S2');
  await world.until(() => world.shard.inSync.length === 2 && world.balancer.cluster.isWritable(world.shard));
  await world.pass(2_000);
  world.intercept = (ask) => {
    if (ask.do === 'apply' && ask.server === 'S1') world.powerOff('S1');
    return false;
  };
  world.balancer.crash();
  world.catalog.lose();
  for (const name of ['L2', 'L3']) {
    world.balancer = world.newBalancer(name);
    await world.pass(8_000);
    if (world.balancer.isAlive) break;
  }
  expect(world.shard).toMatchObject({ decided: true, resolved: false });
  const command = { n: 1, newShards: [], servers: { S3: [TROUBLED] } };
  world.balancer.dispatch({ on: 'admin', command: { request: 2, op: 'add', command } });
  await world.until(() => world.balancer.cluster.isWritable(world.shard), 30_000);
  expect([...world.shard.inSync].sort()).toEqual(['S0', 'S3']);
});
