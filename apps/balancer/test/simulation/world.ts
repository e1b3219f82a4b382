/** What worlds have in common that are checked: the parts, balancers that are restarted, healing, and whether every promise was kept. */
import { History } from '#common/testing/history';
import type { InitCommand } from '#common/contracts/commands';
import type { Settings } from './profiles';
import { SimBalancer, type BalancerMutations } from './balancer';
import { SimCatalog } from './catalog';
import { judgeOrder, readDisks, type OrderVerdict } from './checkers/order';
import { faultOfReads } from './checkers/reads';
import { illnessOf, shardsToServe } from './checkers/wellness';
import type { Clients, KeySpace } from './clients';
import { SimGateway } from './gateway';
import { Post, type GatewayWorld } from './gateway-world';
import { Network } from './network';
import { rememberRings } from './rings';
import { Scheduler } from './scheduler';
import { Servers, type NodeMutations } from './servers';
import { Watch } from './watch';

/** So long after the last fault everything must be well again. */
const HEALED_WITHIN_MS = 12_000;
/** So often it is looked whether all is well: what comes after that shows nothing. */
const WELL_CHECK_MS = 50;
/** When all is well a write takes much less. */
const WRITTEN_WITHIN_MS = 2_000;
const SUPERVISOR_MS = 100;
const BALANCERS = 2;

rememberRings();

/** What a test breaks on purpose. */
export type WorldMutations = BalancerMutations & NodeMutations;

/** Of what a world is made. */
export interface WorldShape {
  seed: number;
  mutations: WorldMutations;
  withTimeline: boolean;
  /** Where they are others than those of all worlds. */
  settings: Partial<Settings>;
  /** How long it may take until a read looks at the rows; 0: no time. */
  readsMs: number;
  /** How often the disks are looked at, in milliseconds. */
  checkMs: number;
  /** Another network than that of all worlds. */
  makeNetwork?: (scheduler: Scheduler) => Network;
}

export class JudgedWorld {
  readonly scheduler: Scheduler;
  readonly network: Network;
  readonly servers: Servers;
  readonly catalog: SimCatalog;
  readonly history = new History();
  readonly watch: Watch;
  readonly gateways: readonly SimGateway[];
  protected readonly post: Post;
  private readonly balancers: SimBalancer[] = [];

  constructor(private readonly shape: WorldShape) {
    const { seed, mutations, withTimeline, readsMs, makeNetwork } = shape;
    this.scheduler = new Scheduler(seed, withTimeline);
    this.network = makeNetwork?.(this.scheduler) ?? new Network(this.scheduler);
    this.servers = new Servers(this.scheduler, this.network);
    this.servers.mutations = mutations;
    this.servers.loseCommits = true;
    this.servers.readsMs = readsMs;
    this.catalog = new SimCatalog(this.scheduler, this.network);
    this.post = new Post(this.network);
    this.watch = new Watch(
      this.scheduler,
      this.servers,
      this.catalog,
      this.post,
      () => this.balancers,
      this.history,
      mutations.mayDiverge === true,
    );
    const world: GatewayWorld = {
      ...{ scheduler: this.scheduler, network: this.network, servers: this.servers, post: this.post },
      configId: () => this.watch.seen.configId(),
      ...{ named: this.scheduler.chance(0.7) },
      serving: () => this.balancers.filter((balancer) => balancer.isServing),
      read: (epoch, server) => {
        this.watch.read(epoch, server);
      },
    };
    this.gateways = [1, 2].map((number) => new SimGateway(`G${number}`, world, number));
  }

  /** The one with the highest epoch among those that live. */
  leader(): SimBalancer | undefined {
    return this.living()[0];
  }

  living(): SimBalancer[] {
    return this.balancers.filter(({ isAlive }) => isAlive).sort((a, b) => b.cluster.epoch - a.cluster.epoch);
  }

  /** Nothing further is to be found out: a promise is broken, or nothing is promised. */
  isOver(): boolean {
    return this.scheduler.violation !== null || this.watch.isVoid;
  }

  /** Balancers are there, and the cluster is configured for the first time. */
  async begin(command: InitCommand): Promise<void> {
    const { scheduler } = this;
    this.supervise();
    await scheduler.run(1_000, () => this.leader()?.isServing === true);
    const leader = this.leader()!;
    this.watch.asked({ request: 1, op: 'init', command });
    leader.dispatch({ on: 'admin', command: { request: 1, op: 'init', command } });
    await scheduler.run(4_000, () => this.watch.administration.has(1));
    const outcome = this.watch.administration.get(1);
    if (outcome?.ok !== true)
      scheduler.violate(`the cluster could not be made: ${outcome?.error.message ?? 'no answer'}`);
  }

