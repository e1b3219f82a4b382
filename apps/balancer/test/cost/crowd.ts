/**
 * A leader among many shards, and what its events cost: the real core, with a bucket and servers around it that answer at once and
 * say what they must. What is measured is what happens within `step` alone, and what it asks of the world.
 */
import { deserialize, serialize } from 'node:v8';
import type { NodeShardState, PartReply, ShardConfig } from '#common/contracts/node';
import { BalancerCore } from '../../src/core/balancer-core';
import type { AdminResult, Ask, CatalogValue, Effect, Result, UntimedEvent } from '../../src/core/kernel/effects';
import { PUBLISHED_HASH } from '../../src/core/cluster/hash-ring';
import { seededRandom } from '../../src/core/kernel/random';
import type { CoreSettings } from '../../src/core/detection/core-settings';
import { CpuTime, type Meter } from './meters';

/** Replicas of each shard. */
export const COPIES = 3;
const SHARD_KEYS = 1_000;
/** Time passes from one event to the next, so that pauses end; longer than it takes with real servers. */
const EVENT_MS = 0.05;
const TICK_EVERY_MS = 100;
const EVENTS_AT_MOST = 400_000;

const SETTINGS: CoreSettings = {
  ...{ balancerId: 'balancer', instance: 'instance', leaseMs: 3_000, heartbeatIntervalMs: 1_000, heartbeatMisses: 5 },
  suspicion: { misses: 1, diskFreeBytes: 1, eventLoopMs: 500, answerMs: 500, answerFactor: 4, pings: 3 },
  patience: { floorMs: 500, pauseMs: 1_000, longestPauseMs: 60_000 },
  ...{ nodeStartMs: 30_000, queueLimit: 1_000_000, queueWaitMs: 60_000, roundBytes: 4_000_000, roundRequests: 1_000 },
  ...{ loadEpsilon: 0.25, snapshotLeaseMs: 10_000, tombstoneHorizonMs: 60_000, operationHorizonMs: 600_000 },
  ...{ catchupGapTerms: 500, copyBytesPerS: 0, adminWaitMs: 45_000, scrubIntervalMs: 0, defaultReplicas: 3 },
};

const LOST: Result<unknown> = {
  ok: false,
  error: { code: 'OUTCOME_UNKNOWN', message: 'no answer', retryable: false },
};

/** What a server stores of one shard. */
type Held = NodeShardState;

/** The world around a core. */
interface Saved {
  shards: number;
  bucket: ReadonlyMap<string, CatalogValue>;
  servers: ReadonlyMap<string, Map<string, Held>>;
  revision: number;
  nowMs: number;
}

/** What steps have cost, in the unit of the meter. */
export interface Cost {
  steps: number;
  total: number;
  longest: number;
  /** Effects by kind, each of which is a message or a line of the log. */
  effects: Map<Effect['do'], number>;
  /** The most effects of one step. */
  mostEffects: number;
  /** Messages by the server that they go to. */
  messages: Map<string, number>;
}

function nothingYet(): Cost {
  return { steps: 0, total: 0, longest: 0, effects: new Map(), mostEffects: 0, messages: new Map() };
}

export class Crowd {
  /** What the events since `measure` have cost. */
  cost = nothingYet();
  /** CPU time in milliseconds, unless something else is to be measured. */
  meter: Meter = new CpuTime();
  isServing = false;
  /** Rounds are not answered: what asks for one waits. */
  holdsRounds = false;
  /** So many messages of rounds are carried out, and answered by an error that leaves that open. */
  lostRounds = 0;
  private core: BalancerCore;
  private nowMs = 0;
  private tickMs = 0;
  private revision = 0;
  private readonly bucket = new Map<string, CatalogValue>();
  private readonly servers = new Map<string, Map<string, Held>>();
  private readonly inbox: UntimedEvent[] = [];
  private administered: Result<AdminResult> | null = null;

  private constructor(private readonly shards: number) {
    this.core = newCore('first');
  }

  /** A cluster that serves. */
  static of(shards: number, servers: number): Crowd {
    const crowd = new Crowd(shards);
    crowd.happen({ on: 'start' });
    crowd.run(() => crowd.isServing);
    const ranges = Array.from({ length: shards }, (_, index) => {
      return { shard: `sh${index}`, low: index * SHARD_KEYS, size: SHARD_KEYS };
    });
    const placed: Record<string, string[]> = {};
    for (let server = 0; server < servers; server += 1) placed[`S${server}`] = [];
    for (const [index, { shard }] of ranges.entries()) {
      for (let copy = 0; copy < COPIES; copy += 1) placed[`S${(index + copy) % servers}`]?.push(shard);
    }
    const schema = { columns: ['id', 'mark'], dtypes: ['Number' as const, 'String' as const] };
    const command = { n: servers, schema, shards: ranges, servers: placed, allowReinit: false };
    crowd.happen({ on: 'admin', command: { request: 1, op: 'init', command } });
    crowd.run(() => crowd.administered !== null);
    if (crowd.administered?.ok !== true) throw new Error(`no /init: ${JSON.stringify(crowd.administered)}`);
    return crowd;
  }

