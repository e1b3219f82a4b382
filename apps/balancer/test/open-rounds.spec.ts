/** A round over two shards of which a new leader cannot hear all that there is to hear: what it may decide, and what has to wait. */
import type { ShardConfig } from '#common/contracts/node';
import { BUCKET_KEYS } from '#common/contracts/subjects';
import { SHARD, SmallWorld as World } from './support/small-world';

const OTHER = 'sh1';
const SERVERS = { S0: [SHARD], S1: [SHARD], S2: [SHARD, OTHER], S3: [OTHER], S4: [OTHER] };
const LONG_MS = 5_000;

/** A write to both shards. */
function writeBoth(world: World): number {
  const rows = [7, 17].map((id) => JSON.stringify({ id, mark: `m${id}` }));
  return world.send({ op: 'write', onConflict: 'error', keys: [7, 17], rows, operation: 'both' });
}

/** Another leader begins, and yet another one where that finds that its epoch has been used. */
async function takeOver(world: World): Promise<void> {
  for (const name of ['L2', 'L3']) {
    world.balancer = world.newBalancer(name);
    await world.pass(LONG_MS);
    if (world.balancer.isAlive) return;
  }
}

const isResolved = (world: World, shard: string): boolean =>
  world.balancer.cluster.shards.get(shard)?.resolved === true;

/** The round gets to all servers but these, and the leader ends before it has heard of it. */
async function leaveOpen(world: World, missedBy: readonly string[]): Promise<void> {
  let stored = 0;
  world.intercept = (ask, _answer, carryOut) => {
    if (ask.do !== 'apply') return false;
    if (missedBy.includes(ask.server)) return true;
    carryOut(ask, () => {
      stored += 1;
    });
    return true;
  };
  writeBoth(world);
  await world.until(() => stored === Object.keys(SERVERS).length - missedBy.length);
  world.balancer.crash();
  world.intercept = () => false;
}

test('a shard is served without one that has too few copies when a member of that has not got their round', async () => {
  const world = await World.laidOut(SERVERS);
  await leaveOpen(world, ['S3']);
  world.powerOff('S2');
  world.powerOff('S4');
  await takeOver(world);
  expect(isResolved(world, OTHER)).toBe(false);
  await world.until(() => world.balancer.cluster.isWritable(world.shard));
  await world.write(8);
  for (const server of ['S0', 'S1']) expect(world.keys(server)).toEqual([0, 1, 2, 3, 4, 5, 8]);
  world.powerOn('S2');
  world.powerOn('S4');
  const { cluster } = world.balancer;
  await world.until(() => [...cluster.shards.values()].every((shard) => cluster.isWritable(shard)), 20_000);
  // In neither of them, whoever has held it.
  const batch = writeBoth(world);
  await world.until(() => world.answers[batch] !== undefined);
  expect(world.answers[batch]).toMatchObject({ added: 2 });
});

test('it waits as long as nobody has been heard of that lacks the round: it may have been acknowledged', async () => {
  const world = await World.laidOut(SERVERS);
  await leaveOpen(world, []);
  world.powerOff('S2');
  world.powerOff('S4');
  await takeOver(world);
  expect(isResolved(world, SHARD)).toBe(false);
  world.powerOn('S2');
  await world.until(() => isResolved(world, SHARD) && isResolved(world, OTHER), 20_000);
  for (const server of ['S0', 'S1']) expect(world.keys(server)).toContain(7);
});

test('it does not wait when one of its own replicas knows that the round is committed', async () => {
  const world = await World.laidOut(SERVERS);
  const batch = writeBoth(world);
  await world.until(() => world.answers[batch] !== undefined);
  let isStored = false;
  world.intercept = (ask, _answer, carryOut) => {
    if (ask.do === 'apply' && ask.server === 'S0')
      carryOut(ask, () => {
        isStored = true;
      });
    // Neither does a heartbeat inform the others.
    return ask.do === 'apply' || ask.do === 'ping';
  };
  world.send({ op: 'delete', key: 1 });
  await world.until(() => isStored);
  world.balancer.crash();
  world.intercept = () => false;
  world.powerOff('S2');
  world.powerOff('S4');
  await takeOver(world);
  expect(isResolved(world, OTHER)).toBe(false);
  await world.until(() => world.balancer.cluster.isWritable(world.shard));
  for (const server of ['S0', 'S1']) expect(world.keys(server)).toContain(7);
  world.powerOn('S2');
  world.powerOn('S4');
  await world.until(() => isResolved(world, OTHER), 20_000);
});

