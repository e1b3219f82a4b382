/**
 * A small world for tests: one balancer, one shard, and as many servers as are given, each with the real replica; what goes wrong is
 * what the test does.
 */
import type { BalancerCore } from '../../src/core/balancer-core';
import type { Ask, Result } from '../../src/core/kernel/effects';
import type { Shard } from '../../src/core/cluster/shard';
import { SimBalancer, type BalancerMutations, type BalancerWatcher } from '../simulation/balancer';
import { SimCatalog } from '../simulation/catalog';
import { Network } from '../simulation/network';
import { Scheduler } from '../simulation/scheduler';
import { Servers } from '../simulation/servers';

type Answer = (outcome: Result<unknown>) => void;

export const SHARD = 'sh0';
export const HIGH = 9;

/** A version as the store in memory has it. */
export interface Version {
  key: number;
  cat: number;
  dat: number;
  row: string;
}

/** The data of `shard.diverged`. */
export interface PublishedDivergence {
  server: string;
  hasMajority: boolean;
  agreeing: string[];
  differing: number;
  complete: boolean;
  keys: { key: number; here: object[]; there: object[] }[];
  roundKeys?: number[];
}

/** One balancer, one shard on `copies` servers, and keys 0 to 5 in it. */
export class SmallWorld {
  readonly scheduler = new Scheduler(1, true);
  readonly network = new Network(this.scheduler);
  readonly replicas = new Servers(this.scheduler, this.network);
  readonly catalog = new SimCatalog(this.scheduler, this.network);
  readonly events: { kind: string; data: Record<string, unknown> }[] = [];
  /** `source>target` of every page that was asked for. */
  readonly copying: string[] = [];
  readonly answers: (object | undefined)[] = [];
  /** What administrators were answered, by their request. */
  readonly administered = new Map<number, Result<unknown>>();
  balancer: SimBalancer;
  /** Deals with what a balancer asks for, in place of the world: true when it has, or will. */
  intercept: (ask: Ask, answer: Answer, carryOut: (ask: Ask, answer: Answer) => void) => boolean = () => false;
  /** Servers that nobody can start. */
  private readonly withoutPower = new Set<string>();
  private nextBatch = 0;

  private constructor(readonly servers: readonly string[]) {
    this.balancer = this.newBalancer('L1');
  }

  static async of(copies: number): Promise<SmallWorld> {
    return SmallWorld.laidOut(Object.fromEntries(Array.from({ length: copies }, (_, index) => [`S${index}`, [SHARD]])));
  }

  /** Nothing is configured yet. */
  static async bare(servers: readonly string[]): Promise<SmallWorld> {
    const world = new SmallWorld(servers);
    await world.until(() => world.balancer.isServing);
    return world;
  }

  /** By server the shards that it holds: `sh0` with the keys 0 to 9, `sh1` with 10 to 19, and so on. */
  static async laidOut(servers: Record<string, string[]>): Promise<SmallWorld> {
    const world = await SmallWorld.bare(Object.keys(servers));
    const schema = { columns: ['id', 'mark'], dtypes: ['Number' as const, 'String' as const] };
    const names = [...new Set(Object.values(servers).flat())].sort();
    const shards = names.map((shard, index) => ({ shard, low: index * (HIGH + 1), size: HIGH + 1 }));
    const command = { n: world.servers.length, schema, shards, servers, allowReinit: false };
    world.balancer.dispatch({ on: 'admin', command: { request: 1, op: 'init', command } });
    await world.until(() => world.balancer.cluster.phase === 'serving');
    for (let key = 0; key <= 5; key += 1) await world.write(key);
    return world;
  }

  newBalancer(name: string): SimBalancer {
    const nothing = (): void => undefined;
    const watcher: BalancerWatcher = {
      ...{ stepped: nothing, said: nothing, applied: nothing, read: nothing },
      administered: (request, outcome) => {
        this.administered.set(request, outcome);
      },
      answered: (_balancer, batch, { result }) => {
        if (this.answers[batch] !== undefined) throw new Error(`request ${batch} is answered twice`);
        this.answers[batch] = result;
      },
    };
    const mutations: BalancerMutations = {
      patchCore: (core) => {
        this.listen(core);
      },
      interceptAsk: (ask, carryOut, answer) => {
        const isPowerless = ask.do === 'startNode' && this.withoutPower.has(ask.server);
        if (isPowerless)
          scheduler.after(5, () => {
            answer({ ok: true, value: null });
          });
        else if (!this.intercept(ask, answer, carryOut)) carryOut(ask, answer);
      },
    };
    const { scheduler, replicas: servers, catalog } = this;
    const balancer = new SimBalancer(name, { scheduler, servers, catalog, watcher, mutations }, scheduler.dice(9));
    balancer.start();
    return balancer;
  }

  /** For `intercept`: whoever asked gets no answer in time, and does not know what became of it. */
  unanswered(answer: Answer, afterMs = 50): true {
    this.scheduler.after(afterMs, () => {
      answer({ ok: false, error: { code: 'OUTCOME_UNKNOWN', message: 'no answer', retryable: false } });
    });
    return true;
  }

