/** The cluster's events in the words of a story. */
import type { ClusterEvent, EventKind } from '#common/contracts/events';

type Description = (subject: string, data: Record<string, unknown>) => string;

const DESCRIPTIONS: Partial<Record<EventKind, Description>> = {
  'shard.stale': (subject, { cause }) => `${subject} is stale (${String(cause)})`,
  'shard.syncing': (subject, { cause }) => `${subject} is syncing (${String(cause)})`,
  'shard.insync': (subject) => `${subject} is in sync`,
  'shard.diverged': (subject, { cause, keys }) =>
    `${subject} has diverged (${String(cause)}), in the keys ${(keys as readonly { key: number }[]).map(({ key }) => key).join(' ')}`,
  'shard.unavailable': (subject, { missing, minInSync }) =>
    `${subject} takes no writes: without ${(missing as string[]).join(' ')} fewer than ${String(minInSync)} would be left`,
  'server.flatline': (subject) => `${subject} is given up: it answers no heartbeat`,
  'server.respawned': (subject) => `${subject} answers again`,
};

/** Null for those that no story is about. */
export function describeEvent({ kind, subject, data }: ClusterEvent): string | null {
  return DESCRIPTIONS[kind]?.(subject, data) ?? null;
}
