/**
 * On what a new leader builds: the records of the cluster and of its shards, from the catalog, or where that has lost them from the
 * servers (`Survey`). What the catalog lacks is stored there before anything is decided.
 */
import type { ErrorBody } from '#common/contracts/errors';
import type { ClusterRecord, FenceReply } from '#common/contracts/node';
import { BUCKET_KEYS } from '#common/contracts/subjects';
import { compareConfigs } from '#common/protocol/in-sync-set';
import type { Catalog } from '../cluster/catalog';
import type { Cluster } from '../cluster/cluster';
import type { ClusterNews } from '../cluster/cluster-news';
import type { StepContext } from '../kernel/step-context';
import type { CatalogValue, Result } from '../kernel/effects';
import type { Health } from '../healing/health';
import type { Lease } from './leadership';
import { readRecords, type StoredRecords } from '../cluster/records';
import type { CoreSettings } from '../detection/core-settings';
import { configOf, Shard, type ShardRecord } from '../cluster/shard';
import { Survey } from './survey';
import { all, pooled, spawn, running, wait, type Workflow } from '../kernel/workflow';

const POLL_MS = 50;
/**
 * The catalog syncs each change to its disk, one after the other. A renewal of the lease, which comes behind those under way, must not
 * wait for hundreds of them.
 */
const STORES_AT_ONCE = 16;
/** How often it is looked whether a configuration has come after all. */
const LOOK_AGAIN_MS = 1000;

/** Whether enough members of these shards show, now, that they have everything. */
type AreProven = (shards: readonly Shard[]) => Workflow<boolean>;

export class Foundation {
  /** The catalog was lost or rolled back: what it says of a shard counts only when enough of the shard's replicas know nothing newer. */
  isCatalogDoubted = false;
  /** Known once the catalog is settled. */
  private areProven: AreProven | null = null;
  private readonly survey: Survey;

  constructor(
    private readonly context: StepContext,
    private readonly cluster: Cluster,
    private readonly catalog: Catalog,
    private readonly news: ClusterNews,
    private readonly health: Health,
    private readonly settings: CoreSettings,
    private readonly fenced: (error: ErrorBody) => void,
  ) {
    this.survey = new Survey(context, cluster, health, settings, (server, reply) => {
      if (this.cluster.phase === 'unconfigured' && reply.configId > 0) this.restart(FOUND);
      else if (!this.cluster.servers.has(server)) spawn(this.heardLate(server, reply));
    });
  }

  /** What a server reported when it was looked for. */
  heard(server: string): FenceReply | undefined {
    return this.survey.replies.get(server);
  }

  /** Who has not reported yet what there is to build on. */
  get awaited(): string[] {
    return this.survey.awaited;
  }

  /** How long a server may need that has been started already, in milliseconds. */
  patienceFor(server: string): number {
    return this.survey.started.has(server) ? this.settings.nodeStartMs : 0;
  }

  /** Some replica knows something that the catalog does not. */
  doubt(): void {
    this.isCatalogDoubted = true;
  }

  /** Builds the cluster. False when there is none, or somebody else leads by now. */
  *lay({ history }: Pick<Lease, 'history'>): Workflow<boolean> {
    const entries = yield* this.claim();
    if (entries === null) return false;
    const stored = readRecords(entries);
    this.cluster.highestConfigId = Math.max(this.cluster.highestConfigId, stored.highestConfigId);
    this.cluster.record = stored.cluster;
    const record = yield* this.survey.look(stored.cluster);
    if (this.cluster.phase === 'steppedDown') return false;
    if (record === null) {
      this.beUnconfigured();
      return false;
    }
    this.isCatalogDoubted = this.survey.isForgetful(stored.cluster, history);
    return yield* this.restore(record, stored);
  }

  /**
   * Every shard is resolved: from now on the catalog is known to hold everything.
   *
   * @param areProven asks the members
   */
  *settle(areProven: AreProven): Workflow {
    this.news.vouch();
    yield* this.news.announce();
    yield* this.removeStrays(areProven);
  }

