/**
 * A replica that hangs, or is slow only at what a write needs, keeps nobody waiting for long: it is given up as soon as it is clearly
 * later than the others, and it comes back when it is in time, at ever longer intervals when it is not.
 */
import { HIGH, SHARD, SmallWorld as World } from './support/small-world';

const OTHER = 'sh1';
/** Both shards on servers of their own, but for S2. */
const COMMON = { S0: [SHARD], S1: [SHARD], S2: [SHARD, OTHER], S3: [OTHER], S4: [OTHER] };
/** As in `SETTINGS` of the simulation: its floor, some ticks, and what it takes to change a configuration. */
const SOON_MS = 250;

const rowOf = (key: number): string => JSON.stringify({ id: key, mark: 'late' });

function writeOf(...keys: number[]): object {
  return { op: 'write', onConflict: 'replace', keys, rows: keys.map(rowOf) };
}

/** How long a write takes. */
async function timeOf(world: World, command: object): Promise<number> {
  const fromMs = world.scheduler.nowMs;
  expect(await world.change(command)).toHaveProperty('added');
  return world.scheduler.nowMs - fromMs;
}

/** What servers are asked for arrives, and their answers are late by so much. */
function delay(world: World, servers: readonly string[], kinds: readonly string[], ms: number): void {
  world.intercept = (ask, answer, carryOut) => {
    if (!('server' in ask) || !servers.includes(ask.server) || !kinds.includes(ask.do)) return false;
    carryOut(ask, (outcome) => {
      world.scheduler.after(ms, () => {
        answer(outcome);
      });
    });
    return true;
  };
}

/** The server stands still: whatever it is asked comes to nothing, and that is known after a long time only. */
function hang(world: World, ...servers: string[]): void {
  world.intercept = (ask, answer) => {
    if (!('server' in ask) || !servers.includes(ask.server) || ask.do === 'startNode') return false;
    return world.unanswered(answer, 2_500);
  };
}

test('one of three replicas that hangs holds a write up for a moment, and is out of the set then', async () => {
  const world = await World.of(3);
  hang(world, 'S2');
  expect(await timeOf(world, writeOf(6))).toBeLessThan(SOON_MS);
  expect(world.shard.inSync).toEqual(['S0', 'S1']);
  expect(world.published('shard.stale')).toHaveLength(1);
  expect(await timeOf(world, writeOf(7))).toBeLessThan(50);
});

test('it holds up each of its shards, but not each of them for as long as the first', async () => {
  const world = await World.laidOut(COMMON);
  hang(world, 'S2');
  await timeOf(world, writeOf(6));
  // The one that answers next to nothing has used up its credit.
  expect(await timeOf(world, writeOf(HIGH + 7))).toBeLessThan(110);
});

test('a write over two shards with the one that hangs in common goes on in both', async () => {
  const world = await World.laidOut(COMMON);
  hang(world, 'S2');
  expect(await timeOf(world, writeOf(6, HIGH + 7))).toBeLessThan(SOON_MS);
});

test('two of three are waited for: without them too few would be left', async () => {
  const world = await World.of(3);
  delay(world, ['S1', 'S2'], ['apply'], 220);
  expect(await timeOf(world, writeOf(6))).toBeGreaterThan(200);
  expect(world.shard.inSync).toEqual(['S0', 'S1', 'S2']);
});

test('nobody is late with a round that takes all of them long', async () => {
  const world = await World.of(3);
  const slow: Record<string, number> = { S0: 150, S1: 150, S2: 230 };
  world.intercept = (ask, answer, carryOut) => {
    if (ask.do !== 'apply') return false;
    carryOut(ask, (outcome) => {
      world.scheduler.after(slow[ask.server] ?? 0, () => {
        answer(outcome);
      });
    });
    return true;
  };
  await timeOf(world, writeOf(6));
  expect(world.shard.inSync).toEqual(['S0', 'S1', 'S2']);
});

test('a round behind a large one is not late as long as nobody has stored the large one', async () => {
  const world = await World.laidOut(COMMON);
  // What S2 does for the first shard, as S0 and S1 do, holds up the second one there.
  delay(world, ['S0', 'S1', 'S2'], ['apply'], 200);
  world.send(writeOf(6));
  await world.pass(5);
  await timeOf(world, writeOf(HIGH + 7));
  expect(world.balancer.cluster.shards.get(OTHER)!.inSync).toContain('S2');
});

test('a late answer after it was given up changes nothing', async () => {
  const world = await World.of(3);
  delay(world, ['S2'], ['apply'], 240);
  await timeOf(world, writeOf(6));
  await world.pass(600);
  world.intercept = () => false;
  await world.until(() => world.isWhole(), 10_000);
  world.expectAlike();
});

/** It is slow at rounds alone until it has to stay away for the longest pause, which has just begun. */
async function untilPausedForLong(world: World, server: string): Promise<void> {
  delay(world, [server], ['apply'], 200);
  for (let times = 1; times <= 4; times += 1) {
    await world.until(() => world.shard.inSync.includes(server));
    await timeOf(world, writeOf(6));
    expect(world.shard.inSync).not.toContain(server);
  }
}

