/** Copies that are broken off at any page by the end of any side, in the simulated world: resumed, right, and nothing twice. */
import fc from 'fast-check';
import type { CopySource } from '../../shard-node/src/ports/copy-source';
import type { VersionStore } from '../../shard-node/src/ports/version-store';
import type { BalancerCore } from '../src/core/balancer-core';
import type { CoreSettings } from '../src/core/detection/core-settings';
import { SimBalancer, type BalancerWatcher } from './simulation/balancer';
import { SimCatalog } from './simulation/catalog';
import { Network } from './simulation/network';
import { Scheduler } from './simulation/scheduler';
import { Servers } from './simulation/servers';

const SHARD = 'sh0';
const ROWS = 40;
const TARGET = 'S2';
const SERVERS = ['S0', 'S1', TARGET];
/** A page of the simulated shard-nodes has room for two of these rows. */
const PAGE_ROWS = 2;

const ENDS = ['target', 'source', 'leader'] as const;
interface End {
  atPage: number;
  of: (typeof ENDS)[number];
}

interface Published {
  kind: string;
  data: Record<string, unknown>;
}

/** One shard on three servers with `ROWS` records; the third server's disk can be lost. */
class World {
  readonly scheduler: Scheduler;
  readonly replicas: Servers;
  readonly events: Published[] = [];
  /** Rows of snapshots and of differences that became durable on the target, and pages of snapshots. */
  readonly stored = { snapshot: 0, difference: 0, pages: 0 };
  onPage: (page: number) => void = () => undefined;
  changePage: (text: string) => string = (text) => text;
  lastSource = '';
  private readonly catalog: SimCatalog;
  private readonly balancers: SimBalancer[] = [];
  private readonly answers: (object | undefined)[] = [];
  private nextBatch = 0;
  private isBusy = true;

  private constructor(
    seed: number,
    private readonly settings: Partial<CoreSettings>,
  ) {
    this.scheduler = new Scheduler(seed, true);
    const network = new Network(this.scheduler);
    this.replicas = new Servers(this.scheduler, network);
    this.catalog = new SimCatalog(this.scheduler, network);
    this.replicas.mutations = {
      wrapSource: (server, source) => this.watchSource(server, source),
      wrapStore: (server, store) => (server === TARGET ? this.watchStore(store) : store),
    };
  }

  static async of(seed: number, settings: Partial<CoreSettings> = {}): Promise<World> {
    const world = new World(seed, { scrubIntervalMs: 0, ...settings });
    world.startBalancer();
    await world.until(() => world.leader?.isServing === true);
    const schema = { columns: ['id', 'mark'], dtypes: ['Number' as const, 'String' as const] };
    const servers = Object.fromEntries(SERVERS.map((name) => [name, [SHARD]]));
    const shards = [{ shard: SHARD, low: 0, size: 1000 }];
    const command = { n: SERVERS.length, schema, shards, servers, allowReinit: false };
    world.leader!.dispatch({ on: 'admin', command: { request: 1, op: 'init', command } });
    await world.until(() => world.leader?.cluster.phase === 'serving');
    for (let key = 0; key < ROWS; key += 1) await world.write(key);
    return world;
  }

  get leader(): SimBalancer | undefined {
    return this.balancers.find(({ isAlive }) => isAlive);
  }

  startBalancer(): void {
    const nothing = (): void => undefined;
    const watcher: BalancerWatcher = {
      ...{ stepped: nothing, administered: nothing, said: nothing, applied: nothing, read: nothing },
      answered: (_balancer, batch, { result }) => {
        this.answers[batch] = result;
      },
    };
    const mutations = {
      patchCore: (core: BalancerCore): void => {
        Object.assign((core as unknown as { settings: CoreSettings }).settings, this.settings);
        const step = core.step.bind(core);
        core.step = (event) => {
          const effects = step(event);
          for (const effect of effects) if (effect.do === 'publish') this.events.push(effect.event);
          return effects;
        };
      },
    };
    const { scheduler, replicas: servers, catalog } = this;
    const name = `L${this.balancers.length + 1}`;
    const world = { scheduler, servers, catalog, watcher, mutations };
    const balancer = new SimBalancer(name, world, scheduler.dice(9 + this.balancers.length));
    this.balancers.push(balancer);
    balancer.start();
  }

