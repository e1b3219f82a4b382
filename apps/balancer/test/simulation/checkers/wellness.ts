/**
 * I8: after the faults every shard that has enough whole copies is in sync on all of its servers that still live, takes reads and
 * writes, and every client and administrator has had an answer. Each shard is checked by itself: one that faults have destroyed excuses
 * no other, but for what `blocked.ts` says.
 */
import type { History } from '#common/testing/history';
import type { Shard } from '../../../src/core/cluster/shard';
import type { SimBalancer } from '../balancer';
import { isBlocked } from './blocked';
import { fewestOf, shardOn, type Seen } from './seen';
import type { WholeCopies } from './whole-copies';

/**
 * Why the cluster is not well, or null.
 *
 * @param history null while clients go on: then there are always some without an answer, and replicas that are a round behind
 */
export function illnessOf(
  leader: SimBalancer | undefined,
  history: History | null,
  seen: Seen,
  copies: WholeCopies,
): string | null {
  if (leader?.isServing !== true) return 'nobody leads';
  // Those that there are, not those that the leader knows: one that it has forgotten must not go unseen.
  for (const id of shardsToServe(seen, copies, leader)) {
    const shard = leader.cluster.shards.get(id);
    const illness =
      shard === undefined ? `the leader does not know ${id}` : illnessOfShard(leader, shard, seen, history === null);
    if (illness !== null) return illness;
  }
  const open = (history?.open ?? []).map((entry) => `#${entry.id}`);
  return open.length > 0 ? `no answer to ${open.join(' ')}` : null;
}

/**
 * Every shard of which faults have left enough, unless what became of a round of it depends on what they have destroyed.
 *
 * @param leader who has led since the faults stopped, if that is known: what it has seen itself it knows of more replicas
 */
export function shardsToServe(seen: Seen, copies: WholeCopies, leader?: SimBalancer): string[] {
  const shards = [...seen.newest.keys()];
  const lacking = new Set(shards.filter((id) => !hasEnough(id, seen, copies, leader)));
  return shards.filter((id) => !lacking.has(id) && !isBlocked(id, lacking, seen));
}

/**
 * As many members of the newest in-sync set are whole, and can live, as a shard must have to be served; a leader that has decided the
 * shard knows of replicas outside of the set as well whether they miss anything. Where the bucket has been rolled back besides, more than
 * half of its replicas must be able to report its newest configuration.
 */
function hasEnough(shard: string, seen: Seen, copies: WholeCopies, leader?: SimBalancer): boolean {
  const record = seen.newest.get(shard);
  if (record === undefined) return true;
  const living = record.replicas.filter((server) => !isBuried(server, seen));
  if (seen.isBucketRolledBack() && living.length <= record.replicas.length / 2) return false;
  const mayCount = (server: string): boolean => record.inSync.includes(server) || isKnown(shard, server, seen, leader);
  const whole = living.filter((server) => mayCount(server) && copies.isWhole(shard, server));
  return whole.length >= fewestOf(record);
}

/**
 * Whether the leader can know that a replica that is no member misses nothing: it has got that VAT, has taken part under this leader, or
 * holds the very round that the leader's take-over has found on all members.
 */
function isKnown(shard: string, server: string, seen: Seen, leader?: SimBalancer): boolean {
  const known = leader?.cluster.shards.get(shard);
  const state = shardOn(seen.servers.byName.get(server), shard, seen.configId())?.state;
  if (known?.decided !== true || state === undefined || known.isDiverged(server)) return false;
  const { committedVat, newestRound } = state;
  const found = known.lastFound;
  const isFound = found !== null && newestRound?.epoch === found.epoch && newestRound.round === found.round;
  return isFound || committedVat >= known.vat || newestRound?.epoch === leader?.cluster.epoch;
}

function illnessOfShard({ cluster }: SimBalancer, shard: Shard, seen: Seen, isBusy: boolean): string | null {
  if (!shard.resolved) return `${shard.id} is not resolved`;
  for (const server of shard.record.replicas) {
    if (isBuried(server, seen)) {
      if (shard.record.inSync.includes(server)) return `${server} is dead, and in sync on ${shard.id}`;
      continue;
    }
    if (!shard.record.inSync.includes(server)) return `${server} is not in sync on ${shard.id}`;
    if (shard.replicas.get(server)?.suspended !== false) return `${server} is kept aside on ${shard.id}`;
    const known = seen.servers.byName.get(server);
    if (known === undefined || known.process === null) return `${server} does not run`;
    const state = shardOn(known, shard.id, seen.configId())?.state;
    if (state?.catchUp !== null) return `${server} has not got ${shard.id}`;
    if (state.currentTerm < shard.vat && !isBusy) return `${server} lags on ${shard.id}`;
  }
  return cluster.isWritable(shard) ? null : `${shard.id} takes no writes`;
}

function isBuried(server: string, seen: Seen): boolean {
  return seen.servers.byName.get(server)?.isBuried === true;
}