  /** The bucket and the servers as they are, for another process. */
  saved(): Buffer {
    const { shards, bucket, servers, revision, nowMs } = this;
    return serialize({ shards, bucket, servers, revision, nowMs } satisfies Saved);
  }

  /** Those, in a process in which the core has not run yet: only a take-over can follow. */
  static restored(from: Buffer): Crowd {
    const { shards, bucket, servers, revision, nowMs } = deserialize(from) as Saved;
    const crowd = new Crowd(shards);
    crowd.nowMs = nowMs;
    crowd.revision = revision;
    for (const [key, value] of bucket) crowd.bucket.set(key, value);
    for (const [server, held] of servers) crowd.servers.set(server, held);
    return crowd;
  }

  /** The leader is gone, and another balancer takes over. */
  takeOver(): Cost {
    this.inbox.length = 0;
    this.core = newCore('second');
    this.isServing = false;
    this.measure();
    this.happen({ on: 'start' });
    this.run(() => this.isServing && this.areAllWritable());
    return this.cost;
  }

  /** Clients write, one row each, to one shard after the other. */
  write(count: number): void {
    for (let index = 0; index < count; index += 1) {
      const key = (index % this.shards) * SHARD_KEYS + (Math.floor(index / this.shards) % SHARD_KEYS);
      const command = { batch: index, id: 0, op: 'write' as const, onConflict: 'replace' as const };
      this.happen({ on: 'records', configId: 1, commands: [{ ...command, keys: [key], rows: ['{}'] }] });
    }
    this.drain();
  }

  /** Changes over two shards each, which stay open: whoever leads next has to decide them together. */
  leaveOpenRounds(): void {
    this.lostRounds = Number.POSITIVE_INFINITY;
    for (let shard = 0; shard + 1 < this.shards; shard += 2) {
      const keys = [shard * SHARD_KEYS, (shard + 1) * SHARD_KEYS];
      const command = { batch: shard, id: 0, op: 'write' as const, onConflict: 'replace' as const };
      this.happen({ on: 'records', configId: 1, commands: [{ ...command, keys, rows: ['{}', '{}'] }] });
    }
    this.drain();
    this.lostRounds = 0;
  }

  /** One change over all shards. `isTold`: the replicas hear that it is committed, as with the heartbeats after it. */
  writeEverywhere(isKnown: boolean): void {
    const keys = Array.from({ length: this.shards }, (_, shard) => shard * SHARD_KEYS);
    const command = { batch: 0, id: 0, op: 'write' as const, onConflict: 'replace' as const };
    this.happen({ on: 'records', configId: 1, commands: [{ ...command, keys, rows: keys.map(() => '{}') }] });
    this.drain();
    if (!isKnown) return;
    for (const held of this.servers.values())
      for (const [shard, state] of held) held.set(shard, { ...state, committedVat: state.currentTerm });
  }

  /** Costs are counted from now on. */
  measure(): void {
    this.cost = nothingYet();
  }

  /** Handles what has happened, and no more. */
  drain(): void {
    this.run(() => this.inbox.length === 0);
  }

  tick(): void {
    this.happen({ on: 'tick' });
    this.drain();
  }

  private areAllWritable(): boolean {
    if (this.inbox.length > 0) return false;
    const status = this.core.status(this.nowMs);
    return status?.shards.every(({ writable }) => writable) === true;
  }

  private happen(event: UntimedEvent): void {
    this.inbox.push(event);
  }

  private run(isOver: () => boolean): void {
    for (let events = 0; !isOver(); events += 1) {
      if (events > EVENTS_AT_MOST) throw new Error('it does not come to an end');
      this.nowMs += EVENT_MS;
      if (this.inbox.length === 0) this.nowMs = Math.max(this.nowMs, this.tickMs);
      if (this.nowMs >= this.tickMs) {
        this.tickMs = this.nowMs + TICK_EVERY_MS;
        this.step({ on: 'tick' });
      } else this.step(this.inbox.shift() ?? { on: 'tick' });
    }
  }