  /** What ends comes back by itself: servers are started by the leader, leaders by whoever looks after them. */
  end(one: End['of']): void {
    if (one === 'target') this.replicas.server(TARGET).kill();
    else if (one === 'source') this.replicas.server(this.lastSource).kill();
    else {
      this.leader?.crash();
      this.startBalancer();
    }
  }

  /** The target loses its disk, and is found to be gone. */
  loseDisk(): void {
    this.replicas.server(TARGET).kill();
    this.replicas.server(TARGET).wipe();
  }

  async until(isSo: () => boolean, withinMs = 20_000): Promise<void> {
    const endMs = this.scheduler.nowMs + withinMs;
    await this.scheduler.run(endMs, () => isSo() || this.scheduler.violation !== null);
    const last = (this.scheduler.timeline ?? []).slice(-60).join('\n');
    if (this.scheduler.violation !== null) throw new Error(`${this.scheduler.violation}\n${last}`);
    if (!isSo()) throw new Error(`not so within ${withinMs} ms\n${last}`);
  }

  isWhole(): boolean {
    const shard = this.leader?.cluster.shards.get(SHARD);
    return shard?.resolved === true && SERVERS.every((server) => shard.stateOf(server) === 'in-sync');
  }

  /** Creates or replaces a record, again and again until somebody says that it is done. */
  async write(key: number): Promise<void> {
    const batch = ++this.nextBatch;
    const row = JSON.stringify({ id: key, mark: `w${batch}` });
    const what = { op: 'write' as const, onConflict: 'replace' as const, keys: [key], rows: [row] };
    const command = { batch, id: 1, operation: `op${batch}`, ...what };
    this.leader?.dispatch({ on: 'records', configId: 1, commands: [command] });
    await this.until(() => this.answers[batch] !== undefined);
  }

  /** Somebody writes all the time, whatever becomes of it. */
  keepWriting(everyMs: number): void {
    if (!this.isBusy) return;
    const batch = ++this.nextBatch;
    const row = JSON.stringify({ id: 0, mark: `w${batch}` });
    const what = { op: 'update' as const, key: 0, row, batch, id: 1, operation: `op${batch}` };
    if (this.leader?.isServing === true) this.leader.dispatch({ on: 'records', configId: 1, commands: [what] });
    this.scheduler.after(everyMs, () => {
      this.keepWriting(everyMs);
    });
  }
  stopWriting(): void {
    this.isBusy = false;
  }

  /** What each server shows at the shard's VAT. */
  async views(): Promise<string[]> {
    const vat = this.leader?.cluster.shards.get(SHARD)?.vat ?? 0;
    const disks = SERVERS.map((server) => this.replicas.server(server).disk);
    return Promise.all(
      disks.map(async (disk) => (await disk.copyPage({ shard: SHARD, from: 0, to: vat }, null, 1_000_000)).text),
    );
  }

  published(kind: string): Record<string, unknown>[] {
    return this.events.filter((event) => event.kind === kind).map(({ data }) => data);
  }

  private watchSource(server: string, source: CopySource): CopySource {
    return {
      fetch: async (from, request) => {
        if (server === TARGET) this.lastSource = from;
        const page = await source.fetch(from, request);
        return { ...page, text: this.changePage(page.text) };
      },
    };
  }

  private watchStore(store: VersionStore): VersionStore {
    return Object.assign(Object.create(store) as VersionStore, {
      transact: async <T>(work: Parameters<VersionStore['transact']>[0]): Promise<T> => {
        const put = { snapshot: 0, difference: 0 };
        const result = await store.transact((transaction) => {
          const putVersions = transaction.putVersions.bind(transaction);
          transaction.putVersions = (shard, versions, isSnapshot) => {
            put[isSnapshot ? 'snapshot' : 'difference'] += versions.count;
            return putVersions(shard, versions, isSnapshot);
          };
          return work(transaction);
        });
        this.stored.snapshot += put.snapshot;
        this.stored.difference += put.difference;
        if (put.snapshot > 0) this.onPage((this.stored.pages += 1));
        return result as T;
      },
    });
  }
}

