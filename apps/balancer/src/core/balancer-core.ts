/**
 * The balancer without the world around it: `step(event)` takes what happened and returns what is to be done, synchronously and
 * without any other input. Time is a field of the event, randomness an injected seeded generator.
 *
 * What is asked for in an effect with a token comes back as an `answered` event with that token.
 */
import type {
  ClusterStatus,
  OperationStatus,
  SnapshotLeasesReply,
  SnapshotLeasesRequest,
  TakeOverNews,
} from '#common/contracts/commands';
import type { ErrorBody } from '#common/contracts/errors';
import type { OpName, RoundOp } from '#common/contracts/node';
import { BUCKET_KEYS } from '#common/contracts/subjects';
import { Catalog } from './cluster/catalog';
import { Cluster, unconfigured } from './cluster/cluster';
import { ClusterNews } from './cluster/cluster-news';
import { CopyRequests } from './healing/copy-requests';
import { StepContext } from './kernel/step-context';
import { Divergence } from './replicas/divergence';
import type { CoreEvent, Effect, RecordCommand } from './kernel/effects';
import { Foundation } from './leadership/foundation';
import { Leadership, type Lease } from './leadership/leadership';
import type { RingHash } from './cluster/hash-ring';
import { Health } from './healing/health';
import { InSyncSets } from './replicas/in-sync-sets';
import { Membership } from './membership/membership';
import { OperationLookup } from './requests/operation-lookup';
import { Patience } from './detection/patience';
import type { Random } from './kernel/random';
import { Reader } from './requests/reader';
import { Recovery } from './healing/recovery';
import { Scrub } from './healing/scrub';
import type { CoreSettings } from './detection/core-settings';
import type { QueuedRequest, RequestPart } from './requests/write-queue';
import { statusOf } from './cluster/status';
import { StrandedShards } from './healing/stranded-shards';
import { TakeOver } from './leadership/take-over';
import { spawn } from './kernel/workflow';
import { Writer } from './requests/writer';

/** A hash for the rings, and what it is called. */
export interface NamedRingHash {
  name: string;
  hash: RingHash;
}

export class BalancerCore {
  private readonly context = new StepContext();
  private readonly cluster: Cluster;
  private readonly catalog: Catalog;
  private readonly leadership: Leadership;
  private readonly writer: Writer;
  private readonly reader: Reader;
  private readonly operations: OperationLookup;
  private readonly recovery: Recovery;
  private readonly scrub: Scrub;
  private readonly inSyncSets: InSyncSets;
  private readonly stranded: StrandedShards;
  private readonly health: Health;
  private readonly membership: Membership;
  private readonly foundation: Foundation;
  private readonly takeOver: TakeOver;
  /** Answers that wait until it is certain that this balancer still leads. */
  private withheld: Effect[] = [];
  private isReleasing = false;
  private isGivingWay = false;