test('one that hangs with its last page holds the writes of its shard up for a moment', async () => {
  const world = await World.of(3);
  world.powerOff('S2');
  await world.until(() => !world.shard.inSync.includes('S2'));
  world.powerOn('S2');
  let hurried = 0;
  world.intercept = (ask, answer) => {
    if (ask.do !== 'catchup' || !ask.isHurried) return false;
    hurried += 1;
    return world.unanswered(answer, 2_000);
  };
  let longestMs = 0;
  for (const endMs = world.scheduler.nowMs + 3_000; world.scheduler.nowMs < endMs;)
    longestMs = Math.max(longestMs, await timeOf(world, writeOf(3)));
  expect(hurried).toBeGreaterThan(0);
  expect(longestMs).toBeLessThan(SOON_MS);
});

test('where silence is no reason to leave, it is waited for', async () => {
  const world = await World.of(3);
  world.shard.setRecord({ ...world.shard.record, disputed: true });
  delay(world, ['S2'], ['apply', 'digest'], 240);
  expect(await timeOf(world, writeOf(6))).toBeGreaterThan(200);
});

describe('one that is slow at writes alone', () => {
  const SLOW = ['apply', 'probe'];

  test('stays out until it is in time', async () => {
    const world = await World.of(3);
    delay(world, ['S2'], SLOW, 200);
    await timeOf(world, writeOf(6));
    await world.pass(4_000);
    // It was asked meanwhile whether it is in time, and nobody had to wait for that.
    expect(world.shard.inSync).toEqual(['S0', 'S1']);
    for (let key = 6; key <= 8; key += 1) expect(await timeOf(world, writeOf(key))).toBeLessThan(50);
    world.intercept = () => false;
    await world.until(() => world.isWhole(), 10_000);
    world.expectAlike();
  });

  test('is asked for less and less often whether it is', async () => {
    const world = await World.of(3);
    let probes = 0;
    world.intercept = (ask, answer, carryOut) => {
      if (!('server' in ask) || ask.server !== 'S2' || !SLOW.includes(ask.do)) return false;
      if (ask.do === 'probe') probes += 1;
      world.scheduler.after(200, () => {
        carryOut(ask, answer);
      });
      return true;
    };
    await timeOf(world, writeOf(6));
    await world.pass(5_000);
    // After pauses of 200, 400, 800, 1,600 and 1,600 ms.
    expect(probes).toBeGreaterThan(2);
    expect(probes).toBeLessThan(7);
  });

  test('is let in all the same where the shard takes no writes without it', async () => {
    const world = await World.of(3);
    await untilPausedForLong(world, 'S2');
    world.intercept = () => false;
    const atMs = world.scheduler.nowMs;
    world.powerOff('S1');
    await world.until(() => world.shard.inSync.includes('S2'));
    expect(world.scheduler.nowMs - atMs).toBeLessThan(1_300);
  });

  test('is a new one when its process is', async () => {
    const world = await World.of(3);
    await untilPausedForLong(world, 'S2');
    world.intercept = () => false;
    const atMs = world.scheduler.nowMs;
    world.powerOff('S2');
    await world.until(() => world.published('server.flatline').length > 0);
    world.powerOn('S2');
    await world.until(() => world.shard.inSync.includes('S2'));
    expect(world.scheduler.nowMs - atMs).toBeLessThan(1_300);
  });

  test('costs ever less when the probe does not show it', async () => {
    const world = await World.of(3);
    delay(world, ['S2'], ['apply'], 200);
    let key = 0;
    while (world.scheduler.nowMs < 10_000) {
      await world.change(writeOf(key % 6));
      await world.pass(20);
      key += 1;
    }
    const given = world.published('shard.stale').length;
    // Within the first half second, at the end of pauses of 200, 400, 800 ms, and every 1.6 s from then on.
    expect(given).toBeGreaterThan(3);
    expect(given).toBeLessThan(12);
  });
});

test('a read of one key goes elsewhere when the replica that was asked hangs', async () => {
  const world = await World.of(3);
  hang(world, 'S0', 'S1');
  const fromMs = world.scheduler.nowMs;
  for (let turn = 0; turn < 4; turn += 1)
    expect(await world.change({ op: 'read', low: 3, high: 3 })).toMatchObject({ count: 1 });
  expect(world.scheduler.nowMs - fromMs).toBeLessThan(4 * 2 * 160);
});

test('a read that all replicas take long for is answered once, by the first', async () => {
  const world = await World.of(3);
  delay(world, ['S0', 'S1', 'S2'], ['readOne'], 500);
  const fromMs = world.scheduler.nowMs;
  expect(await world.change({ op: 'read', low: 3, high: 3 })).toMatchObject({ count: 1 });
  expect(world.scheduler.nowMs - fromMs).toBeLessThan(520);
  await world.pass(1_000);
});

test('reads that took too long are not usual', async () => {
  const world = await World.of(3);
  delay(world, ['S0', 'S1', 'S2'], ['readOne'], 400);
  await world.change({ op: 'read', low: 3, high: 3 });
  hang(world, 'S0', 'S1');
  const fromMs = world.scheduler.nowMs;
  await world.change({ op: 'read', low: 3, high: 3 });
  expect(world.scheduler.nowMs - fromMs).toBeLessThan(2 * 160);
});
