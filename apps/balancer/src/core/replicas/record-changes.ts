/** A shard's record with a change of its members: pure, stored by whoever asks for it. */
import type { ShardRecord } from '../cluster/shard';

/** With further replicas, which do not count as copies before they have been in sync. */
export function joined(record: ShardRecord, servers: readonly string[]): ShardRecord {
  const added = servers.filter((server) => !record.replicas.includes(server));
  return { ...record, replicas: [...record.replicas, ...added], joining: [...record.joining, ...added] };
}

/** With the replica as a member like any other. */
export function entered(record: ShardRecord, server: string): ShardRecord {
  const isOther = (name: string): boolean => name !== server;
  return {
    ...record,
    inSync: record.inSync.includes(server) ? record.inSync : [...record.inSync, server],
    joining: record.joining.filter(isOther),
    diverged: (record.diverged ?? []).filter(isOther),
  };
}

/** Without a dispute. */
export function settled(record: ShardRecord): ShardRecord {
  const rest = { ...record };
  delete rest.disputed;
  return rest;
}

/** Without the server; the same record where it is none of its replicas. */
export function without(record: ShardRecord, server: string): ShardRecord {
  if (!record.replicas.includes(server)) return record;
  const keep = (name: string): boolean => name !== server;
  return {
    ...record,
    replicas: record.replicas.filter(keep),
    joining: record.joining.filter(keep),
    inSync: record.inSync.filter(keep),
  };
}

/** As the next version, of a leader of this epoch. */
export function following(record: ShardRecord, epoch: number): ShardRecord {
  return { ...record, configEpoch: epoch, configVersion: record.configVersion + 1 };
}
