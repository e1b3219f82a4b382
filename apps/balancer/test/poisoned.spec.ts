/** Writes that no replica can store, beside others that every replica can, in the simulated world. */
import type { BalancerCore } from '../src/core/balancer-core';
import { ShardlineError, type ErrorBody } from '#common/contracts/errors';
import { SimBalancer, type BalancerWatcher } from './simulation/balancer';
import { SimCatalog } from './simulation/catalog';
import { Network } from './simulation/network';
import { Scheduler } from './simulation/scheduler';
import { Servers, type SimServer } from './simulation/servers';

const POISON = 'too big';
/** Two shards of 1000 keys that have a server in common. */
const PLACED = { S0: ['a'], S1: ['a'], S2: ['a', 'b'], S3: ['b'], S4: ['b'] };
const A = 0;
const B = 1000;

type Result = { added: number; error?: undefined } | { error: ErrorBody };

class World {
  readonly scheduler = new Scheduler(1, true);
  readonly network = new Network(this.scheduler);
  readonly replicas = new Servers(this.scheduler, this.network);
  readonly catalog = new SimCatalog(this.scheduler, this.network);
  readonly events: string[] = [];
  readonly answers = new Map<string, Result>();
  rounds = 0;
  readonly balancer: SimBalancer;
  private nextBatch = 0;

  private constructor() {
    const nothing = (): void => undefined;
    const watcher: BalancerWatcher = {
      ...{ stepped: nothing, administered: nothing, said: nothing, applied: nothing, read: nothing },
      answered: (_balancer, batch, { result }) => {
        this.answers.set(`${batch}/${result.id}`, result as never);
      },
    };
    const mutations = {
      patchCore: (core: BalancerCore): void => {
        this.listen(core);
      },
    };
    const { scheduler, replicas: servers, catalog } = this;
    this.balancer = new SimBalancer('L1', { scheduler, servers, catalog, watcher, mutations }, scheduler.dice(9));
    this.balancer.start();
  }

  static async start(): Promise<World> {
    const world = new World();
    await world.until(() => world.balancer.isServing);
    const command = {
      n: 5,
      schema: { columns: ['id', 'mark'], dtypes: ['Number' as const, 'String' as const] },
      shards: [
        { shard: 'a', low: A, size: 1000 },
        { shard: 'b', low: B, size: 1000 },
      ],
      servers: PLACED,
      allowReinit: false,
    };
    world.balancer.dispatch({ on: 'admin', command: { request: 1, op: 'init', command } });
    await world.until(() => world.balancer.cluster.phase === 'serving');
    for (const name of Object.keys(PLACED)) refusePoison(world.replicas.server(name));
    return world;
  }

  async until(isSo: () => boolean, withinMs = 5_000): Promise<void> {
    const endMs = this.scheduler.nowMs + withinMs;
    await this.scheduler.run(endMs, () => isSo() || this.scheduler.violation !== null);
    if (this.scheduler.violation !== null) throw new Error(this.scheduler.violation);
    if (!isSo()) throw new Error(`not so within ${withinMs} ms`);
  }

  /** Writes that come at one time: what each is answered, and how long that took. */
  async write(...writes: [mark: string, ...keys: number[]][]): Promise<{ outcomes: string[]; tookMs: number }> {
    const batch = this.nextBatch++;
    const startMs = this.scheduler.nowMs;
    const commands = writes.map(([mark, ...keys], id) => {
      const rows = keys.map((key) => JSON.stringify({ id: key, mark }));
      return { batch, id, op: 'write', onConflict: 'error', keys, rows, operation: `${batch}-${id}` };
    });
    this.balancer.dispatch({ on: 'records', configId: this.balancer.cluster.configId, commands } as never);
    const answers = (): (Result | undefined)[] => writes.map((_, id) => this.answers.get(`${batch}/${id}`));
    await this.until(() => answers().every((answer) => answer !== undefined));
    const outcomes = answers().map((answer) => answer?.error?.code ?? 'done');
    return { outcomes, tookMs: this.scheduler.nowMs - startMs };
  }

  get inSync(): Record<string, readonly string[]> {
    return Object.fromEntries([...this.balancer.cluster.shards].map(([id, { inSync }]) => [id, inSync]));
  }

  private listen(core: BalancerCore): void {
    const step = core.step.bind(core);
    core.step = (event) => {
      const effects = step(event);
      for (const effect of effects) {
        if (effect.do === 'publish') this.events.push(effect.event.kind);
        if (effect.do === 'apply') this.rounds += 1;
      }
      return effects;
    };
  }
}

