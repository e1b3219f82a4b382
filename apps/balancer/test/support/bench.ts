/**
 * Parts of the leader's core on a bench: without leadership, clients and real replicas, so that a test decides what each server and the
 * bucket say, when they say it, and how time passes.
 */
import type { FenceReply, NodeShardState, PingReply } from '#common/contracts/node';
import type { Ask, Effect, Result } from '../../src/core/kernel/effects';
import { Shard, type ShardRecord } from '../../src/core/cluster/shard';
import { spawn, type Workflow } from '../../src/core/kernel/workflow';
import { SETTINGS } from '../simulation/balancer';
import { EPOCH, PartsOfTheCore, SILENCE } from './parts-of-the-core';

export const FENCED: Result<never> = {
  ok: false,
  error: { code: 'FENCED', message: 'a higher epoch was seen', retryable: false },
};

const TICK_MS = 50;
/** The VAT of every shard, and the term that whoever is whole has reached. */
export const VAT = 5;

/** What a server says. */
export interface Node {
  /** By shard; it has none of those that are missing. */
  states: Map<string, Partial<NodeShardState>>;
  /** What it shows of every shard. */
  digest: string;
  rows: number;
  postgres: PingReply['postgres'];
}

export class Bench {
  private readonly parts = new PartsOfTheCore({ scrubIntervalMs: SETTINGS.scrubIntervalMs });
  readonly settings = this.parts.settings;
  readonly context = this.parts.context;
  readonly cluster = this.parts.cluster;
  readonly catalog = this.parts.catalog;
  readonly inSyncSets = this.parts.inSyncSets;
  readonly divergence = this.parts.divergence;
  readonly patience = this.parts.patience;
  readonly writer = this.parts.writer;
  readonly fenced = this.parts.fenced;
  /** Why the core has stepped down. */
  readonly over: readonly string[] = this.parts.givenUp;
  readonly nodes = new Map<string, Node>();
  /** All effects, the oldest first. */
  readonly effects: Effect[] = [];
  /** What the bucket has, as far as it was stored here. */
  readonly stored = new Map<string, unknown>();
  /** What is said to a question; null: nothing as yet, it is in `open` then; undefined: what `nodes` say. */
  answer: (ask: Ask) => Result<unknown> | null | undefined = () => undefined;
  readonly open: Ask[] = [];
  /** What ticks beside the sleepers. */
  tick: () => void = () => undefined;
  private revision = 100;

  /** Servers S0, S1, ... each with a whole replica of every shard; all of them members. */
  constructor(servers: number, shards: readonly string[] = ['sh0']) {
    const { cluster } = this;
    const names = Array.from({ length: servers }, (_, index) => `S${index}`);
    cluster.begin(EPOCH);
    cluster.phase = 'serving';
    const schema = { columns: ['id'], dtypes: ['Number' as const] };
    const init = { n: servers, schema, shards: [], servers: {} };
    cluster.record = {
      ...{ configId: 1, configEpoch: 1, configVersion: 1, schema, init, born: [] },
      ...{ shards: [...shards], servers: names, numbers: {} },
    };
    for (const [number, name] of names.entries()) {
      cluster.addServer(name, number).starting = false;
      const states = shards.map((id): [string, Partial<NodeShardState>] => [id, this.stateOf(id)]);
      this.nodes.set(name, { states: new Map(states), digest: '1', rows: 1, postgres: 'ok' });
    }
    cluster.addShards(shards.map((id, index) => this.newShard(id, index * 10, names)));
  }

  newShard(id: string, low: number, servers: readonly string[], more: Partial<ShardRecord> = {}): Shard {
    const record = { shard: id, low, size: 10, configId: 1, configEpoch: 1, configVersion: 1, joining: [] };
    const shard = new Shard({ ...record, replicas: [...servers], inSync: [...servers], ...more }, true);
    shard.vat = VAT;
    return shard;
  }

  get shard(): Shard {
    return this.shardOf('sh0');
  }
  shardOf(id: string): Shard {
    const shard = this.cluster.shards.get(id);
    if (shard === undefined) throw new Error(`no shard ${id}`);
    return shard;
  }
  node(server: string): Node {
    const node = this.nodes.get(server);
    if (node === undefined) throw new Error(`no server ${server}`);
    return node;
  }

  /** The server holds nothing any more. */
  loseDisk(server: string): void {
    this.node(server).states.clear();
  }

