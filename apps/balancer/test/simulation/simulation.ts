/** One run of the simulated world: a cluster comes into being, clients work, faults happen and stop, everything is judged. */
import { faultOf, History, UNDECIDED } from '#common/testing/history';
import { SimBalancer, type BalancerFlaws } from './balancer';
import { SimCatalog } from './catalog';
import { Clients, type KeySpace } from './clients';
import { Faults } from './faults';
import { Scheduler } from './scheduler';
import { rememberRings } from './rings';
import { Network, type NodeFlaws } from './servers';
import { Watch } from './watch';

const FAULTS_UNTIL_MS = 4_000;
/** So long after the last fault everything must be well again. */
const HEALED_WITHIN_MS = 12_000;
const SHARD_KEYS = 10;
const GROUPS = 3;
const CHECK_EVERY_MS = 200;
const SUPERVISOR_MS = 100;
const BALANCERS = 2;

rememberRings();

export type Flaws = BalancerFlaws & NodeFlaws;

export interface Verdict {
  seed: number;
  /** What must never be and was; null when all was well. */
  violation: string | null;
  /** The only copies of something were lost, so that nothing was promised; the faults avoid it where they can. */
  isVoid: boolean;
  /** Groups of keys of which the history could not be judged. */
  undecided: number;
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
  private readonly catalog: SimCatalog;
  private readonly history = new History();
  private readonly watch: Watch;
  private readonly balancers: SimBalancer[] = [];
  private supervised = true;

  constructor(
    private readonly seed: number,
    private readonly flaws: Flaws,
    withTimeline: boolean,
    private readonly limits: Limits,
  ) {
    this.scheduler = new Scheduler(seed, withTimeline);
    this.network = new Network(this.scheduler);
    this.network.flaws = flaws;
    this.catalog = new SimCatalog(this.scheduler, this.network);
    this.watch = new Watch(this.scheduler, this.network, this.catalog, this.history);
  }

  async run(): Promise<Verdict> {
    const keys = await this.configure();
    const clients = new Clients({
      ...{ scheduler: this.scheduler, network: this.network, history: this.history, keys, configId: 1 },
      limit: this.limits.operations ?? Number.POSITIVE_INFINITY,
      serving: () => this.balancers.filter((balancer) => balancer.isServing),
    });
    this.watch.clients = clients;
    clients.start(this.scheduler.between(2, 4));
    this.supervise();
    const leaders = {
      leader: () => this.leader(),
    };
    const faults = new Faults(this.scheduler, this.network, this.watch, leaders, this.limits.faults);
    const endMs = this.scheduler.nowMs + FAULTS_UNTIL_MS;
    faults.start(endMs);
    await this.runChecked(endMs, () => false);
    faults.stop();
    clients.stop();
    await this.heal();
    const last = { isRead: false };
    clients.readAll(() => {
      last.isRead = true;
    });
    await this.runChecked(this.scheduler.nowMs + 2_000, () => last.isRead);
    if (!this.isOver() && !last.isRead) this.scheduler.violate('the last read got no answer');
    return this.judge(keys, faults.count);
  }

  /** A cluster of some shape, without any fault yet. */
  private async configure(): Promise<KeySpace> {
    const { scheduler } = this;
    const names = Array.from({ length: scheduler.between(3, 5) }, (_, index) => `S${index}`);
    const shards = Array.from({ length: scheduler.between(2, 3) }, (_, index) => ({
      shard: `sh${index}`,
      low: index * SHARD_KEYS,
      size: SHARD_KEYS,
    }));
    const copies = scheduler.oneOf([2, 3, 3, 3, names.length]);
    const servers: Record<string, string[]> = Object.fromEntries(names.map((name) => [name, []]));
    for (const [index, { shard }] of shards.entries()) {
      for (let copy = 0; copy < copies; copy += 1) servers[names[(index + copy) % names.length]!]!.push(shard);
    }
    const balancer = this.startBalancer();
    await scheduler.run(500, () => balancer.isServing);
    const schema = { columns: ['id', 'mark'], dtypes: ['Number' as const, 'String' as const] };
    const command = { n: names.length, schema, shards, servers, allowReinit: false };
    balancer.dispatch({ on: 'admin', command: { request: 1, op: 'init', command } });
    await scheduler.run(3_000, () => balancer.cluster.configId > 0);
    const groups = Array.from({ length: GROUPS }, (_, group) => shards.map(({ low }) => low + group * 2));
    return { groups, all: groups.flat().sort((a, b) => a - b) };
  }

  private startBalancer(): SimBalancer {
    const { scheduler, network, catalog, watch, flaws } = this;
    const balancer = new SimBalancer(`L${this.balancers.length + 1}`, scheduler, network, catalog, watch, flaws);
    this.balancers.push(balancer);
    balancer.start();
    return balancer;
  }

  /** Of those that live, the one with the highest epoch. */
  private leader(): SimBalancer | undefined {
    const living = this.balancers.filter((balancer) => balancer.isAlive);
    return living.sort((a, b) => b.cluster.epoch - a.cluster.epoch)[0];
  }

  /** Whoever ends is started anew, as a service manager would. */
  private supervise(): void {
    if (!this.supervised) return;
    if (this.balancers.filter((balancer) => balancer.isAlive).length < BALANCERS) this.startBalancer();
    this.scheduler.after(SUPERVISOR_MS, () => {
      this.supervise();
    });
  }

  /** Runs and looks at the replicas every now and then. */
  private async runChecked(untilMs: number, isDone: () => boolean): Promise<void> {
    while (this.scheduler.nowMs < untilMs && !isDone() && !this.isOver()) {
      const pauseMs = Math.min(this.scheduler.nowMs + CHECK_EVERY_MS, untilMs);
      await this.scheduler.run(pauseMs, () => isDone() || this.isOver());
      this.scheduler.nowMs = isDone() || this.isOver() ? this.scheduler.nowMs : pauseMs;
      await this.watch.checkDisks();
      for (const balancer of this.balancers) if (balancer.isAlive) await this.watch.checkAgreement(balancer);
    }
  }

  /** After the faults: everything in sync again and everybody answered, within a bound. */
  private async heal(): Promise<void> {
    const { scheduler } = this;
    const startMs = scheduler.nowMs;
    const illness = (): string | null => this.watch.illnessOf(this.leader());
    while (!this.isOver() && illness() !== null && scheduler.nowMs < startMs + HEALED_WITHIN_MS) {
      await this.runChecked(scheduler.nowMs + CHECK_EVERY_MS, () => false);
    }
    const ill = illness();
    if (ill !== null && !this.isOver())
      scheduler.violate(`not well ${HEALED_WITHIN_MS} ms after the last fault: ${ill}`);
  }

  private isOver(): boolean {
    return this.scheduler.violation !== null || this.watch.isVoid;
  }

  private judge(keys: KeySpace, faults: number): Verdict {
    let undecided = 0;
    const { scheduler, history } = this;
    if (!this.watch.isVoid && scheduler.violation === null) {
      for (const group of keys.groups) {
        const fault = faultOf(history.entries, group);
        if (fault === UNDECIDED) undecided += 1;
        else if (fault !== null) scheduler.violate(fault);
      }
    }
    const isVoid = this.watch.isVoid;
    const { violation, nowMs, timeline } = scheduler;
    return {
      seed: this.seed,
      violation: isVoid ? null : violation,
      isVoid,
      undecided,
      operations: history.entries.length,
      faults,
      simulatedMs: nowMs,
      timeline: timeline ?? [],
    };
  }
}
