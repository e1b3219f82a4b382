/**
 * Recovery: a replica that is not in sync copies what it lacks from one that is, while reads and writes go on.
 *
 * First everything up to some VAT v, in bounded pages; then the difference from v to the VAT of by then, again until little is
 * left; then a digest over all that is visible must be equal on both sides; last, with the shard's lane held, the rest,
 * and the replica enters the in-sync set. The pause lasts as long as one small page.
 *
 * A replica that still has its data begins at the VAT it was last told: what it holds above that is undone first, since
 * nobody can vouch for it.
 */
import type { ErrorBody } from '#common/contracts/errors';
import type { EventKind } from '#common/contracts/events';
import type { CatchupReply, CatchupRequest, CopyCursor, NodeShardState } from '#common/contracts/node';
import type { Cluster, ServerState } from './cluster';
import type { Desk } from './desk';
import type { Outcome } from './effects';
import type { InSyncSets } from './in-sync-sets';
import type { CoreSettings } from './settings';
import type { Shard } from './shard';
import { all, run, wait, type Workflow } from './workflow';
import type { Writer } from './writer';

const RETRY_MS = 500;

/** Where one copy has got to; everything a later attempt needs to know is in it. */
interface CopyPlan {
  readonly shard: Shard;
  readonly target: string;
  readonly source: string;
  /** Everything up to here is there already. */
  from: number;
  rows: number;
  bytes: number;
}

export class Recovery {
  constructor(
    private readonly desk: Desk,
    private readonly cluster: Cluster,
    private readonly inSyncSets: InSyncSets,
    private readonly writer: Writer,
    private readonly settings: CoreSettings,
  ) {}

  /** Begins to bring the server's replicas in sync, unless that is under way already. */
  start(server: ServerState): void {
    // One that misses its heartbeats may be dead already, one without Postgres or room cannot store anything: they are waited for.
    if (server.recovering || !this.cluster.mayReceiveCopies(server.name)) return;
    if (this.lagging(server.name) === undefined) {
      this.announceWhole(server);
      return;
    }
    server.recovering = true;
    run(this.recoverServer(server));
  }

  /** Looks for replicas that nobody brings in sync yet. */
  startAll(): void {
    for (const server of this.cluster.servers.values()) this.start(server);
  }

  /** Shard by shard, until nothing is left or the server is gone. */
  private *recoverServer(server: ServerState): Workflow {
    for (;;) {
      const shard = this.lagging(server.name);
      if (shard === undefined || !this.isWanted(server)) break;
      const done = yield* this.recoverReplica(shard, server.name);
      if (!done) yield* wait(this.desk.sleep(RETRY_MS));
    }
    server.recovering = false;
    this.announceWhole(server);
  }

  /** Tells, once, that a server that was missed is back with all of its replicas. */
  private announceWhole(server: ServerState): void {
    if (server.downSinceMs === null || !this.isWanted(server) || !this.isWhole(server.name)) return;
    const durationMs = Math.round(this.desk.nowMs - server.downSinceMs);
    server.downSinceMs = null;
    this.publish('server.recovered', server.name, { cause: 'all its replicas are in sync', durationMs });
  }

  private isWanted(server: ServerState): boolean {
    return this.cluster.servers.get(server.name) === server && this.cluster.isReachable(server.name);
  }

  private isWhole(server: string): boolean {
    return this.cluster.shardsOn(server).every((shard) => shard.stateOf(server) === 'in-sync');
  }

  /** A shard of the server that is not in sync there, and that can be copied from somewhere. */
  private lagging(server: string): Shard | undefined {
    return this.cluster
      .shardsOn(server)
      .find(
        (shard) => shard.resolved && shard.stateOf(server) !== 'in-sync' && this.sourceFor(shard, server) !== undefined,
      );
  }

  /** The in-sync replica with the fewest reads on their way; a suspect one only where there is no other. */
  private sourceFor(shard: Shard, target: string): string | undefined {
    const reads = (server: string): number => shard.reads.get(server) ?? 0;
    const suspicion = (server: string): number => (this.cluster.health(server) === 'healthy' ? 0 : 1);
    return this.cluster
      .serving(shard)
      .filter((server) => server !== target)
      .sort((a, b) => suspicion(a) - suspicion(b) || reads(a) - reads(b))[0];
  }

  private *recoverReplica(shard: Shard, target: string): Workflow<boolean> {
    const source = this.sourceFor(shard, target);
    const replica = shard.replicas.get(target);
    if (source === undefined || replica === undefined) return false;
    const startedMs = this.desk.nowMs;
    replica.syncing = true;
    const plan = yield* this.prepare(shard, target, source);
    if (plan === null) {
      replica.syncing = false;
      return false;
    }
    this.publish('shard.syncing', `${shard.id}/${target}`, {
      cause: 'not in sync',
      shard: shard.id,
      server: target,
      source,
    });
    try {
      if (!(yield* this.approach(plan))) return false;
      const pauseMs = yield* this.enter(plan);
      if (pauseMs === null) return false;
      const { rows, bytes } = plan;
      const durationMs = Math.round(this.desk.nowMs - startedMs);
      const data = { cause: 'caught up', shard: shard.id, server: target, source, rows, bytes, durationMs, pauseMs };
      this.publish('shard.insync', `${shard.id}/${target}`, data);
      return true;
    } finally {
      replica.syncing = false;
    }
  }

