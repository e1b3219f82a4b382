/** A balancer's process in the simulated world: the real core, with its effects carried out by simulated parts. */
import { keysOf } from '#common/protocol/round';
import type { ReadDoneReply, ReadDoneRequest } from '#common/contracts/commands';
import { PUBLISHED_HASH } from '../../src/core/hash-ring';
import { seededRandom } from '../../src/core/random';
import { BalancerCore } from '../../src/core/balancer-core';
import type { Answered, AskTypes, CoreEvent, Effect, Outcome } from '../../src/core/effects';
import type { Cluster } from '../../src/core/cluster';
import type { CoreSettings } from '../../src/core/settings';
import type { SimCatalog } from './catalog';
import type { Call, Network } from './servers';
import type { Scheduler } from './scheduler';

const TICK_MS = 50;
const TIMEOUTS_MS = { ping: 120, apply: 250, read: 200, admin: 250, catchup: 500 };
const START_MS = 1200;

export const SETTINGS: Omit<CoreSettings, 'balancerId' | 'instance'> = {
  leaseMs: 400,
  heartbeatIntervalMs: 150,
  heartbeatMisses: 3,
  suspicion: { misses: 1, diskFreeBytes: 1000, eventLoopMs: 50, answerMs: 40, answerFactor: 4, pings: 3 },
  nodeStartMs: START_MS,
  laneLimit: 100,
  laneWaitMs: 600,
  roundBytes: 10_000,
  roundRequests: 8,
  loadEpsilon: 0.25,
  ticketTtlMs: 1_500,
  tombstoneHorizonMs: 300,
  operationHorizonMs: 4_000,
  catchupGapTerms: 4,
  copyBytesPerS: 0,
  adminWaitMs: 5_000,
  scrubIntervalMs: 900,
  defaultReplicas: 3,
};

type Happening = CoreEvent extends infer E ? (E extends CoreEvent ? Omit<E, 'nowMs'> : never) : never;
type Ask = Extract<Effect, { token: number }>;
type Answer = (outcome: Outcome<unknown>) => void;

/** What a test may break on purpose; see `weaknesses.ts`. */
export interface BalancerFlaws {
  /** Changes the core before it begins. */
  patchCore?: (core: BalancerCore) => void;
  /** Deals with an effect itself (then true), or with what comes of it. */
  interceptAsk?: (ask: Ask, carryOut: (ask: Ask, answer: Answer) => void, answer: Answer) => void;
}

/** Whoever wants to know what a balancer does. */
export interface BalancerWatcher {
  stepped(balancer: SimBalancer): void;
  answered(balancer: SimBalancer, batch: number, answered: Answered): void;
  ended(balancer: SimBalancer): void;
  said(kind: string, subject: string): void;
  applied(epoch: number, server: string, round: AskTypes['apply']['ask']['round'], rows: readonly string[]): void;
}

export class SimBalancer {
  isAlive = true;
  /** Commands are taken. */
  isServing = false;
  readonly core: BalancerCore;
  private isPaused = false;
  private readonly inbox: Happening[] = [];

  constructor(
    readonly name: string,
    private readonly scheduler: Scheduler,
    private readonly network: Network,
    private readonly catalog: SimCatalog,
    private readonly watcher: BalancerWatcher,
    private readonly flaws: BalancerFlaws,
  ) {
    const ring = { name: 'quadratic', hash: PUBLISHED_HASH };
    this.core = new BalancerCore({ ...SETTINGS, balancerId: name, instance: name }, ring, seededRandom(1));
    flaws.patchCore?.(this.core);
  }

  /** What the core knows, for the checkers. */
  get cluster(): Cluster {
    return (this.core as unknown as { cluster: Cluster }).cluster;
  }

  start(): void {
    this.scheduler.note(() => `${this.name} starts`);
    this.dispatch({ on: 'start' });
    this.tick();
  }

  /** Stands still: what comes in meanwhile is looked at afterwards. */
  pause(ms: number): void {
    if (!this.isAlive || this.isPaused) return;
    this.scheduler.note(() => `${this.name} pauses for ${ms}`);
    this.isPaused = true;
    this.scheduler.after(ms, () => {
      this.isPaused = false;
      this.scheduler.note(() => `${this.name} goes on`);
      for (const happening of this.inbox.splice(0)) this.dispatch(happening);
    });
  }

  /** Ends as a service does that is asked to: the lease goes back first. */
  stop(): void {
    this.isServing = false;
    this.dispatch({ on: 'release' });
  }

  /** Ends at once; what was asked of it is never answered. */
  crash(): void {
    if (!this.isAlive) return;
    this.scheduler.note(() => `${this.name} ends`);
    this.isAlive = false;
    this.isServing = false;
    this.watcher.ended(this);
  }

  dispatch(happening: Happening): void {
    if (!this.isAlive) return;
    if (this.isPaused) {
      this.inbox.push(happening);
      return;
    }
    const effects = this.core.step({ ...happening, nowMs: this.scheduler.nowMs });
    for (const effect of effects) this.begin(effect);
    this.watcher.stepped(this);
  }

  /** Null when it does not know whether it leads, or does not answer. */
  readDone(request: ReadDoneRequest): ReadDoneReply | null {
    return this.isPaused ? null : this.core.readDone(request, this.scheduler.nowMs);
  }

  private tick(): void {
    if (!this.isAlive) return;
    if (!this.isPaused) this.dispatch({ on: 'tick' });
    this.scheduler.after(TICK_MS, () => {
      this.tick();
    });
  }

