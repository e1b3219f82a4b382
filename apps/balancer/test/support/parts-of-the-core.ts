/**
 * The parts of a leader's core, for tests of one of them: what the world answers, and when, is what the test says. Nothing is answered by
 * itself but `pause`.
 */
import type { ErrorBody } from '#common/contracts/errors';
import type { ClusterRecord, FenceReply, NodeShardState } from '#common/contracts/node';
import { Catalog } from '../../src/core/cluster/catalog';
import { Cluster, type ServerState } from '../../src/core/cluster/cluster';
import { ClusterNews } from '../../src/core/cluster/cluster-news';
import { CopyRequests } from '../../src/core/healing/copy-requests';
import { StepContext } from '../../src/core/kernel/step-context';
import { Divergence } from '../../src/core/replicas/divergence';
import type { AskKind, AskTypes, Effect, Result } from '../../src/core/kernel/effects';
import { Foundation } from '../../src/core/leadership/foundation';
import { PUBLISHED_HASH } from '../../src/core/cluster/hash-ring';
import { Health } from '../../src/core/healing/health';
import { InSyncSets } from '../../src/core/replicas/in-sync-sets';
import { Patience } from '../../src/core/detection/patience';
import { Recovery } from '../../src/core/healing/recovery';
import type { CoreSettings } from '../../src/core/detection/core-settings';
import { configOf, Shard, type ShardRecord } from '../../src/core/cluster/shard';
import { TakeOver } from '../../src/core/leadership/take-over';
import { Writer } from '../../src/core/requests/writer';
import { SETTINGS } from '../simulation/balancer';

export type Ask<K extends AskKind = AskKind> = Extract<Effect, { token: number; do: K }>;

export const EPOCH = 3;
export const GRACE_MS = SETTINGS.nodeStartMs;
const CORE_SETTINGS: CoreSettings = { ...SETTINGS, balancerId: 'L', instance: 'L#1', scrubIntervalMs: 0 };

/** The record of a cluster with these servers and shards. */
export function clusterRecord(servers: readonly string[], shards: readonly string[] = ['a']): ClusterRecord {
  const schema = { columns: ['id', 'mark'], dtypes: ['Number' as const, 'String' as const] };
  return {
    ...{ configId: 1, configEpoch: 2, configVersion: 1, schema },
    init: { n: servers.length, schema, shards: [], servers: null },
    ...{ servers: [...servers], shards: [...shards], born: [] },
    numbers: Object.fromEntries(servers.map((server, index) => [server, index])),
  };
}

/** The record of a shard whose replicas are all in sync. */
export function shardRecord(
  shard: string,
  replicas: readonly string[],
  changes: Partial<ShardRecord> = {},
): ShardRecord {
  const low = 10 * (shard.charCodeAt(0) - 'a'.charCodeAt(0));
  const config = { shard, low, size: 10, configEpoch: 2, configVersion: 1, configId: 1 };
  return { ...config, replicas: [...replicas], inSync: [...replicas], joining: [], diverged: [], ...changes };
}

/** What a replica reports that has everything up to `vat`, and knows that it is committed. */
export function stateOf(record: ShardRecord, vat: number, changes: Partial<NodeShardState> = {}): NodeShardState {
  const { diverged = [], ...config } = configOf(record);
  return {
    ...{ ...config, diverged, currentTerm: vat, committedVat: vat, purgedTo: 0, newestRound: null },
    ...{ catchingUp: false, copy: null, rows: 1, ...changes },
  };
}

/** What a server reports that is fenced. */
export function fenceReply(shards: readonly NodeShardState[], changes: Partial<FenceReply> = {}): FenceReply {
  return { instance: 'i', configId: 1, prepared: null, shards: [...shards], cluster: null, mark: null, ...changes };
}

export class PartsOfTheCore {
  readonly settings = { ...CORE_SETTINGS };
  readonly context = new StepContext();
  readonly cluster: Cluster;
  readonly catalog: Catalog;
  readonly inSyncSets: InSyncSets;
  readonly patience: Patience;
  readonly divergence: Divergence;
  readonly writer: Writer;
  readonly recovery: Recovery;
  readonly health: Health;
  readonly news: ClusterNews;
  readonly foundation: Foundation;
  readonly takeOver: TakeOver;
  /** What was asked for and has not been answered. */
  readonly open: Ask[] = [];
  /** Everything that was asked for, in order. */
  readonly asked: Ask[] = [];
  readonly events: { kind: string; subject: string; data: Record<string, unknown> }[] = [];
  /** Why the lead was given up. */
  readonly givenUp: string[] = [];
  readonly fenced = ({ message }: Pick<ErrorBody, 'message'>): void => {
    this.givenUp.push(message);
  };
  private readonly replies = new Map<AskKind, (ask: Ask) => Result<unknown> | undefined>();