  /**
   * Every shard that must be served takes a write and can be read: each by itself, since one that faults have destroyed makes no other
   * silent.
   */
  async useAll(clients: Clients, keys: KeySpace): Promise<void> {
    const { scheduler, watch } = this;
    const { newest } = watch.seen;
    const configId = watch.seen.configId();
    const wanted = shardsToServe(watch.seen, watch.copies);
    const served = [...newest.values()].filter(({ shard }) => wanted.includes(shard));
    let open = 0;
    const ended = (): void => {
      open -= 1;
    };
    const read = (own: readonly number[]): void => {
      if (own.length === 0) return;
      open += 1;
      clients.readAll(own, ended);
    };
    const ranges = served.map(({ low, size }) => keys.all.filter((key) => key >= low && key < low + size));
    for (const [key] of ranges) {
      if (key === undefined) continue;
      open += 1;
      clients.writeOne(key, ended);
    }
    await this.runChecked(scheduler.nowMs + WRITTEN_WITHIN_MS, () => open === 0);
    // An /init that its administrator no longer waits for may come into force even now: what was meant are keys of other shards then.
    if (watch.seen.configId() !== configId) {
      await this.useAll(clients, keys);
      return;
    }
    if (!this.isOver() && open > 0) scheduler.violate('I8: the last writes were not made');
    if (this.isOver()) return;
    if (served.length === newest.size) read(keys.all);
    else for (const own of ranges) read(own);
    await this.runChecked(scheduler.nowMs + 2_000, () => open === 0);
    if (!this.isOver() && open > 0) scheduler.violate('I8: the last read got no answer');
  }

  private startBalancer(): void {
    const { scheduler, servers, catalog, watch: watcher } = this;
    const { mutations, settings } = this.shape;
    const number = this.balancers.length + 1;
    const world = { scheduler, servers, catalog, watcher, mutations, settings };
    const balancer = new SimBalancer(`L${number}`, world, scheduler.dice(3_000 + number));
    this.balancers.push(balancer);
    balancer.start();
  }

  /** Balancers that ended are restarted, as a service manager would. */
  private supervise(): void {
    for (let living = this.living().length; living < BALANCERS; living += 1) this.startBalancer();
    this.scheduler.after(SUPERVISOR_MS, () => {
      this.supervise();
    });
  }

  /** Runs and looks at the replicas every now and then. */
  async runChecked(untilMs: number, isDone: () => boolean): Promise<void> {
    const { scheduler, watch } = this;
    while (scheduler.nowMs < untilMs && !isDone() && !this.isOver()) {
      const pauseMs = Math.min(scheduler.nowMs + this.shape.checkMs, untilMs);
      await scheduler.run(pauseMs, () => isDone() || this.isOver());
      scheduler.nowMs = isDone() || this.isOver() ? scheduler.nowMs : pauseMs;
      watch.check();
    }
  }

  /** After the faults: everything in sync again and everybody answered, within a bound. */
  async heal(when: 'while clients go on' | 'once clients have stopped'): Promise<void> {
    const { scheduler } = this;
    const startMs = scheduler.nowMs;
    const history = when === 'while clients go on' ? null : this.history;
    const illness = (): string | null => illnessOf(this.leader(), history, this.watch.seen, this.watch.copies);
    while (!this.isOver() && illness() !== null && scheduler.nowMs < startMs + HEALED_WITHIN_MS) {
      await this.runChecked(scheduler.nowMs + Math.min(this.shape.checkMs, WELL_CHECK_MS), () => false);
    }
    const ill = illness();
    if (ill !== null && !this.isOver())
      scheduler.violate(`I8: not well ${HEALED_WITHIN_MS} ms after the last fault, ${when}: ${ill}`);
  }

  /** What clients were answered, and what the disks hold at the end, has an order that explains it. */
  judge(keys: KeySpace): OrderVerdict {
    const { scheduler, history, watch } = this;
    if (this.isOver()) return { fault: null, undecided: 0, isStrict: false };
    const faultOfRead = faultOfReads(history.entries);
    if (faultOfRead !== null) scheduler.violate(faultOfRead);
    readDisks(watch.seen, history, keys, this.lastVats());
    const order = judgeOrder(history.entries, keys);
    if (order.fault !== null) scheduler.violate(order.fault);
    return order;
  }

  /**
   * By shard what its leader takes for acknowledged, or what was shown last where that has not been decided again: where a shard is not
   * served at the end, copies may have been made of what was decided.
   */
  private lastVats(): ReadonlyMap<string, { vat: number }> {
    const vats = new Map<string, { vat: number }>(this.watch.progress.shown);
    for (const { id, decided, vat } of this.leader()?.cluster.shards.values() ?? []) if (decided) vats.set(id, { vat });
    return vats;
  }
}
