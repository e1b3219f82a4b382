/** What administrators are answered, and that nothing is changed by what cannot be done. */
import type { ClusterRecord, FenceReply } from '#common/contracts/node';
import type { Ask, Result } from '../src/core/kernel/effects';
import { SHARD, SmallWorld } from './support/small-world';

type Answer = (outcome: Result<unknown>) => void;

const SCHEMA = { columns: ['id', 'mark'], dtypes: ['Number' as const, 'String' as const] };
const SHARDS = [{ shard: SHARD, low: 0, size: 10 }];
const NEW_SHARDS = [
  { shard: 'sh8', low: 80, size: 10 },
  { shard: 'sh9', low: 90, size: 10 },
];
const NO_ROOM = { ok: false, error: { code: 'STORE_FAILED', message: 'no room', retryable: false } } as const;

let nextRequest = 10;

function begin(world: SmallWorld, command: object): number {
  const request = nextRequest++;
  world.balancer.dispatch({ on: 'admin', command: { request, ...command } as never });
  return request;
}

async function ask(world: SmallWorld, command: object): Promise<unknown> {
  const request = begin(world, command);
  await world.until(() => world.administered.has(request), 10_000);
  return world.administered.get(request);
}

const add = (servers: Record<string, string[]>, newShards: object[] = []): object => ({
  op: 'add',
  command: { n: Object.keys(servers).length, newShards, servers },
});
const remove = (n: number, ...servers: string[]): object => ({ op: 'rm', command: { n, servers } });
const init = (command: object): object => ({
  op: 'init',
  command: { n: null, schema: SCHEMA, shards: SHARDS, allowReinit: false, servers: null, ...command },
});

const refused = (code: string, message: RegExp): object => ({
  ok: false,
  error: { code, message: expect.stringMatching(message) as string },
});

const recordOf = (world: SmallWorld): ClusterRecord => world.catalog.valueOf('cluster') as ClusterRecord;

/** The command is refused so, and leaves the cluster and its processes as they were. */
async function expectRefusal(world: SmallWorld, command: object, refusal: object): Promise<void> {
  const before = { record: recordOf(world), servers: world.replicas.all.map(({ name }) => name).sort() };
  expect(await ask(world, command)).toMatchObject(refusal);
  await world.pass(100);
  expect({ record: recordOf(world), servers: world.replicas.all.map(({ name }) => name).sort() }).toEqual(before);
}

/** Answers these questions about one server in place of the world. */
function answering(world: SmallWorld, kind: Ask['do'], server: string, by: (answer: Answer) => void): void {
  world.intercept = (asked, answer) => {
    if (asked.do !== kind || !('server' in asked) || asked.server !== server) return false;
    world.scheduler.after(5, () => {
      by(answer);
    });
    return true;
  };
}

describe('a command that cannot be carried out', () => {
  test.each<[string, object, RegExp]>([
    ['/add of nothing', add({}), /at least one new server/],
    ['/rm of nothing', remove(0), /at least one server/],
    ['/init without shards', init({ shards: [], allowReinit: true }), /at least one shard/],
  ])('%s is a bad request', async (_, command, message) => {
    await expectRefusal(await SmallWorld.of(2), command, refused('BAD_REQUEST', message));
  });

  test('/rm of the only server that has a shard is refused while nobody else can take it', async () => {
    const world = await SmallWorld.laidOut({ S0: [SHARD], S1: [] });
    world.powerOff('S1');
    await world.until(() => world.balancer.cluster.health('S1') === 'dead');
    await expectRefusal(world, remove(1, 'S0'), refused('BAD_REQUEST', /lose the last in-sync copy of sh0/));
    world.powerOn('S1');
    await world.until(() => world.balancer.cluster.health('S1') === 'healthy', 10_000);
    expect(await ask(world, remove(1, 'S0'))).toMatchObject({ ok: true });
    expect(world.keys('S1')).toEqual([0, 1, 2, 3, 4, 5]);
  });

  test('/rm of the only copy is refused when it does not answer itself, however many could take it', async () => {
    const world = await SmallWorld.laidOut({ S0: [SHARD], S1: [], S2: [] });
    world.powerOff('S0');
    await world.until(() => world.balancer.cluster.health('S0') === 'dead');
    await expectRefusal(world, remove(1, 'S0'), refused('BAD_REQUEST', /lose the last in-sync copy of sh0/));
  });

  test('/rm of more servers than can go is refused, and removes none of them', async () => {
    const world = await SmallWorld.laidOut({ S0: [SHARD], S1: ['sh1'], S2: [] });
    for (const server of ['S1', 'S2']) world.powerOff(server);
    await world.until(() => ['S1', 'S2'].every((server) => world.balancer.cluster.health(server) === 'dead'));
    await expectRefusal(world, remove(2), refused('BAD_REQUEST', /only 1 servers can be removed/));
  });

  test('more commands than may wait are refused for now, and the others are carried out', async () => {
    const world = await SmallWorld.of(2);
    const first = begin(world, add({ N0: [SHARD] }));
    const requests = Array.from({ length: 17 }, () => begin(world, remove(0)));
    await world.until(() => [first, ...requests].every((request) => world.administered.has(request)));
    expect(world.administered.get(first)).toMatchObject({ ok: true });
    const codes = requests.map(
      (request) => (world.administered.get(request) as { error: { code: string } }).error.code,
    );
    expect(codes.filter((code) => code === 'BAD_REQUEST')).toHaveLength(15);
    expect(codes.filter((code) => code === 'BUSY')).toHaveLength(2);
    expect(await ask(world, remove(1, 'S0'))).toMatchObject({ ok: true });
  });
});

