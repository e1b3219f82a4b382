/**
 * Changes of a shard's in-sync set: one at a time per shard, durable in the catalog first, then on the replicas that
 * remain, and only then in force.
 *
 * A set never becomes smaller before at least `minInSync` of those who remain have shown that they live and are whole (`RollCall`).
 * Else nothing is changed and the shard waits; it is tried again, at a pace, until it succeeds or there is no reason any more.
 */
import type { ConfigRequest, NodeShardState } from '#common/contracts/node';
import type { Catalog } from '../cluster/catalog';
import type { Cluster } from '../cluster/cluster';
import type { StepContext } from '../kernel/step-context';
import { entered, joined, settled } from './record-changes';
import { RecordStorage, type Stored } from './record-storage';
import { isWhole, RollCall } from './roll-call';
import { minimumOf, type Shard, type ShardRecord } from '../cluster/shard';
import { all, spawn, running, wait, type Workflow } from '../kernel/workflow';

/**
 * `done`: they are out, also where they had left before. `belowMinimum`: the set may not become so small. `unproven`: too few of those who would remain have shown that they are whole.
 * Nothing changed then, or not everything.
 */
export type SetChangeResult = 'done' | 'belowMinimum' | 'unproven' | 'steppedDown';

const SILENT = 'did not store the configuration';
/** How soon a shard that waits is looked at again. */
const RETRY_MS = 250;

export class InSyncSets {
  private readonly rollCall: RollCall;
  private readonly storage: RecordStorage;
  /** Shards of which a member should leave that could not so far, or has not acknowledged who has left. */
  private readonly waiting = new Set<Shard>();
  private nextTryMs = 0;

  constructor(
    private readonly context: StepContext,
    private readonly cluster: Cluster,
    catalog: Catalog,
  ) {
    this.rollCall = new RollCall(context, cluster);
    this.storage = new RecordStorage(cluster, catalog, this.rollCall);
  }

  /** Tries again what could not be done so far. */
  tick(): void {
    if (this.waiting.size === 0 || this.context.nowMs < this.nextTryMs) return;
    this.nextTryMs = this.context.nowMs + RETRY_MS;
    for (const shard of [...this.waiting]) {
      if (!this.storage.isCurrent(shard)) this.waiting.delete(shard);
      else if (!shard.configLock.isHeld) spawn(this.tryAgain(shard));
    }
  }

  /** Shards that wait. */
  get unsettled(): Iterable<Shard> {
    return this.waiting;
  }

  /** Looks soon whether a member should leave. */
  reconsider(shard: Shard): void {
    this.waiting.add(shard);
  }

  /** Members of a shard that comes into being have not stored yet that it does: until they have, nothing is acknowledged. */
  sendSoon(shard: Shard, unacknowledged: readonly string[]): void {
    for (const server of shard.inSync) if (unacknowledged.includes(server)) shard.unacknowledged.add(server);
    if (shard.unacknowledged.size > 0) this.waiting.add(shard);
  }

  /**
   * Takes replicas out of the in-sync set: they no longer hold every acknowledged write. Those that cannot store the new
   * configuration are taken out as well.
   */
  *demote(shard: Shard, servers: readonly string[], cause: string): Workflow<SetChangeResult> {
    yield* wait(shard.configLock.acquire());
    try {
      return yield* this.demoteLocked(shard, servers, cause);
    } finally {
      shard.configLock.release();
    }
  }

