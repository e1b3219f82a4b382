/** I4: replicas that are in sync at a VAT show the same rows at it, on their disks. */
import type { SimBalancer } from '../balancer';
import type { ShownVat } from './progress';
import { shardOn, shownAt, type Seen } from './seen';

export class Agreement {
  constructor(
    private readonly seen: Seen,
    private readonly shown: ReadonlyMap<string, ShownVat>,
  ) {}

  /** Looks at the replicas that the newest leader of each shard counts on. */
  check(balancer: SimBalancer): void {
    const { cluster } = balancer;
    if (cluster.configId !== this.seen.configId()) return;
    for (const shard of cluster.shards.values()) {
      const newest = this.seen.newest.get(shard.id);
      const isDeposed = Math.max(this.shown.get(shard.id)?.epoch ?? 0, newest?.configEpoch ?? 0) > cluster.epoch;
      if (!shard.resolved || isDeposed) continue;
      const views = new Map<string, string>();
      for (const server of shard.record.inSync) {
        // It may have left the set in the bucket, while this leader has not heard of it yet.
        if (newest?.inSync.includes(server) !== true) continue;
        if (shard.replicas.get(server)?.suspended !== false || this.seen.isBlank(shard.id, server)) continue;
        const held = shardOn(this.seen.servers.byName.get(server), shard.id, cluster.configId);
        // Before anything has been acknowledged it does not matter whether the tables are there.
        const isMissing = held === null && shard.vat > 0;
        views.set(server, isMissing ? 'nothing' : shownAt(held, shard.vat));
      }
      if (new Set(views.values()).size <= 1) continue;
      const shown = [...views].map(([server, rows]) => `${server}: ${rows}`).join('\n    ');
      this.seen.scheduler.violate(`I4: in-sync replicas of ${shard.id} differ at VAT ${shard.vat}:\n    ${shown}`);
    }
  }
}