describe('/init of a cluster that is configured', () => {
  test('like this is done already; otherwise it is refused unless that is allowed', async () => {
    const world = await SmallWorld.of(2);
    const servers = { S0: [SHARD], S1: [SHARD] };
    const before = recordOf(world);
    expect(await ask(world, init({ n: 2, servers }))).toEqual({ ok: true, value: { init: null } });
    expect(recordOf(world)).toEqual(before);
    const other = { n: 2, servers, shards: [{ shard: SHARD, low: 0, size: 11 }] };
    await expectRefusal(world, init(other), refused('ALREADY_CONFIGURED', /configured already/));
    expect(await ask(world, init({ ...other, allowReinit: true }))).toMatchObject({ ok: true });
    expect(recordOf(world).configId).toBe(before.configId + 1);
  });

  test('is refused while a server that is to be used again does not answer', async () => {
    const world = await SmallWorld.of(2);
    world.powerOff('S1');
    const command = init({ allowReinit: true, servers: { S0: [SHARD], S1: [SHARD] }, n: 3 });
    await expectRefusal(world, command, refused('SHARD_UNAVAILABLE', /S1 does not answer: nothing was changed/));
  });

  test('keeps the records of shards of the same name, removes those of others, and servers that nobody lists', async () => {
    const world = await SmallWorld.laidOut({ S0: [SHARD, 'sh1'], S1: [SHARD], S2: [SHARD] });
    const command = init({ n: 4, allowReinit: true, servers: { S0: [SHARD], N0: [], S2: [SHARD] } });
    expect(await ask(world, command)).toMatchObject({ ok: true });
    expect(world.catalog.valueOf('shard.sh0')).toMatchObject({ configId: 2 });
    expect(world.catalog.valueOf('shard.sh1')).toBeUndefined();
    // One more than listed is made, and given something to hold.
    expect(recordOf(world).servers).toEqual(['S0', 'N0', 'S2', 'Server0']);
    expect(world.shard.record.replicas).toContain('Server0');
    expect(world.replicas.byName.has('S1')).toBe(false);
    expect(world.published('server.removed')).toHaveLength(1);
  });

  test('starts only servers that are not there, and has each make its own tables', async () => {
    const world = await SmallWorld.laidOut({ S0: [SHARD], S1: ['sh1'] });
    const started: string[] = [];
    const prepared: Record<string, string[]> = {};
    world.intercept = (asked) => {
      if (asked.do === 'startNode') started.push(asked.server);
      if (asked.do === 'config' && asked.request.stage === 'prepare')
        prepared[asked.server] = asked.request.shards.map(({ shard }) => shard);
      return false;
    };
    const command = { n: 3, shards: NEW_SHARDS, servers: { S0: ['sh8'], S1: ['sh9'], N0: ['sh8'] }, allowReinit: true };
    expect(await ask(world, init(command))).toMatchObject({ ok: true });
    expect(started).toEqual(['N0']);
    expect(prepared).toEqual({ S0: ['sh8'], S1: ['sh9'], N0: ['sh8'] });
  });

  test('leaves it in force when a server cannot be started', async () => {
    const world = await SmallWorld.of(2);
    answering(world, 'startNode', 'N0', (answer) => {
      answer(NO_ROOM);
    });
    const command = init({ n: 2, servers: { S0: [SHARD], N0: [SHARD] }, allowReinit: true });
    await expectRefusal(world, command, refused('STORE_FAILED', /no room/));
  });

  test('takes the place of shards whose names are in another order than their keys', async () => {
    const world = await SmallWorld.of(2);
    const shards = ['b', 'a', 'c'].map((shard, index) => ({ shard, low: 10 * index, size: 10 }));
    const command = { n: 2, shards, servers: { S0: ['a', 'b', 'c'], S1: ['a', 'b', 'c'] }, allowReinit: true };
    expect(await ask(world, init(command))).toMatchObject({ ok: true });
    const next = { ...command, servers: { S0: ['c', 'b', 'a'] }, n: 1 };
    expect(await ask(world, init(next))).toMatchObject({ ok: true });
    expect(recordOf(world)).toMatchObject({ configId: 3, servers: ['S0'] });
  });
});

