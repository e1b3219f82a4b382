/** The cluster's events as a story tells them. */
import type { ClusterEvent } from '#common/contracts/events';

/** Null for those that no story is about. */
export function describeEvent({ kind, subject, data }: ClusterEvent): string | null {
  const cause = String(data.cause);
  switch (kind) {
    case 'shard.stale':
      return `${subject} is stale (${cause})`;
    case 'shard.syncing':
      return `${subject} is syncing (${cause})`;
    case 'shard.insync':
      return `${subject} is in sync`;
    case 'shard.diverged':
      return `${subject} has diverged (${cause})`;
    case 'shard.unavailable':
      return `${subject} takes no writes: without ${(data.missing as string[]).join(' ')} fewer than ${String(data.minInSync)} would be left`;
    case 'server.flatline':
      return `${subject} is given up: it answers no heartbeat`;
    case 'server.respawned':
      return `${subject} answers again`;
    default:
      return null;
  }
}
