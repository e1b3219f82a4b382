/** I8: after the faults every replica is in sync again, and every client has had an answer. */
import type { History } from '#common/testing/history';
import type { SimBalancer } from '../balancer';
import { diskOf, type Seen } from './seen';

/** Why the cluster is not well, or null. */
export function illnessOf(leader: SimBalancer | undefined, history: History, seen: Seen): string | null {
  if (leader?.isServing !== true) return 'nobody leads';
  const { cluster } = leader;
  for (const shard of cluster.shards.values()) {
    if (!shard.resolved) return `${shard.id} is not resolved`;
    for (const server of shard.record.replicas) {
      if (!shard.record.inSync.includes(server)) return `${server} is not in sync on ${shard.id}`;
      if (shard.replicas.get(server)?.suspended !== false) return `${server} is kept aside on ${shard.id}`;
      const known = seen.servers.byName.get(server);
      if (known === undefined || known.process === null) return `${server} does not run`;
      const state = diskOf(known).shards.get(shard.id);
      if (state?.catchUp !== null) return `${server} has not got ${shard.id}`;
      if (state.currentTerm < shard.vat) return `${server} lags on ${shard.id}`;
    }
    if (!cluster.isWritable(shard)) return `${shard.id} takes no writes`;
  }
  const open = history.open.map((entry) => `#${entry.id}`);
  return open.length > 0 ? `no answer to ${open.join(' ')}` : null;
}
