/**
 * Rounds over several shards that came to nothing, and which of their shards may still hold them as the newest.
 *
 * None of the shards waits for the others. Each remembers that the round is none of its own (an `EpochStart` behind it). From then
 * on every round that it stores carries that along, until all replicas have it. So whoever takes over learns from any one of the
 * shards that has gone on that the round is not committed. One that has not gone on reports what it did before.
 *
 * A shard *owes* as long as it has stored no newer round. Meanwhile it is in no other round over several shards: so a shard
 * never has more to remember than there are others that owe.
 */
import type { Shard } from '../cluster/shard';

export class GivenUpRounds {
  /** By the number of the round: the shards that owe it. */
  private readonly owed = new Map<number, Set<Shard>>();

  /** The round, of this epoch, is given up. */
  add(round: number, shards: readonly Shard[], epoch: number): void {
    this.owed.set(round, new Set(shards));
    for (const shard of shards) {
      const needed = shard.epochStarts.filter((start) => start.epoch !== epoch || this.isNeeded(start.round));
      shard.remember([...needed, { epoch, round: round + 1, vat: shard.vat }]);
    }
  }

  /** The shard has stored a newer round on its whole in-sync set. */
  settle(shard: Shard): void {
    for (const [round, shards] of this.owed) {
      shards.delete(shard);
      if (shards.size === 0) this.owed.delete(round);
    }
  }

  owes(shard: Shard): boolean {
    for (const shards of this.owed.values()) if (shards.has(shard)) return true;
    return false;
  }

  /** The shards that owe. */
  debtors(): Shard[] {
    return [...new Set([...this.owed.values()].flatMap((shards) => [...shards]))];
  }

  /** The configuration is gone. */
  clear(): void {
    this.owed.clear();
  }

  /** What a take-over began with always is; else it is about the round right below. */
  private isNeeded(round = 0): boolean {
    return round === 0 || this.owed.has(round - 1);
  }
}
