/** Small things that several tests build. */
import type { ShardConfig } from '#common/contracts/node';
import type { TableSchema } from '#common/contracts/schema';
import { createLogger } from '#common/logging/logger';
import { emptyShard, type ShardState } from '../../src/core/replica-state';
import type { CopySource } from '../../src/ports/copy-source';
import type { VersionStore } from '../../src/ports/version-store';
import { Replica } from '../../src/runtime/replica';

/** One column of every dtype. */
export const SCHEMA: TableSchema = {
  columns: ['id', 'mark', 'name', 'there', 'since', 'more'],
  dtypes: ['Number', 'Number', 'String', 'Boolean', 'Timestamp', 'JSON'],
};

export function shardConfig(shard: string, low = 0, size = 1000): ShardConfig {
  return {
    shard,
    low,
    size,
    configEpoch: 1,
    configVersion: 1,
    inSync: ['Server0'],
    replicas: ['Server0'],
    joining: [],
  };
}

export function shardState(shard: string, changed: Partial<ShardState> = {}): ShardState {
  return { ...emptyShard(shardConfig(shard)), ...changed };
}

/** A row as Postgres gives it back, so that stores can be compared by text. */
export function rowText(key: number, name: string, more = 'null'): string {
  const mark = key / 2;
  return `{"id":${key},"mark":${mark},"name":${JSON.stringify(name)},"there":${String(key % 2 === 0)},"since":"2026-01-02T03:04:05.678Z","more":${more}}`;
}

/** Copies straight from other replicas of the same process. */
export class DirectSource implements CopySource {
  readonly replicas = new Map<string, Replica>();

  async fetch(server: string, request: Parameters<CopySource['fetch']>[1]): ReturnType<CopySource['fetch']> {
    const replica = this.replicas.get(server);
    if (replica === undefined) throw new Error(`no replica ${server}`);
    const { header, text } = await replica.copy(request);
    return { ...header, text };
  }
}

export function openReplica(
  server: string,
  store: VersionStore,
  source: CopySource,
  pageBytes = 400,
  nowMs = () => performance.now(),
): Promise<Replica> {
  const options = {
    server,
    instance: 'test',
    applyQueueLimit: 100,
    readWidth: 2,
    readQueueLimit: 100,
    pageBytes,
    catchUpSliceMs: 60_000,
    digestPageKeys: 2,
    digestSliceMs: 0,
    probeTimeoutMs: 5_000,
    nowMs,
  };
  return Replica.open(store, source, options, createLogger('test', 'silent'));
}

/** Of a node that has heard nothing of the cluster as a whole. */
export const UNINFORMED = { epochBy: null, cluster: null, mark: null, prepared: null };
