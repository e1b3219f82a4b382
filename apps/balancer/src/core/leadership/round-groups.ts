/** Which shards a take-over has to decide together: those that share newest rounds. */
import type { NewestRound } from '#common/contracts/node';
import { highestCommittedVat, isRuledOut, type ReplicaReport } from '#common/protocol/vat-decision';
import { DisjointSets } from '../kernel/disjoint-sets';
import type { Shard } from '../cluster/shard';

type Votes = (shard: Shard) => readonly ReplicaReport[];

/**
 * The shards in groups that share newest rounds, directly or by way of others of them. Two kinds of rounds link nothing. One that
 * any replica of the shard knows to be committed is so in all of its shards; one that certainly is not is so in none.
 *
 * @param known all shards, by name
 * @param isOpen whether more may be heard of the shard
 */
export function sharingRounds(
  shards: readonly Shard[],
  known: ReadonlyMap<string, Shard>,
  votesOf: Votes,
  isOpen: (shard: Shard) => boolean,
): Shard[][] {
  const groups = new DisjointSets();
  // Many replicas report a round over many shards: it is looked at once.
  const looked = new Set<string>();
  for (const shard of shards) {
    const votes = votesOf(shard);
    const committedVat = highestCommittedVat(votes);
    for (const { newestRound } of votes) {
      if (newestRound === null || (newestRound.lastTerms[shard.id] ?? 0) <= committedVat) continue;
      const name = nameOfRound(newestRound);
      if (looked.has(name)) continue;
      looked.add(name);
      for (const linked of linkedBy(newestRound, known, votesOf, isOpen)) groups.join(shard.id, linked);
    }
  }
  const byGroup = new Map<string, Shard[]>();
  for (const shard of shards) {
    const group = groups.find(shard.id);
    const members = byGroup.get(group);
    if (members === undefined) byGroup.set(group, [shard]);
    else members.push(shard);
  }
  return [...byGroup.values()];
}

/** The shards of a round that wait for each other: none where it is known not to be committed. */
function linkedBy(
  round: NewestRound,
  known: ReadonlyMap<string, Shard>,
  votesOf: Votes,
  isOpen: (shard: Shard) => boolean,
): string[] {
  const touched = Object.keys(round.lastTerms);
  // Every shard may have one of its own: what became of it links it to nobody, and is found out when the shard is decided.
  if (touched.length === 1) return [];
  const shards = touched.map((id) => known.get(id)).filter((one) => one !== undefined);
  const reports = new Map(shards.map((one) => [one.id, votesOf(one)]));
  const doubtful = new Set(shards.filter(isOpen).map(({ id }) => id));
  if (isRuledOut(round, reports, doubtful)) return [];
  // A shard of which a replica knows that it is committed waits for nobody.
  return touched.filter((id) => (round.lastTerms[id] ?? 0) > highestCommittedVat(reports.get(id) ?? []));
}

/** Distinguishes the round from all others. */
function nameOfRound({ epoch, round }: NewestRound): string {
  return `${epoch}/${round}`;
}