  /** A server has reported: should it know something later than what is served, whoever leads next finds it in the catalog. */
  *hear({ cluster }: Pick<FenceReply, 'cluster'>): Workflow {
    if (!this.news.isAhead(cluster)) return;
    if (yield* this.catalog.put(BUCKET_KEYS.cluster, cluster)) this.restart('a server knows a later configuration');
  }

  /** A heartbeat says that the server knows something later. */
  *ask(server: string): Workflow {
    const reply = yield* this.health.awaitNode(server, 0);
    if (reply !== null) yield* this.hear(reply);
  }

  /**
   * A leader that went away in the middle of `/init` may have left a configuration prepared there. If that has come into force it is
   * put into force there, too, and else it never will be. Null as long as it is not in force where it must be: such a server knows
   * nothing of its shards, and has lost nothing.
   */
  *switched(server: string, reply: FenceReply): Workflow<FenceReply | null> {
    const { record, epoch } = this.cluster;
    if (reply.prepared === null || record === null) return reply;
    const { configId, schema } = record;
    const isInForce = reply.prepared === configId;
    const about = isInForce ? { configId, cluster: record } : { configId: reply.prepared, stage: 'discard' as const };
    // Without a mark: it is asked after that whether anybody else has used our epoch, and is sent nothing of that.
    const request = { epoch, schema, shards: [], drop: [], ...about };
    const outcome = yield* wait(this.context.ask('config', { server, request }));
    if (!isInForce) return reply;
    return outcome.ok ? yield* this.health.awaitNode(server, this.settings.nodeStartMs) : null;
  }

  /** Servers that hold nothing of this configuration: what is left of an `/init` that failed, or of one that was removed. */
  private *removeStrays(areProven: AreProven): Workflow {
    this.areProven = areProven;
    yield* wait(all(this.survey.known.map((server) => running(this.removeStray(server, areProven)))));
  }

  /** A server that was not waited for: it had to be started, for instance. Nobody else would look whether it is needed. */
  private *heardLate(server: string, reply: FenceReply): Workflow {
    yield* this.hear(reply);
    const { areProven } = this;
    if (areProven !== null && this.survey.known.includes(server)) yield* this.removeStray(server, areProven);
  }

  private *removeStray(server: string, areProven: AreProven): Workflow {
    const reply = this.survey.replies.get(server);
    // A member is none: about each of its shards nobody needs to be asked.
    if (reply === undefined || this.cluster.servers.has(server)) return;
    // It left when others had the same, which may have lost a disk by now, or while the order to remove it would wait for the lease. The
    // administrator may be about to make it a member, or to remove it.
    while (!(yield* this.isNeedless(reply, areProven)) || this.cluster.isReshaping || !this.cluster.isCertain())
      yield* wait(this.context.sleep(LOOK_AGAIN_MS));
    if (this.cluster.phase === 'steppedDown' || this.cluster.servers.has(server)) return;
    if (this.isNeeded(reply, this.cluster.configId)) return;
    this.context.emit({ do: 'log', level: 'warn', message: 'STRAY', data: { server, configId: reply.configId } });
    yield* wait(this.context.ask('removeNode', { server }));
  }

  /** Enough members of all that it holds of the configuration in force show that they have everything. */
  private *isNeedless({ configId, shards }: FenceReply, areProven: AreProven): Workflow<boolean> {
    if (configId !== this.cluster.configId) return true;
    return yield* areProven(shards.flatMap(({ shard }) => this.cluster.shards.get(shard) ?? []));
  }

  /** It may hold something that is nowhere else: the last record of each of its shards must have gone on without it. */
  private isNeeded({ configId, shards }: FenceReply, current: number): boolean {
    if (configId === 0) return false;
    // With the next leader the catalog will not be in doubt.
    if (this.isCatalogDoubted) return true;
    if (configId !== current) return configId > current;
    return shards.some((reported) => {
      const shard = this.cluster.shards.get(reported.shard);
      if (shard === undefined) return reported.currentTerm > 0;
      return compareConfigs(reported, shard.record) >= 0;
    });
  }

