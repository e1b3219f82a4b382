/** The catalog is lost, or rolled back to an earlier state, and the replicas are the truth. */
import { add, remove } from './support/administrator';
import { SHARD, SmallWorld } from './support/small-world';

const SCHEMA = { columns: ['id', 'mark'], dtypes: ['Number' as const, 'String' as const] };

/** Everything ends; then `change` is made to the catalog; these servers come back, and another balancer. */
async function restart(world: SmallWorld, change: () => void, back: readonly string[]): Promise<void> {
  world.balancer.crash();
  for (const server of world.servers) world.powerOff(server);
  change();
  for (const server of back) world.powerOn(server);
  await world.pass(200);
  world.changeLeader('L2');
}

/** A balancer that gives way ends; its launcher starts it again. */
async function untilWhole(world: SmallWorld): Promise<void> {
  let number = 3;
  await world.until(() => {
    if (!world.balancer.isAlive) world.changeLeader(`L${number++}`);
    const { cluster } = world.balancer;
    return cluster.phase === 'serving' && cluster.shards.has(SHARD) && world.isWhole();
  }, 30_000);
}

/** For longer than the time of grace, whoever leads. */
async function expectUnserved(world: SmallWorld): Promise<void> {
  let number = 10;
  for (let part = 0; part < 20; part += 1) {
    await world.pass(150);
    if (!world.balancer.isAlive) world.changeLeader(`L${number++}`);
    const { cluster } = world.balancer;
    for (const shard of cluster.shards.values()) expect(cluster.isReadable(shard)).toBe(false);
  }
}

const catalogAt = (world: SmallWorld, ms: number) => (): void => {
  world.catalog.rollBack(world.scheduler.nowMs - ms);
};

describe('a catalog that was lost', () => {
  it('is rebuilt from what the servers hold', async () => {
    const world = await SmallWorld.of(3);
    await restart(
      world,
      () => {
        world.catalog.lose();
      },
      world.servers,
    );
    await untilWhole(world);
    world.expectAlike();
    expect(world.keys('S0')).toEqual([0, 1, 2, 3, 4, 5]);
    await world.write(6);
    expect(world.catalog.valueOf('cluster')).toMatchObject({ configId: 1, servers: ['S0', 'S1', 'S2'] });
  });

  it('is rebuilt when only some servers are there, and serves nothing before it is certain who holds everything', async () => {
    const world = await SmallWorld.of(3);
    await world.pass(1_000);
    world.powerOff('S2');
    await world.until(() => !world.shard.inSync.includes('S2'));
    await world.write(6);
    await restart(world, () => {
      world.catalog.lose();
    }, ['S2']);
    await expectUnserved(world);
    world.powerOn('S0');
    world.powerOn('S1');
    await untilWhole(world);
    expect(world.keys('S2')).toEqual([0, 1, 2, 3, 4, 5, 6]);
  });

  it('is not replaced by /init, not even before the servers have answered', async () => {
    const world = await SmallWorld.of(2);
    await restart(world, () => {
      world.catalog.lose();
    }, []);
    await world.until(() => world.balancer.cluster.phase === 'unconfigured' || !world.balancer.isAlive);
    const outcomes: unknown[] = [];
    const command = { n: 1, schema: SCHEMA, shards: [{ shard: 'x', low: 0, size: 5 }], servers: { S0: ['x'] } };
    const { core } = world.balancer;
    const step = core.step.bind(core);
    core.step = (event) => {
      const effects = step(event);
      for (const effect of effects) if (effect.do === 'answerAdmin') outcomes.push(effect.outcome);
      return effects;
    };
    const init = { request: 5, op: 'init' as const, command: { ...command, allowReinit: false } };
    world.balancer.dispatch({ on: 'admin', command: init });
    await world.until(() => outcomes.length > 0);
    expect(outcomes).toMatchObject([{ ok: false, error: { code: 'ALREADY_CONFIGURED' } }]);
    expect(JSON.stringify(outcomes)).toMatch(/ALLOW_REINIT=true/);
    for (const server of world.servers) world.powerOn(server);
    await untilWhole(world);
    expect(world.keys('S0')).toEqual([0, 1, 2, 3, 4, 5]);
  });

  it('is nothing where nobody holds anything', async () => {
    const world = await SmallWorld.of(2);
    for (const server of world.servers) world.powerOff(server);
    for (const server of world.servers) world.wipe(server);
    await restart(
      world,
      () => {
        world.catalog.lose();
      },
      world.servers,
    );
    await world.until(() => {
      if (!world.balancer.isAlive) world.changeLeader('L3');
      return world.balancer.cluster.phase === 'unconfigured';
    });
    expect(world.balancer.cluster.foundData).toBeNull();
  });
});

