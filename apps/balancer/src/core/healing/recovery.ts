/**
 * Recovery: a replica that is not in sync copies what it lacks from one that is, while reads and writes go on.
 *
 * First everything up to some VAT v, in bounded pages; then the difference from v to the VAT of by then, again until little is
 * left; then a digest over all that is visible must be equal on both sides; last, with the shard's write queue held, the rest,
 * and the replica enters the in-sync set. The pause lasts as long as one small page.
 *
 * A replica that still has its data begins at its committed VAT: what it holds above that is undone first, since
 * nobody can vouch for it. One that was being copied goes on where it was: it stores how far it has got with every page, and reports
 * it to whoever leads. What it needs for that is kept from being purged for as long as tombstones are kept at all.
 */
import type { ErrorBody } from '#common/contracts/errors';
import type { EventKind } from '#common/contracts/events';
import type { CatchupReply, NodeShardState } from '#common/contracts/node';
import type { Cluster, ServerState } from '../cluster/cluster';
import { heldFor, planCopy, type CopyPlan, type Lagging } from './copy-plan';
import type { CopyRequests } from './copy-requests';
import { CopyThrottle, SLICE_BYTES } from './copy-throttle';
import type { StepContext } from '../kernel/step-context';
import { isAlike } from '../replicas/differing-keys';
import type { Divergence } from '../replicas/divergence';
import type { Result } from '../kernel/effects';
import type { InSyncSets } from '../replicas/in-sync-sets';
import type { Patience } from '../detection/patience';
import type { CoreSettings } from '../detection/core-settings';
import type { Shard } from '../cluster/shard';
import { all, first, spawn, running, wait, type Suspension, type Workflow } from '../kernel/workflow';
import type { Writer } from '../requests/writer';

const RETRY_MS = 500;
/** Copies to one server at a time: one stores while the other is on its way. */
const COPIES_PER_SERVER = 2;
/** With so few terms missing the write queue is taken; more are copied before, unless that does not end in so many turns. */
const LAST_TERMS = 16;
const LAST_TURNS = 8;

export class Recovery {
  private readonly throttle: CopyThrottle;
  constructor(
    private readonly context: StepContext,
    private readonly cluster: Cluster,
    private readonly inSyncSets: InSyncSets,
    private readonly divergence: Divergence,
    private readonly writer: Writer,
    private readonly patience: Patience,
    private readonly settings: CoreSettings,
    private readonly requests: CopyRequests,
  ) {
    this.throttle = new CopyThrottle(context, settings);
  }

  /** Begins to bring the server's replicas in sync, unless that is under way already. */
  start(server: ServerState): void {
    // One that misses its heartbeats may be dead already, one without Postgres or room cannot store anything: they are waited for.
    if (server.recovering || !this.cluster.mayReceiveCopies(server.name)) return;
    if (this.lagging(server.name).length === 0) {
      this.announceWhole(server);
      return;
    }
    server.recovering = true;
    spawn(this.recoverServer(server));
  }

  /** Looks for replicas that nobody brings in sync yet. */
  startAll(): void {
    for (const server of this.cluster.servers.values()) this.start(server);
  }

  /**
   * Takes note of copies that have been broken off: what they need to resume is not purged for a while. The while begins when the leader
   * first hears of them, and they are not heard of twice.
   */
  learn(server: string, states: readonly NodeShardState[]): void {
    for (const { shard: id, copy } of states) {
      const shard = this.cluster.shards.get(id);
      if (copy === null || shard?.replicas.get(server)?.syncing !== false) continue;
      const vat = heldFor(copy.from, copy.to);
      if (shard.isHeldForCopy(server, vat)) continue;
      shard.holdForCopy(server, vat, this.context.nowMs + this.settings.tombstoneHorizonMs);
    }
  }

  /** Some shards side by side, until nothing is left or the server is gone. */
  private *recoverServer(server: ServerState): Workflow {
    const workers = Array.from({ length: COPIES_PER_SERVER }, () => running(this.recoverShards(server)));
    yield* wait(all(workers));
    server.recovering = false;
    this.announceWhole(server);
  }

  private *recoverShards(server: ServerState): Workflow {
    for (;;) {
      const lagging = this.lagging(server.name);
      if (lagging.length === 0 || !this.isWanted(server)) return;
      const next = lagging.find(({ replica }) => replica.nextCopyMs <= this.context.nowMs);
      if (next === undefined) yield* wait(this.context.sleep(RETRY_MS));
      else if (!(yield* this.recoverReplica(next))) next.replica.nextCopyMs = this.context.nowMs + RETRY_MS;
    }
  }

