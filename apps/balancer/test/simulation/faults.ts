/** What goes wrong, and when: drawn from a generator of its own. */
import type { SimBalancer } from './balancer';
import { BUCKET, type SimCatalog } from './catalog';
import type { SimGateway } from './gateway';
import { ANYBODY, CALM, type Network, type Weather } from './network';
import type { Dice, Scheduler } from './scheduler';
import type { Servers, SimServer } from './servers';
import type { Watch } from './watch';

/** What the faults strike. */
export interface FaultWorld {
  scheduler: Scheduler;
  network: Network;
  servers: Servers;
  catalog: SimCatalog;
  watch: Watch;
  gateways: readonly SimGateway[];
  /** Balancers that live; the one that leads, as far as anybody can tell, is the first. */
  balancers: () => readonly SimBalancer[];
  /** The bucket may be set back to an older state: not while its shape is being changed. */
  maySetBack: () => boolean;
}

const KINDS = [
  'server ends',
  'server restarts',
  'server loses disk',
  'server pauses',
  'server alone',
  'server half deaf',
  'server far from leader',
  'disk full',
  'leader ends',
  'leader stops',
  'leader pauses',
  'leader alone',
  'leader half deaf',
  'leader far from bucket',
  'two sides',
  'standby pauses',
  'bucket away',
  'bucket set back',
  'gateway ends',
  'power cut',
] as const;
export type FaultKind = (typeof KINDS)[number];
/** Those that need a long time to heal, so that they happen seldom. */
const RARE: readonly FaultKind[] = ['power cut', 'bucket set back'];

export class Faults {
  private readonly dice: Dice;
  private untilMs = 0;
  private struck = 0;
  /** A backup is put back once in a run: a leader that is brought back to life by a second one could wait for ever. */
  private wasSetBack = false;
  /** Those that happen in this run: what only shows when some happen often would be rare if all did. */
  private kinds: readonly FaultKind[] = KINDS;

  constructor(
    private readonly world: FaultWorld,
    /** So many faults happen at most; the weather is the first. */
    private readonly limit = Number.POSITIVE_INFINITY,
    /** Those that happen, where a test says so. */
    private readonly only: readonly FaultKind[] | null = null,
  ) {
    this.dice = world.scheduler.dice(1);
  }

  /** How many have happened. */
  get count(): number {
    return this.struck;
  }

  start(untilMs: number): void {
    const { dice } = this;
    const { scheduler, network } = this.world;
    this.untilMs = untilMs;
    const weather: Weather = {
      lossProbability: dice.oneOf([0, 0, 0.005, 0.02]),
      slowProbability: dice.oneOf([0, 0.02, 0.08]),
      twiceProbability: dice.oneOf([0, 0, 0.02, 0.1]),
    };
    const isCalm = dice.chance(0.1);
    if (!isCalm && this.mayStrike()) network.weather = weather;
    const often = KINDS.filter((kind) => dice.chance(RARE.includes(kind) ? 0.15 : 0.4));
    if (often.length > 0) this.kinds = often;
    if (this.only !== null) this.kinds = this.only;
    scheduler.note(() => `faults: ${this.kinds.join(', ')} ${JSON.stringify(network.weather)}`);
    this.next(dice.oneOf([60, 120, 250, 500]));
  }

  stop(): void {
    const { network, servers, scheduler } = this.world;
    network.mend();
    network.weather = CALM;
    for (const server of servers.all) server.fullUntilMs = 0;
    scheduler.note(() => 'faults stop');
  }

  private next(meanMs: number): void {
    const { scheduler, servers } = this.world;
    scheduler.after(this.dice.between(1, 2 * meanMs), () => {
      if (scheduler.nowMs >= this.untilMs || !this.mayStrike()) return;
      this.strike(this.dice.oneOf(this.kinds), this.dice.oneOf(servers.all));
      this.next(meanMs);
    });
  }

  private mayStrike(): boolean {
    if (this.struck >= this.limit) return false;
    this.struck += 1;
    return true;
  }