describe('a catalog that was lost, and of those that hold the newest only one that is silent still has it', () => {
  it('half of four replicas, and one without its disk, are not believed', async () => {
    const world = await SmallWorld.of(4);
    for (const server of ['S2', 'S3']) world.powerOff(server);
    await world.until(() => world.shard.inSync.join() === 'S0,S1');
    await world.write(6);
    await restart(world, () => {
      world.catalog.lose();
      world.wipe('S0');
    }, ['S0', 'S2', 'S3']);
    await expectUnserved(world);
    world.powerOn('S1');
    await untilWhole(world);
    expect(world.keys('S2')).toEqual([0, 1, 2, 3, 4, 5, 6]);
  });

  it('one that was removed, and is there again with nothing, does not count for the one that it was', async () => {
    const world = await SmallWorld.laidOut({ S0: [SHARD], S1: [SHARD], S2: [] });
    world.powerOff('S1');
    await world.until(() => world.shard.inSync.join() === 'S0');
    expect(await remove(world, 'S0')).toMatchObject({ ok: true });
    await world.write(6);
    expect(await add(world, { S0: [] })).toMatchObject({ ok: true });
    await restart(world, () => {
      world.catalog.lose();
    }, ['S0', 'S1']);
    await expectUnserved(world);
    world.powerOn('S2');
    let number = 30;
    await world.until(() => {
      if (!world.balancer.isAlive) world.changeLeader(`L${number++}`);
      return world.balancer.cluster.shards.has(SHARD) && [...world.shard.inSync].sort().join() === 'S1,S2';
    }, 30_000);
    expect(world.keys('S1')).toEqual([0, 1, 2, 3, 4, 5, 6]);
  });
});

describe('a catalog that was lost while a member was found to be wrong', () => {
  it('does not have it serve', async () => {
    const world = await SmallWorld.of(3);
    world.powerOff('S2');
    await world.until(() => world.shard.inSync.join() === 'S0,S1');
    world.intercept = (ask) => ask.do === 'catchup';
    const disk = world.disk('S1');
    disk.delete([...disk.keys()].find((name) => name.startsWith('3/'))!);
    await world.until(() => world.divergences.length > 0, 20_000);
    expect(world.shard.record).toMatchObject({ inSync: ['S0', 'S1'], diverged: ['S1'] });
    await world.pass(1_000);
    await restart(world, () => {
      world.catalog.lose();
    }, ['S0', 'S1']);
    let number = 3;
    await world.until(() => {
      if (!world.balancer.isAlive) world.changeLeader(`L${number++}`);
      const { cluster } = world.balancer;
      return cluster.shards.has(SHARD) && cluster.isReadable(world.shard);
    }, 30_000);
    expect(world.balancer.cluster.serving(world.shard)).toEqual(['S0']);
  });
});

