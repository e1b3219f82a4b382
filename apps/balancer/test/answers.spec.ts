/** What a balancer answers when it has nothing to answer with, may not lead any more, or is about to end. */
import type { Ask } from '../src/core/kernel/effects';
import { spawn } from '../src/core/kernel/workflow';
import type { Writer } from '../src/core/requests/writer';
import { SETTINGS } from './simulation/balancer';
import { SHARD, SmallWorld as World } from './support/small-world';

const rowOf = (key: number): string => JSON.stringify({ id: key, mark: 'new' });

function writeOf(...keys: number[]): object {
  return { op: 'write', onConflict: 'replace', keys, rows: keys.map(rowOf) };
}

/** Longer than the lease of the simulated balancers. */
const LEASE_MS = 500;

/** Keeps back whatever is asked for and matches, until it is let go. */
function holdBack(world: World, matches: (ask: Ask) => boolean): { letGo: () => void } {
  const held: (() => void)[] = [];
  world.intercept = (ask, answer, carryOut) => {
    if (!matches(ask)) return false;
    held.push(() => {
      carryOut(ask, answer);
    });
    return true;
  };
  return {
    letGo: () => {
      world.intercept = () => false;
      for (const go of held.splice(0)) go();
    },
  };
}

const isRenewal = (ask: Ask): boolean => ask.do === 'store' && ask.key === 'leader';

/** An error, without its words. */
const failing = (code: string): object => ({ error: expect.objectContaining({ code }) as object });

describe('what is not to be had', () => {
  it('is answered as such without a configuration, to changes, reads and questions for operations', async () => {
    const world = await World.bare(['S0', 'S1']);
    const asked = [writeOf(6), { op: 'read', low: 1, high: 1 }, { op: 'read', low: 0, high: 9 }];
    for (const command of asked) expect(await world.change(command)).toMatchObject(failing('NOT_CONFIGURED'));
    const batch = 9;
    world.balancer.dispatch({ on: 'operation', operation: 'x', batch });
    await world.until(() => world.answers[batch] !== undefined);
    expect(world.answers[batch]).toMatchObject(failing('NOT_CONFIGURED'));
  });

  it('is what was meant for another configuration', async () => {
    const world = await World.of(2);
    const configId = world.balancer.cluster.configId + 1;
    const commands = [writeOf(1), { op: 'read', low: 1, high: 1 }].map((command, id) => ({
      batch: id + 50,
      id,
      ...command,
    }));
    world.balancer.dispatch({ on: 'records', configId, commands: commands as never });
    await world.until(() => world.answers[50] !== undefined && world.answers[51] !== undefined);
    for (const batch of [50, 51]) expect(world.answers[batch]).toMatchObject(failing('CONFIG_CHANGED'));
    expect(world.living('S0')[1]?.row).toContain('m1');
  });

  it.each([[writeOf(6, 10)], [{ op: 'update', key: 10, row: rowOf(10) }], [{ op: 'delete', key: -1 }]])(
    'is a key in no shard: %j is answered so, and changes nothing',
    async (command) => {
      const world = await World.of(2);
      expect(await world.change(command)).toMatchObject(failing('KEY_OUT_OF_RANGE'));
      expect(world.keys('S0')).toEqual([0, 1, 2, 3, 4, 5]);
    },
  );

  it('is a place behind too many others in the write queue of a shard', async () => {
    const world = await World.of(2);
    const { letGo } = holdBack(world, (ask) => ask.do === 'apply');
    const batches = Array.from({ length: 103 }, () => world.send(writeOf(6)));
    await world.until(() => world.answers[batches.at(-1)!] !== undefined, 50);
    const replies = batches.map((batch) => world.answers[batch]);
    // One is under way, a hundred wait.
    expect(replies.filter((answer) => answer !== undefined)).toEqual([
      expect.objectContaining(failing('BUSY')),
      expect.objectContaining(failing('BUSY')),
    ]);
    letGo();
    await world.until(() => batches.every((batch) => world.answers[batch] !== undefined));
    expect(world.answers[batches[100]!]).toMatchObject({ added: 1 });
  });
});

describe('a leader that takes over', () => {
  it('takes no commands yet, and says whom it waits for', async () => {
    const world = await World.of(3);
    world.balancer.crash();
    const { letGo } = holdBack(world, (ask) => ask.do === 'fence' && ask.server === 'S2');
    world.balancer = world.newBalancer('L2');
    const { core, cluster } = world.balancer;
    const awaited = (): readonly string[] => core.awaited(world.balancer.nowMs)?.waitingFor ?? [];
    await world.until(() => cluster.configId > 0 && awaited().length === 1);
    expect(core.awaited(world.balancer.nowMs)).toEqual({ epoch: cluster.epoch, waitingFor: ['S2'] });
    // By then somebody else may lead.
    expect(core.awaited(world.balancer.nowMs + LEASE_MS)).toBeNull();
    expect(await world.change(writeOf(1))).toMatchObject(failing('CONFIG_CHANGED'));
    letGo();
    await world.until(() => world.balancer.isServing);
    expect(core.awaited(world.balancer.nowMs)).toBeNull();
    expect(world.living('S0')[1]?.row).toContain('m1');
  });
});

