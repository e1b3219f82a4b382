/**
 * Changes of a shard's in-sync set: one at a time per shard, durable in the catalog first, then on the replicas that
 * remain, and only then in force.
 */
import type { ErrorBody } from '#common/contracts/errors';
import type { Catalog } from './catalog';
import type { Cluster } from './cluster';
import type { Desk } from './desk';
import type { Shard, ShardRecord } from './shard';
import { BUCKET_KEYS } from '#common/contracts/subjects';
import { all, wait, type Workflow } from './workflow';

/** `belowMinimum`: the set may not become so small; nothing changed. */
export type ChangeOutcome = 'changed' | 'unchanged' | 'belowMinimum' | 'steppedDown';

const SILENT = 'did not store the configuration';

export class InSyncSets {
  constructor(
    private readonly desk: Desk,
    private readonly cluster: Cluster,
    private readonly catalog: Catalog,
  ) {}

  /**
   * Takes replicas out of the in-sync set: they no longer hold every acknowledged write. Those that cannot store the new
   * configuration are taken out as well.
   */
  *demote(shard: Shard, servers: readonly string[], cause: string): Workflow<ChangeOutcome> {
    yield* wait(shard.configLock.acquire());
    try {
      return yield* this.demoteLocked(shard, servers, cause);
    } finally {
      shard.configLock.release();
    }
  }

  /**
   * Takes replicas out that hold something else than the others. The record says so until they have been copied anew, so that the
   * next leader knows it too. Where too few would be left they stay in the set, but serve nothing: `belowMinimum`.
   */
  *quarantine(shard: Shard, servers: readonly string[], cause: string): Workflow<ChangeOutcome> {
    yield* wait(shard.configLock.acquire());
    try {
      const leaving = servers.filter((server) => shard.inSync.includes(server));
      if (!this.isCurrent(shard) || leaving.length === 0) return 'unchanged';
      const remaining = shard.inSync.filter((server) => !leaving.includes(server));
      const areEnough = remaining.length >= shard.minInSync;
      for (const server of leaving) if (!areEnough) this.suspend(shard, server);
      const diverged = [...new Set([...(shard.record.diverged ?? []), ...leaving])];
      const next = this.next({ ...shard.record, diverged, inSync: areEnough ? remaining : shard.record.inSync });
      if (!(yield* this.catalog.put(BUCKET_KEYS.shard(shard.id), next))) return 'steppedDown';
      shard.setRecord(next);
      if (!areEnough) return this.tooFew(shard, leaving, cause);
      for (const server of leaving) this.announce('shard.stale', shard, server, cause);
      const silent = yield* this.tell(shard, remaining);
      return silent.length > 0 ? yield* this.demoteLocked(shard, silent, SILENT) : 'changed';
    } finally {
      shard.configLock.release();
    }
  }

  private suspend(shard: Shard, server: string): void {
    const replica = shard.replicas.get(server);
    if (replica !== undefined) replica.suspended = true;
  }

  /**
   * Takes a replica into the in-sync set. The caller vouches that nothing is missing: it holds the shard's lane, or has made the
   * replica one of those that are `entering`, which it no longer is afterwards.
   */
  *promote(shard: Shard, server: string): Workflow<boolean> {
    yield* wait(shard.configLock.acquire());
    try {
      // Writes went on while we waited, and so did administrators: it may be no replica any more.
      if (!shard.record.replicas.includes(server)) return false;
      if (!this.isCurrent(shard) || !this.cluster.isReachable(server)) return false;
      const { record } = shard;
      const inSync = record.inSync.includes(server) ? record.inSync : [...record.inSync, server];
      const joining = record.joining.filter((name) => name !== server);
      const diverged = (record.diverged ?? []).filter((name) => name !== server);
      const next = this.next({ ...record, inSync, joining, diverged });
      if (!(yield* this.catalog.put(BUCKET_KEYS.shard(shard.id), next))) return false;
      shard.setRecord(next);
      const silent = yield* this.tell(shard, next.inSync);
      if (silent.length > 0) yield* this.demoteLocked(shard, silent, SILENT);
      return shard.inSync.includes(server);
    } finally {
      shard.entering.delete(server);
      shard.configLock.release();
    }
  }