  constructor(
    private readonly settings: CoreSettings,
    private readonly ring: NamedRingHash,
    random: Random,
  ) {
    const stepDown = (why: string): void => {
      this.stepDown(why);
    };
    const { context } = this;
    const cluster = new Cluster(settings.heartbeatMisses, settings.suspicion, ring.hash);
    const catalog = new Catalog(context, stepDown);
    const inSyncSets = new InSyncSets(context, cluster, catalog);
    this.inSyncSets = inSyncSets;
    this.cluster = cluster;
    this.catalog = catalog;
    const elected = (lease: Lease): void => {
      this.takeTheLead(lease);
    };
    const fenced = (error: ErrorBody): void => {
      this.giveWay(error);
    };
    this.leadership = new Leadership(context, catalog, settings, elected, stepDown);
    cluster.isCertain = () => this.leadership.holds;
    const divergence = new Divergence(context, cluster, inSyncSets);
    const patience = new Patience(settings.patience);
    this.writer = new Writer(context, cluster, inSyncSets, divergence, settings, patience, fenced);
    const copyRequests = new CopyRequests(context, cluster);
    this.stranded = new StrandedShards(context, cluster, inSyncSets, this.writer, copyRequests);
    this.reader = new Reader(context, cluster, settings, fenced);
    this.operations = new OperationLookup(context, cluster, fenced);
    this.recovery = new Recovery(
      context,
      cluster,
      inSyncSets,
      divergence,
      this.writer,
      patience,
      settings,
      copyRequests,
    );
    const news = new ClusterNews(context, cluster, catalog, settings);
    const superseded = (server: string): void => {
      spawn(this.foundation.ask(server));
    };
    this.health = new Health(context, cluster, inSyncSets, this.recovery, patience, settings, news, superseded, fenced);
    this.foundation = new Foundation(context, cluster, catalog, news, this.health, settings, fenced);
    this.scrub = new Scrub(context, cluster, divergence, this.writer, settings, fenced);
    const { writer, reader, recovery, health } = this;
    const { foundation } = this;
    this.takeOver = new TakeOver(context, cluster, foundation, catalog, inSyncSets, health, writer, settings, fenced);
    this.membership = new Membership({
      ...{ context, cluster, catalog, news, inSyncSets, health, recovery, writer, reader, settings, random },
    });
  }

  /** Handles one event. The effects are to be begun in the order in which they stand. */
  step(event: CoreEvent): Effect[] {
    if (this.cluster.phase === 'steppedDown') return [];
    this.context.nowMs = event.nowMs;
    this.handle(event);
    this.writer.flush();
    return this.outgoing(this.context.takeEffects());
  }

  /** Under which it leads, or led last; 0 before. */
  get epoch(): number {
    return this.cluster.epoch;
  }

  /** What `/status` shows; changes nothing. Null when somebody else may lead. */
  status(nowMs: number): ClusterStatus | null {
    this.context.nowMs = nowMs;
    return this.leadership.holds ? statusOf(this.cluster, this.settings, this.ring.name, nowMs) : null;
  }

  /** The end of reads, and the renewal of others: answered at once, and without effects. Null when somebody else may lead. */
  snapshotLeases(request: SnapshotLeasesRequest, nowMs: number): SnapshotLeasesReply | null {
    this.context.nowMs = nowMs;
    return this.leadership.holds ? this.reader.updateLeases(request) : null;
  }

  /** What this balancer waits for before it leads; null when it does not, or when somebody else may. */
  awaited(nowMs: number): TakeOverNews | null {
    this.context.nowMs = nowMs;
    if (!this.leadership.holds || this.cluster.phase !== 'takingOver') return null;
    const waitingFor = this.takeOver.awaited();
    return waitingFor.length === 0 ? null : { epoch: this.epoch, waitingFor };
  }

  /** Numbers for the metrics. */
  gauges(): { openSnapshotLeases: number; waiting: Record<string, number> } {
    const waiting: Record<string, number> = {};
    for (const shard of this.cluster.inKeyOrder()) waiting[shard.id] = this.writer.queues.length(shard.id);
    return { openSnapshotLeases: this.reader.openSnapshotLeases, waiting };
  }

  private handle(event: CoreEvent): void {
    switch (event.on) {
      case 'start':
        this.leadership.tick();
        break;
      case 'leaderChanged':
        this.leadership.hint();
        break;
      case 'release':
        this.release();
        break;
      case 'records':
        for (const command of event.commands) this.record(command, event.configId);
        break;
      case 'operation':
        this.find(event.operation, event.batch);
        break;
      case 'admin':
        if (event.command.op === 'scrub') this.scrub.scrubNow(event.command.request);
        else this.membership.carryOut(event.command);
        break;
      case 'answered':
        this.context.deliver(event.token, event.outcome);
        break;
      case 'tick':
        this.tick();
        break;
    }
  }