describe('a copy', () => {
  const ends = fc.uniqueArray(
    fc.record({ atPage: fc.integer({ min: 1, max: ROWS / PAGE_ROWS - 1 }), of: fc.constantFrom(...ENDS) }),
    {
      selector: ({ atPage }) => atPage,
      maxLength: 4,
    },
  );

  test('that is broken off at any page by the end of any side goes on there, whoever leads then', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(1_000_000), ends, async (seed, list) => {
        const world = await World.of(seed, { tombstoneHorizonMs: 60_000 });
        world.keepWriting(40);
        world.onPage = (page) => {
          for (const { atPage, of } of list)
            if (atPage === page)
              world.scheduler.after(0, () => {
                world.end(of);
              });
        };
        world.loseDisk();
        await world.until(() => world.published('shard.insync').length > 0 && world.isWhole(), 60_000);
        world.stopWriting();
        await world.until(() => world.isWhole());
        const [first, ...others] = await world.views();
        for (const other of others) expect(other).toBe(first);
        expect(world.stored.snapshot).toBeGreaterThanOrEqual(ROWS);
        expect(world.stored.snapshot).toBeLessThanOrEqual(ROWS + list.length * PAGE_ROWS);
        const isResumed = world.published('shard.syncing').filter(({ resumed }) => resumed === true).length > 0;
        const mustResume = list.some(({ of }) => of !== 'source');
        if (mustResume) expect(isResumed).toBe(true);
      }),
      {
        numRuns: 25,
        examples: [
          [7, []],
          [8, ENDS.map((of, index) => ({ of, atPage: 3 + index * 4 }))],
        ],
      },
    );
  }, 120_000);

  test('starts over, and says so, when what it was made from has been purged meanwhile', async () => {
    const world = await World.of(3, { tombstoneHorizonMs: 1 });
    world.keepWriting(20);
    world.onPage = (page) => {
      if (page === 5)
        world.scheduler.after(0, () => {
          world.end('target');
        });
    };
    world.loseDisk();
    await world.until(() => world.published('shard.insync').some(({ server }) => server === TARGET) && world.isWhole());
    expect(world.published('shard.syncing').map(({ cause }) => cause)).toContain(
      'what it was being copied from is gone',
    );
    expect(world.stored.snapshot).toBeGreaterThan(ROWS);
    const [first, ...others] = await world.views();
    for (const other of others) expect(other).toBe(first);
  });

  test('of a difference is enough for a replica that comes back within the horizon, one of everything beyond it', async () => {
    for (const [tombstoneHorizonMs, isWhole] of [
      [60_000, false],
      [1, true],
    ] as const) {
      const world = await World.of(4, { tombstoneHorizonMs });
      world.replicas.server(TARGET).kill();
      world.keepWriting(10);
      await world.until(
        () => world.published('shard.insync').some(({ server }) => server === TARGET) && world.isWhole(),
      );
      expect(world.stored.snapshot >= ROWS).toBe(isWhole);
      if (!isWhole) expect(world.stored.snapshot).toBe(0);
    }
  });

  test('that is wrong is found by its digest, and everything is copied once more', async () => {
    const world = await World.of(5, { tombstoneHorizonMs: 60_000 });
    let changes = 0;
    world.changePage = (text) => {
      if (changes > 0 || !text.includes('"id":500,')) return text;
      changes += 1;
      return text.replace('"id":500,"mark":"w', '"id":500,"mark":"x');
    };
    world.replicas.server(TARGET).kill();
    await world.write(500);
    world.keepWriting(40);
    await world.until(() => world.published('shard.insync').some(({ server }) => server === TARGET) && world.isWhole());
    expect(changes).toBe(1);
    expect(world.published('shard.syncing').map(({ cause }) => cause)).toContain('its digest differs');
    expect(world.stored.snapshot).toBeGreaterThanOrEqual(ROWS);
    const [first, ...others] = await world.views();
    for (const other of others) expect(other).toBe(first);
  });

  test('takes no more bytes a second than allowed', async () => {
    const copyBytesPerS = 1_000;
    const world = await World.of(6, { tombstoneHorizonMs: 60_000, copyBytesPerS });
    world.loseDisk();
    await world.until(() => world.published('shard.insync').some(({ server }) => server === TARGET), 60_000);
    const [{ bytes, durationMs }] = world.published('shard.insync').filter(({ server }) => server === TARGET) as [
      { bytes: number; durationMs: number },
    ];
    expect(bytes).toBeGreaterThan(ROWS * 40);
    // A quarter of a second's worth may come at once, and a page more than that; clocks are not exact.
    expect(durationMs).toBeGreaterThan(((bytes - 500) / copyBytesPerS) * 900);
  });
});
