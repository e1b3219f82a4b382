/** One run of the simulated world: a cluster comes into being, clients work, faults happen and stop, everything is judged. */
import { History } from '#common/testing/history';
import { SimBalancer, type BalancerFlaws } from './balancer';
import { SimCatalog } from './catalog';
import { judgeOrder, readDisks } from './checkers/order';
import { faultOfReads } from './checkers/reads';
import { shardsToServe, illnessOf } from './checkers/wellness';
import { Clients, type KeySpace } from './clients';
import { Faults } from './faults';
import { SimGateway } from './gateway';
import { Post, type GatewayWorld } from './gateway-world';
import { Network } from './network';
import { profileOf, type Profile } from './profiles';
import { rememberRings } from './rings';
import { SCHEMA } from './rows';
import { Scheduler } from './scheduler';
import { Servers, type NodeFlaws } from './servers';
import { SHARD_KEYS, ShapeChanges } from './shape-changes';
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

/** A world that is drawn from fewer possibilities, so that what shows seldom shows sooner. Of `faults` all may happen. */
export interface Bias extends Partial<Omit<Profile, 'name' | 'weight'>> {
  /** The name of the profile of all worlds. */
  profile?: string;
}

/** What a test breaks on purpose, and the worlds in which it does. */
export type Flaws = BalancerFlaws & NodeFlaws & { bias?: Bias };

export interface Verdict {
  seed: number;
  /** The name of the world's profile. */
  profile: string;
  /** What must never be and was; null when all was well. */
  violation: string | null;
  /** The only copies of something were lost, so that nothing was promised; the faults avoid it where they can. */
  isVoid: boolean;
  /** Groups of keys of which the history could not be judged. */
  undecided: number;
  /** All keys were judged together. */
  isStrict: boolean;
  operations: number;
  faults: number;
  simulatedMs: number;
  timeline: readonly string[];
}

/** At most so many faults and operations happen, those that would come first; the run is the same up to there. */
export interface Limits {
  faults?: number;
  operations?: number;
}