  private takeTheLead(lease: Lease): void {
    const { epoch, cause } = lease;
    const sinceMs = this.context.nowMs;
    this.context.emit({ do: 'log', level: 'info', message: 'ELECTED', data: { epoch, cause } });
    spawn(this.takeOver.lead(lease), () => {
      if (this.cluster.phase !== 'steppedDown') this.begin(cause, Math.round(this.context.nowMs - sinceMs));
    });
  }

  private begin(cause: string, durationMs: number): void {
    const { balancerId } = this.settings;
    const data = { cause, epoch: this.cluster.epoch, shards: this.cluster.shards.size, durationMs };
    this.context.emit({ do: 'publish', event: { kind: 'leader.elected', subject: balancerId, data } });
    this.context.emit({ do: 'serve' });
    this.membership.resume();
  }

  private tick(): void {
    this.leadership.tick();
    this.context.wakeSleepers();
    this.health.tick();
    this.inSyncSets.tick();
    this.stranded.tick();
    this.writer.tick();
    this.reader.tick();
    for (const shard of this.cluster.inKeyOrder()) {
      // Time must not hide that nobody has reported to a new leader what was forgotten: it would serve late, and nobody would see why.
      if (!shard.resolved) continue;
      shard.sample(this.context.nowMs, this.settings.tombstoneHorizonMs);
      shard.forgottenIds.age(this.context.nowMs, shard.vat, this.settings.operationHorizonMs);
    }
    this.recovery.startAll();
    this.membership.tick();
    this.scrub.tick();
  }

  private record(command: RecordCommand, configId: number): void {
    const refusal = this.refusalOf(configId);
    if (refusal !== null) this.refuse(command, refusal);
    else if (command.op === 'read') this.reader.read(command);
    else this.change(command);
  }

  /** Answers what became of a change. */
  private find(operation: string, batch: number): void {
    const answer = (reply: { status: OperationStatus } | { error: ErrorBody }): void => {
      this.context.emit({ do: 'answer', batch, answered: { result: { id: 0, ...reply } } });
    };
    const refusal = this.refusalOf(this.cluster.configId);
    if (refusal !== null) {
      answer({ error: refusal });
      return;
    }
    spawn(this.operations.find(operation), (outcome) => {
      answer(outcome.ok ? { status: outcome.value } : { error: outcome.error });
    });
  }

  private refusalOf(configId: number): ErrorBody | null {
    if (this.cluster.phase === 'unconfigured') {
      return unconfigured(this.cluster);
    }
    if (configId === this.cluster.configId && this.cluster.phase === 'serving') return null;
    return { code: 'CONFIG_CHANGED', message: 'the configuration has changed', retryable: true };
  }

  /** Splits a change by shards and queues it. */
  private change(command: Exclude<RecordCommand, { op: 'read' }>): void {
    const parts = new Map<string, RequestPart>();
    const name = nameOf(command);
    const keys = command.op === 'write' ? command.keys : [command.key];
    for (const [index, key] of keys.entries()) {
      const shard = this.cluster.shardOf(key);
      if (shard === undefined) {
        this.refuse(command, {
          code: 'KEY_OUT_OF_RANGE',
          message: `the key ${key} lies in no shard`,
          retryable: false,
        });
        return;
      }
      addToPart(parts, shard.id, command, name, key, index);
    }
    if (parts.size > 1) for (const { op } of parts.values()) if (op.op === 'create') op.spans = true;
    const { batch, id } = command;
    const bytes = sizeOf(command);
    const request: QueuedRequest = { batch, id, parts, name, bytes, arrivedMs: this.context.nowMs };
    if (parts.size > 0) this.writer.write(request);
    else {
      const result = { id: command.id, added: 0 };
      this.context.emit({ do: 'answer', batch: command.batch, answered: { result } });
    }
  }

  private refuse(command: RecordCommand, why: ErrorBody): void {
    const error = this.writer.underWay.errorFor(command.operation, why);
    this.context.emit({ do: 'answer', batch: command.batch, answered: { result: { id: command.id, error } } });
  }