describe('/init of a cluster without a configuration', () => {
  /** Everything is lost, and nobody has anything. */
  async function unconfigured(): Promise<SmallWorld> {
    const world = await SmallWorld.of(2);
    world.balancer.crash();
    for (const server of world.servers) {
      world.powerOff(server);
      world.wipe(server);
      world.powerOn(server);
    }
    world.catalog.lose();
    world.balancer = world.newBalancer('L2');
    await world.until(() => {
      if (!world.balancer.isAlive) world.changeLeader('L3');
      return world.balancer.isServing && world.balancer.cluster.phase === 'unconfigured';
    }, 10_000);
    return world;
  }
  const COMMAND = init({ n: 2, servers: { S0: [SHARD], S1: [SHARD] } });

  test('comes first: there is nothing to add to, or to remove', async () => {
    const world = await unconfigured();
    await expectRefusal(world, add({ N0: [] }), refused('NOT_CONFIGURED', /POST \/init first/));
    await expectRefusal(world, remove(1, 'S0'), refused('NOT_CONFIGURED', /POST \/init first/));
    // Neither servers nor a number of them: as many as a shard has replicas.
    expect(await ask(world, init({}))).toMatchObject({ ok: true });
    expect(recordOf(world).servers).toEqual(['Server0', 'Server1', 'Server2']);
  });

  test('is refused while it cannot be found out who holds data, or somebody does, unless that is allowed', async () => {
    const world = await unconfigured();
    let census: Result<unknown> = NO_ROOM;
    world.intercept = (asked, answer) => {
      if (asked.do === 'census') answer(census);
      return asked.do === 'census';
    };
    await expectRefusal(world, COMMAND, refused('ALREADY_CONFIGURED', /cannot be found out now/));
    census = {
      ok: true,
      value: [
        { server: 'S1', configId: 0 },
        { server: 'S7', configId: 3 },
      ],
    };
    await expectRefusal(world, COMMAND, refused('ALREADY_CONFIGURED', /^S7 hold data/));
    expect(
      await ask(world, { op: 'init', command: { ...(COMMAND as { command: object }).command, allowReinit: true } }),
    ).toMatchObject({
      ok: true,
    });
  });
});

