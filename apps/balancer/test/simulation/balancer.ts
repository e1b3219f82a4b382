/** A balancer's process in the simulated world: the real core and the real effect runner, over simulated ports. */
import type { SnapshotLeasesReply, SnapshotLeasesRequest } from '#common/contracts/commands';
import type { ApplyReply, CensusReply, RoundPart } from '#common/contracts/node';
import { BalancerCore } from '../../src/core/balancer-core';
import type { Cluster } from '../../src/core/cluster/cluster';
import type { AdminCommand, AdminResult, Answered, Ask, Result, UntimedEvent } from '../../src/core/kernel/effects';
import { PUBLISHED_HASH } from '../../src/core/cluster/hash-ring';
import { seededRandom } from '../../src/core/kernel/random';
import type { CoreSettings } from '../../src/core/detection/core-settings';
import type { AskPort } from '../../src/ports/ask-port';
import { EffectRunner, type EffectPorts, type LeadershipHooks } from '../../src/runtime/effect-runner';
import { ApplyOutbox } from './apply-outbox';
import type { SimCatalog } from './catalog';
import { Clock } from './clock';
import { labelOf, labelOfRound, type NodeAsk } from './labels';
import type { Dice, Scheduler } from './scheduler';
import type { Call, Servers } from './servers';
import { wiredAnswer, wiredEvent, wiredOutcome, wiredSnapshotLeases } from './wired-commands';

const TIMEOUTS_MS = { ping: 120, apply: 250, read: 200, admin: 250, catchup: 500 };
const START_MS = 600;
/** How long answers to a broadcast are waited for. */
const CENSUS_MS = 40;

export const SETTINGS: Omit<CoreSettings, 'balancerId' | 'instance'> = {
  leaseMs: 400,
  heartbeatIntervalMs: 150,
  heartbeatMisses: 3,
  suspicion: { misses: 1, diskFreeBytes: 1000, eventLoopMs: 50, answerMs: 40, answerFactor: 4, pings: 3 },
  patience: { floorMs: 100, pauseMs: 200, longestPauseMs: 1_600 },
  nodeStartMs: START_MS,
  queueLimit: 100,
  queueWaitMs: 600,
  roundBytes: 10_000,
  roundRequests: 8,
  loadEpsilon: 0.25,
  snapshotLeaseMs: 1_500,
  tombstoneHorizonMs: 300,
  operationHorizonMs: 4_000,
  catchupGapTerms: 4,
  copyBytesPerS: 0,
  adminWaitMs: 3_000,
  scrubIntervalMs: 900,
  defaultReplicas: 3,
};

type Answer = (outcome: Result<unknown>) => void;

/** What a test may break on purpose; see `mutations`. */
export interface BalancerMutations {
  /** Changes the core before it begins. */
  patchCore?: (core: BalancerCore) => void;
  /** Deals with an effect itself, or with what comes of it. */
  interceptAsk?: (ask: Ask, carryOut: (ask: Ask, answer: Answer) => void, answer: Answer) => void;
  /** The leader says that it still leads without looking at its lease. */
  vouchesBlindly?: true;
  /** Replicas are made to differ, so that an event about it is no violation. */
  mayDiverge?: true;
}

/** Whoever wants to know what balancers do and what becomes of it. */
export interface BalancerWatcher {
  stepped(balancer: SimBalancer): void;
  /** It lets an answer to a client go. */
  answered(balancer: SimBalancer, batch: number, answered: Answered): void;
  administered(request: number, outcome: Result<AdminResult>): void;
  said(kind: string, subject: string): void;
  /** A replica has stored these rounds, and says so. */
  applied(balancer: string, epoch: number, server: string, rounds: readonly RoundPart[], rows: readonly string[]): void;
  /** A replica has answered a read under this epoch. */
  read(epoch: number, server: string): void;
}

/** What a balancer's process lives among. */
export interface BalancerWorld {
  scheduler: Scheduler;
  servers: Servers;
  catalog: SimCatalog;
  watcher: BalancerWatcher;
  mutations: BalancerMutations;
  /** Where they are others than `SETTINGS`. */
  settings?: Partial<typeof SETTINGS>;
}

export class SimBalancer implements AskPort {
  isAlive = true;
  /** Commands are taken. */
  isServing = false;
  readonly core: BalancerCore;
  private readonly runner: EffectRunner;
  private isPaused = false;
  private readonly inbox: (() => void)[] = [];
  private readonly clock: Clock;
  private readonly outboxes = new Map<string, ApplyOutbox>();

