/**
 * Puts records of shards in force: first in the catalog, then here. What makes a set smaller, or leaves a replica out, is stored only while
 * enough of those who remain show that they are whole. The caller holds the shard's configuration, and sends it to the members.
 */
import { BUCKET_KEYS } from '#common/contracts/subjects';
import type { Catalog } from '../cluster/catalog';
import type { Cluster } from '../cluster/cluster';
import { following } from './record-changes';
import type { RollCall } from './roll-call';
import { minimumOf, type Shard, type ShardRecord } from '../cluster/shard';
import type { Workflow } from '../kernel/workflow';

/** `unproven`: too few have shown that they are whole, or the shard is being replaced. Nothing is changed then. */
export type Stored = 'stored' | 'unproven' | 'steppedDown';

export class RecordStorage {
  constructor(
    private readonly cluster: Cluster,
    private readonly catalog: Catalog,
    private readonly rollCall: RollCall,
  ) {}

  /** A shard whose configuration is being replaced is not changed any more, and none when somebody else leads. */
  isCurrent(shard: Shard): boolean {
    const { phase, shards } = this.cluster;
    return shards.get(shard.id) === shard && phase !== 'configuring' && phase !== 'steppedDown';
  }

  /** Stores the record under the next version and puts it in force; when a copy leaves, only with enough proof. */
  *store(shard: Shard, record: ShardRecord): Workflow<Stored> {
    if (!this.isCurrent(shard)) return 'unproven';
    const isSmaller = shard.inSync.some((server) => !record.inSync.includes(server));
    // Who is no member may have everything all the same, while the members have lost it.
    const isFewer = shard.record.replicas.some((server) => !record.replicas.includes(server));
    if (isSmaller || isFewer) return yield* this.storeSmaller(shard, record, isSmaller ? minimumOf(record) : 1);
    const next = following(record, this.cluster.epoch);
    if (!(yield* this.catalog.put(BUCKET_KEYS.shard(shard.id), next))) return 'steppedDown';
    shard.setRecord(next);
    return 'stored';
  }

  /**
   * Stores what is right only while somebody is whole. While the bucket is away a disk may be lost: it is asked again. Of a shard that
   * the caller has found to be current: an `/init` waits for its configuration before another shard takes its name.
   */
  *storeProven(shard: Shard, record: ShardRecord, isRight: () => Workflow<boolean>): Workflow<Stored> {
    if (!(yield* isRight())) return 'unproven';
    const next = following(record, this.cluster.epoch);
    const stored = yield* this.catalog.replace(BUCKET_KEYS.shard(shard.id), shard.record, next, isRight);
    if (stored === 'withdrawn') return 'unproven';
    if (stored === 'over') return 'steppedDown';
    shard.setRecord(next);
    return 'stored';
  }

  /** Whether so many of the record's members show that they are whole. Those that are suspended cannot. */
  *areEnough(shard: Shard, record: ShardRecord, least: number): Workflow<boolean> {
    const present = yield* this.rollCall.present(shard, record.inSync);
    const fit = present.filter((server) => shard.replicas.get(server)?.suspended === false);
    return fit.length >= least;
  }

  private *storeSmaller(shard: Shard, record: ShardRecord, least: number): Workflow<Stored> {
    const stored = yield* this.storeProven(shard, record, () => this.areEnough(shard, record, least));
    if (stored === 'stored') shard.unacknowledged = new Set(shard.inSync);
    return stored;
  }
}