/** Runs the world of the seed; `withTimeline` changes nothing but that it is written down. */
export async function simulate(
  seed: number,
  flaws: Flaws = {},
  withTimeline = false,
  limits: Limits = {},
): Promise<Verdict> {
  const { stackTraceLimit } = Error;
  // Refusals are everyday answers here; what they cost would be the search for where they come from.
  Error.stackTraceLimit = withTimeline ? 10 : 0;
  try {
    return await new Simulation(seed, flaws, withTimeline, limits).run();
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}

class Simulation {
  private readonly scheduler: Scheduler;
  private readonly network: Network;
  private readonly servers: Servers;
  private readonly catalog: SimCatalog;
  private readonly history = new History();
  private readonly post: Post;
  private readonly watch: Watch;
  private readonly balancers: SimBalancer[] = [];
  private readonly gateways: SimGateway[];
  private readonly profile: Profile;
  /** There are no keys from here on. */
  private keysEnd = 0;

  constructor(
    private readonly seed: number,
    private readonly flaws: Flaws,
    withTimeline: boolean,
    private readonly limits: Limits,
  ) {
    const { profile = process.env.PROFILE ?? null, ...bias } = flaws.bias ?? {};
    this.profile = { ...profileOf(seed, profile), ...bias };
    this.scheduler = new Scheduler(seed, withTimeline);
    this.network = new Network(this.scheduler);
    this.servers = new Servers(this.scheduler, this.network);
    this.servers.flaws = flaws;
    this.servers.loseCommits = true;
    this.servers.readsMs = this.profile.readsMs;
    this.catalog = new SimCatalog(this.scheduler, this.network);
    this.post = new Post(this.network);
    this.watch = new Watch(
      this.scheduler,
      this.servers,
      this.catalog,
      this.post,
      () => this.balancers,
      this.history,
      flaws.mayDiverge === true,
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

  async run(): Promise<Verdict> {
    const { scheduler, network, servers, catalog, watch, gateways, history, profile } = this;
    const keys = await this.configure();
    this.catalog.forgetStates();
    const limit = this.limits.operations ?? Number.POSITIVE_INFINITY;
    const { pauseMs, eagerOperations } = profile;
    const clients = new Clients({ scheduler, history, keys, gateways, limit, pauseMs, eagerOperations });
    clients.start(scheduler.oneOf(profile.clients));
    const { changes, changesMs } = profile;
    const shape = new ShapeChanges(scheduler, servers, watch, () => this.leader(), changes, this.keysEnd, changesMs);
    const isChanging = scheduler.chance(profile.shapeChanges);
    const faults = new Faults(
      {
        ...{ scheduler, network, servers, catalog, watch, gateways },
        balancers: () => this.living(),
        maySetBack: () => !isChanging && !watch.hasBlanks,
      },
      profile,
      this.limits.faults,
      this.flaws.bias?.faults ?? null,
    );
    const endMs = scheduler.nowMs + scheduler.oneOf(profile.lastsMs);
    faults.start(endMs);
    if (isChanging) shape.start(endMs);
    await this.runChecked(endMs, () => false);
    faults.stop();
    if (profile.isBusy) await this.heal('while clients go on');
    clients.stop();
    await this.heal('once clients have stopped');
    if (!this.isOver()) await this.useAll(clients, keys);
    return this.judge(keys, faults.count);
  }

  /**
   * Every shard that must be served takes a write and can be read: each by itself, since one that faults have destroyed makes no other
   * silent.
   */
  private async useAll(clients: Clients, keys: KeySpace): Promise<void> {
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

  /** A cluster of some shape, without any fault yet. */
  private async configure(): Promise<KeySpace> {
    const { scheduler, profile } = this;
    const names = Array.from({ length: scheduler.oneOf(profile.servers) }, (_, index) => `S${index}`);
    const shards = Array.from({ length: scheduler.oneOf(profile.shards) }, (_, index) => ({
      shard: `sh${index}`,
      low: index * SHARD_KEYS,
      size: SHARD_KEYS,
    }));
    const drawn = scheduler.oneOf(profile.copies);
    const copies = drawn === 'all' ? names.length : Math.min(drawn, names.length);
    const servers: Record<string, string[]> = Object.fromEntries(names.map((name) => [name, []]));
    for (const [index, { shard }] of shards.entries()) {
      const first = profile.isApart ? index * copies : index;
      for (let copy = 0; copy < copies; copy += 1) servers[names[(first + copy) % names.length]!]!.push(shard);
    }
    this.supervise();
    await scheduler.run(1_000, () => this.leader()?.isServing === true);
    const leader = this.leader()!;
    const command = { n: names.length, schema: SCHEMA, shards, servers, allowReinit: false };
    this.watch.asked({ request: 1, op: 'init', command });
    leader.dispatch({ on: 'admin', command: { request: 1, op: 'init', command } });
    await scheduler.run(4_000, () => this.watch.administration.has(1));
    const outcome = this.watch.administration.get(1);
    if (outcome?.ok !== true)
      scheduler.violate(`the cluster could not be made: ${outcome?.error.message ?? 'no answer'}`);
    const places = shards.length + (profile.changes.includes('grow') ? 1 : 0);
    this.keysEnd = places * SHARD_KEYS;
    const groups = Array.from({ length: scheduler.oneOf(profile.groups) }, (_, group) =>
      Array.from(
        { length: places },
        (_place, place) => place * SHARD_KEYS + (profile.groups.some((count) => count > 5) ? group : group * 2),
      ),
    );
    return { groups, all: groups.flat().sort((a, b) => a - b) };
  }

  private startBalancer(): void {
    const { scheduler, servers, catalog, watch: watcher, flaws } = this;
    const number = this.balancers.length + 1;
    const world = { scheduler, servers, catalog, watcher, flaws, settings: this.profile.settings };
    const balancer = new SimBalancer(`L${number}`, world, scheduler.dice(3_000 + number));
    this.balancers.push(balancer);
    balancer.start();
  }

  /** The one with the highest epoch among those that live. */
  private leader(): SimBalancer | undefined {
    return this.living()[0];
  }

  private living(): SimBalancer[] {
    return this.balancers.filter(({ isAlive }) => isAlive).sort((a, b) => b.cluster.epoch - a.cluster.epoch);
  }

  /** Balancers that ended are started anew, as a service manager would. */
  private supervise(): void {
    for (let living = this.living().length; living < BALANCERS; living += 1) this.startBalancer();
    this.scheduler.after(SUPERVISOR_MS, () => {
      this.supervise();
    });
  }

  /** Runs and looks at the replicas every now and then. */
  private async runChecked(untilMs: number, isDone: () => boolean): Promise<void> {
    const { scheduler, watch } = this;
    while (scheduler.nowMs < untilMs && !isDone() && !this.isOver()) {
      const pauseMs = Math.min(scheduler.nowMs + this.profile.checkMs, untilMs);
      await scheduler.run(pauseMs, () => isDone() || this.isOver());
      scheduler.nowMs = isDone() || this.isOver() ? scheduler.nowMs : pauseMs;
      watch.check();
    }
  }

  /** After the faults: everything in sync again and everybody answered, within a bound. */
  private async heal(when: 'while clients go on' | 'once clients have stopped'): Promise<void> {
    const { scheduler } = this;
    const startMs = scheduler.nowMs;
    const history = when === 'while clients go on' ? null : this.history;
    const illness = (): string | null => illnessOf(this.leader(), history, this.watch.seen, this.watch.copies);
    while (!this.isOver() && illness() !== null && scheduler.nowMs < startMs + HEALED_WITHIN_MS) {
      await this.runChecked(scheduler.nowMs + Math.min(this.profile.checkMs, WELL_CHECK_MS), () => false);
    }
    const ill = illness();
    if (ill !== null && !this.isOver())
      scheduler.violate(`I8: not well ${HEALED_WITHIN_MS} ms after the last fault, ${when}: ${ill}`);
  }

  private isOver(): boolean {
    return this.scheduler.violation !== null || this.watch.isVoid;
  }

  private judge(keys: KeySpace, faults: number): Verdict {
    const { scheduler, history, watch } = this;
    const operations = history.entries.length;
    let undecided = 0;
    let isStrict = false;
    if (!this.isOver()) {
      const faultOfRead = faultOfReads(history.entries);
      if (faultOfRead !== null) scheduler.violate(faultOfRead);
      readDisks(watch.seen, history, keys, watch.progress.shown);
      const order = judgeOrder(history.entries, keys);
      ({ undecided, isStrict } = order);
      if (order.fault !== null) scheduler.violate(order.fault);
    }
    const { isVoid } = watch;
    const { violation, nowMs, timeline } = scheduler;
    return {
      ...{
        seed: this.seed,
        profile: this.profile.name,
        violation: isVoid ? null : violation,
        isVoid,
        undecided,
        isStrict,
        operations,
        faults,
      },
      ...{ simulatedMs: nowMs, timeline: timeline ?? [] },
    };
  }
}