  private step(event: UntimedEvent): void {
    this.meter.start();
    const effects = this.core.step({ ...event, nowMs: this.nowMs });
    const spent = this.meter.stop();
    this.cost.steps += 1;
    this.cost.total += spent;
    this.cost.longest = Math.max(this.cost.longest, spent);
    this.cost.mostEffects = Math.max(this.cost.mostEffects, effects.length);
    for (const effect of effects) {
      count(this.cost.effects, effect.do);
      if ('server' in effect) count(this.cost.messages, effect.server);
    }
    for (const effect of effects) this.carryOut(effect);
  }

  private carryOut(effect: Effect): void {
    if (effect.do === 'serve') this.isServing = true;
    else if (effect.do === 'stepDown') throw new Error(`stepped down: ${effect.why}`);
    else if (effect.do === 'answerAdmin') this.administered = effect.outcome;
    else if ('token' in effect && !(this.holdsRounds && effect.do === 'apply')) {
      const isLost = effect.do === 'apply' && this.lostRounds > 0;
      if (isLost) this.lostRounds -= 1;
      const value = this.answer(effect);
      const outcome = isLost ? LOST : { ok: true as const, value };
      this.happen({ on: 'answered', token: effect.token, outcome });
    }
  }

  private answer(ask: Ask): unknown {
    switch (ask.do) {
      case 'load':
        return [...this.bucket.values()];
      case 'readKey':
        return this.bucket.get(ask.key) ?? null;
      case 'store':
        return this.store(ask.key, ask.value, ask.expected);
      case 'listNodes':
        return [...this.servers.keys()];
      case 'census':
        return [...this.servers.keys()].map((server) => ({ server, configId: 1 }));
      case 'fence':
        return {
          configId: this.configId(ask.server),
          instance: 'i',
          prepared: null,
          shards: this.reportsOf(ask.server),
          cluster: null,
          mark: null,
        };
      case 'ping':
        return {
          ...{ server: ask.server, instance: ask.server, uptimeMs: 1, postgres: 'ok', diskFreeBytes: null },
          ...{
            eventLoopDelayMs: 1,
            epoch: ask.request.epoch,
            configId: 1,
            cluster: null,
            shards: this.reportsOf(ask.server),
          },
        };
      case 'config':
        for (const config of ask.request.shards) this.configure(ask.server, config);
        return { instance: 'i', shards: this.reportsOf(ask.server) };
      case 'apply':
        return ask.round.parts.map((part): PartReply => {
          const held = this.heldBy(ask.server).get(part.shard);
          const newestRound = {
            epoch: ask.epoch,
            round: ask.round.round,
            lastTerms: ask.round.lastTerms,
            refused: false,
          };
          if (held !== undefined) {
            this.heldBy(ask.server).set(part.shard, {
              ...held,
              newestRound,
              currentTerm: part.lastTerm,
              committedVat: part.vat,
            });
          }
          return { shard: part.shard, outcomes: part.ops.map(() => ({ ok: 1 })), digest: 'same' };
        });
      case 'startNode':
      case 'removeNode':
      case 'nodeFailure':
      case 'pause':
        return null;
      case 'catchup':
      case 'digest':
      case 'operation':
      case 'probe':
      case 'readOne':
        throw new Error(`nobody should ask for ${ask.do} here`);
    }
  }

  private store(key: string, value: unknown, expected: number): number | null {
    if ((this.bucket.get(key)?.revision ?? 0) !== expected) return null;
    this.revision += 1;
    if (value === null) this.bucket.delete(key);
    else this.bucket.set(key, { key, value, revision: this.revision });
    return this.revision;
  }

  private configure(server: string, config: ShardConfig): void {
    const before = this.heldBy(server).get(config.shard);
    const fresh = {
      currentTerm: 0,
      committedVat: 0,
      purgedTo: 0,
      newestRound: null,
      catchingUp: false,
      copy: null,
      rows: 0,
    };
    const { diverged = [] } = config;
    this.heldBy(server).set(config.shard, { ...(before ?? fresh), ...config, diverged });
  }

  private heldBy(server: string): Map<string, Held> {
    const held = this.servers.get(server) ?? new Map<string, Held>();
    this.servers.set(server, held);
    return held;
  }

  private reportsOf(server: string): Held[] {
    return [...this.heldBy(server).values()];
  }

  private configId(server: string): number {
    return this.heldBy(server).size === 0 ? 0 : 1;
  }
}

function count<K>(counts: Map<K, number>, what: K): void {
  counts.set(what, (counts.get(what) ?? 0) + 1);
}

function newCore(instance: string): BalancerCore {
  const ring = { name: 'quadratic', hash: PUBLISHED_HASH };
  return new BalancerCore({ ...SETTINGS, balancerId: instance, instance }, ring, seededRandom(1));
}