test('one that had left the set before the round came says nothing about it where the bucket was lost', async () => {
  const world = await World.laidOut(SERVERS);
  world.powerOff('S3');
  const other = world.balancer.cluster.shards.get(OTHER)!;
  await world.until(() => !other.inSync.includes('S3') && other.unacknowledged.size === 0);
  const batch = writeBoth(world);
  await world.until(() => world.answers[batch] !== undefined);
  expect(world.answers[batch]).toMatchObject({ added: 2 });
  world.balancer.crash();
  world.powerOff('S2');
  world.powerOff('S4');
  world.powerOn('S3');
  world.catalog.lose();
  await takeOver(world);
  expect(isResolved(world, SHARD)).toBe(false);
  for (const server of ['S0', 'S1']) expect(world.keys(server)).toContain(7);
  world.powerOn('S4');
  world.powerOn('S2');
  await world.until(() => isResolved(world, SHARD) && isResolved(world, OTHER), 20_000);
  for (const server of ['S0', 'S1']) expect(world.keys(server)).toContain(7);
});

interface Disk {
  contents: { states: Map<string, ShardConfig> };
}

/** On the disk of a server there is a later record of the shard. */
function inform(world: World, server: string, inSync: string[], configVersion: number): void {
  const { states } = (world.replicas.server(server).disk as unknown as Disk).contents;
  const state = states.get(SHARD)!;
  states.set(SHARD, { ...state, inSync, configVersion });
}

const storedVersion = (world: World): number =>
  (world.catalog.valueOf(BUCKET_KEYS.shard(SHARD)) as ShardConfig).configVersion;

/** A leader of its own epoch, to which S2 reports a later record only when it does `moment` for the first time. */
async function takeOverUntil(moment: 'store' | 'apply'): Promise<World> {
  const world = await World.of(3);
  await world.pass(1_000);
  world.balancer.crash();
  for (const server of world.servers) world.powerOff(server);
  inform(world, 'S1', ['S0', 'S1'], 5);
  inform(world, 'S2', ['S1', 'S2'], 6);
  for (const server of world.servers) world.powerOn(server);
  let hasReported = false;
  let report = (): void => undefined;
  world.intercept = (ask, answer, carryOut) => {
    // Nothing changes the record behind it.
    if (ask.do === 'catchup') return true;
    if (ask.do === 'fence' && ask.server === 'S2' && !hasReported) {
      report = (): void => {
        carryOut(ask, answer);
      };
      return true;
    }
    const isRecord = ask.do === 'store' && ask.key === BUCKET_KEYS.shard(SHARD);
    const isAdopted = isRecord && (ask.value as ShardConfig | null)?.configVersion === 5;
    if (hasReported || ask.do !== moment || (ask.do === 'store' && !isAdopted)) return false;
    hasReported = true;
    report();
    world.scheduler.after(50, () => {
      carryOut(ask, answer);
    });
    return true;
  };
  world.balancer = world.newBalancer('L2');
  await world.until(() => hasReported);
  return world;
}

test('a server reports a later record while an earlier one is stored: that is stored before the shard is decided', async () => {
  const world = await takeOverUntil('store');
  await world.until(() => isResolved(world, SHARD), 20_000);
  expect(world.shard.inSync).toEqual(['S1', 'S2']);
  expect(storedVersion(world)).toBe(6);
});

test('a server reports a later record when the shard is decided: the leader gives way to one that finds it in the bucket', async () => {
  const world = await takeOverUntil('apply');
  await world.until(() => !world.balancer.isAlive);
  expect(storedVersion(world)).toBe(6);
  world.balancer = world.newBalancer('L3');
  await world.until(() => world.balancer.isServing && isResolved(world, SHARD), 20_000);
  expect(world.shard.inSync).toEqual(['S1', 'S2']);
});

test('a record that was taken from a replica is stored before anybody changes it, however long that takes', async () => {
  const world = await World.of(3);
  await world.pass(1_000);
  world.balancer.crash();
  for (const server of world.servers) world.powerOff(server);
  for (const server of world.servers) inform(world, server, ['S0', 'S1', 'S2'], 5);
  for (const server of world.servers) world.powerOn(server);
  let isAway = true;
  const stored: number[] = [];
  world.intercept = (ask, answer) => {
    if (ask.do !== 'store' || ask.key !== BUCKET_KEYS.shard(SHARD)) return false;
    const { configVersion } = ask.value as ShardConfig;
    if (!isAway || configVersion !== 5) {
      stored.push(configVersion);
      return false;
    }
    return world.unanswered(answer);
  };
  world.balancer = world.newBalancer('L2');
  await world.until(() => world.balancer.isServing);
  const command = { n: 1, newShards: [], servers: { S3: [SHARD] } };
  world.balancer.dispatch({ on: 'admin', command: { request: 2, op: 'add', command } });
  await world.pass(3_000);
  isAway = false;
  await world.until(() => world.administered.has(2) && isResolved(world, SHARD), 20_000);
  expect(world.shard.record.replicas).toContain('S3');
  expect(stored).toEqual([...stored].sort((a, b) => a - b));
});

