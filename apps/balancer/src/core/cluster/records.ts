/** The catalog's records, as the core works with them: whatever else is stored with them stays out. */
import type { ClusterRecord, ShardConfig } from '#common/contracts/node';
import { BUCKET_KEYS } from '#common/contracts/subjects';
import type { CatalogValue } from '../kernel/effects';
import { configOf, type ShardRecord } from './shard';

/** How releases before this one stored a server; now its number stands in the cluster's record. */
interface ServerRecord {
  configId: number;
  server: string;
  number: number;
}

/** What the catalog holds besides the lease. */
export interface StoredRecords {
  cluster: ClusterRecord | null;
  /** The shards of the configuration in force. Others are leftovers. */
  shards: ReadonlyMap<string, ShardRecord>;
  /** Of all configurations that left a record. */
  highestConfigId: number;
}

export function readRecords(entries: readonly CatalogValue[]): StoredRecords {
  const values = entries.map(({ value }) => value);
  const stored = entries.find(({ key }) => key === BUCKET_KEYS.cluster)?.value as Partial<ClusterRecord> | undefined;
  const highestConfigId = values.map(configIdOf).reduce((highest, id) => Math.max(highest, id), 0);
  if (stored?.configId === undefined) return { cluster: null, shards: new Map(), highestConfigId };
  const current = values.filter((value) => configIdOf(value) === stored.configId);
  const shards = current
    .filter((value): value is ShardRecord => 'inSync' in (value as object))
    .map((record): ShardRecord => ({ ...configOf(record), configId: record.configId }));
  const servers = current.filter((value): value is ServerRecord => 'number' in (value as object));
  return {
    cluster: clusterOf(stored.configId, stored, shards, servers),
    shards: new Map(shards.map((record) => [record.shard, record])),
    highestConfigId,
  };
}

function clusterOf(
  configId: number,
  { configEpoch, configVersion, schema, init, shards, servers, numbers, born, moves, leaving }: Partial<ClusterRecord>,
  records: readonly ShardConfig[],
  earlier: readonly ServerRecord[],
): ClusterRecord | null {
  if (schema === undefined || init === undefined) return null;
  const numbered = numbers ?? Object.fromEntries(earlier.map(({ server, number }) => [server, number]));
  return {
    ...{ configId, configEpoch: configEpoch ?? 0, configVersion: configVersion ?? 0, schema, init },
    ...{ shards: shards ?? [], servers: servers ?? [], numbers: numbered, born: born ?? records.map(configOf) },
    ...(moves === undefined ? {} : { moves }),
    ...(leaving === undefined ? {} : { leaving }),
  };
}

/** The configuration that a record belongs to; 0 for one that belongs to none. */
function configIdOf(value: unknown): number {
  const id = (value as { configId?: unknown } | null)?.configId;
  return typeof id === 'number' ? id : 0;
}