  /** Has the shard of that name replaced by another one, as `/init` does. */
  replace(id: string): Shard {
    const { record } = this.shardOf(id);
    const other = this.newShard(id, record.low, record.replicas);
    this.cluster.addShard(other);
    return other;
  }

  /** Lets time pass, with ticks, and gives the answers that come. */
  pass(ms: number): void {
    this.settle();
    for (const endMs = this.context.nowMs + ms; this.context.nowMs < endMs;) {
      this.context.nowMs += TICK_MS;
      this.context.wakeSleepers();
      this.tick();
      this.settle();
    }
  }

  /** Gives every answer that comes without time passing. */
  settle(): void {
    for (let effects = this.take(); effects.length > 0; effects = this.take()) {
      for (const effect of effects) if ('token' in effect) this.respond(effect);
    }
  }

  /** Answers what stayed open. */
  resolve(ask: Ask, outcome?: Result<unknown>): void {
    this.open.splice(this.open.indexOf(ask), 1);
    this.context.deliver(ask.token, outcome ?? this.said(ask));
    this.settle();
  }

  /** Runs a workflow; what comes of it stands in `result` when it has ended. */
  begin<T>(workflow: Workflow<T>): { result?: T } {
    const done: { result?: T } = {};
    spawn(workflow, (result) => {
      done.result = result;
    });
    this.settle();
    return done;
  }

  /** Questions of one kind so far. */
  asked<K extends Ask['do']>(kind: K): Extract<Ask, { do: K }>[] {
    return this.effects.filter((effect): effect is Extract<Ask, { do: K }> => effect.do === kind);
  }
  /** Forgets the effects so far. */
  forget(): void {
    this.effects.length = 0;
  }
  /** Events of one kind so far: their subjects and data. */
  published(kind: string): { subject: string; data: Record<string, unknown> }[] {
    return this.effects.flatMap((effect) =>
      effect.do === 'publish' && effect.event.kind === kind ? [effect.event] : [],
    );
  }

  private take(): Effect[] {
    const effects = this.context.takeEffects();
    this.effects.push(...effects);
    return effects;
  }

  private respond(ask: Ask): void {
    const outcome = this.answer(ask);
    if (outcome === null) this.open.push(ask);
    else this.context.deliver(ask.token, outcome ?? this.said(ask));
  }

  /** What the servers and the bucket say. */
  said(ask: Ask): Result<unknown> {
    switch (ask.do) {
      case 'ping':
        return { ok: true, value: this.pong(ask.server) };
      case 'fence':
        return { ok: true, value: this.fenceReply(ask.server) };
      case 'config':
        return { ok: true, value: { instance: 'i', shards: this.statesOf(ask.server) } };
      case 'digest':
        return { ok: true, value: this.digestOf(ask.server, ask.request.within !== undefined) };
      case 'store':
        this.stored.set(ask.key, ask.value);
        this.revision += 1;
        return { ok: true, value: this.revision };
      case 'catchup':
        return SILENCE;
      case 'load':
      case 'census':
      case 'listNodes':
        return { ok: true, value: [] };
      case 'apply':
      case 'nodeFailure':
      case 'operation':
      case 'pause':
      case 'probe':
      case 'readKey':
      case 'readOne':
      case 'removeNode':
      case 'startNode':
        return { ok: true, value: null };
    }
  }

  private pong(server: string): PingReply {
    const { postgres } = this.node(server);
    const { record } = this.cluster;
    return {
      ...{ server, instance: 'i', uptimeMs: 1, postgres, diskFreeBytes: 1e9, eventLoopDelayMs: 1, epoch: EPOCH },
      ...{ configId: this.cluster.configId, cluster: record, shards: this.statesOf(server) },
    };
  }

  fenceReply(server: string): FenceReply {
    const { configId } = this.cluster;
    return { instance: 'i', configId, prepared: null, shards: this.statesOf(server), cluster: null, mark: null };
  }

  private statesOf(server: string): NodeShardState[] {
    return [...this.node(server).states.values()].map((state) => state as NodeShardState);
  }

  private digestOf(server: string, isWithin: boolean): object {
    const { digest, rows } = this.node(server);
    const reply = { digest, rows, next: null };
    return isWithin ? { ...reply, versions: [{ key: 1, cat: 1, digest }] } : { ...reply, records: '' };
  }

  private stateOf(shard: string): Partial<NodeShardState> {
    return {
      shard,
      currentTerm: VAT,
      committedVat: VAT,
      catchingUp: false,
      rows: 1,
      purgedTo: 0,
      newestRound: null,
      copy: null,
    };
  }
}