  /** The server ends and stays away until `powerOn`. */
  powerOff(server: string): void {
    this.withoutPower.add(server);
    this.replicas.server(server).kill();
  }
  powerOn(server: string): void {
    this.withoutPower.delete(server);
    this.replicas.server(server).start();
  }
  wipe(server: string): void {
    this.replicas.server(server).wipe();
  }

  /** It ends, loses its disk, and is there again at once. */
  loseDisk(server: string): void {
    this.replicas.server(server).kill();
    this.wipe(server);
    this.replicas.server(server).start();
  }

  /** The leader ends, and another one takes over. */
  changeLeader(name: string): void {
    this.balancer.crash();
    this.balancer = this.newBalancer(name);
  }

  /** Lets the world run until it is so. */
  async until(isSo: () => boolean, withinMs = 5_000): Promise<void> {
    const endMs = this.scheduler.nowMs + withinMs;
    await this.scheduler.run(endMs, () => isSo() || this.scheduler.violation !== null);
    const last = (this.scheduler.timeline ?? []).slice(-40).join('\n');
    if (this.scheduler.violation !== null) throw new Error(`${this.scheduler.violation}\n${last}`);
    if (!isSo()) throw new Error(`not so within ${withinMs} ms\n${last}`);
  }

  /** Lets some time pass. */
  async pass(ms: number): Promise<void> {
    const endMs = this.scheduler.nowMs + ms;
    await this.scheduler.run(endMs, () => false);
    this.scheduler.nowMs = endMs;
  }

  /** Sends a change; what is said to it will stand in `answers`, at the place that is returned. */
  send(command: object, configId = this.balancer.cluster.configId): number {
    const batch = this.nextBatch++;
    const commands = [{ batch, id: 0, ...command }] as never;
    this.balancer.dispatch({ on: 'records', configId, commands });
    return batch;
  }

  async change(command: object): Promise<object> {
    const batch = this.send(command);
    await this.until(() => this.answers[batch] !== undefined);
    return this.answers[batch]!;
  }

  async write(key: number): Promise<void> {
    const rows = [JSON.stringify({ id: key, mark: `m${key}` })];
    expect(
      await this.change({ op: 'write', onConflict: 'error', keys: [key], rows, operation: `write-${key}` }),
    ).toMatchObject({ added: 1 });
  }

  /** The versions on the disk of a server; what is changed in there is changed outside of Shardline. */
  disk(server: string, shard = SHARD): Map<string, Version> {
    const { disk } = this.replicas.server(server);
    const { contents } = disk as unknown as { contents: { tables: Map<string, Map<string, Version>> } };
    // What is stored is never changed, only replaced: whoever knows it by its table would not see the change.
    const table = new Map(contents.tables.get(shard));
    contents.tables.set(shard, table);
    return table;
  }

  living(server: string, shard = SHARD): Version[] {
    const all = [...this.disk(server, shard).values()].filter(({ dat }) => dat > 1e9);
    return all.sort((a, b) => a.key - b.key);
  }

  /** The keys of the records on a server's disk. */
  keys(server: string, shard = SHARD): number[] {
    return this.living(server, shard).map(({ key }) => key);
  }

  published(kind: string): Record<string, unknown>[] {
    return this.events.filter((event) => event.kind === kind).map(({ data }) => data);
  }

  get divergences(): PublishedDivergence[] {
    return this.events.filter(({ kind }) => kind === 'shard.diverged').map(({ data }) => data as never);
  }

  get shard(): Shard {
    return this.balancer.cluster.shards.get(SHARD)!;
  }

  isWhole(): boolean {
    return (
      this.servers.every((server) => this.shard.stateOf(server) === 'in-sync') &&
      this.balancer.cluster.isWritable(this.shard)
    );
  }

  expectAlike(): void {
    for (const server of this.servers) expect(this.living(server)).toEqual(this.living(this.servers[0]!));
  }

  /** The balancer's questions of one kind to these servers are on their way for so long. */
  slowDown(kind: 'digest' | 'catchup', servers: readonly string[], ms: number): void {
    const { replicas } = this;
    const call = replicas.call.bind(replicas);
    replicas.call = (asked, done) => {
      const isSlow = asked.from.startsWith('L') && asked.label().startsWith(kind) && servers.includes(asked.server);
      if (!isSlow) call(asked, done);
      else {
        this.scheduler.after(ms, () => {
          call(asked, done);
        });
      }
    };
  }

  private listen(core: BalancerCore): void {
    const step = core.step.bind(core);
    core.step = (event) => {
      const effects = step(event);
      for (const effect of effects) {
        if (effect.do === 'publish') this.events.push(effect.event);
        if (effect.do === 'catchup') this.copying.push(`${effect.request.source}>${effect.server}`);
      }
      return effects;
    };
  }
}
