/**
 * Shards that no rule can serve: the blocking of atomic commit, by the disks alone.
 *
 * All disks of a shard hold a round that touches another shard as well, nothing says what became of it, and of that other shard faults
 * have left too few whole copies. If who is gone had the round, it may have been acknowledged: it must not be undone. If not, it must
 * not be shown. As long as one disk that counts says anything about the round the shard has no excuse.
 */
import type { NewestRound } from '#common/contracts/node';
import type { ShardState } from '../../../../shard-node/src/core/replica-state';
import { shardOn, type Seen } from './seen';

/**
 * Whether the shard is tied to one of the others by a round that nobody can know the fate of.
 *
 * @param lacking shards that faults have left too few whole copies of
 */
export function isBlocked(shard: string, lacking: ReadonlySet<string>, seen: Seen): boolean {
  const rounds = disksOf(shard, seen).flatMap(({ newestRound }) => newestRound ?? []);
  return rounds.some((round) => {
    const touched = Object.keys(round.lastTerms);
    return touched.some((other) => lacking.has(other)) && touched.every((one) => isSilentOn(round, one, seen));
  });
}

/** Whether every disk that counts holds the round, and none knows what became of it. */
function isSilentOn(round: NewestRound, shard: string, seen: Seen): boolean {
  return disksOf(shard, seen).every(({ newestRound, committedVat, epochStarts }) => {
    const { epoch, round: number, refused } = newestRound ?? { epoch: 0, round: 0, refused: false };
    const isHeld = epoch === round.epoch && number === round.round && !refused;
    const knows = epochStarts.some(
      (start) => start.epoch > epoch || (start.epoch === epoch && (start.round ?? 0) > number),
    );
    return isHeld && !knows && committedVat < (round.lastTerms[shard] ?? 0);
  });
}

/** What the members of the newest in-sync set hold that have not lost it, and can be asked. */
function disksOf(shard: string, seen: Seen): ShardState[] {
  const members = seen.newest.get(shard)?.inSync ?? [];
  const living = members
    .map((server) => seen.servers.byName.get(server))
    .filter((server) => server?.isBuried === false);
  const held = living.map((server) => shardOn(server, shard, seen.configId())?.state);
  return held.filter((state): state is ShardState => state?.catchUp === null);
}