function refusePoison({ disk }: SimServer): void {
  const transact = disk.transact.bind(disk);
  disk.transact = (work) =>
    transact((transaction) => {
      const write = transaction.write.bind(transaction);
      const refusing: Pick<typeof transaction, 'write'> = {
        write: (part) => {
          if (part.births.some(({ row }) => row.includes(POISON))) throw new ShardlineError('BAD_REQUEST', POISON);
          write(part);
        },
      };
      return work(Object.assign(transaction, refusing));
    });
}

let world: World;
beforeEach(async () => {
  world = await World.start();
});

/** Nobody was taken out of an in-sync set for it. */
function expectUnharmed(): void {
  expect(world.inSync).toEqual({ a: ['S0', 'S1', 'S2'], b: ['S2', 'S3', 'S4'] });
  expect(world.events).not.toContain('shard.stale');
  expect(world.events).not.toContain('shard.unavailable');
}

test('one that is alone is refused at once, and the next one is not', async () => {
  const { outcomes, tookMs } = await world.write([POISON, A + 1]);
  expect(outcomes).toEqual(['BAD_REQUEST']);
  expect(tookMs).toBeLessThan(50);
  expect((await world.write(['good', A + 1])).outcomes).toEqual(['done']);
  expectUnharmed();
});

test('one among many of the same shard fails alone', async () => {
  const { outcomes, tookMs } = await world.write(
    ['1', A + 1],
    ['2', A + 2],
    [POISON, A + 3],
    ['4', A + 4],
    ['5', A + 5],
  );
  expect(outcomes).toEqual(['done', 'done', 'BAD_REQUEST', 'done', 'done']);
  expect(tookMs).toBeLessThan(100);
  expectUnharmed();
});

test('one over two shards that only one of them refuses harms neither, nor those in the same round', async () => {
  const { outcomes, tookMs } = await world.write(
    ['1', A + 1],
    ['2', B + 2],
    [POISON, A + 3, B + 3],
    ['4', A + 4, B + 4],
  );
  expect(outcomes).toEqual(['done', 'done', 'BAD_REQUEST', 'done']);
  expect(tookMs).toBeLessThan(100);
  expectUnharmed();
  // Only in b: the servers of a that b does not share have stored it.
  const { replicas } = world;
  refuseNothing(replicas, ['S0', 'S1']);
  expect((await world.write(['1', A + 5], [POISON, A + 6, B + 6], ['2', B + 7])).outcomes).toEqual([
    'done',
    'BAD_REQUEST',
    'done',
  ]);
  expectUnharmed();
  expect((await world.write(['good', A + 6, B + 6])).outcomes).toEqual(['done']);
});

function refuseNothing(replicas: Servers, names: readonly string[]): void {
  for (const name of names) delete (replicas.server(name).disk as { transact?: unknown }).transact;
}

test('rounds of other shards that travel in the same message go on', async () => {
  // The first round keeps the way to S2 busy, so that the next two share a message.
  const outcomes = await Promise.all([
    world.write(['1', A + 1]),
    world.write([POISON, B + 1]),
    world.write(['2', A + 2], ['3', A + 3]),
  ]);
  expect(outcomes.map((each) => each.outcomes)).toEqual([['done'], ['BAD_REQUEST'], ['done', 'done']]);
  expectUnharmed();
});

test('those that were refused in the same round for what they ask are answered that', async () => {
  await world.write(['there', B + 1]);
  const { outcomes } = await world.write(['1', A + 1, B + 1], [POISON, A + 2], ['3', A + 3, B + 3], ['4', A + 4]);
  expect(outcomes).toEqual(['KEY_EXISTS', 'BAD_REQUEST', 'done', 'done']);
  expectUnharmed();
});

test('one among many is found in few rounds', async () => {
  const writes = Array.from({ length: 32 }, (_, n): [string, number] => [n === 17 ? POISON : 'good', A + n]);
  const before = world.rounds;
  const { outcomes } = await world.write(...writes);
  expect(outcomes.flatMap((each, n) => (each === 'done' ? [] : [[n, each]]))).toEqual([[17, 'BAD_REQUEST']]);
  // At three replicas: the first round, and two halves at each of five levels.
  expect(world.rounds - before).toBeLessThanOrEqual(3 * (1 + 2 * 5));
  expectUnharmed();
});

test('one that a silent replica cannot refuse is refused by the others', async () => {
  world.replicas.server('S4').kill();
  expect((await world.write(['1', B + 1], [POISON, B + 2], ['3', B + 3])).outcomes).toEqual([
    'done',
    'BAD_REQUEST',
    'done',
  ]);
  expect(world.inSync.a).toEqual(['S0', 'S1', 'S2']);
});