  constructor(
    readonly name: string,
    private readonly world: BalancerWorld,
    dice: Dice | null,
  ) {
    const ring = { name: 'quadratic', hash: PUBLISHED_HASH };
    this.core = new BalancerCore(
      { ...SETTINGS, ...world.settings, balancerId: name, instance: name },
      ring,
      seededRandom(1),
    );
    this.clock = new Clock(world.scheduler, dice);
    world.mutations.patchCore?.(this.core);
    this.runner = new EffectRunner(this.core, this.ports(), this.hooks());
  }

  /** What the core knows, for those who check it. */
  get cluster(): Cluster {
    return (this.core as unknown as { cluster: Cluster }).cluster;
  }

  /** By its own clock. */
  get nowMs(): number {
    return this.clock.nowMs;
  }

  start(): void {
    this.note(() => `${this.name} starts`);
    this.receive(() => {
      this.runner.start();
    }, null);
  }

  /** Stands still: what comes in meanwhile is looked at afterwards. */
  pause(ms: number): void {
    if (!this.isAlive || this.isPaused) return;
    this.note(() => `${this.name} pauses for ${ms}`);
    this.isPaused = true;
    this.world.scheduler.after(ms, () => {
      this.isPaused = false;
      this.note(() => `${this.name} goes on`);
      for (const look of this.inbox.splice(0)) look();
    });
  }

  /** Ends as a service does that is asked to: the lease goes back first. */
  stop(): void {
    this.isServing = false;
    this.receive(() => {
      this.runner.release();
    }, null);
  }

  /** Ends at once; what was asked of it is never answered. */
  crash(): void {
    if (!this.isAlive) return;
    this.note(() => `${this.name} ends`);
    this.isAlive = false;
    this.isServing = false;
    this.runner.stop();
  }

  /** Something happens to it; what somebody sends comes over the wire. */
  dispatch(sent: UntimedEvent): void {
    if (!this.isAlive) return;
    this.receive(this.handle, wiredEvent(sent));
  }

  /** Null when it does not know whether it leads; undefined when it does not answer. */
  snapshotLeases(request: SnapshotLeasesRequest): SnapshotLeasesReply | null | undefined {
    if (this.isPaused || !this.isAlive) return undefined;
    const word = wiredSnapshotLeases(request, (heard) => this.runner.snapshotLeases(heard));
    if (word === null && this.world.mutations.vouchesBlindly === true)
      return { epoch: this.cluster.epoch, unknown: [] };
    return word;
  }

  /** Carries out what the core asks for, in the simulated world. */
  perform(ask: Ask, answer: Answer): void {
    const { interceptAsk } = this.world.mutations;
    const hear: Answer = (outcome) => {
      this.receive(answer, outcome);
    };
    if (interceptAsk === undefined) this.carryOut(ask, hear);
    else interceptAsk(ask, this.carryOut.bind(this), hear);
  }

  /** A process that stands still looks at nothing, and one that has ended never will. */
  private receive<T>(look: (what: T) => void, what: T): void {
    if (!this.isAlive) return;
    if (this.isPaused) {
      this.inbox.push(() => {
        this.receive(look, what);
      });
      return;
    }
    look(what);
    this.world.watcher.stepped(this);
  }

  private readonly handle = (event: UntimedEvent): void => {
    if (event.on === 'admin') this.administer(event.command);
    else this.runner.dispatch(event);
  };

  private administer({ request, ...command }: AdminCommand): void {
    this.runner.administer(command, (outcome) => {
      this.note(() => `${this.name} answers the administrator #${request}: ${JSON.stringify(outcome)}`);
      this.world.watcher.administered(request, wiredOutcome(outcome));
    });
  }

  private ports(): EffectPorts {
    const { watcher } = this.world;
    return {
      asks: this,
      replies: {
        answer: (batch, answered) => {
          watcher.answered(this, batch, wiredAnswer(answered));
        },
      },
      events: {
        publish: ({ kind, subject, data }) => {
          watcher.said(kind, subject);
          this.note(() => `${this.name} says ${kind} ${subject} ${JSON.stringify(data)}`);
        },
      },
      metrics: { roundDone: ignored, diverged: ignored },
      logger: { debug: ignored, info: ignored, warn: ignored },
      clock: {
        nowMs: () => this.clock.nowMs,
        every: (ms, work) => {
          this.tick(ms, work);
          return ignored;
        },
      },
    };
  }

  private hooks(): LeadershipHooks {
    return {
      serve: () => {
        this.isServing = true;
        this.note(() => `${this.name} serves under epoch ${this.cluster.epoch}`);
      },
      released: () => {
        this.crash();
      },
      stepDown: (why) => {
        this.note(() => `${this.name} steps down: ${why}`);
        this.crash();
      },
    };
  }

  /** A clock that stands still with its process makes up for nothing. */
  private tick(ms: number, work: () => void): void {
    if (!this.isAlive) return;
    if (!this.isPaused) this.receive(work, undefined);
    this.clock.after(ms, () => {
      this.tick(ms, work);
    });
  }