  /** Publishes, once, that a server that was missed is back with all of its replicas. */
  private announceWhole(server: ServerState): void {
    if (server.downSinceMs === null || !this.isWanted(server) || !this.isWhole(server.name)) return;
    const durationMs = Math.round(this.context.nowMs - server.downSinceMs);
    server.downSinceMs = null;
    this.publish('server.recovered', server.name, { cause: 'all its replicas are in sync', durationMs });
  }

  private isWanted(server: ServerState): boolean {
    return this.cluster.servers.get(server.name) === server && this.cluster.isReachable(server.name);
  }

  private isWhole(server: string): boolean {
    return this.cluster.shardsOn(server).every((shard) => shard.stateOf(server) === 'in-sync');
  }

  /**
   * Shards of the server that are not in sync there, that nobody copies now, and that can be copied from somewhere. One that kept the
   * others waiting stays away for a while, unless the shard takes no writes without it.
   */
  private lagging(server: string): Lagging[] {
    return this.cluster.shardsOn(server).flatMap((shard) => {
      if (!this.mayBeCopied(shard, server) || shard.stateOf(server) === 'in-sync') return [];
      const replica = shard.replicas.get(server);
      if (replica?.syncing !== false || replica.examined || shard.returning.has(server)) return [];
      if (!this.patience.mayReturn(server, this.context.nowMs) && this.cluster.isWritable(shard)) return [];
      const source = this.sourceFor(shard, server);
      return source === undefined ? [] : [{ shard, target: server, replica, source }];
    });
  }

  /**
   * What is acknowledged is known, and members agree on it. A take-over's first round may wait for a member that is gone for good, and
   * that cannot leave before another one is whole. So others are copied as soon as it is decided what is acknowledged. Members whose
   * data is gone are copied then only where that is so, since the round waits for them from there on.
   */
  private mayBeCopied(shard: Shard, server: string): boolean {
    if (shard.record.disputed === true) return false;
    if (shard.resolved || !shard.decided) return shard.resolved;
    if (!shard.inSync.includes(server)) return true;
    return !shard.isDiverged(server) && shard.members.some((member) => this.cluster.health(member) === 'dead');
  }

  /** The in-sync replica with the fewest reads on their way, of those that have not failed; a suspect one only where there is no other. */
  private sourceFor(shard: Shard, target: string, failed: ReadonlySet<string> = new Set()): string | undefined {
    const reads = (server: string): number => shard.reads.get(server) ?? 0;
    const suspicion = (server: string): number => (this.cluster.health(server) === 'healthy' ? 0 : 1);
    return this.cluster
      .serving(shard)
      .filter((server) => server !== target && !failed.has(server))
      .sort((a, b) => suspicion(a) - suspicion(b) || reads(a) - reads(b))[0];
  }

  private *recoverReplica(lagging: Lagging): Workflow<boolean> {
    const { shard, target, replica } = lagging;
    replica.syncing = true;
    if (!shard.resolved && shard.inSync.includes(target)) shard.refilled.add(target);
    const plan = yield* this.prepare(lagging, this.context.nowMs);
    if (plan === null) {
      replica.syncing = false;
      return false;
    }
    try {
      const done = yield* this.carryOut(plan);
      if (done) shard.releaseCopy(target);
      else shard.holdForCopy(target, plan.heldVat, plan.progressMs + this.settings.tombstoneHorizonMs);
      return done;
    } finally {
      replica.syncing = false;
    }
  }

  private *carryOut(plan: CopyPlan): Workflow<boolean> {
    const startedMs = this.context.nowMs;
    this.publishSyncing(plan, plan.resumed ? 'not in sync; an earlier copy is resumed' : 'not in sync');
    if (!(yield* this.approach(plan))) return false;
    const copiedMs = this.context.nowMs;
    if (!(yield* this.closeIn(plan))) return false;
    const pauseMs = yield* this.enter(plan);
    if (pauseMs === null) return false;
    const { shard, target, source, resumed, rows, bytes } = plan;
    const durationMs = this.sinceMs(startedMs);
    const copyMs = Math.round(copiedMs - startedMs);
    const what = { cause: 'caught up', shard: shard.id, server: target, source, resumed, rows, bytes };
    this.publish('shard.insync', `${shard.id}/${target}`, { ...what, durationMs, copyMs, pauseMs });
    return true;
  }

