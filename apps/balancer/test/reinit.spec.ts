/** `/init` over another configuration, with the leader ending at every point of it: the old one is served, or the new one. */
import type { Ask } from '../src/core/kernel/effects';
import { SHARD, SmallWorld } from './support/small-world';

const SCHEMA = { columns: ['id', 'mark'], dtypes: ['Number' as const, 'String' as const] };
const SERVERS = ['S0', 'S1'];
const COMMAND = {
  ...{ n: 2, schema: SCHEMA, allowReinit: true },
  ...{ shards: [{ shard: SHARD, low: 0, size: 100 }], servers: { S0: [SHARD], S3: [SHARD] } },
};
const OLD = [0, 1, 2, 3, 4, 5];

/** What `/init` asks for, beside what goes on anyway. */
function belongsToInit(ask: Ask): boolean {
  if (ask.do === 'store') return ask.key !== 'leader';
  return ['config', 'startNode', 'removeNode', 'listNodes'].includes(ask.do);
}

function init(world: SmallWorld, command: object = COMMAND): void {
  world.balancer.dispatch({ on: 'admin', command: { request: 2, op: 'init', command: command as never } });
}

const holders = (world: SmallWorld): readonly string[] => world.shard.inSync;

async function untilServed(world: SmallWorld): Promise<void> {
  const isServed = (): boolean => {
    const { cluster } = world.balancer;
    const shard = cluster.shards.get(SHARD);
    return cluster.phase === 'serving' && shard !== undefined && cluster.isWritable(shard) && cluster.mark !== null;
  };
  await world.until(isServed, 20_000);
}

/** The configuration in force holds exactly the rows that it must, takes writes, and nothing else is left on any server. */
async function expectOneOfBoth(world: SmallWorld): Promise<'old' | 'new'> {
  await untilServed(world);
  const isNew = world.shard.record.size === 100;
  await world.pass(3_000);
  await untilServed(world);
  const rows = holders(world).map((server) => world.keys(server));
  for (const keys of rows) expect(keys).toEqual(isNew ? [] : OLD);
  await world.write(9);
  for (const server of holders(world)) {
    const { prepared, configId } = await world.replicas.server(server).disk.load();
    expect({ server, prepared, configId }).toEqual({ server, prepared: null, configId: isNew ? 2 : 1 });
  }
  expect(Object.keys(Object.fromEntries(world.replicas.byName)).sort()).toEqual(isNew ? ['S0', 'S3'] : SERVERS);
  return isNew ? 'new' : 'old';
}