  /**
   * Replaces a shard's record (membership); the in-sync set only loses who is no replica any more. Never its last whole copy: who
   * else was in sync when the change was asked for need not be so by now.
   */
  *reshape(shard: Shard, reshaped: (record: ShardRecord) => ShardRecord): Workflow<boolean> {
    yield* wait(shard.configLock.acquire());
    try {
      if (!this.isCurrent(shard)) return false;
      const next = this.next(reshaped(shard.record));
      if (!next.inSync.some((server) => shard.replicas.get(server)?.suspended === false)) return false;
      if (!(yield* this.catalog.put(BUCKET_KEYS.shard(shard.id), next))) return false;
      shard.setRecord(next);
      this.cluster.buildRing(shard);
      yield* this.tell(shard, next.inSync);
      return true;
    } finally {
      shard.configLock.release();
    }
  }

  /** A shard whose configuration is being replaced is not changed any more. */
  private isCurrent(shard: Shard): boolean {
    return this.cluster.shards.get(shard.id) === shard && this.cluster.phase !== 'configuring';
  }

  private *demoteLocked(shard: Shard, servers: readonly string[], cause: string): Workflow<ChangeOutcome> {
    if (!this.isCurrent(shard)) return 'unchanged';
    let leaving = servers.filter((server) => shard.inSync.includes(server));
    if (leaving.length === 0) return 'unchanged';
    while (leaving.length > 0) {
      const remaining = shard.inSync.filter((server) => !leaving.includes(server));
      if (remaining.length < shard.minInSync) return this.tooFew(shard, leaving, cause);
      const next = this.next({ ...shard.record, inSync: remaining });
      if (!(yield* this.catalog.put(BUCKET_KEYS.shard(shard.id), next))) return 'steppedDown';
      shard.setRecord(next);
      for (const server of leaving) this.announce('shard.stale', shard, server, cause);
      leaving = yield* this.tell(shard, remaining);
      cause = SILENT;
    }
    return 'changed';
  }

  private tooFew(shard: Shard, leaving: readonly string[], cause: string): ChangeOutcome {
    if (shard.announcedUnavailable) return 'belowMinimum';
    shard.announcedUnavailable = true;
    this.desk.emit({
      do: 'publish',
      event: {
        kind: 'shard.unavailable',
        subject: shard.id,
        data: { cause, missing: leaving, inSync: shard.inSync, minInSync: shard.minInSync },
      },
    });
    return 'belowMinimum';
  }

  /** Sends the configuration to the members; returns those that did not confirm it, be it that they cannot be asked. */
  private *tell(shard: Shard, members: readonly string[]): Workflow<string[]> {
    const { schema, epoch, configId } = this.cluster;
    if (schema === null) return [];
    const asked = members.filter((server) => this.cluster.isReachable(server));
    const silent = members.filter((server) => !asked.includes(server));
    const request = { epoch, configId, schema, shards: [shard.config()], drop: [] };
    const outcomes = yield* wait(all(asked.map((server) => this.desk.ask('config', { server, request }))));
    return [...silent, ...asked.filter((_, index) => isSilent(outcomes[index]))];
  }

  private next(record: ShardRecord): ShardRecord {
    return { ...record, configEpoch: this.cluster.epoch, configVersion: record.configVersion + 1 };
  }

  private announce(kind: 'shard.stale', shard: Shard, server: string, cause: string): void {
    this.desk.emit({
      do: 'publish',
      event: { kind, subject: `${shard.id}/${server}`, data: { cause, shard: shard.id, server, vat: shard.vat } },
    });
  }
}

function isSilent(outcome: { ok: boolean; error?: ErrorBody } | undefined): boolean {
  return outcome?.ok !== true;
}
