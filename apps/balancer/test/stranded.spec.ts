/**
 * A shard whose members have all lost their disks, or stay away, while somebody outside of the set misses nothing: it is served from
 * there. Whoever misses something, or may hold what came to nothing, is not believed.
 */
import type { ErrorBody } from '#common/contracts/errors';
import { BUCKET_KEYS } from '#common/contracts/subjects';
import type { Result } from '../src/core/kernel/effects';
import { StrandedShards } from '../src/core/healing/stranded-shards';
import { Bench, VAT } from './support/bench';
import { SHARD, SmallWorld as World } from './support/small-world';
import { CopyRequests } from '../src/core/healing/copy-requests';

const ALL_KEYS = [0, 1, 2, 3, 4, 5];
/** Long enough for flatlines, and for whoever is tried again at a pace. */
const LONG_MS = 3_000;
const NO_ANSWER = { code: 'OUTCOME_UNKNOWN' as const, message: 'no answer', retryable: false };
const NO_SOURCE = { code: 'SHARD_UNAVAILABLE' as const, message: 'nothing to copy from', retryable: true };

/** Does something, once, in place of storing a record of the shard. */
function whenItIsStored(world: World, act: (carryOut: () => void, fail: () => void) => void): () => boolean {
  let isDone = false;
  world.intercept = (ask, answer, carryOut) => {
    if (isDone || ask.do !== 'store' || ask.key !== BUCKET_KEYS.shard(SHARD)) return false;
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

/** S1 leaves the set because it is silent, and S0 loses its disk in the very moment in which that is stored. */
async function lostInTheMoment(happens: (world: World) => void): Promise<World> {
  const world = await World.of(2);
  const isLost = whenItIsStored(world, (carryOut) => {
    happens(world);
    carryOut();
  });
  world.powerOff('S1');
  await world.until(() => !world.shard.inSync.includes('S1'));
  expect(isLost()).toBe(true);
  return world;
}

/** S1 runs, outside of the set, and misses nothing; S0 is about to lose its disk. */
async function aboutToBeLost(): Promise<World> {
  const world = await alone(await World.of(2));
  world.intercept = (ask, answer) => {
    if (ask.do !== 'catchup' && ask.do !== 'digest') return false;
    world.scheduler.after(5, () => {
      answer({ ok: false, error: NO_SOURCE });
    });
    return true;
  };
  world.powerOn('S1');
  await world.until(() => world.balancer.cluster.isReachable('S1'));
  await world.pass(1_000);
  expect(world.shard.inSync).toEqual(['S0']);
  world.intercept = () => false;
  return world;
}

/** S1 leaves the set, and S0 serves alone. */
async function alone(world: World): Promise<World> {
  world.powerOff('S1');
  await world.until(() => !world.shard.inSync.includes('S1') && world.balancer.cluster.isWritable(world.shard));
  return world;
}

async function servedByAll(world: World, keys: readonly number[] = ALL_KEYS): Promise<void> {
  await world.until(() => world.isWhole(), 20_000);
  for (const server of world.servers) expect(world.keys(server)).toEqual(keys);
  await world.write(9);
  world.expectAlike();
}

async function isNotServed(world: World): Promise<void> {
  const { configVersion } = world.shard.record;
  await world.pass(LONG_MS);
  expect(world.shard.record.configVersion).toBeLessThanOrEqual(configVersion + 1);
  expect(world.published('shard.insync').filter(({ cause }) => String(cause).includes('no member serves'))).toEqual([]);
  expect(world.balancer.cluster.serving(world.shard)).toEqual([]);
  expect(world.shard.inSync).toEqual(['S0']);
}

describe('whoever left last is a member again', () => {
  test('when the one that remains loses its disk in that moment', async () => {
    const world = await lostInTheMoment((of) => {
      of.loseDisk('S0');
    });
    await world.pass(LONG_MS);
    world.powerOn('S1');
    await servedByAll(world);
    expect(world.published('shard.insync')).toContainEqual(
      expect.objectContaining({ server: 'S1', cause: 'it misses nothing, and no member serves' }),
    );
  });

  test('when that one never comes back', async () => {
    const world = await lostInTheMoment((of) => {
      of.powerOff('S0');
      of.wipe('S0');
    });
    await world.pass(LONG_MS);
    world.powerOn('S1');
    await world.until(() => world.balancer.cluster.isWritable(world.shard), 20_000);
    expect(world.shard.inSync).toEqual(['S1']);
    await world.write(9);
  });

  test('as soon as it shows that it misses nothing', async () => {
    const world = await aboutToBeLost();
    world.loseDisk('S0');
    await servedByAll(world);
    expect(world.published('shard.insync')).toContainEqual(
      expect.objectContaining({ server: 'S1', cause: 'it misses nothing, and no member serves' }),
    );
  });

  test('also when it does not know yet that its newest round is committed', async () => {
    const world = await World.of(2);
    let isCopied = true;
    world.intercept = (ask, answer, carryOut) => {
      if (ask.do === 'catchup') return !isCopied;
      if (ask.do !== 'ping') return false;
      carryOut({ ...ask, request: { ...ask.request, vats: {} } }, answer);
      return true;
    };
    await world.write(6);
    world.powerOff('S1');
    await world.until(() => !world.shard.inSync.includes('S1'));
    isCopied = false;
    world.powerOn('S1');
    await world.until(() => world.balancer.cluster.isReachable('S1'), 10_000);
    expect((await world.replicas.server('S1').disk.load()).shards.get(SHARD)!.committedVat).toBeLessThan(
      world.shard.vat,
    );
    isCopied = true;
    world.loseDisk('S0');
    await servedByAll(world, [...ALL_KEYS, 6]);
  });

  test('not when it has lost its disk, too', async () => {
    const world = await lostInTheMoment((of) => {
      of.loseDisk('S0');
    });
    world.wipe('S1');
    world.powerOn('S1');
    await world.pass(LONG_MS);
    expect(world.balancer.cluster.serving(world.shard)).toEqual([]);
  });
});

test('nobody is copied while it is taken back: a member would drop what it is to be sent again', async () => {
  const world = await alone(await World.of(2));
  let hasCome = false;
  whenItIsStored(world, (carryOut) => {
    world.powerOn('S0');
    world.scheduler.after(LONG_MS, () => {
      hasCome = world.balancer.cluster.serving(world.shard).includes('S0');
      carryOut();
    });
  });
  world.powerOff('S0');
  await world.until(() => !world.balancer.cluster.isReachable('S0'), 10_000);
  world.copying.length = 0;
  world.powerOn('S1');
  await world.until(() => world.shard.inSync.includes('S1'), 20_000);
  expect(hasCome).toBe(true);
  await servedByAll(world);
  expect(world.copying).toEqual([]);
});

describe('who may still begin with a copy is not taken back', () => {
  /** S1 is asked for a copy, and has not begun with it when S0 is gone. */
  async function asked(): Promise<{ world: World; give: (outcome: Result<unknown>) => void }> {
    const world = await alone(await World.of(2));
    let give: ((outcome: Result<unknown>) => void) | null = null;
    world.intercept = (ask, answer) => {
      if (ask.do !== 'catchup') return false;
      give = answer;
      return true;
    };
    world.powerOn('S1');
    await world.until(() => give !== null, 20_000);
    world.powerOff('S0');
    await world.until(() => !world.balancer.cluster.isReachable('S0'), 10_000);
    await isNotServed(world);
    return { world, give: give! };
  }

  async function isTakenBack(world: World): Promise<void> {
    await world.until(() => world.balancer.cluster.isWritable(world.shard), 20_000);
    expect(world.shard.inSync).toEqual(['S1']);
  }

  /** S1 answers requests that call off earlier ones with this; null: in no time. */
  const answerCallOff = (world: World, outcome: Result<unknown> | null): void => {
    world.intercept = (ask, answer) => {
      if (ask.do !== 'catchup') return false;
      expect(ask.request).toMatchObject({ isCallOff: true });
      if (outcome !== null)
        world.scheduler.after(5, () => {
          answer(outcome);
        });
      return true;
    };
  };

  test.each<[string, ErrorBody]>([
    ['has refused it', NO_SOURCE],
    ['has not got it', { code: 'NO_LEADER', message: 'nobody listens', retryable: true }],
  ])('as long as it may answer, and when it %s', async (_, error) => {
    const { world, give } = await asked();
    give({ ok: false, error });
    await isTakenBack(world);
    expect(world.copying.filter((copy) => copy === 'S1>S1')).toEqual([]);
  });

  test('as long as its process is only believed to have ended in the midst of it', async () => {
    const { world, give } = await asked();
    answerCallOff(world, { ok: false, error: NO_ANSWER });
    give({ ok: false, error: { code: 'NO_LEADER', message: 'went away before it answered', retryable: false } });
    await isNotServed(world);
  });

  test.each<[string, Result<unknown>]>([
    ['does not answer', { ok: false, error: NO_ANSWER }],
    ['is still at it', { ok: false, error: { code: 'BUSY', message: 'is fetching a page already', retryable: true } }],
  ])('as long as its process runs and %s when that is called off', async (_, outcome) => {
    const { world, give } = await asked();
    answerCallOff(world, outcome);
    give({ ok: false, error: NO_ANSWER });
    await isNotServed(world);
    world.powerOff('S1');
    await world.until(() => !world.balancer.cluster.isReachable('S1'), 10_000);
    world.powerOn('S1');
    await isTakenBack(world);
  });

  test('until it has confirmed that it is called off', async () => {
    const { world, give } = await asked();
    world.intercept = () => false;
    give({ ok: false, error: NO_ANSWER });
    await isTakenBack(world);
  });

  test('also when it has refused a later request', async () => {
    const { world, give } = await asked();
    world.powerOn('S0');
    let isRefused = false;
    world.intercept = (ask, answer) => {
      if (ask.do !== 'catchup') return false;
      isRefused = true;
      world.scheduler.after(5, () => {
        answer({ ok: false, error: NO_SOURCE });
      });
      return true;
    };
    give({ ok: false, error: NO_ANSWER });
    await world.until(() => isRefused, 20_000);
    world.powerOff('S0');
    await world.until(() => !world.balancer.cluster.isReachable('S0'), 10_000);
    await isNotServed(world);
  });

  test('unless it has answered a later request', async () => {
    const world = await alone(await World.of(2));
    let asked = 0;
    let isCopied = false;
    world.intercept = (ask, answer) => {
      if (ask.do === 'catchup') asked += 1;
      if (ask.do === 'digest') isCopied = true;
      // The copy is made the second time, and never compared.
      if (ask.do !== 'digest' && (ask.do !== 'catchup' || asked > 1)) return false;
      return world.unanswered(answer, 5);
    };
    world.powerOn('S1');
    await world.until(() => isCopied, 20_000);
    world.powerOff('S0');
    await world.until(() => !world.balancer.cluster.isReachable('S0'), 10_000);
    await isTakenBack(world);
  });

  /** S1 leaves the shard by an /rm while it is copied, and S0 loses its disk in that moment. */
  async function removedMeanwhile(world: World): Promise<void> {
    let isLost = false;
    const { intercept } = world;
    world.intercept = (ask, answer, carryOut) => {
      if (isLost || ask.do !== 'config' || ask.server !== 'S0' || world.shard.replicas.has('S1'))
        return intercept(ask, answer, carryOut);
      isLost = true;
      world.loseDisk('S0');
      return false;
    };
    const command = { n: 1, servers: ['S1'] };
    world.balancer.dispatch({ on: 'admin', command: { request: 2, op: 'rm', command } });
    await world.until(() => isLost, 20_000);
  }

  test('nor when it is no replica any more', async () => {
    const world = await alone(await World.of(2));
    let isAsked = false;
    world.intercept = (ask) => {
      isAsked ||= ask.do === 'catchup';
      return ask.do === 'catchup';
    };
    world.powerOn('S1');
    await world.until(() => isAsked, 20_000);
    await removedMeanwhile(world);
    await isNotServed(world);
  });

  test('and nobody resumes a copy to one that has been taken back', async () => {
    const world = await alone(await World.of(2));
    let resume: (() => void) | null = null;
    world.intercept = (ask, answer, carryOut) => {
      if (resume !== null || ask.do !== 'digest' || ask.server !== 'S1') return false;
      resume = () => {
        carryOut(ask, answer);
      };
      return true;
    };
    world.powerOn('S1');
    await world.until(() => resume !== null, 20_000);
    await removedMeanwhile(world);
    await world.until(() => world.shard.stateOf('S0') === 'in-sync' && world.shard.inSync.includes('S1'), 20_000);
    world.copying.length = 0;
    await world.write(9);
    resume!();
    await world.pass(200);
    expect(world.copying).toEqual([]);
  });
});

test('so it is of two that come back together', async () => {
  const world = await World.of(4);
  const [first, second] = ['S2', 'S3'];
  for (const server of [first, second]) world.powerOff(server);
  await world.until(() => world.shard.inSync.length === 2 && world.balancer.cluster.isWritable(world.shard));
  for (const server of ['S0', 'S1']) {
    world.powerOff(server);
    world.wipe(server);
  }
  await world.pass(LONG_MS);
  for (const server of world.servers) world.powerOn(server);
  await servedByAll(world);
});

test('so it is of a complete copy that was not compared before its source was lost', async () => {
  const world = await alone(await World.of(2));
  world.wipe('S1');
  let isAsked = false;
  world.intercept = (ask, answer) => {
    if (ask.do !== 'digest') return false;
    isAsked = true;
    return world.unanswered(answer, 5);
  };
  world.powerOn('S1');
  await world.until(() => isAsked && world.shard.replicas.get('S1')?.syncing === false, 10_000);
  world.intercept = () => false;
  world.powerOff('S0');
  world.wipe('S0');
  await world.until(() => world.balancer.cluster.isWritable(world.shard), 20_000);
  expect(world.keys('S1')).toEqual(ALL_KEYS);
  world.powerOn('S0');
  await servedByAll(world);
});

test('an older copy is not believed: something was acknowledged without it', async () => {
  const world = await alone(await World.of(2));
  await world.write(6);
  world.loseDisk('S0');
  world.powerOn('S1');
  await isNotServed(world);
});

test('nor one whose newest term belongs to a round that came to nothing before this leader', async () => {
  const world = await World.of(2);
  // S1 alone holds a round of several terms, and is silent from then on.
  world.intercept = (ask, answer, carryOut) => {
    if (ask.do !== 'apply' || !('server' in ask)) return false;
    if (ask.server === 'S1') {
      carryOut(ask, () => {
        world.powerOff('S1');
      });
    }
    return true;
  };
  const keys = [6, 7, 8];
  const rows = keys.map((id) => JSON.stringify({ id, mark: 'never' }));
  world.send({ op: 'write', onConflict: 'error', keys, rows, operation: 'never' });
  await world.until(() => world.keys('S1').includes(8));
  world.changeLeader('L2');
  world.intercept = () => false;
  await world.until(() => world.balancer.isServing && world.balancer.cluster.isWritable(world.shard), 20_000);
  expect(world.shard.inSync).toEqual(['S0']);
  const highest = Math.max(...[...world.disk('S1').values()].map(({ cat }) => cat));
  expect(highest).toBeGreaterThanOrEqual(world.shard.vat);
  world.loseDisk('S0');
  world.powerOn('S1');
  await isNotServed(world);
});

test('not even unheard', async () => {
  const world = await alone(await World.of(2));
  await world.write(6);
  world.loseDisk('S0');
  await isNotServed(world);
});

test('nor unheard one that came back without its disk since it left', async () => {
  const world = await alone(await World.of(2));
  world.wipe('S1');
  world.intercept = (ask) => ask.do === 'catchup';
  world.powerOn('S1');
  await world.until(() => world.balancer.cluster.isReachable('S1'));
  world.powerOff('S1');
  await world.until(() => !world.balancer.cluster.isReachable('S1'));
  world.loseDisk('S0');
  await isNotServed(world);
});

test('nor one that was found to hold something else than the others', async () => {
  const world = await alone(await World.of(2));
  world.shard.record = { ...world.shard.record, diverged: ['S1'] };
  world.loseDisk('S0');
  await isNotServed(world);
  world.powerOn('S1');
  await isNotServed(world);
});

test('nor anybody while members disagree', async () => {
  const world = await alone(await World.of(2));
  world.shard.record = { ...world.shard.record, disputed: true };
  world.loseDisk('S0');
  world.powerOn('S1');
  await isNotServed(world);
});

/** S1 has left the set, and does not know that its newest round is committed. L2 decides that by what S0 reported, which is lost then. */
async function lostOnceDecided(isNewest: boolean): Promise<World> {
  const world = await World.of(2);
  let isLost = false;
  world.intercept = (ask, answer, carryOut) => {
    if (ask.do === 'catchup') return !isLost;
    if (ask.do !== 'ping') return false;
    carryOut({ ...ask, request: { ...ask.request, vats: {} } }, answer);
    return true;
  };
  await world.write(6);
  await alone(world);
  if (!isNewest) await world.write(7);
  const { intercept } = world;
  world.changeLeader('L2');
  world.powerOn('S1');
  world.intercept = (ask, answer, carryOut) => {
    if (ask.do === 'apply' && !isLost) {
      isLost = true;
      world.loseDisk('S0');
    }
    return intercept(ask, answer, carryOut);
  };
  await world.until(() => isLost, 20_000);
  return world;
}

test('so it is of one with the round by which a new leader has decided, when who reported that is lost before it is served', async () => {
  const world = await lostOnceDecided(true);
  await servedByAll(world, [...ALL_KEYS, 6]);
});

test('but not of one with an earlier round than that', async () => {
  await isNotServed(await lostOnceDecided(false));
});

test('nor by the next leader, who cannot know what was acknowledged', async () => {
  const world = await alone(await World.of(2));
  await world.write(6);
  world.loseDisk('S0');
  world.changeLeader('L2');
  world.powerOn('S1');
  await world.pass(LONG_MS);
  expect(world.balancer.cluster.isReadable(world.shard)).toBe(false);
  // Now it is looked for others, and still not known what was acknowledged.
  world.powerOff('S0');
  await world.pass(LONG_MS);
  expect(world.shard.inSync).toEqual(['S0']);
});

test('nor one that shows itself and is lost before that is stored', async () => {
  const world = await aboutToBeLost();
  const isLost = whenItIsStored(world, (_, fail) => {
    world.loseDisk('S1');
    world.scheduler.after(100, fail);
  });
  world.loseDisk('S0');
  await world.until(isLost, 10_000);
  await isNotServed(world);
});

test('one that is lost in the moment in which it is taken back does not count', async () => {
  const world = await aboutToBeLost();
  const isLost = whenItIsStored(world, (carryOut) => {
    world.loseDisk('S1');
    carryOut();
  });
  world.loseDisk('S0');
  await world.until(isLost, 10_000);
  await world.until(() => world.shard.inSync.includes('S1'));
  await world.pass(LONG_MS);
  expect(world.balancer.cluster.serving(world.shard)).toEqual([]);
});

/** All members are suspended; S2 is outside of the set. */
function stranded(): Bench {
  const bench = new Bench(3);
  const { shard } = bench;
  shard.setRecord({ ...shard.record, inSync: ['S0', 'S1'] });
  for (const server of ['S0', 'S1']) shard.suspend(server, true);
  bench.inSyncSets.reconsider(shard);
  const requests = new CopyRequests(bench.context, bench.cluster);
  const search = new StrandedShards(bench.context, bench.cluster, bench.inSyncSets, bench.writer, requests);
  bench.tick = () => {
    search.tick();
  };
  return bench;
}

describe('a member whose data was gone, and that was copied since from one that is lost', () => {
  /** S0 misses nothing by now; nobody else holds anything. */
  function copied(): Bench {
    const bench = stranded();
    bench.node('S0').states.set(SHARD, { ...bench.node('S0').states.get(SHARD), currentTerm: VAT, committedVat: VAT });
    for (const server of ['S1', 'S2']) bench.loseDisk(server);
    return bench;
  }

  test('counts again when it shows that it misses nothing', () => {
    const bench = copied();
    bench.pass(500);
    expect(bench.cluster.serving(bench.shard)).toEqual(['S0']);
  });

  test('knows by then which rounds were given up while it was copied', () => {
    const bench = copied();
    bench.shard.epochStarts = [{ epoch: 1, vat: 5, round: 3 }];
    bench.answer = (ask) => (ask.do === 'config' ? null : undefined);
    bench.pass(500);
    expect(bench.open.map((ask) => ask.do)).toEqual(['config']);
    expect(bench.cluster.serving(bench.shard)).toEqual([]);
  });

  test('does not count while it is copied: the rest may be missing', () => {
    const bench = copied();
    bench.shard.replicas.get('S0')!.syncing = true;
    bench.pass(500);
    expect(bench.cluster.serving(bench.shard)).toEqual([]);
  });

  test('does not count when it was found to hold something else than the others', () => {
    const bench = copied();
    bench.shard.setRecord({ ...bench.shard.record, diverged: ['S0'] });
    bench.pass(500);
    expect(bench.cluster.serving(bench.shard)).toEqual([]);
  });
});

test('a request for a copy that was refused for good is not in doubt', () => {
  const bench = new Bench(3);
  const requests = new CopyRequests(bench.context, bench.cluster);
  const { ended } = requests.next(bench.shard, 'S2', { instance: 'i', source: 'S0', from: 0, to: VAT, maxBytes: 1 });
  expect(bench.shard.copiesInDoubt.get('S2')).toBe('i');
  ended({ ok: false, error: { code: 'BAD_REQUEST', message: 'no', retryable: false } });
  expect(bench.shard.copiesInDoubt.has('S2')).toBe(false);
});

test('a request for a copy is called off with those alone that are believed to run', () => {
  const bench = stranded();
  bench.shard.copiesInDoubt.set('S2', 'i');
  bench.cluster.serverNamed('S2').dead = true;
  bench.pass(500);
  expect(bench.asked('catchup')).toEqual([]);
});

describe('while nobody is found who misses nothing', () => {
  /** Nobody holds anything. */
  function lost(): Bench {
    const bench = stranded();
    for (const server of bench.nodes.keys()) bench.loseDisk(server);
    return bench;
  }

  test('it is looked for four times a second, on every server', () => {
    const bench = lost();
    bench.pass(2_000);
    const asked = bench.asked('ping').map(({ server }) => server);
    expect(asked).toEqual(Array.from({ length: 8 }, () => ['S0', 'S1', 'S2']).flat());
  });

  test('nobody is asked any more when a member is back before the write queue is free', () => {
    const bench = stranded();
    bench.begin(bench.writer.lockQueue(bench.shard));
    bench.pass(500);
    bench.shard.suspend('S0', false);
    const { configVersion } = bench.shard.record;
    bench.writer.queues.release([SHARD]);
    bench.settle();
    expect(bench.asked('ping')).toEqual([]);
    expect(bench.shard.record.configVersion).toBe(configVersion);
    expect(bench.writer.queues.isLocked(SHARD)).toBe(false);
  });

  test('nothing else is begun as long as an answer is outstanding', () => {
    const bench = lost();
    bench.answer = (ask) => (ask.do === 'ping' ? null : undefined);
    bench.pass(5_000);
    expect(bench.open).toHaveLength(3);
    for (const ask of [...bench.open]) bench.resolve(ask);
    expect(bench.open).toEqual([]);
    expect(bench.writer.queues.isLocked('sh0')).toBe(false);
  });
});