  private carryOut(ask: Ask, answer: Answer): void {
    const { servers, catalog, scheduler } = this.world;
    switch (ask.do) {
      case 'apply':
        this.outboxTo(ask.server).add(ask, answer);
        break;
      case 'readKey':
        catalog.get(this.name, ask.key, answer);
        break;
      case 'load':
        catalog.load(this.name, answer);
        break;
      case 'store':
        catalog.store(this.name, ask.key, ask.value, ask.expected, answer);
        break;
      case 'census':
        this.takeCensus(answer);
        break;
      case 'listNodes':
        scheduler.after(5, () => {
          answer({ ok: true, value: servers.all.map(({ name }) => name) });
        });
        break;
      case 'startNode':
        servers.server(ask.server).start();
        scheduler.after(5, () => {
          answer({ ok: true, value: null });
        });
        break;
      case 'removeNode':
        servers.remove(ask.server);
        scheduler.after(5, () => {
          answer({ ok: true, value: null });
        });
        break;
      case 'nodeFailure':
        answer({ ok: true, value: null });
        break;
      case 'pause':
        scheduler.after(0, () => {
          answer({ ok: true, value: null });
        });
        break;
      case 'ping':
      case 'config':
      case 'fence':
      case 'catchup':
      case 'digest':
      case 'operation':
      case 'probe':
      case 'readOne':
        servers.call({ from: this.name, server: ask.server, kind: ask.do, ...this.callOf(ask) }, answer);
    }
  }

  /** Whoever answers the broadcast in time. */
  private takeCensus(answer: Answer): void {
    const { scheduler, servers } = this.world;
    const replies: CensusReply[] = [];
    for (const { name } of servers.all) {
      const call = { from: this.name, server: name, label: () => 'census', timeoutMs: CENSUS_MS };
      servers.call({ ...call, work: (replica) => replica.census() }, (outcome) => {
        if (outcome.ok) replies.push(outcome.value);
      });
    }
    scheduler.after(CENSUS_MS, () => {
      answer({ ok: true, value: replies });
    });
  }

  private outboxTo(server: string): ApplyOutbox {
    let outbox = this.outboxes.get(server);
    if (outbox === undefined) {
      const { scheduler, servers, watcher } = this.world;
      outbox = new ApplyOutbox(scheduler, TIMEOUTS_MS.apply, (request, rows, done) => {
        const { epoch, rounds } = request;
        const label = (): string => rounds.map((round) => labelOfRound(epoch, round)).join(' | ');
        const work: Call<ApplyReply['rounds']>['work'] = async (replica) => {
          const reply = await replica.apply(request, rows);
          watcher.applied(this.name, epoch, server, rounds, rows);
          return reply.rounds;
        };
        servers.call({ from: this.name, server, kind: 'apply', label, timeoutMs: TIMEOUTS_MS.apply, work }, done);
      });
      this.outboxes.set(server, outbox);
    }
    return outbox;
  }

  private callOf(ask: NodeAsk): Pick<Call<unknown>, 'label' | 'timeoutMs' | 'work'> {
    const label = (): string => labelOf(ask);
    switch (ask.do) {
      case 'ping':
        return { label, timeoutMs: TIMEOUTS_MS.ping, work: (replica) => replica.ping(ask.request) };
      case 'config':
        return { label, timeoutMs: TIMEOUTS_MS.admin, work: (replica) => replica.config(ask.request) };
      case 'fence':
        return { label, timeoutMs: TIMEOUTS_MS.admin, work: (replica) => replica.fence(ask.request) };
      case 'catchup':
        return {
          label,
          timeoutMs: TIMEOUTS_MS[ask.isHurried ? 'apply' : 'catchup'],
          work: (replica) => replica.catchup(ask.request),
        };
      case 'digest':
        return { label, timeoutMs: TIMEOUTS_MS.admin, work: (replica) => replica.digest(ask.request) };
      case 'operation':
        return { label, timeoutMs: TIMEOUTS_MS.read, work: (replica) => replica.operation(ask.request) };
      case 'probe':
        return { label, timeoutMs: TIMEOUTS_MS.apply, work: (replica) => replica.probe(ask.request) };
      case 'readOne': {
        const request = { epoch: ask.epoch, reads: [ask.read], maxBytes: 1000 };
        const work: Call<unknown>['work'] = async (replica) => {
          const { text } = await replica.read(request);
          this.world.watcher.read(ask.epoch, ask.server);
          return text || null;
        };
        return { label, timeoutMs: TIMEOUTS_MS.read, work };
      }
    }
  }

  private note(text: () => string): void {
    this.world.scheduler.note(text);
  }
}

function ignored(): void {
  // Nobody counts or reads that here.
}