describe('a catalog that was rolled back', () => {
  it('with two replicas: the one that lacks a write is not believed alone', async () => {
    const world = await SmallWorld.of(2);
    const backupMs = world.scheduler.nowMs;
    // S1 lives on for a while, and hears of later revisions.
    await world.pass(2_000);
    world.powerOff('S1');
    await world.until(() => !world.shard.inSync.includes('S1'));
    await world.write(6);
    await restart(world, catalogAt(world, backupMs), ['S1']);
    await expectUnserved(world);
    world.powerOn('S0');
    await untilWhole(world);
    expect(world.keys('S1')).toEqual([0, 1, 2, 3, 4, 5, 6]);
  });

  it('twice: still not, though revisions and epochs have been given twice by then', async () => {
    const world = await SmallWorld.of(2);
    const backupMs = world.scheduler.nowMs;
    await world.pass(2_000);
    world.powerOff('S1');
    await world.until(() => !world.shard.inSync.includes('S1'));
    await world.write(6);
    await restart(world, catalogAt(world, backupMs), ['S1']);
    await expectUnserved(world);
    world.balancer.crash();
    world.catalog.rollBack(world.scheduler.nowMs - backupMs);
    world.changeLeader('L30');
    await expectUnserved(world);
    world.powerOn('S0');
    await untilWhole(world);
    expect(world.keys('S1')).toEqual([0, 1, 2, 3, 4, 5, 6]);
  });

  it('while somebody leads, who writes on: what it has lost is not forgotten when as many revisions have been given again', async () => {
    const world = await SmallWorld.laidOut({ S0: [SHARD], S1: [SHARD], S2: [] });
    await world.pass(2_000);
    const backupMs = world.scheduler.nowMs;
    world.powerOff('S1');
    await world.until(() => world.shard.inSync.join() === 'S0');
    await world.write(6);
    await world.pass(1_500);
    world.catalog.rollBack(world.scheduler.nowMs - backupMs);
    await world.pass(10_000);
    if (!world.balancer.isAlive) world.changeLeader('L2');
    await world.pass(2_000);
    await restart(world, () => undefined, ['S1', 'S2']);
    await expectUnserved(world);
    world.powerOn('S0');
    let number = 40;
    await world.until(() => {
      if (!world.balancer.isAlive) world.changeLeader(`L${number++}`);
      const { cluster } = world.balancer;
      return cluster.shards.has(SHARD) && cluster.isWritable(world.shard) && world.shard.inSync.length === 2;
    }, 30_000);
    expect(world.keys('S1')).toEqual([0, 1, 2, 3, 4, 5, 6]);
  });

  it('to an earlier /init: the later one is served', async () => {
    const world = await SmallWorld.of(2);
    const backupMs = world.scheduler.nowMs;
    const servers = { S0: [SHARD], S1: [SHARD] };
    const command = { n: 2, schema: SCHEMA, shards: [{ shard: SHARD, low: 0, size: 50 }], servers, allowReinit: true };
    world.balancer.dispatch({ on: 'admin', command: { request: 2, op: 'init', command } });
    await world.until(() => world.balancer.cluster.configId === 2 && world.balancer.cluster.phase === 'serving');
    await world.write(8);
    await restart(world, catalogAt(world, backupMs), world.servers);
    await untilWhole(world);
    expect(world.keys('S0')).toEqual([8]);
    expect(world.shard.record.size).toBe(50);
  });
});

describe('a catalog that was rolled back, and only one that lacks a write answers', () => {
  const ALL = [0, 1, 2, 3, 4, 5, 6];

  /** The last write is on S0 alone, of which the catalog knows nothing. */
  async function doubtful(): Promise<SmallWorld> {
    const world = await SmallWorld.laidOut({ S0: [SHARD], S1: [SHARD], S2: [] });
    const backupMs = world.scheduler.nowMs;
    await world.pass(2_000);
    world.powerOff('S1');
    await world.until(() => !world.shard.inSync.includes('S1'));
    await world.write(6);
    await restart(world, catalogAt(world, backupMs), ['S1', 'S2']);
    let number = 3;
    await world.until(() => {
      if (!world.balancer.isAlive) world.changeLeader(`L${number++}`);
      return world.balancer.isServing && world.balancer.cluster.phase === 'serving';
    }, 10_000);
    return world;
  }

  async function untilServedBy(world: SmallWorld, servers: readonly string[]): Promise<void> {
    let number = 20;
    await world.until(() => {
      if (!world.balancer.isAlive) world.changeLeader(`L${number++}`);
      const { cluster } = world.balancer;
      const shard = cluster.shards.get(SHARD);
      return shard !== undefined && cluster.isWritable(shard) && [...shard.inSync].sort().join() === servers.join();
    }, 30_000);
    for (const server of servers) expect(world.keys(server)).toEqual(ALL);
  }

  it('/rm of the other one waits until it is known what that has', async () => {
    const world = await doubtful();
    expect(await remove(world, 'S0')).toMatchObject({ ok: false, error: { code: 'OUTCOME_UNKNOWN' } });
    await world.pass(3_000);
    world.powerOn('S0');
    await untilServedBy(world, ['S1', 'S2']);
    await world.until(() => !world.replicas.byName.has('S0'), 10_000);
  });

  it('/add of a further replica makes it when it is known what it is to hold', async () => {
    const world = await doubtful();
    expect(await add(world, { N0: [SHARD] })).toMatchObject({ ok: true });
    await world.pass(3_000);
    world.powerOn('S0');
    await untilServedBy(world, ['N0', 'S0', 'S1']);
  });
});