it('is waited for by nobody before it knows what it leads, and when it serves', async () => {
  const world = await World.of(2);
  expect(world.balancer.core.awaited(world.balancer.nowMs)).toBeNull();
  world.balancer.crash();
  const { letGo } = holdBack(world, (ask) => ask.do === 'load');
  world.balancer = world.newBalancer('L2');
  await world.until(() => world.balancer.cluster.phase === 'takingOver');
  expect(world.balancer.core.awaited(world.balancer.nowMs)).toBeNull();
  letGo();
  await world.until(() => world.balancer.isServing);
});

describe('a leader whose lease is not certain', () => {
  it('keeps its answers to clients and administrators until it is, and vouches for no read', async () => {
    const world = await World.of(2);
    const { letGo } = holdBack(world, isRenewal);
    await world.pass(LEASE_MS);
    const batch = world.send(writeOf(6));
    world.balancer.dispatch({ on: 'admin', command: { request: 7, op: 'rm', command: { n: 1, servers: ['nobody'] } } });
    await world.pass(100);
    expect(world.keys('S0')).toContain(6);
    expect([world.answers[batch], world.administered.get(7)]).toEqual([undefined, undefined]);
    const { core, nowMs } = world.balancer;
    expect([world.balancer.snapshotLeases({ release: [], renew: [] }), core.status(nowMs)]).toEqual([null, null]);
    letGo();
    await world.until(() => world.answers[batch] !== undefined && world.administered.has(7));
    expect(world.answers[batch]).toMatchObject({ added: 1 });
    expect(world.balancer.snapshotLeases({ release: [], renew: [] })).toMatchObject({ unknown: [] });
    expect(core.status(world.balancer.nowMs)).toMatchObject({ epoch: 1 });
  });

  it('never lets them go when it turns out that another one leads', async () => {
    const world = await World.of(2);
    const { balancer } = world;
    const { letGo } = holdBack(world, isRenewal);
    await world.pass(LEASE_MS);
    const batch = world.send(writeOf(6));
    await world.pass(100);
    world.intercept = () => false;
    world.balancer = world.newBalancer('L2');
    await world.until(() => world.balancer.isServing);
    letGo();
    await world.until(() => !balancer.isAlive);
    await world.pass(100);
    expect(world.answers[batch]).toBeUndefined();
    expect(world.published('leader.lost')).toHaveLength(1);
    // Whatever comes in behind that.
    for (const on of ['tick', 'release', 'leaderChanged', 'start'] as const)
      expect(balancer.core.step({ on, nowMs: balancer.nowMs })).toEqual([]);
  });
});

describe('a balancer that is asked to end', () => {
  it('says so once, also when a replica reports meanwhile that another one leads', async () => {
    const world = await World.of(2);
    const { balancer } = world;
    const answers: (() => void)[] = [];
    world.intercept = (ask, answer) => {
      if (ask.do !== 'apply') return false;
      answers.push(() => {
        answer({ ok: false, error: { code: 'FENCED', message: 'epoch 9 leads', retryable: true, epoch: 9 } });
      });
      return true;
    };
    world.send(writeOf(6));
    await world.until(() => answers.length === 2);
    const { letGo } = holdBack(world, isRenewal);
    balancer.stop();
    for (const answer of answers) answer();
    expect(world.published('leader.lost')).toMatchObject([{ cause: 'it stops, and hands over' }]);
    letGo();
    await world.until(() => !balancer.isAlive);
    expect(world.published('leader.lost')).toHaveLength(1);
  });

  it('says nothing of the lead when it has none', async () => {
    const world = await World.of(2);
    const standby = world.newBalancer('L2');
    await world.pass(200);
    standby.stop();
    await world.until(() => !standby.isAlive);
    expect(world.published('leader.lost')).toEqual([]);
    await world.write(6);
  });
});

it('sends on what a change is called, and no name where it has none', async () => {
  const world = await World.of(1);
  const ops: unknown[] = [];
  world.intercept = (ask) => {
    if (ask.do === 'apply') for (const part of ask.round.parts) ops.push(...part.ops);
    return false;
  };
  await world.change({ op: 'delete', key: 1 });
  await world.change({ op: 'delete', key: 2, operation: 'x' });
  await world.change({ op: 'delete', key: 3, operation: 'y', fingerprint: 'p' });
  expect(ops).toStrictEqual([
    { op: 'delete', key: 1 },
    { op: 'delete', key: 2, id: 'x' },
    { op: 'delete', key: 3, id: 'y', fingerprint: 'p' },
  ]);
});

it('takes the write queues of several shards in their order, in whichever they are named', async () => {
  const world = await World.laidOut({ S0: [SHARD, 'sh1'] });
  const { core, cluster } = world.balancer;
  const { writer } = core as unknown as { writer: Writer };
  const shards = ['sh1', SHARD].map((id) => cluster.shards.get(id)!);
  let isDone = false;
  spawn(writer.lockQueues(shards), () => {
    isDone = true;
  });
  expect(isDone).toBe(true);
});

