/** What goes wrong, and when: drawn from a generator of its own. */
import type { SimBalancer } from './balancer';
import { BUCKET, STORE_SHARD, type SimCatalog } from './catalog';
import { RARE_FAULTS, type FaultKind } from './fault-kinds';
import type { SimGateway } from './gateway';
import { ANYBODY, CALM, type Network, type Weather } from './network';
import type { Profile } from './profiles';
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
  /** Balancers that live; the one that leads, as far as anybody can know, is the first. */
  balancers: () => readonly SimBalancer[];
  /** The bucket may be rolled back to an older state: not while its shape is being changed. */
  mayRollBack: () => boolean;
}

/** A world in which that happens again and again would never have a leader for long. */
const MOST_ROLLBACKS = 2;
/** How many of the worlds may lose the last whole copy of something. */
const RECKLESS = 0.02;
/** As long as that a leader may hear of nobody but of a server that has lost its disk: shorter than until all others are given up. */
const UNSEEN_MS = 400;
/** So long an administrator may ask for new tables that come again. */
const NEW_TABLES_MS = 1_600;
/** So long nobody hears of any configuration before a disaster. */
const UNANNOUNCED_MS = 800;
/** So long a leader that the bucket has forgotten does not hear of that, and what it sends is late. */
const FORGOTTEN_MS = 3_500;
/** Its claim was stored so long ago at most when it is seen to lead. */
const CLAIM_MS = 60;
const LOOK_MS = 5;
/** What a leader stores for so long is late; within it the leader ends. */
const LAST_WORDS_MS = 500;

export class Faults {
  private readonly dice: Dice;
  private untilMs = 0;
  private struck = 0;
  /** How often a backup of the bucket has been put back. */
  private rollbacks = 0;
  /** A disk has been lost unseen: once in a world, since the first change of the set takes away what it is to show. */
  private wasUnseen = false;
  /** The last words of a leader have been late: once in a world. */
  private hadLastWords = false;
  /** The last whole copy of something may be destroyed. */
  private readonly isReckless: boolean;
  /** Those that happen in this run: what only shows when some happen often would be rare if all did. */
  private kinds: readonly FaultKind[];

  constructor(
    private readonly world: FaultWorld,
    private readonly profile: Profile,
    /** So many faults happen at most; the weather is the first. */
    private readonly limit = Number.POSITIVE_INFINITY,
    /** Those that happen, where a test says so. */
    private readonly only: readonly FaultKind[] | null = null,
  ) {
    this.dice = world.scheduler.dice(1);
    this.kinds = profile.faults;
    this.isReckless = this.dice.chance(RECKLESS);
  }

  /** How many have happened. */
  get count(): number {
    return this.struck;
  }

  start(untilMs: number): void {
    const { dice } = this;
    const { scheduler, network } = this.world;
    this.untilMs = untilMs;
    const { isStormy, faults, often } = this.profile;
    const weather: Weather = {
      lossProbability: dice.oneOf(isStormy ? [0, 0.02, 0.06] : [0, 0, 0.005, 0.02]),
      slowProbability: dice.oneOf(isStormy ? [0.05, 0.15, 0.3] : [0, 0.02, 0.08]),
      twiceProbability: dice.oneOf(isStormy ? [0.05, 0.2, 0.4] : [0, 0, 0.02, 0.1]),
    };
    const isCalm = !isStormy && dice.chance(0.1);
    if (!isCalm && this.mayStrike()) network.weather = weather;
    const drawn = faults.filter((kind) => dice.chance(RARE_FAULTS.includes(kind) ? 0.4 * often : often));
    if (drawn.length > 0) this.kinds = drawn;
    if (this.only !== null) this.kinds = this.only;
    scheduler.note(() => `faults: ${this.kinds.join(', ')} ${JSON.stringify(network.weather)}`);
    this.next(dice.oneOf(this.profile.meanMs));
  }