  /**
   * Loads everything and rewrites it, unchanged but for our epoch. The revisions that a deposed leader knows are old from
   * here on, so that it can change nothing any more. Where it just has, the write conflicts, and we load again. Null when
   * somebody else leads by now.
   */
  private *claim(): Workflow<CatalogValue[] | null> {
    while (this.cluster.phase !== 'steppedDown') {
      const loaded = yield* wait(this.context.ask('load', {}));
      const others = loaded.ok ? loaded.value.filter(({ key }) => key !== BUCKET_KEYS.leader) : [];
      if (loaded.ok && (yield* this.rewrite(others))) return others;
      yield* wait(this.context.sleep(POLL_MS));
    }
    return null;
  }

  private *rewrite(entries: readonly CatalogValue[]): Workflow<boolean> {
    for (const { key, revision } of entries) this.catalog.saw(key, revision);
    const changes = entries.map(({ key, value }) => this.catalog.change(key, value as object));
    const context = this.context;
    const works = changes.map((change) => (): Workflow<Result<number | null>> => wait(context.ask('store', change)));
    const outcomes = yield* pooled(STORES_AT_ONCE, works);
    return outcomes.every((outcome, index) => {
      if (!outcome.ok || outcome.value === null) return false;
      this.catalog.saw(entries[index]?.key ?? '', outcome.value);
      return true;
    });
  }

  /**
   * Builds the cluster, and stores what the catalog does not have of it: also what is only as it was born, or a deposed leader could
   * still create it. False when somebody else leads by now.
   */
  private *restore(record: ClusterRecord, stored: StoredRecords): Workflow<boolean> {
    this.cluster.record = record;
    const { configId } = record;
    const known = stored.cluster?.configId === configId ? stored.shards : new Map<string, ShardRecord>();
    const born = new Map(record.born.map((config) => [config.shard, { ...configOf(config), configId }]));
    for (const server of record.servers) this.cluster.addServer(server, record.numbers[server] ?? 0);
    const puts = stored.cluster === record ? [] : [running(this.catalog.put(BUCKET_KEYS.cluster, record))];
    const shards: Shard[] = [];
    for (const id of record.shards) {
      const shard = known.get(id) ?? born.get(id);
      if (shard === undefined) continue;
      shards.push(new Shard(shard));
      if (!known.has(id)) puts.push(running(this.catalog.put(BUCKET_KEYS.shard(id), shard)));
    }
    this.cluster.addShards(shards);
    const wanted = new Set(record.shards);
    // Of an `/add` that came to nothing.
    for (const id of known.keys()) {
      if (!wanted.has(id)) puts.push(running(this.catalog.put(BUCKET_KEYS.shard(id), null)));
    }
    return (yield* wait(all(puts))).every((isStored) => isStored);
  }

  /** There is nothing, as far as can be found; but servers may come later that know better. */
  private beUnconfigured(): void {
    this.cluster.phase = 'unconfigured';
    this.cluster.foundData = this.survey.foundData();
    spawn(this.keepLooking());
  }

  private *keepLooking(): Workflow {
    const isLooking = (): boolean => this.cluster.phase === 'unconfigured';
    while (isLooking()) {
      yield* wait(this.context.sleep(LOOK_AGAIN_MS));
      const present = yield* wait(this.context.ask('census', {}));
      const isNew = present.ok && present.value.some(({ server, configId }) => configId > this.configIdOf(server));
      if (isNew && isLooking()) this.restart(FOUND);
    }
  }

  private configIdOf(server: string): number {
    return this.survey.replies.get(server)?.configId ?? 0;
  }

  /** The lease goes back: whoever leads next looks at everything once more. */
  private restart(message: string): void {
    this.fenced({ code: 'FENCED', message, retryable: false });
  }
}

const FOUND = 'a server holds a configuration that is not in the bucket';