  /**
   * Takes replicas out that hold something else than the others. The record says so until they have been fully re-copied, so that the
   * next leader knows it too. Where too few would be left they stay in the set, but serve nothing: `belowMinimum`.
   *
   * @param settles that is what members were disputed for
   */
  *quarantine(shard: Shard, servers: readonly string[], cause: string, settles: boolean): Workflow<SetChangeResult> {
    yield* wait(shard.configLock.acquire());
    try {
      const leaving = servers.filter((server) => shard.inSync.includes(server));
      if (leaving.length === 0) return 'done';
      for (const server of leaving) shard.suspend(server, true);
      const diverged = [...new Set([...(shard.record.diverged ?? []), ...leaving])];
      const inSync = shard.inSync.filter((server) => !leaving.includes(server));
      const record = { ...(settles ? settled(shard.record) : shard.record), diverged };
      const without = yield* this.storage.store(shard, { ...record, inSync });
      if (without === 'unproven') {
        const marked = yield* this.mark(shard, record);
        return marked === 'stored' ? this.postpone(shard, leaving, cause, 'belowMinimum') : 'steppedDown';
      }
      if (without === 'steppedDown') return without;
      this.left(shard, leaving, cause);
      return yield* this.sendToAll(shard);
    } finally {
      shard.configLock.release();
    }
  }

  /**
   * Members hold different things, and too few have answered to know who is right. Until that is known nobody leaves the set for
   * being silent, and nobody enters it; the record says so, for the next leader.
   */
  *dispute(shard: Shard): Workflow {
    yield* wait(shard.configLock.acquire());
    try {
      if (shard.record.disputed !== true) yield* this.mark(shard, { ...shard.record, disputed: true });
    } finally {
      shard.configLock.release();
    }
  }

  /**
   * More than half of the members show the same, or all do. Those of them that were not heard leave the set with the dispute: they may
   * hold something else, and are compared before they come back. That members have not heard of its end does no harm.
   */
  *endDispute(shard: Shard, unheard: readonly string[]): Workflow {
    yield* wait(shard.configLock.acquire());
    try {
      if (shard.record.disputed !== true) return;
      const leaving = unheard.filter((server) => shard.inSync.includes(server));
      const inSync = shard.inSync.filter((server) => !leaving.includes(server));
      const stored = yield* this.storage.store(shard, { ...settled(shard.record), inSync });
      if (stored !== 'stored' || leaving.length === 0) return;
      this.left(shard, leaving, 'it was silent while the others showed that they are right');
      yield* this.sendToAll(shard);
    } finally {
      shard.configLock.release();
    }
  }

  /**
   * Has members store the configuration that they have not stored yet, as far as the new leader has heard. Returns whether all members
   * have it, those taken out that do not answer.
   */
  *inform(shard: Shard, unacknowledged: readonly string[]): Workflow<boolean> {
    yield* wait(shard.configLock.acquire());
    try {
      // Who has left the set meanwhile need not know.
      for (const server of shard.inSync) if (unacknowledged.includes(server)) shard.unacknowledged.add(server);
      if (shard.unacknowledged.size > 0) this.waiting.add(shard);
      if (shard.unacknowledged.size > 0) yield* this.sendToRest(shard);
      return shard.unacknowledged.size === 0;
    } finally {
      shard.configLock.release();
    }
  }

  /**
   * Takes a replica into the in-sync set, or makes one count again that is a member and has been fully re-copied. The caller vouches that
   * nothing was missing. It holds the shard's write queue, or has made the replica one of those that are `entering`, which it no longer is
   * afterwards. That nothing is missing by now the replica shows itself: while we waited, its disk may have been lost.
   *
   * @param copiedSinceMs when it began to be copied: should members have been found to differ since, the source may be wrong
   */
  *promote(shard: Shard, server: string, copiedSinceMs: number): Workflow<boolean> {
    yield* wait(shard.configLock.acquire());
    try {
      // Writes went on while we waited, and so did administrators: it may be no replica any more.
      if (!shard.record.replicas.includes(server)) return false;
      const isWhole = (): Workflow<boolean> => this.rollCall.isStillWhole(shard, server, copiedSinceMs);
      const silent = yield* this.enter(shard, [server], isWhole);
      if (silent === null) return false;
      yield* this.demoteLocked(shard, silent, SILENT);
      return !shard.isSuspended(server);
    } finally {
      shard.entering.delete(server);
      shard.configLock.release();
    }
  }