  stop(): void {
    const { network, servers, scheduler } = this.world;
    network.heal();
    network.weather = CALM;
    for (const server of servers.all) server.repairDisk();
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
    const { network, catalog, gateways, balancers, mayRollBack } = this.world;
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
      case 'disk in doubt':
        server.doubt(dice.between(50, 500));
        break;
      case 'server dies for good':
        this.bury(server);
        break;
      case 'bucket lost':
        catalog.lose();
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
      case 'bucket rolled back':
        if (mayRollBack() && this.rollbacks < MOST_ROLLBACKS) {
          this.rollbacks += 1;
          catalog.rollBack(dice.between(10, 1_500));
        }
        break;
      case 'disaster':
        this.bringDisaster();
        break;
      case 'shard away':
        for (const name of this.oneShard()) this.isolate(name, dice.oneOf([400, 1_000, 1_600]));
        break;
      case 'shard far from leader': {
        const ms = dice.between(100, 500);
        for (const name of this.oneShard()) cutLeader(null, name, ms);
        break;
      }
      case 'disk lost unseen':
        this.loseDiskUnseen(server, leader);
        break;
      case 'copies come again':
        network.strike('come again', 'catchup', ANYBODY, server.name, dice.between(400, 1_600));
        break;
      case 'tables come again':
        this.loseNewTables(server, leader);
        break;
      case 'disaster unannounced':
        this.endUnannounced(server);
        break;
      case 'epoch given twice':
        this.giveEpochTwice(leader);
        break;
      case 'last words late':
        this.delayLastWords(server, leader);
        break;
      case 'gateway ends':
        if (gateways.length > 0) dice.oneOf(gateways).restart();
        break;
      case 'power cut':
        this.cutPower();
        break;
    }
  }

  /** The servers of some shard. */
  private oneShard(): readonly string[] {
    return this.dice.oneOf([...this.world.watch.seen.newest.values()]).replicas;
  }

  private bringDisaster(): void {
    const { dice } = this;
    const { catalog, balancers, servers, mayRollBack } = this.world;
    // With a second one nobody need be left who has heard of anything.
    if (!mayRollBack() || this.rollbacks > 0) return;
    this.rollbacks = MOST_ROLLBACKS;
    // Of what is younger than two lengths of the lease no server need have heard: nobody can know that it is gone.
    catalog.rollBack(dice.between(1_000, 2_000));
    balancers()[0]?.crash();
    const { all } = servers;
    const first = dice.between(0, all.length - 1);
    const away = dice.between(1, Math.floor((all.length - 1) / 2));
    for (let place = 0; place < away; place += 1) {
      const server = all[(first + place) % all.length];
      if (server !== undefined) this.isolate(server.name, dice.oneOf([1_000, 1_600, 2_400]));
    }
  }

  private endUnannounced(server: SimServer): void {
    const { network, servers, scheduler, mayRollBack } = this.world;
    if (!mayRollBack() || this.rollbacks > 0) return;
    for (const { name } of servers.all) network.strike('lost', 'config', ANYBODY, name, UNANNOUNCED_MS);
    server.kill();
    scheduler.after(this.dice.between(UNANNOUNCED_MS / 4, UNANNOUNCED_MS), () => {
      if (scheduler.nowMs < this.untilMs) this.bringDisaster();
    });
  }

  /** Another leader begins, whose rounds are late, and the bucket forgets it as soon as it has decided what it takes over. */
  private giveEpochTwice(leader: SimBalancer | undefined): void {
    const { servers, network, mayRollBack } = this.world;
    if (leader === undefined || !mayRollBack() || this.rollbacks > 0) return;
    this.rollbacks = MOST_ROLLBACKS;
    leader.crash();
    this.onceThereIs(
      (next) => next.cluster.epoch > leader.cluster.epoch,
      (next, claimedMs) => {
        for (const { name } of servers.all) network.strike('late', 'apply', next.name, name, FORGOTTEN_MS);
        this.onceThereIs(
          (one) => one === next && [...one.cluster.shards.values()].some(({ decided }) => decided),
          (_, decidedMs) => {
            this.forget(next, decidedMs - claimedMs + CLAIM_MS);
          },
        );
      },
    );
  }

  /**
   * A server leaves the sets and comes back. What the leader stores of that is late, and it ends; the next one does not hear of the
   * server. Should the bucket take what is late, the server is a member of sets of which it hears nothing.
   */
  private delayLastWords(server: SimServer, leader: SimBalancer | undefined): void {
    const { network, scheduler, watch } = this.world;
    if (leader === undefined || this.hadLastWords) return;
    this.hadLastWords = true;
    server.start();
    const isOut = (): boolean => [...watch.seen.newest.values()].some(({ inSync }) => !inSync.includes(server.name));
    this.onceThereIs(
      (one) => one === leader && isOut(),
      () => {
        network.strike('late', STORE_SHARD, leader.name, BUCKET, LAST_WORDS_MS);
        scheduler.after(this.dice.between(LAST_WORDS_MS / 5, LAST_WORDS_MS), () => {
          leader.crash();
          this.isolate(server.name, FORGOTTEN_MS);
        });
      },
    );
  }

  private forget({ name }: SimBalancer, ms: number): void {
    const { network, catalog } = this.world;
    network.cut(name, BUCKET, FORGOTTEN_MS);
    network.cut(BUCKET, name, FORGOTTEN_MS);
    catalog.rollBack(ms);
  }

  private onceThereIs(
    isIt: (balancer: SimBalancer) => boolean,
    then: (balancer: SimBalancer, ms: number) => void,
  ): void {
    const { scheduler, balancers } = this.world;
    const found = balancers().find(isIt);
    if (found !== undefined) then(found, scheduler.nowMs);
    else if (scheduler.nowMs < this.untilMs)
      scheduler.after(LOOK_MS, () => {
        this.onceThereIs(isIt, then);
      });
  }

  private isolate(name: string, ms: number): void {
    this.world.network.cut(name, ANYBODY, ms);
    this.world.network.cut(ANYBODY, name, ms);
  }

  private loseDisk(server: SimServer): void {
    const { watch } = this.world;
    if (!watch.mayWipe(server.name) && !this.isReckless) return;
    server.kill();
    watch.wipe(server.name, () => {
      server.wipe();
    });
    if (this.dice.chance(0.5)) server.start();
  }

  private loseDiskUnseen(server: SimServer, leader: SimBalancer | undefined): void {
    const { watch, network, servers, scheduler } = this.world;
    if (leader === undefined || this.wasUnseen || !watch.mayWipe(server.name)) return;
    this.wasUnseen = true;
    for (const { name } of servers.all) {
      if (name === server.name) continue;
      network.cut(leader.name, name, UNSEEN_MS);
      network.cut(server.name, name, UNSEEN_MS);
    }
    server.kill();
    watch.wipe(server.name, () => {
      server.wipe();
    });
    server.start();
    scheduler.after(this.dice.between(UNSEEN_MS / 4, UNSEEN_MS), () => {
      leader.crash();
    });
  }

  /** What made its tables comes again when they are lost. */
  private loseNewTables(server: SimServer, leader: SimBalancer | undefined): void {
    const { network, scheduler } = this.world;
    if (leader === undefined) return;
    const { configId } = leader.cluster;
    network.strike('come again', 'config', ANYBODY, server.name, NEW_TABLES_MS);
    this.onceThereIs(
      (one) => one.cluster.configId > configId,
      (one) => {
        scheduler.after(this.dice.between(UNSEEN_MS / 8, UNSEEN_MS), () => {
          this.loseDiskUnseen(server, one);
        });
      },
    );
  }

  /** At most one server in a world never comes back. */
  private bury(server: SimServer): void {
    const { servers, watch } = this.world;
    if (servers.all.some(({ isBuried }) => isBuried) || !watch.mayWipe(server.name)) return;
    watch.wipe(server.name, () => {
      server.bury();
    });
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
