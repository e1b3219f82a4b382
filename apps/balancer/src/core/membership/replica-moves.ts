/**
 * Replicas that are to be made, as the cluster's record says. An `/add` asks for some; an `/rm` makes others in place of those that
 * are to go. They are stored before the first of them is made. So the next leader carries out a command whose leader went away, and
 * an `/rm` that is asked again finds what it has begun.
 */
import type { ReplicaMove } from '#common/contracts/node';
import { BUCKET_KEYS } from '#common/contracts/subjects';
import type { MembershipParts } from './membership-parts';
import { joined } from '../replicas/record-changes';
import type { Shard } from '../cluster/shard';
import { wait, type Workflow } from '../kernel/workflow';

const POLL_MS = 250;

export function movesOf({ cluster }: Pick<MembershipParts, 'cluster'>): readonly ReplicaMove[] {
  return cluster.record?.moves ?? [];
}

/** Servers that are being removed. */
export function leavingOf({ cluster }: Pick<MembershipParts, 'cluster'>): readonly string[] {
  return cluster.record?.leaving ?? [];
}

/**
 * Stores which replicas are to be made, in place of what was to be, and who is to go. Nothing changes when this balancer no longer leads.
 *
 * @param leaving as before unless given
 */
export function* storeMoves(
  parts: MembershipParts,
  moves: readonly ReplicaMove[],
  leaving = leavingOf(parts),
): Workflow {
  const { cluster, catalog, news } = parts;
  const next = cluster.changed(cluster.inForce, {
    moves: [...moves],
    ...(leaving.length > 0 ? { leaving: [...leaving] } : {}),
  });
  if (!(yield* catalog.put(BUCKET_KEYS.cluster, next))) return;
  cluster.record = next;
  yield* news.announce();
}

/** Makes replicas of those that are none yet, where that is possible now; what they hold is copied after that. */
export function* join({ cluster, inSyncSets }: MembershipParts, moves: readonly ReplicaMove[]): Workflow {
  for (const { shard: id, to } of moves) {
    const shard = cluster.shards.get(id);
    if (shard?.replicas.has(to) === false) yield* inSyncSets.reshape(shard, (record) => joined(record, [to]));
  }
}

/** A new leader resumes what the one before it has left. It holds nothing meanwhile: commands come between. */
export function* resumeMoves(parts: MembershipParts): Workflow {
  const { cluster, context } = parts;
  const open = (): ReplicaMove[] => movesOf(parts).filter((move) => isOpen(cluster.shards.get(move.shard), move));
  while (open().length > 0) {
    // Each by itself: a command may have begun while one of them was stored.
    for (const move of open()) if (!cluster.isReshaping) yield* join(parts, [move]);
    yield* wait(context.sleep(POLL_MS));
  }
}

/** What an `/add` asked for is done when the replicas are there; an `/rm` ends with its servers. The caller has the administrators' turn. */
export function* forgetMade(parts: MembershipParts): Workflow {
  const moves = movesOf(parts);
  const rest = moves.filter((move) => move.from !== undefined || isOpen(parts.cluster.shards.get(move.shard), move));
  if (rest.length < moves.length) yield* storeMoves(parts, rest);
}

function isOpen(shard: Shard | undefined, { to }: ReplicaMove): boolean {
  return shard?.replicas.has(to) === false;
}