test('shards are decided together when a server that reports their round is heard just before', async () => {
  const world = await World.laidOut(SERVERS);
  await leaveOpen(world, ['S0', 'S1', 'S2', 'S3']);
  let fences = 0;
  let pauses = 0;
  let resume = (): void => undefined;
  const confirmed: string[][] = [];
  world.intercept = (ask, answer, carryOut) => {
    if (ask.do === 'fence' && ask.server === 'S4') {
      fences += 1;
      // The first one is asked by who looks for records, and waits for most servers alone.
      if (fences === 2)
        carryOut(ask, (outcome) => {
          answer(outcome);
          resume();
        });
      return true;
    }
    if (ask.do === 'apply') confirmed.push(Object.keys(ask.round.lastTerms));
    if (ask.do !== 'pause') return false;
    // After the first pause it is looked for shards that can be decided; one is found, and S4 is heard before the second ends.
    pauses += 1;
    resume = (): void => {
      carryOut(ask, answer);
    };
    return pauses === 2;
  };
  world.balancer = world.newBalancer('L2');
  await world.until(() => isResolved(world, SHARD) && isResolved(world, OTHER), 20_000);
  expect(pauses).toBeGreaterThan(1);
  expect(confirmed[0]?.sort()).toEqual([SHARD, OTHER]);
});

/** A write over both shards gets to all. Nobody hears of that from the other shard, whose servers are silent from then on: it is given up. */
async function writeGivenUp(world: World): Promise<void> {
  world.intercept = (ask, answer, carryOut) => {
    if (ask.do !== 'apply' || ask.server === 'S0' || ask.server === 'S1') return false;
    carryOut(ask, () => {
      world.powerOff(ask.server);
      answer({ ok: false, error: { code: 'OUTCOME_UNKNOWN', message: 'no answer', retryable: false } });
    });
    return true;
  };
  const batch = writeBoth(world);
  await world.until(() => world.answers[batch] !== undefined);
  await world.until(() => world.balancer.cluster.isWritable(world.shard));
}

/** The servers of the other shard are back, and another balancer leads. */
async function decidedAgain(world: World): Promise<void> {
  world.intercept = () => false;
  for (const server of ['S2', 'S3']) world.powerOn(server);
  await takeOver(world);
  await world.until(() => isResolved(world, SHARD) && isResolved(world, OTHER), 20_000);
}

test('a replica that was copied while the round was given up knows of that before it is a member', async () => {
  const world = await World.laidOut({ S0: [SHARD], S1: [SHARD], S2: [OTHER], S3: [OTHER] });
  world.powerOff('S1');
  await world.until(() => !world.shard.inSync.includes('S1') && world.balancer.cluster.isWritable(world.shard));
  let copy: (() => void) | null = null;
  world.intercept = (ask, answer, carryOut) => {
    if (ask.do !== 'catchup' || copy !== null) return false;
    copy = () => {
      carryOut(ask, answer);
    };
    return true;
  };
  world.powerOn('S1');
  await world.until(() => copy !== null, LONG_MS);
  await writeGivenUp(world);
  // The leader ends as soon as the bucket has it that S1 is a member, and S0 is lost.
  world.intercept = (ask, _answer, carryOut) => {
    if (ask.do !== 'store' || ask.key !== BUCKET_KEYS.shard(SHARD)) return false;
    carryOut(ask, () => {
      world.balancer.crash();
    });
    return true;
  };
  copy!();
  await world.until(() => !world.balancer.isAlive, LONG_MS);
  world.powerOff('S0');
  world.wipe('S0');
  await decidedAgain(world);
  expect(world.keys('S1')).toEqual([0, 1, 2, 3, 4, 5]);
  expect(world.keys('S2', OTHER)).toEqual([]);
});

test('a configuration that comes again takes from no replica what it knows of a round that was given up', async () => {
  const world = await World.laidOut({ S0: [SHARD], S1: [SHARD], S2: [OTHER], S3: [OTHER] });
  world.powerOff('S1');
  await world.until(() => !world.shard.inSync.includes('S1'));
  const again: (() => void)[] = [];
  world.intercept = (ask, _answer, carryOut) => {
    const isMeant =
      ask.do === 'config' && ask.request.shards.some(({ shard, inSync }) => shard === SHARD && inSync.length === 2);
    if (isMeant)
      again.push(() => {
        carryOut(ask, () => undefined);
      });
    return false;
  };
  world.powerOn('S1');
  await world.until(() => world.shard.inSync.length === 2 && world.balancer.cluster.isWritable(world.shard), LONG_MS);
  expect(again).toHaveLength(2);
  await writeGivenUp(world);
  await world.write(8);
  await world.write(9);
  for (const repeat of again) repeat();
  await world.pass(50);
  world.balancer.crash();
  await decidedAgain(world);
  expect(world.keys('S0')).toEqual([0, 1, 2, 3, 4, 5, 8, 9]);
  expect(world.keys('S2', OTHER)).toEqual([]);
});