  private strike(kind: FaultKind, server: SimServer): void {
    const { dice } = this;
    const { network, catalog, gateways, balancers, maySetBack } = this.world;
    const [leader, ...standbys] = balancers();
    const cutLeader = (from: string | null, to: string | null, ms: number): void => {
      if (leader === undefined) return;
      network.cut(from ?? leader.name, to ?? leader.name, ms);
    };
    switch (kind) {
      case 'server ends':
        server.kill();
        break;
      case 'server restarts':
        server.start();
        break;
      case 'server loses disk':
        this.loseDisk(server);
        break;
      case 'server pauses':
        server.pause(dice.between(20, 700));
        break;
      case 'server alone':
        this.isolate(server.name, dice.between(100, 800));
        break;
      case 'server half deaf':
        if (dice.chance(0.5)) network.cut(server.name, ANYBODY, dice.between(100, 600));
        else network.cut(ANYBODY, server.name, dice.between(100, 600));
        break;
      case 'server far from leader': {
        const ms = dice.between(100, 800);
        cutLeader(null, server.name, ms);
        if (dice.chance(0.7)) cutLeader(server.name, null, ms);
        break;
      }
      case 'disk full':
        server.fill(dice.between(50, 500));
        break;
      case 'leader ends':
        leader?.crash();
        break;
      case 'leader stops':
        leader?.stop();
        break;
      case 'leader pauses':
        leader?.pause(dice.between(50, 1_500));
        break;
      case 'leader alone':
        if (leader !== undefined) this.isolate(leader.name, dice.between(200, 1_500));
        break;
      case 'leader half deaf':
        if (dice.chance(0.5)) cutLeader(null, ANYBODY, dice.between(100, 1_000));
        else cutLeader(ANYBODY, null, dice.between(100, 1_000));
        break;
      case 'leader far from bucket': {
        const ms = dice.between(200, 1_500);
        cutLeader(null, BUCKET, ms);
        if (dice.chance(0.7)) cutLeader(BUCKET, null, ms);
        break;
      }
      case 'two sides': {
        // The old leader and a server on one side, the rest on the other; gateways reach both.
        const ms = dice.oneOf([800, 1_600, 3_000]);
        for (const { name } of this.world.servers.all) {
          if (name === server.name) continue;
          cutLeader(null, name, ms);
          cutLeader(name, null, ms);
        }
        cutLeader(null, BUCKET, ms);
        cutLeader(BUCKET, null, ms);
        for (const standby of standbys) {
          network.cut(standby.name, server.name, ms);
          network.cut(server.name, standby.name, ms);
        }
        break;
      }
      case 'standby pauses':
        for (const standby of standbys.slice(0, 1)) standby.pause(dice.between(50, 1_500));
        break;
      case 'bucket away':
        this.isolate(BUCKET, dice.between(50, 900));
        break;
      case 'bucket set back':
        if (maySetBack() && !this.wasSetBack) {
          this.wasSetBack = true;
          catalog.setBack(dice.between(10, 1_500));
        }
        break;
      case 'gateway ends':
        if (gateways.length > 0) dice.oneOf(gateways).restart();
        break;
      case 'power cut':
        this.cutPower();
        break;
    }
  }

  private isolate(name: string, ms: number): void {
    this.world.network.cut(name, ANYBODY, ms);
    this.world.network.cut(ANYBODY, name, ms);
  }

  private loseDisk(server: SimServer): void {
    const { watch } = this.world;
    if (!watch.mayWipe(server.name)) return;
    server.kill();
    server.wipe();
    watch.wiped(server.name);
    if (this.dice.chance(0.5)) server.start();
  }

  /** Every process ends at once; what is on disk stays. They come back one by one. */
  private cutPower(): void {
    const { servers, balancers, gateways, scheduler } = this.world;
    scheduler.note(() => 'the power is cut');
    for (const balancer of balancers()) balancer.crash();
    for (const gateway of gateways) gateway.restart();
    for (const server of servers.all) {
      server.kill();
      if (this.dice.chance(0.8))
        scheduler.after(this.dice.between(1, 300), () => {
          if (server.process === null && servers.byName.get(server.name) === server) server.start();
        });
    }
  }
}