  /**
   * What may leave now. Without a lease that certainly holds, answers stay here: for those to whom it matters another
   * balancer may speak by now. So do orders to the launcher, which knows no epochs: the server that is ended may be another
   * balancer's member. They go when the lease has been renewed, and never when it is lost.
   */
  private outgoing(effects: Effect[]): Effect[] {
    if (this.isReleasing) return effects.filter(isPartOfRelease);
    if (this.leadership.holds) {
      const free = [...this.withheld, ...effects];
      this.withheld = [];
      return free;
    }
    for (const effect of effects) if (needsLease(effect)) this.withheld.push(effect);
    return effects.filter((effect) => !needsLease(effect));
  }

  /** A graceful end: the lease goes back, whoever stands by need not wait for its end. */
  private release(): void {
    this.isReleasing = true;
    if (this.leadership.holds) this.publishLost('it stops, and hands over');
    this.leadership.release(() => {
      this.context.emit({ do: 'released' });
    });
    this.catalog.end();
  }

  /**
   * A replica has seen a higher epoch. Mostly another balancer leads, and what is stored here conflicts; but if the catalog was rolled
   * back, nobody does, and whoever comes next must begin above that epoch.
   */
  private giveWay({ message, epoch }: ErrorBody): void {
    if (this.isGivingWay) return;
    this.isGivingWay = true;
    this.leadership.release(() => {
      this.stepDown(message);
    }, epoch);
  }

  private stepDown(why: string): void {
    // One that hands over ends by itself.
    if (this.isReleasing) return;
    this.cluster.phase = 'steppedDown';
    this.leadership.end();
    this.catalog.end();
    this.publishLost(why);
    this.context.emit({ do: 'stepDown', why });
  }

  private publishLost(cause: string): void {
    const data = { cause, epoch: this.cluster.epoch };
    this.context.emit({ do: 'publish', event: { kind: 'leader.lost', subject: this.settings.balancerId, data } });
  }
}

/** Effects that nobody else can distinguish from those of the balancer that leads by now. */
function needsLease({ do: what }: Effect): boolean {
  return what === 'answer' || what === 'answerAdmin' || what === 'startNode' || what === 'removeNode';
}

/** A balancer that hands over begins nothing else any more. */
function isPartOfRelease(effect: Effect): boolean {
  if (effect.do === 'store') return effect.key === BUCKET_KEYS.leader;
  return effect.do === 'released' || effect.do === 'publish';
}

function nameOf({ operation, fingerprint }: Exclude<RecordCommand, { op: 'read' }>): OpName {
  if (operation === undefined) return {};
  return fingerprint === undefined ? { id: operation } : { id: operation, fingerprint };
}

function addToPart(
  parts: Map<string, RequestPart>,
  shard: string,
  command: Exclude<RecordCommand, { op: 'read' }>,
  name: OpName,
  key: number,
  index: number,
): void {
  if (command.op === 'update') parts.set(shard, { op: { op: 'update', key, ...name }, rows: [command.row] });
  else if (command.op === 'delete') parts.set(shard, { op: { op: 'delete', key, ...name }, rows: [] });
  else {
    const part = parts.get(shard) ?? { op: newCreate(command.onConflict, name), rows: [] };
    if (part.op.op === 'create') part.op.keys.push(key);
    part.rows.push(command.rows[index] ?? '');
    parts.set(shard, part);
  }
}

function newCreate(onConflict: 'error' | 'ignore' | 'replace', name: OpName): RoundOp {
  return { op: 'create', onConflict, keys: [], ...name };
}

function sizeOf(command: Exclude<RecordCommand, { op: 'read' }>): number {
  if (command.op === 'delete') return 32;
  if (command.op === 'update') return command.row.length + 32;
  return command.rows.reduce((bytes, row) => bytes + row.length + 16, 32);
}