describe('that nothing was changed is said of nothing that may still be found', () => {
  const NO_ANSWER = { code: 'OUTCOME_UNKNOWN' as const, message: 'no answer', retryable: false };
  const BUSY = { code: 'BUSY' as const, message: 'later', retryable: true };

  test('not on a replica that has left the set, and is taken back when the others are lost', async () => {
    const world = await World.of(2);
    let deliver = (): void => undefined;
    world.intercept = (ask, answer, carryOut) => {
      if (ask.do !== 'apply') return false;
      if (ask.server === 'S0')
        world.scheduler.after(5, () => {
          answer({ ok: false, error: BUSY });
        });
      else
        carryOut(ask, () => {
          world.powerOff('S1');
          deliver = () => {
            answer({ ok: false, error: NO_ANSWER });
          };
        });
      return true;
    };
    const batch = world.send(writeOf(6));
    await world.until(() => !world.shard.inSync.includes('S1'));
    // Nobody makes S0 hold anything newer.
    world.intercept = (ask, answer) => {
      if (!['apply', 'catchup', 'digest'].includes(ask.do)) return false;
      world.scheduler.after(5, () => {
        answer({ ok: false, error: BUSY });
      });
      return true;
    };
    deliver();
    await world.until(() => world.answers[batch] !== undefined);
    expect(world.answers[batch]).toMatchObject(failing('OUTCOME_UNKNOWN'));
    world.powerOn('S1');
    await world.until(() => world.balancer.cluster.isReachable('S1'), 10_000);
    world.loseDisk('S0');
    await world.until(() => world.shard.inSync.includes('S1'), 10_000);
    world.changeLeader('L2');
    world.intercept = () => false;
    await world.until(() => world.balancer.isServing && world.balancer.cluster.isWritable(world.shard), 20_000);
    expect(world.keys('S1')).toEqual([0, 1, 2, 3, 4, 5, 6]);
  });

  test('it is said once such a replica can be taken back no more, since the others have gone on', async () => {
    const world = await World.of(2);
    let isFirst = true;
    world.intercept = (ask, answer, carryOut) => {
      if (ask.do !== 'apply' || !isFirst) return false;
      if (ask.server === 'S1') {
        carryOut(ask, () => {
          world.powerOff('S1');
          isFirst = false;
          answer({ ok: false, error: NO_ANSWER });
        });
      } else
        world.scheduler.after(5, () => {
          answer({ ok: false, error: BUSY });
        });
      return true;
    };
    expect(await world.change(writeOf(6))).toMatchObject(failing('SHARD_UNAVAILABLE'));
    expect(world.keys('S0')).toEqual([0, 1, 2, 3, 4, 5]);
  });

  // By a client that is in doubt, or by the network.
  test.each([
    ['has waited too long', 1],
    ['is of another configuration', 0],
  ])('not of a change that is under way when it comes again and %s', async (_name, configId) => {
    const world = await World.of(2);
    const change = { ...writeOf(6), operation: 'twice' };
    const held = holdBack(world, (ask) => ask.do === 'apply');
    const first = world.send(change);
    const second = world.send(change, configId);
    await world.until(() => world.answers[second] !== undefined, 20_000);
    expect(world.answers[second]).toMatchObject(failing('OUTCOME_UNKNOWN'));
    held.letGo();
    await world.until(() => world.answers[first] !== undefined);
    expect(world.answers[first]).toMatchObject({ added: 1 });
    expect(await world.change(change)).toMatchObject({ added: 1 });
  });

  test('nor of one of which nobody knows what became', async () => {
    const world = await World.of(2);
    const change = { ...writeOf(6), operation: 'twice' };
    world.intercept = (ask, answer, carryOut) => {
      if (ask.do !== 'apply') return false;
      carryOut(ask, () => {
        answer({ ok: false, error: NO_ANSWER });
      });
      return true;
    };
    expect(await world.change(change)).toMatchObject(failing('OUTCOME_UNKNOWN'));
    const again = world.send(change, 0);
    const other = world.send({ ...change, operation: 'other' }, 0);
    expect(world.answers[again]).toMatchObject(failing('OUTCOME_UNKNOWN'));
    expect(world.answers[other]).toMatchObject(failing('CONFIG_CHANGED'));
  });
});

it('remembers what became of a change as long as its shard cannot be asked, however long a new leader cannot serve it', async () => {
  const world = await World.of(2);
  await world.write(6);
  world.balancer.crash();
  world.intercept = (ask, answer) => {
    if (ask.do !== 'apply') return false;
    answer({ ok: false, error: { code: 'BUSY', message: 'not now', retryable: true } });
    return true;
  };
  world.balancer = world.newBalancer('L2');
  await world.pass(3 * SETTINGS.operationHorizonMs);
  expect(world.shard.decided).toBe(true);
  expect(world.shard.resolved).toBe(false);
  world.intercept = () => false;
  await world.until(() => world.balancer.isServing && world.isWhole());
  // The same once more: a client that has had no answer, and asks again.
  await world.write(6);
});