  /** Makes sure that the target has the shard's table, and learns how far it got. */
  private *prepare(shard: Shard, target: string, source: string): Workflow<CopyPlan | null> {
    const { schema, epoch, configId } = this.cluster;
    if (schema === null) return null;
    const request = { epoch, configId, schema, shards: [shard.config()], drop: [] };
    const outcome = yield* wait(this.desk.ask('config', { server: target, request }));
    if (!outcome.ok) return null;
    const state = outcome.value.shards.find((held) => held.shard === shard.id);
    return { shard, target, source, from: this.startingPoint(shard, source, state), rows: 0, bytes: 0 };
  }

  /** The told VAT, when the source still has everything that died since; else 0, for a copy of everything. */
  private startingPoint(shard: Shard, source: string, state: NodeShardState | undefined): number {
    if (state === undefined || state.toldVat > shard.vat) return 0;
    const purgedTo = shard.replicas.get(source)?.purgedTo ?? 0;
    return state.toldVat >= purgedTo ? state.toldVat : 0;
  }

  /** Copies while the shard is being written, until little is missing and both sides agree. */
  private *approach(plan: CopyPlan): Workflow<boolean> {
    let wasDifference = plan.from > 0;
    for (;;) {
      const to = plan.shard.vat;
      const error = yield* this.copy(plan, to);
      if (error?.code === 'SNAPSHOT_GONE' && plan.from > 0) plan.from = 0;
      else if (error !== null) return false;
      else if (plan.shard.vat - to <= this.settings.catchupGapTerms) {
        const same = yield* this.agree(plan, to);
        if (same === true) return true;
        if (same === null || !wasDifference) return false;
        this.publishDiverged(plan);
        wasDifference = false;
        plan.from = 0;
      }
    }
  }

  /** Copies `(plan.from, to]` page by page. Returns what went wrong, or null. */
  private *copy(plan: CopyPlan, to: number): Workflow<ErrorBody | null> {
    const { shard, target, source, from } = plan;
    const anchor = from === 0 ? to : from;
    shard.hold(anchor);
    try {
      let after: CopyCursor | null = null;
      do {
        const request: CatchupRequest = { epoch: this.cluster.epoch, shard: shard.id, source, from, to, after };
        const outcome: Outcome<CatchupReply> = yield* wait(this.desk.ask('catchup', { server: target, request }));
        if (!outcome.ok) return outcome.error;
        plan.rows += outcome.value.rows;
        plan.bytes += outcome.value.bytes;
        after = outcome.value.next;
      } while (after !== null);
      plan.from = to;
      return null;
    } finally {
      shard.release(anchor);
    }
  }

  /** Whether source and target show the same at `vat`; null when one of them did not answer. */
  private *agree(plan: CopyPlan, vat: number): Workflow<boolean | null> {
    const { shard, target, source } = plan;
    const request = { epoch: this.cluster.epoch, shard: shard.id, vat };
    shard.hold(vat);
    const outcomes = yield* wait(all([source, target].map((server) => this.desk.ask('digest', { server, request }))));
    shard.release(vat);
    const [theirs, ours] = outcomes;
    if (theirs?.ok !== true || ours?.ok !== true) return null;
    return theirs.value.digest === ours.value.digest;
  }

  /** The rest under the shard's lane, then into the in-sync set. Returns how long writes had to wait, or null. */
  private *enter(plan: CopyPlan): Workflow<number | null> {
    const { shard, target } = plan;
    yield* this.writer.lockLane(shard);
    const pausedMs = this.desk.nowMs;
    try {
      if (shard.vat > plan.from && (yield* this.copy(plan, shard.vat)) !== null) return null;
      if (!this.cluster.isReachable(target) || !shard.replicas.has(target)) return null;
      if (!(yield* this.inSyncSets.promote(shard, target))) return null;
      const replica = shard.replicas.get(target);
      if (replica !== undefined) replica.suspended = false;
      return Math.round(this.desk.nowMs - pausedMs);
    } finally {
      this.writer.lanes.release([shard.id]);
    }
  }

  private publishDiverged({ shard, target }: CopyPlan): void {
    const data = { cause: 'its digest differs after the copy of a difference', shard: shard.id, server: target };
    this.publish('shard.diverged', `${shard.id}/${target}`, data);
  }

  private publish(kind: EventKind, subject: string, data: Record<string, unknown>): void {
    this.desk.emit({ do: 'publish', event: { kind, subject, data } });
  }
}