  /** Makes servers members that miss nothing, as long as that is right: see `StrandedShards`, which holds the write queue. */
  *takeBack(shard: Shard, servers: readonly string[], isRight: () => Workflow<boolean>): Workflow<boolean> {
    yield* wait(shard.configLock.acquire());
    try {
      if ((yield* this.enter(shard, servers, isRight)) === null) return false;
      this.cluster.buildRing(shard);
      for (const server of servers) if (!this.cluster.isReachable(server)) shard.unacknowledged.add(server);
      return true;
    } finally {
      shard.configLock.release();
    }
  }

  /**
   * Replaces a shard's record (membership). The in-sync set loses only who is no replica any more. Before that enough of the others
   * must have shown that they are whole, and the record must certainly be the newest. Returns whether it is in force. Members that
   * have not stored it yet are in `shard.unacknowledged`: what left must be kept until there are none.
   */
  *reshape(shard: Shard, reshaped: (record: ShardRecord) => ShardRecord): Workflow<boolean> {
    yield* wait(shard.configLock.acquire());
    try {
      const record = reshaped(shard.record);
      if (record === shard.record) return true;
      if (!this.isNewest(shard) || (yield* this.storage.store(shard, record)) !== 'stored') return false;
      this.cluster.buildRing(shard);
      yield* this.sendToAll(shard);
      return true;
    } finally {
      shard.configLock.release();
    }
  }

  /** `isProven` for several shards at once: each server is asked once for all of its shards. */
  *areProven(shards: readonly Shard[]): Workflow<boolean> {
    const proven = yield* wait(all(shards.map((shard) => running(this.isProven(shard)))));
    return proven.every((isProven) => isProven);
  }

  /**
   * Whether enough members show, now, that they have everything: what others hold is needed no more. It is needed as long as nobody knows
   * what everything is.
   */
  private *isProven(shard: Shard): Workflow<boolean> {
    if (!shard.resolved || !this.storage.isCurrent(shard)) return false;
    return yield* this.storage.areEnough(shard, shard.record, minimumOf(shard.record));
  }

  /**
   * The catalog may have been rolled back, and a replica know a later record, with other members. A change of the old one would pass for
   * newer than that. So before the shard is decided so many must have reported what they know that none can be missed.
   */
  private isNewest({ decided, record }: Shard): boolean {
    const { reports, servers } = this.cluster;
    return decided || reports.isNewest(record, servers.keys());
  }

  private *demoteLocked(shard: Shard, servers: readonly string[], cause: string): Workflow<SetChangeResult> {
    const leaving = servers.filter((server) => shard.inSync.includes(server));
    if (leaving.length === 0) return 'done';
    const inSync = shard.inSync.filter((server) => !leaving.includes(server));
    if (inSync.length < shard.minInSync) return this.postpone(shard, leaving, cause, 'belowMinimum');
    // Those who are silent have a word in it, too.
    if (shard.record.disputed === true) return this.postpone(shard, leaving, cause, 'unproven');
    const stored = yield* this.storage.store(shard, { ...shard.record, inSync });
    if (stored === 'unproven') return this.postpone(shard, leaving, cause, stored);
    if (stored === 'steppedDown') return stored;
    this.left(shard, leaving, cause);
    return yield* this.sendToAll(shard);
  }

  /** Has the members store the configuration; who does not is taken out as well, or stays unacknowledged. */
  private *sendToAll(shard: Shard): Workflow<SetChangeResult> {
    const silent = yield* this.send(shard, shard.inSync);
    return yield* this.demoteLocked(shard, silent, SILENT);
  }

  private *tryAgain(shard: Shard): Workflow {
    yield* wait(shard.configLock.acquire());
    try {
      yield* this.sendToRest(shard);
    } finally {
      shard.configLock.release();
    }
  }

  private *sendToRest(shard: Shard): Workflow {
    const silent = yield* this.send(shard, [...shard.unacknowledged]);
    const causes = shard.inSync.map((server) => this.unfit(shard, server) ?? (silent.includes(server) ? SILENT : null));
    const leaving = shard.inSync.filter((_, index) => causes[index] !== null);
    const [cause = null] = causes.filter((one) => one !== null);
    if (cause !== null) yield* this.demoteLocked(shard, leaving, cause);
    // Whoever came back while it was sent to the others has not got it, and has no reason to leave.
    else if (shard.unacknowledged.size === 0) this.waiting.delete(shard);
  }