describe('/init in the place of another configuration', () => {
  it('takes the place of one of several shards', async () => {
    const world = await SmallWorld.laidOut({ S0: ['sh2', SHARD, 'sh1'], S1: ['sh1', 'sh2', SHARD] });
    init(world);
    await world.until(() => world.administered.has(2), 20_000);
    expect(world.administered.get(2)).toMatchObject({ ok: true });
    expect(await expectOneOfBoth(world)).toBe('new');
  });

  it('leaves the other one in force when a server does not make its tables, and comes into force when all do', async () => {
    const world = await SmallWorld.of(2);
    world.intercept = (ask, answer) => {
      if (ask.do !== 'config' || ask.request.stage !== 'prepare' || ask.server !== 'S3') return false;
      answer({ ok: false, error: { code: 'STORE_FAILED', message: 'no room', retryable: false } });
      return true;
    };
    init(world);
    await world.pass(500);
    expect(world.balancer.cluster.phase).toBe('serving');
    expect(await expectOneOfBoth(world)).toBe('old');
    world.intercept = () => false;
    init(world);
    await world.until(() => world.balancer.cluster.configId > 1);
    await untilServed(world);
    expect(world.keys('S0')).toEqual([]);
    expect(world.keys('S3')).toEqual([]);
  });

  it('does not answer a read of the other one with what has the same key now', async () => {
    const world = await SmallWorld.of(2);
    let release = (): void => undefined;
    world.intercept = (ask, answer, carryOut) => {
      if (ask.do !== 'readOne') return false;
      release = () => {
        carryOut(ask, answer);
      };
      return true;
    };
    const read = world.send({ op: 'read', low: 5, high: 5 });
    init(world);
    await world.until(() => world.administered.has(2), 20_000);
    await untilServed(world);
    for (let key = 0; key <= 9; key += 1) await world.write(key);
    release();
    await world.until(() => world.answers[read] !== undefined);
    expect(world.answers[read]).toMatchObject({ error: { code: 'CONFIG_CHANGED' } });
  });

  it('leaves nothing of a round that comes to a replica when the shard of that name is another one', async () => {
    const world = await SmallWorld.of(2);
    for (const key of OLD) await world.change({ op: 'delete', key });
    let late = (): void => undefined;
    world.intercept = (ask, answer, carryOut) => {
      if (ask.do !== 'apply' || ask.server !== 'S0' || ask.round.parts.every(({ ops }) => ops.length === 0))
        return false;
      world.intercept = () => false;
      // It builds on nothing, as the first round of the new shard will.
      const parts = ask.round.parts.map((part) => ({ ...part, vat: 0, firstTerm: 1, lastTerm: 1 }));
      late = () => {
        carryOut({ ...ask, round: { ...ask.round, parts } }, () => undefined);
      };
      carryOut(ask, answer);
      return true;
    };
    await world.write(7);
    init(world);
    await world.until(() => world.administered.has(2), 20_000);
    await untilServed(world);
    late();
    await world.pass(200);
    expect(world.keys('S0')).toEqual([]);
    expect(await expectOneOfBoth(world)).toBe('new');
  });

  it('serves when its servers could not hear at once that it has come into force: they have lost nothing', async () => {
    const world = await SmallWorld.of(2);
    world.intercept = (ask, answer) => {
      if (ask.do !== 'config' || ask.request.configId < 2 || ask.request.stage !== undefined) return false;
      answer({ ok: false, error: { code: 'OUTCOME_UNKNOWN', message: 'no answer', retryable: false } });
      return true;
    };
    const shards = [{ shard: 'other', low: 0, size: 100 }];
    init(world, { ...COMMAND, shards, servers: { S0: ['other'], S1: ['other'] } });
    await world.until(() => world.administered.has(2), 20_000);
    const { cluster } = world.balancer;
    const other = cluster.shards.get('other')!;
    await world.pass(300);
    expect(cluster.isWritable(other)).toBe(false);
    world.intercept = () => false;
    await world.until(() => cluster.isWritable(other) && SERVERS.every((name) => other.stateOf(name) === 'in-sync'));
  });

  it.each(['before', 'after'] as const)(
    'is whole or was never there when the leader ends %s any step of it',
    async (when) => {
      const seen = new Set<string>();
      for (let step = 1; ; step += 1) {
        const world = await SmallWorld.of(2);
        let steps = 0;
        const end = { has: false };
        world.intercept = (ask, answer) => {
          if (end.has || !belongsToInit(ask)) return false;
          steps += 1;
          if (steps !== step) return false;
          end.has = true;
          const { balancer } = world;
          if (when === 'before') balancer.crash();
          else
            world.scheduler.after(30, () => {
              balancer.crash();
            });
          if (when === 'before') answer({ ok: false, error: { code: 'INTERNAL', message: 'gone', retryable: false } });
          return when === 'before';
        };
        init(world);
        await world.pass(1_500);
        if (!end.has) break;
        world.changeLeader('L2');
        seen.add(await expectOneOfBoth(world));
      }
      expect([...seen].sort()).toEqual(['new', 'old']);
    },
    60_000,
  );
});