  /** Makes sure that the target has the shard's table, and learns how far it got. */
  private *prepare(lagging: Lagging, startedMs: number): Workflow<CopyPlan | null> {
    const { shard, target } = lagging;
    const { record } = this.cluster;
    if (record === null) return null;
    // Its disk may have been lost, and with that what it knew of the cluster.
    const request = { cluster: record, ...this.cluster.requestUnder(record, [shard.config()]) };
    const outcome = yield* wait(this.context.ask('config', { server: target, request }));
    if (!outcome.ok) return null;
    const state = outcome.value.shards.find((held) => held.shard === shard.id);
    const plan = planCopy(lagging, state, {
      startedMs,
      progressMs: this.context.nowMs,
      instance: outcome.value.instance,
    });
    shard.holdForCopy(target, plan.heldVat, Number.POSITIVE_INFINITY);
    return plan;
  }

  /** Copies while the shard is being written, until little is missing and both sides agree. */
  private *approach(plan: CopyPlan): Workflow<boolean> {
    const { shard } = plan;
    for (;;) {
      const to = plan.resumeTo ?? shard.vat;
      plan.resumeTo = null;
      const error = yield* this.copy(plan, to);
      if (error?.code === 'SNAPSHOT_GONE' && !plan.isFull) this.restart(plan, 'what it was being copied from is gone');
      else if (error !== null) return false;
      else if (shard.vat - to <= this.settings.catchupGapTerms) {
        const same = yield* this.agree(plan, to);
        if (same === true) return true;
        if (same === null || plan.isFull) return false;
        if (!(yield* this.isSourceRight(plan, to)) || !this.isWantedStill(plan)) return false;
        yield* this.divergence.publishCopyDifference(shard, to, plan.target, plan.source);
        plan.setAside = true;
        this.restart(plan, 'its digest differs');
      }
    }
  }

  /** Everything once more: what is there is not to be resumed. */
  private restart(plan: CopyPlan, cause: string): void {
    plan.from = 0;
    plan.isFull = true;
    this.publishSyncing(plan, cause);
  }

  /**
   * What was written while the digests were made is copied before the write queue is taken. That happens at least once, so that
   * everybody has prepared what the last difference takes.
   */
  private *closeIn(plan: CopyPlan): Workflow<boolean> {
    const { shard } = plan;
    for (let turn = 0; turn < LAST_TURNS && shard.vat - plan.from > (turn === 0 ? 0 : LAST_TERMS); turn += 1) {
      if ((yield* this.copy(plan, shard.vat)) !== null) return false;
    }
    return true;
  }

  /** Copies `(plan.from, to]`, from one source after the other where they fail. Returns what went wrong, or null. */
  private *copy(plan: CopyPlan, to: number, isHurried = false): Workflow<ErrorBody | null> {
    const { shard, target, from } = plan;
    plan.heldVat = heldFor(from, to);
    shard.holdForCopy(target, plan.heldVat, Number.POSITIVE_INFINITY);
    const failed = new Set<string>();
    let failure: ErrorBody | null = null;
    for (;;) {
      const source = this.nextSource(plan, failed);
      if (source === undefined) return failure ?? GIVEN_UP;
      plan.source = source;
      const outcome = yield* this.askForPages(plan, to, isHurried);
      if (outcome.ok) {
        failed.clear();
        plan.progressMs = this.context.nowMs;
        plan.rows += outcome.value.rows;
        plan.bytes += outcome.value.bytes;
        if (outcome.value.next !== null) continue;
        plan.from = to;
        return null;
      }
      // Any of the in-sync replicas that has not purged it can send the rest.
      if (outcome.error.code !== 'SHARD_UNAVAILABLE' && outcome.error.code !== 'SNAPSHOT_GONE') return outcome.error;
      failed.add(source);
      if (failure?.code !== 'SNAPSHOT_GONE') failure = outcome.error;
    }
  }

  /**
   * Not where another shard has its name, of an `/init`, the target is no replica any more, or has left and is one once more, perhaps a
   * member by now (`StrandedShards`).
   */
  private isWantedStill({ shard, target, replica }: CopyPlan): boolean {
    return this.cluster.shards.get(shard.id) === shard && shard.replicas.get(target) === replica;
  }

  /** The one that was asked last, as long as it serves. Undefined when there is none, or the copy is not wanted any more. */
  private nextSource(plan: CopyPlan, failed: ReadonlySet<string>): string | undefined {
    const { shard, target, source } = plan;
    if (!this.isWantedStill(plan)) return undefined;
    const isServing = this.cluster.serving(shard).includes(source) && !failed.has(source);
    return isServing ? source : this.sourceFor(shard, target, failed);
  }