  private begin(effect: Effect): void {
    if ('token' in effect) {
      const { token } = effect;
      const answer: Answer = (outcome) => {
        this.dispatch({ on: 'answered', token, outcome });
      };
      const carryOut = (ask: Ask, then: Answer): void => {
        this.carryOut(ask, then);
      };
      if (this.flaws.interceptAsk === undefined) this.carryOut(effect, answer);
      else this.flaws.interceptAsk(effect, carryOut, answer);
      return;
    }
    switch (effect.do) {
      case 'answer':
        this.watcher.answered(this, effect.batch, effect.answered);
        break;
      case 'serve':
        this.isServing = true;
        this.scheduler.note(() => `${this.name} serves under epoch ${this.cluster.epoch}`);
        break;
      case 'released':
        this.crash();
        break;
      case 'stepDown':
        this.scheduler.note(() => `${this.name} steps down: ${effect.why}`);
        this.crash();
        break;
      case 'publish':
        this.watcher.said(effect.event.kind, effect.event.subject);
        this.scheduler.note(
          () => `${this.name} says ${effect.event.kind} ${effect.event.subject} ${JSON.stringify(effect.event.data)}`,
        );
        break;
      case 'answerAdmin':
        if (!effect.outcome.ok)
          this.scheduler.violate(`the cluster could not be made: ${effect.outcome.error.message}`);
        break;
      case 'log':
      case 'roundDone':
        break;
    }
  }

  private carryOut(ask: Ask, answer: Answer): void {
    switch (ask.do) {
      case 'ping':
      case 'config':
      case 'fence':
      case 'catchup':
      case 'digest':
      case 'operation':
      case 'apply':
      case 'readOne':
        this.network.call({ from: this.name, server: ask.server, ...callOf(ask, this.watcher) }, answer);
        break;
      case 'readKey':
        this.catalog.get(this.name, ask.key, answer);
        break;
      case 'load':
        this.catalog.load(this.name, answer);
        break;
      case 'store':
        this.catalog.store(this.name, ask.key, ask.value, ask.expected, answer);
        break;
      case 'startNode':
        this.network.server(ask.server).start();
        this.scheduler.after(5, () => {
          answer({ ok: true, value: null });
        });
        break;
      case 'removeNode':
        throw new Error('nothing is removed in this world');
    }
  }
}

type NodeAsk = Extract<
  Ask,
  { do: 'ping' | 'config' | 'fence' | 'catchup' | 'digest' | 'operation' | 'apply' | 'readOne' }
>;

function callOf(ask: NodeAsk, watcher: BalancerWatcher): Pick<Call<unknown>, 'label' | 'timeoutMs' | 'work'> {
  const label = (): string => labelOf(ask);
  switch (ask.do) {
    case 'ping':
      return { label, timeoutMs: TIMEOUTS_MS.ping, work: (replica) => replica.ping(ask.request) };
    case 'config':
      return { label, timeoutMs: TIMEOUTS_MS.admin, work: (replica) => replica.config(ask.request) };
    case 'fence':
      return { label, timeoutMs: TIMEOUTS_MS.admin, work: (replica) => replica.fence(ask.request) };
    case 'catchup':
      return { label, timeoutMs: TIMEOUTS_MS.catchup, work: (replica) => replica.catchup(ask.request) };
    case 'digest':
      return { label, timeoutMs: TIMEOUTS_MS.admin, work: (replica) => replica.digest(ask.request) };
    case 'operation':
      return { label, timeoutMs: TIMEOUTS_MS.read, work: (replica) => replica.operation(ask.request) };
    case 'apply':
      return { label, timeoutMs: TIMEOUTS_MS.apply, work: applyOf(ask, watcher) };
    case 'readOne': {
      const request = { epoch: ask.epoch, reads: [ask.read], maxBytes: 1000 };
      const work: Call<unknown>['work'] = async (replica) => (await replica.read(request)).text || null;
      return { label, timeoutMs: TIMEOUTS_MS.read, work };
    }
  }
}

function applyOf(
  { server, epoch, round, rows }: Extract<Ask, { do: 'apply' }>,
  watcher: BalancerWatcher,
): Call<unknown>['work'] {
  return async (replica) => {
    const reply = await replica.apply({ epoch, rounds: [round] }, rows);
    watcher.applied(epoch, server, round, rows);
    return reply.rounds[0]?.parts ?? [];
  };
}

/** The request as the timeline shows it. */
function labelOf(ask: NodeAsk): string {
  switch (ask.do) {
    case 'config': {
      const shards = ask.request.shards.map(
        ({ shard, configVersion, inSync }) => `${shard} v${configVersion} ${inSync.join('+')}`,
      );
      return `config ${shards.join(' ')}`;
    }
    case 'fence':
      return `fence ${ask.request.epoch}`;
    case 'catchup':
      return `catchup ${ask.request.shard} (${ask.request.from}, ${ask.request.to}] from ${ask.request.source}`;
    case 'digest':
      return `digest ${ask.request.shard}`;
    case 'operation':
      return `operation ${ask.request.id}`;
    case 'apply': {
      const parts = ask.round.parts.map(({ shard, vat, firstTerm, lastTerm, ops }) => {
        const names = ops.map((op) =>
          op.op === 'create' ? `${op.onConflict}${op.keys.join('+')}` : `${op.op}${keysOf([op]).join() || op.id}`,
        );
        return `${shard} ${vat}->[${firstTerm},${lastTerm}] ${names.join(' ')}`;
      });
      return `apply ${ask.epoch}/${ask.round.round} of ${Object.keys(ask.round.lastTerms).join()} {${parts.join('; ')}}`;
    }
    case 'readOne':
      return `read ${ask.read.low} at ${ask.read.vat}`;
    case 'ping':
      return 'ping';
  }
}