test('a server on which the new configuration could not be put in force yet is no member that has lost its data', async () => {
  const world = await SmallWorld.of(3);
  const servers = { S0: [SHARD], S1: [SHARD], S2: [SHARD] };
  const isSwitch = (ask: Ask): boolean =>
    ask.do === 'config' && ask.request.stage === undefined && ask.request.cluster?.configId === 2;
  world.intercept = isSwitch;
  init(world, { ...COMMAND, n: 3, servers });
  await world.until(() => (world.catalog.valueOf('cluster') as { configId: number }).configId === 2);
  world.balancer.crash();
  let isDeaf = true;
  world.intercept = (ask, answer) => {
    if (!isDeaf || !isSwitch(ask) || !('server' in ask) || ask.server !== 'S2') return false;
    answer({ ok: false, error: { code: 'OUTCOME_UNKNOWN', message: 'no answer', retryable: false } });
    return true;
  };
  world.balancer = world.newBalancer('L2');
  await world.until(
    () => world.balancer.isServing && world.balancer.cluster.shards.get(SHARD)?.resolved === true,
    20_000,
  );
  // It has not got the round that says what was decided: counted on, it would have a say in what the next leader decides.
  expect(world.shard.inSync).toEqual(['S0', 'S1']);
  isDeaf = false;
  await world.until(() => world.isWhole(), 20_000);
});

describe('rounds that are under way when the configuration is replaced', () => {
  const writeOf = (...keys: number[]): object => ({
    ...{ op: 'write', onConflict: 'error', keys },
    rows: keys.map((id) => JSON.stringify({ id, mark: 'old' })),
  });

  type Held = { release: () => void; fail: (code: 'BAD_REQUEST' | 'OUTCOME_UNKNOWN') => void }[];

  /** Rounds are held back from now on. */
  function holdRounds(world: SmallWorld): Held {
    const held: Held = [];
    world.intercept = (ask, answer, carryOut) => {
      if (ask.do !== 'apply') return false;
      const release = (): void => {
        carryOut(ask, answer);
      };
      held.push({
        release,
        fail: (code) => {
          answer({ ok: false, error: { code, message: code.toLowerCase(), retryable: false } });
        },
      });
      return true;
    };
    return held;
  }

  it('leave no change behind that the next configuration would carry out', async () => {
    const world = await SmallWorld.of(2);
    const held = holdRounds(world);
    world.send(writeOf(6));
    // These two wait for that one, and share the next round.
    const batches = [7, 8].map((key) => world.send(writeOf(key)));
    await world.until(() => held.length === 2);
    for (const { release } of held.splice(0)) release();
    await world.until(() => held.length === 2);
    init(world, { ...COMMAND, servers: { S0: [SHARD], S1: [SHARD] } });
    await world.until(() => world.balancer.cluster.phase === 'configuring');
    world.intercept = () => false;
    for (const { fail } of held) fail('BAD_REQUEST');
    await untilServed(world);
    await world.pass(500);
    expect([world.keys('S0'), world.keys('S1')]).toEqual([[], []]);
    for (const batch of batches) expect(world.answers[batch]).toMatchObject({ error: { code: 'CONFIG_CHANGED' } });
  });

  it('leave nothing to be done in shards that are gone', async () => {
    const layout = { S0: [SHARD], S1: ['sh1'] };
    const world = await SmallWorld.laidOut(layout);
    const held = holdRounds(world);
    const batch = world.send(writeOf(7, 17));
    await world.until(() => held.length === 2);
    const shards = [SHARD, 'sh1'].map((shard, index) => ({ shard, low: 100 * index, size: 100 }));
    init(world, { ...COMMAND, shards, servers: layout });
    await world.until(() => world.balancer.cluster.phase === 'configuring');
    world.intercept = (ask, answer) => {
      if (ask.do !== 'apply') return false;
      answer({ ok: false, error: { code: 'OUTCOME_UNKNOWN', message: 'no answer', retryable: false } });
      return true;
    };
    for (const { fail } of held.splice(0)) fail('OUTCOME_UNKNOWN');
    await world.until(() => world.administered.has(2), 20_000);
    await untilServed(world);
    expect(world.answers[batch]).toHaveProperty('error');
    const late = holdRounds(world);
    await world.pass(1_000);
    expect(late).toEqual([]);
  });
});