  private *askForPages(plan: CopyPlan, to: number, isHurried: boolean): Workflow<Result<CatchupReply>> {
    const { shard, target, source, from, instance } = plan;
    const granted = isHurried ? 0 : yield* this.throttle.grant();
    const what = { instance, source, from, to, maxBytes: isHurried ? SLICE_BYTES : granted };
    const { request, ended } = this.requests.next(shard, target, plan.setAside ? { setAside: true, ...what } : what);
    const ask = this.context.ask('catchup', { server: target, request, isHurried });
    const outcome = isHurried ? yield* this.inTime(target, ask) : yield* wait(ask);
    this.throttle.took(granted, outcome.ok ? outcome.value.bytes : 0);
    ended(outcome);
    return outcome;
  }

  /** Whether source and target show the same at `vat`; null when one of them did not answer. */
  private *agree(plan: CopyPlan, vat: number): Workflow<boolean | null> {
    const { shard, target, source } = plan;
    shard.hold(vat);
    const { replies } = yield* this.divergence.digests(shard, vat, [source, target]);
    shard.release(vat);
    const [theirs, ours] = [replies.get(source), replies.get(target)];
    if (theirs === undefined || ours === undefined) return null;
    const isSame = isAlike(theirs, ours);
    for (const server of [source, target]) if (isSame) shard.prove(server, { ms: this.context.nowMs, vat });
    return isSame;
  }

  /** Source and target differ: before the target is believed to be wrong, the other members must show what the source shows. */
  private *isSourceRight({ shard }: CopyPlan, vat: number): Workflow<boolean> {
    shard.hold(vat);
    const areAlike = yield* this.divergence.areMembersAlike(shard, vat);
    shard.release(vat);
    return areAlike;
  }

  /**
   * The rest under the shard's write queue, then into the in-sync set. That is stored while writes go on again, which the replica
   * takes part in from here on. Returns how long writes had to wait, or null.
   */
  private *enter(plan: CopyPlan): Workflow<number | null> {
    const { shard, target } = plan;
    const probe = yield* this.inTime(
      target,
      this.context.ask('probe', { server: target, request: { epoch: this.cluster.epoch } }),
    );
    if (!probe.ok) return null;
    yield* this.writer.lockQueue(shard);
    const pausedMs = this.context.nowMs;
    try {
      if (shard.vat > plan.from && (yield* this.copy(plan, shard.vat, true)) !== null) return null;
      // What was copied from a replica that has turned out to be wrong shows the same as that.
      if (shard.divergedMs >= plan.startedMs) return null;
      const replica = shard.replicas.get(target);
      if (!this.cluster.isReachable(target) || replica === undefined) return null;
      // A member that is fully re-copied takes part in no round before it has been: the shard takes no writes until then.
      if (shard.inSync.includes(target)) return (yield* this.promote(plan)) ? this.sinceMs(pausedMs) : null;
      replica.suspended = false;
      shard.entering.add(target);
    } finally {
      this.writer.queues.release([shard.id]);
    }
    const pauseMs = this.sinceMs(pausedMs);
    return (yield* this.promote(plan)) ? pauseMs : null;
  }

  /** Nobody may wait for the target for longer than is usual: neither now, with the write queue held, nor in rounds soon. */
  private *inTime<T>(target: string, ask: Suspension<Result<T>>): Workflow<Result<T>> {
    const limitMs = this.patience.limitMs(0, this.context.nowMs);
    const late: Suspension<Result<T>> = (resume, forgettable) => {
      this.context.sleep(limitMs)(() => {
        this.patience.wasLate(target, this.context.nowMs);
        resume({ ok: false, error: LATE });
      }, forgettable);
    };
    return yield* wait(first([ask, late]));
  }

  private promote({ shard, target, startedMs }: CopyPlan): Workflow<boolean> {
    return this.inSyncSets.promote(shard, target, startedMs);
  }

  private sinceMs(ms: number): number {
    return Math.round(this.context.nowMs - ms);
  }

  private publishSyncing({ shard, target, source, from, resumeTo }: CopyPlan, cause: string): void {
    const data = { cause, shard: shard.id, server: target, source, resumed: resumeTo !== null, from };
    this.publish('shard.syncing', `${shard.id}/${target}`, data);
  }

  private publish(kind: EventKind, subject: string, data: Record<string, unknown>): void {
    this.context.emit({ do: 'publish', event: { kind, subject, data } });
  }
}

const LATE: ErrorBody = { code: 'OUTCOME_UNKNOWN', message: 'no answer in time', retryable: false };
const GIVEN_UP: ErrorBody = { code: 'SHARD_UNAVAILABLE', message: 'nobody to copy from', retryable: true };