  constructor(changes: Partial<CoreSettings> = {}) {
    Object.assign(this.settings, changes);
    const { context, settings } = this;
    const { fenced } = this;
    const stepDown = (why: string): void => {
      this.givenUp.push(why);
      this.cluster.phase = 'steppedDown';
      this.catalog.end();
    };
    const cluster = (this.cluster = new Cluster(settings.heartbeatMisses, settings.suspicion, PUBLISHED_HASH));
    const catalog = (this.catalog = new Catalog(context, stepDown));
    const inSyncSets = (this.inSyncSets = new InSyncSets(context, cluster, catalog));
    const divergence = (this.divergence = new Divergence(context, cluster, inSyncSets));
    const patience = (this.patience = new Patience(settings.patience));
    const writer = (this.writer = new Writer(context, cluster, inSyncSets, divergence, settings, patience, fenced));
    const requests = new CopyRequests(context, cluster);
    const recovery = new Recovery(context, cluster, inSyncSets, divergence, writer, patience, settings, requests);
    this.recovery = recovery;
    const news = (this.news = new ClusterNews(context, cluster, catalog, settings));
    const health = new Health(context, cluster, inSyncSets, recovery, patience, settings, news, stepDown, fenced);
    this.health = health;
    const foundation = (this.foundation = new Foundation(context, cluster, catalog, news, health, settings, fenced));
    this.takeOver = new TakeOver(context, cluster, foundation, catalog, inSyncSets, health, writer, settings, fenced);
    catalog.lead(EPOCH);
    this.reply('pause', () => ({ ok: true, value: null }));
  }

  /** A cluster that is served: the servers run, and the shards are resolved at this VAT. */
  serve(record: ClusterRecord, shards: readonly ShardRecord[], vat: number): void {
    this.cluster.begin(EPOCH);
    this.cluster.phase = 'serving';
    this.cluster.record = record;
    for (const server of record.servers) this.health.admit(this.cluster.addServer(server, record.numbers[server] ?? 0));
    for (const one of shards) {
      const shard = new Shard(one, true);
      shard.vat = vat;
      shard.nextTerm = vat + 1;
      this.cluster.addShard(shard);
    }
  }

  /** From now on questions of this kind are answered so at once; those for which it says undefined stay open. */
  reply<K extends AskKind>(kind: K, say: (ask: Ask<K>) => Result<AskTypes[K]['answer']> | undefined): void {
    this.replies.set(kind, say as (ask: Ask) => Result<unknown> | undefined);
  }

  /** Carries out what there is to be done, until the core waits. */
  settle(): void {
    for (let turns = 0; ; turns += 1) {
      if (turns > 1_000) throw new Error('there is no end of what the core asks for');
      this.writer.flush();
      const effects = this.context.takeEffects();
      if (effects.length === 0) return;
      for (const effect of effects) {
        if (effect.do === 'publish') this.events.push(effect.event);
        if (!('token' in effect)) continue;
        this.asked.push(effect);
        const outcome = this.replies.get(effect.do)?.(effect);
        if (outcome === undefined) this.open.push(effect);
        else this.context.deliver(effect.token, outcome);
      }
    }
  }

  /** Lets time pass in steps of 50 ms, as the balancer's ticks come. */
  pass(ms: number): void {
    this.settle();
    for (let left = ms; left > 0; left -= 50) {
      this.context.nowMs += Math.min(50, left);
      this.context.wakeSleepers();
      this.settle();
    }
  }

  /** Answers the one open question of this kind (to this server). */
  answer<K extends AskKind>(kind: K, outcome: Result<AskTypes[K]['answer']>, server?: string): void {
    this.settle();
    const fits = (ask: Ask): boolean =>
      ask.do === kind && (server === undefined || ('server' in ask && ask.server === server));
    const index = this.open.findIndex(fits);
    const [ask] = index === -1 ? [] : this.open.splice(index, 1);
    if (ask === undefined) throw new Error(`no ${kind} ${server ?? ''} is asked for: ${this.openAsks().join(', ')}`);
    this.context.deliver(ask.token, outcome);
    this.settle();
  }

  /** `kind server` of what is open, in order. */
  openAsks(...kinds: AskKind[]): string[] {
    return this.namesOf(this.open, kinds);
  }
  /** The same of everything that was ever asked for. */
  allAsks(...kinds: AskKind[]): string[] {
    return this.namesOf(this.asked, kinds);
  }

  server(name: string): ServerState {
    const server = this.cluster.servers.get(name);
    if (server === undefined) throw new Error(`there is no ${name}`);
    return server;
  }
  shard(id = 'a'): Shard {
    const shard = this.cluster.shards.get(id);
    if (shard === undefined) throw new Error(`there is no ${id}`);
    return shard;
  }

  private namesOf(asks: readonly Ask[], kinds: readonly AskKind[]): string[] {
    return asks
      .filter((ask) => kinds.length === 0 || kinds.includes(ask.do))
      .map((ask) => ('server' in ask ? `${ask.do} ${ask.server}` : ask.do));
  }
}

/** It did not answer. */
export const SILENCE: Result<never> = {
  ok: false,
  error: { code: 'OUTCOME_UNKNOWN', message: 'no answer in time', retryable: false },
};
export function done<T>(value: T): Result<T> {
  return { ok: true, value };
}