  /** Why a member should not be one, or null. */
  private unfit(shard: Shard, server: string): string | null {
    if (this.cluster.health(server) === 'dead') return 'flatline';
    return shard.isSuspended(server) ? 'its data is gone' : null;
  }

  /**
   * Stores what is not to be believed of members, or not yet. They get it, too, and nothing is acknowledged before: should the bucket
   * be lost or rolled back, any of them reports it to the next leader.
   */
  private *mark(shard: Shard, record: ShardRecord): Workflow<Stored> {
    const stored = yield* this.storage.store(shard, record);
    if (stored !== 'stored') return stored;
    for (const server of shard.inSync) shard.unacknowledged.add(server);
    this.waiting.add(shard);
    yield* this.send(shard, shard.inSync);
    return stored;
  }

  /**
   * Makes servers members, as long as that is right, and sends it to all. Returns members that have not stored it; null when nothing has
   * changed. The disk of a newcomer may have been lost in the very moment in which that was stored. It counts when it has shown once
   * more that it was not.
   */
  private *enter(
    shard: Shard,
    servers: readonly string[],
    isRight: () => Workflow<boolean>,
  ): Workflow<string[] | null> {
    const record = servers.reduce((old, server) => entered(joined(old, [server]), server), shard.record);
    // An /init may have come into force during the copy: nothing is sent of what is gone.
    if (!this.storage.isCurrent(shard) || !(yield* this.rollCall.taught(shard, servers))) return null;
    if ((yield* this.storage.storeProven(shard, record, isRight)) !== 'stored') return null;
    for (const server of servers) shard.suspend(server, false);
    const silent = yield* this.send(shard, shard.inSync);
    for (const server of servers) if (silent.includes(server)) shard.suspend(server, true);
    return silent;
  }

  /** What is to be done waits until the world has changed; published once. */
  private postpone(
    shard: Shard,
    leaving: readonly string[],
    cause: string,
    why: 'belowMinimum' | 'unproven',
  ): SetChangeResult {
    this.waiting.add(shard);
    if (shard.announcedUnavailable) return why;
    shard.announcedUnavailable = true;
    const { inSync, minInSync } = shard;
    const data = { cause, why, missing: leaving, inSync, minInSync };
    this.context.emit({ do: 'publish', event: { kind: 'shard.unavailable', subject: shard.id, data } });
    return why;
  }

  /**
   * Sends the configuration to members. Returns those that have not stored it, or no longer have what they must. Who is not believed to
   * run stays unacknowledged, and leaves the set for that.
   */
  private *send(shard: Shard, members: readonly string[]): Workflow<string[]> {
    // Another shard may have its name by now.
    const asked = this.storage.isCurrent(shard) ? members.filter((server) => this.cluster.isReachable(server)) : [];
    const { mustHold } = shard;
    const isOurs = (state: NodeShardState): boolean => state.shard === shard.id;
    const news = (): ConfigRequest => this.cluster.configRequest([shard.config()]);
    const asks = asked.map((server) => this.context.ask('config', { server, request: news() }));
    const outcomes = yield* wait(all(asks));
    const acknowledged = asked.filter((server, index) => {
      const outcome = outcomes[index];
      if (outcome?.ok !== true) return false;
      // One that is to be fully re-copied before it counts has stored it: its copy waits until the shard is resolved, which must not wait for it.
      if (shard.isSuspended(server) || isWhole(outcome.value.shards.find(isOurs), mustHold)) return true;
      shard.suspend(server, true);
      return false;
    });
    for (const server of acknowledged) shard.unacknowledged.delete(server);
    return asked.filter((server) => !acknowledged.includes(server));
  }

  private left(shard: Shard, servers: readonly string[], cause: string): void {
    for (const server of servers) {
      const data = { cause, shard: shard.id, server, vat: shard.vat };
      this.context.emit({ do: 'publish', event: { kind: 'shard.stale', subject: `${shard.id}/${server}`, data } });
    }
  }
}
