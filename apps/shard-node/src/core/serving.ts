/** Which reads a replica may answer, and what a ping and a configuration do to its state. */
import { ShardlineError } from '#common/contracts/errors';
import type { ConfigRequest, CopyRequest, PingRequest, ShardConfig } from '#common/contracts/node';
import { compareConfigs } from '#common/protocol/in-sync-set';
import { newestStarts } from '#common/protocol/vat-decision';
import { emptyShard, membersOf, shardOf, type CatchUp, type ReplicaState, type ShardState } from './replica-state';

/**
 * The shard, if the replica holds all versions that are visible at `vat`.
 *
 * @throws ShardlineError UNKNOWN_SHARD, SNAPSHOT_GONE
 */
export function admitSnapshot(state: ReplicaState, name: string, vat: number): ShardState {
  const shard = shardOf(state.shards, name);
  if (shard.catchUp !== null) throw gone(name, 'the replica is catching up');
  if (vat < shard.purgedTo) throw gone(name, `VAT ${vat} has been purged up to ${shard.purgedTo}`);
  if (vat > shard.currentTerm) throw gone(name, `the replica has not reached VAT ${vat}, only ${shard.currentTerm}`);
  return shard;
}

/**
 * The shard, if the replica can show everything that was born or died in `(from, to]`. From 0 that is a snapshot and
 * needs no deaths before it; a difference needs every death behind `from`.
 *
 * @throws ShardlineError UNKNOWN_SHARD, SNAPSHOT_GONE
 */
export function admitCopy(state: ReplicaState, request: Pick<CopyRequest, 'shard' | 'from' | 'to'>): ShardState {
  const shard = admitSnapshot(state, request.shard, request.to);
  if (request.from > 0 && request.from < shard.purgedTo) {
    throw gone(request.shard, `deaths after ${request.from} have been purged up to ${shard.purgedTo}`);
  }
  return shard;
}

/**
 * Shards of which the ping brings a newer committed VAT. Only a replica that takes part under this very epoch may believe
 * it: an older one can hold terms as high that were never committed. A ping of the configuration before may come late, and name
 * shards that had the same names.
 */
export function raisedByPing(state: ReplicaState, request: PingRequest): ShardState[] {
  const raised: ShardState[] = [];
  if (request.configId !== state.configId) return raised;
  for (const shard of state.shards.values()) {
    const vat = request.vats[shard.shard] ?? 0;
    if (vat > shard.committedVat && vat <= shard.currentTerm && takesPart(state, shard, request.epoch)) {
      raised.push({ ...shard, committedVat: vat });
    }
  }
  return raised;
}

/** How far a shard may be purged now: never above what is known to be committed, or a death to be undone would be lost. */
export function purgeTarget(shard: ShardState, mark: number): number {
  return shard.catchUp === null ? Math.min(mark, shard.committedVat) : 0;
}

function takesPart(state: ReplicaState, shard: ShardState, epoch: number): boolean {
  if (shard.catchUp !== null) return false;
  if (shard.newestRound?.epoch === epoch) return true;
  return shard.configEpoch === epoch && shard.inSync.includes(state.server);
}

/** What a configuration changes. */
export interface ConfigPlan {
  /** Everything held belongs to another cluster configuration and goes first. */
  dropAll: boolean;
  drop: string[];
  create: ShardState[];
  update: ShardState[];
}

/** @throws ShardlineError BAD_REQUEST when a shard that is held is given another key range */
export function planConfig(state: ReplicaState, request: ConfigRequest): ConfigPlan {
  const dropAll = state.configId !== request.configId;
  const held = dropAll ? new Map<string, ShardState>() : state.shards;
  const plan: ConfigPlan = { dropAll, drop: request.drop.filter((name) => held.has(name)), create: [], update: [] };
  for (const config of request.shards) {
    const shard = held.get(config.shard);
    if (shard === undefined || plan.drop.includes(config.shard))
      plan.create.push(created(config, request.areNew === true));
    else {
      const next = reconfigure(shard, config);
      if (next !== null) plan.update.push(next);
    }
  }
  return plan;
}

const NOTHING_COPIED: CatchUp = { from: 0, to: 0, source: '', after: null };

/**
 * Only while a shard comes into being is an empty replica a whole one. Later it is new, or its disk was lost: it is filled
 * before it counts, whatever the configuration says of it.
 */
function created(config: ShardConfig, isNew: boolean): ShardState {
  return { ...emptyShard(config), catchUp: isNew && config.configVersion === 1 ? null : NOTHING_COPIED };
}

/** A configuration never goes back: an older one changes nothing. */
function reconfigure(shard: ShardState, config: ShardConfig): ShardState | null {
  if (shard.low !== config.low || shard.size !== config.size) {
    throw new ShardlineError('BAD_REQUEST', `shard ${shard.shard} is held with another key range`);
  }
  if (compareConfigs(config, shard) < 0) return null;
  const { configEpoch, configVersion } = config;
  // Decisions come with rounds as well, and may overtake a configuration: one that comes late, or again, takes none away.
  const epochStarts = newestStarts([shard, config]);
  const next = { ...shard, configEpoch, configVersion, ...membersOf(config), epochStarts };
  return JSON.stringify(next) === JSON.stringify(shard) ? null : next;
}

function gone(shard: string, why: string): ShardlineError {
  return new ShardlineError('SNAPSHOT_GONE', `shard ${shard}: ${why}`);
}