describe('a server that is to be started', () => {
  test.each<[string, string, (answer: Answer) => void, RegExp]>([
    [
      'cannot be started',
      'startNode',
      (answer) => {
        answer(NO_ROOM);
      },
      /no room/,
    ],
    [
      'is started and never answers',
      'startNode',
      (answer) => {
        answer({ ok: true, value: null });
      },
      /N1 was started and did not answer in time/,
    ],
  ])('and %s: the command fails, and what was started with it is ended', async (_, kind, by, message) => {
    const world = await SmallWorld.of(2);
    const command = add({ N0: ['sh9'], N1: [SHARD, 'sh9'] }, NEW_SHARDS.slice(1));
    let looks = 0;
    world.intercept = (asked, answer) => {
      if (asked.do !== kind && asked.do !== 'nodeFailure') return false;
      if (!('server' in asked) || asked.server !== 'N1') return false;
      world.scheduler.after(5, () => {
        if (asked.do === kind) by(answer);
        // Nor does the launcher know why, or it does not answer.
        else answer(looks++ === 0 ? { ok: true, value: null } : NO_ROOM);
      });
      return true;
    };
    const sinceMs = world.scheduler.nowMs;
    await expectRefusal(world, command, refused('STORE_FAILED', message));
    // START_MS of this world, and the last question's time.
    expect(world.scheduler.nowMs - sinceMs).toBeLessThan(600 + 350 + 200);
    world.intercept = () => false;
    expect(await ask(world, command)).toMatchObject({ ok: true });
  });

  test('and ends by itself: it hears why, before the time is up', async () => {
    const world = await SmallWorld.of(2);
    const failure = 'its port is taken';
    world.intercept = (asked, answer) => {
      if (!('server' in asked) || asked.server !== 'N0') return false;
      const answers: Partial<Record<Ask['do'], Result<unknown>>> = {
        startNode: { ok: true, value: null },
        nodeFailure: { ok: true, value: failure },
        fence: NO_ROOM,
      };
      const outcome = answers[asked.do];
      if (outcome === undefined) return false;
      world.scheduler.after(5, () => {
        answer(outcome);
      });
      return true;
    };
    const sinceMs = world.scheduler.nowMs;
    await expectRefusal(world, add({ N0: [SHARD] }), refused('STORE_FAILED', /N0 cannot start: its port is taken/));
    expect(world.scheduler.nowMs - sinceMs - 100).toBeLessThan(600);
  });

  test('of which the launcher cannot say whether it had been there: nothing is started', async () => {
    const world = await SmallWorld.of(2);
    world.intercept = (asked, answer) => {
      if (asked.do === 'listNodes') answer(NO_ROOM);
      return asked.do === 'listNodes';
    };
    await expectRefusal(world, add({ N0: [SHARD] }), refused('STORE_FAILED', /no room/));
  });

  test('and had been there before keeps its data when the command fails', async () => {
    const world = await SmallWorld.of(2);
    world.replicas.server('N0').start();
    answering(world, 'startNode', 'N1', (answer) => {
      answer(NO_ROOM);
    });
    await expectRefusal(world, add({ N0: [SHARD], N1: [SHARD] }), refused('STORE_FAILED', /no room/));
    expect(world.replicas.byName.has('N0')).toBe(true);
  });

  test('and holds data of another configuration is used only by an /init that may give them up', async () => {
    const world = await SmallWorld.of(2);
    world.intercept = (asked, answer, carryOut) => {
      if (asked.do !== 'fence' || asked.server !== 'N0') return false;
      carryOut(asked, (outcome) => {
        answer(outcome.ok ? { ok: true, value: { ...(outcome.value as FenceReply), configId: 77 } } : outcome);
      });
      return true;
    };
    const refusal = refused('ALREADY_CONFIGURED', /N0 holds data of another configuration \(77\)/);
    await expectRefusal(world, add({ N0: [SHARD] }), refusal);
    const command = init({ n: 2, servers: { S0: [SHARD], N0: [SHARD] }, allowReinit: true });
    expect(await ask(world, command)).toMatchObject({ ok: true });
    expect(recordOf(world).configId).toBe(78);
  });

  test('and holds what is left of the configuration in force is used again', async () => {
    const world = await SmallWorld.of(2);
    world.intercept = (asked, answer, carryOut) => {
      if (asked.do !== 'fence' || asked.server !== 'N0') return false;
      carryOut(asked, (outcome) => {
        answer(outcome.ok ? { ok: true, value: { ...(outcome.value as FenceReply), configId: 1 } } : outcome);
      });
      return true;
    };
    expect(await ask(world, add({ N0: [SHARD] }))).toMatchObject({ ok: true });
  });
});

describe('an /add', () => {
  test('changes the record of the cluster once, when no copy is to be made', async () => {
    const world = await SmallWorld.of(2);
    const { configVersion } = recordOf(world);
    expect(await ask(world, add({ N0: ['sh8'] }, NEW_SHARDS.slice(0, 1)))).toMatchObject({ ok: true });
    expect(recordOf(world).configVersion).toBe(configVersion + 1);
  });

  test('gives a name to whom none was given, and makes each server the tables of its own new shards alone', async () => {
    const world = await SmallWorld.of(2);
    const created: Record<string, string[]> = {};
    world.intercept = (asked) => {
      if (asked.do === 'config' && asked.request.areNew === true)
        created[asked.server] = asked.request.shards.map(({ shard }) => shard);
      return false;
    };
    const reply = (await ask(world, add({ 'Server[0-9]': ['sh8', SHARD], N1: ['sh9'] }, NEW_SHARDS))) as {
      value: { add: { n: number; added: string[] } };
    };
    const [name] = reply.value.add.added;
    expect(name).toMatch(/^Server[0-9]{5}$/);
    expect(reply).toEqual({ ok: true, value: { add: { n: 4, added: [name, 'N1'] } } });
    expect(created).toEqual({ [name!]: ['sh8'], N1: ['sh9'] });
    // It is answered when the copies are there.
    expect(world.shard.inSync).toContain(name);
  });

  test('is answered, when its copies take longer than an administrator waits, before they are there', async () => {
    const world = await SmallWorld.of(2);
    world.intercept = (asked, answer) => {
      if (asked.do !== 'catchup') return false;
      world.scheduler.after(100, () => {
        answer(NO_ROOM);
      });
      return true;
    };
    expect(await ask(world, add({ N0: [SHARD] }))).toMatchObject({ ok: true });
    expect(world.shard.stateOf('N0')).not.toBe('in-sync');
    world.intercept = () => false;
    await world.until(() => world.shard.inSync.includes('N0'), 10_000);
  });
});
