/**
 * I6, and the first half of I1: when a change is acknowledged, enough replicas have its rows in a committed transaction, and every
 * member of the newest in-sync set that still has its disk is among them.
 */
import type { RoundPart } from '#common/contracts/node';
import type { Operation } from '#common/testing/history';
import type { ShardRecord } from '../../../src/core/cluster/shard';
import { markOf } from '../rows';
import { fewestOf, shardOn, type Seen } from './seen';

/** Who has a row's rounds on disk: a change that is repeated comes with several, of which the first has written it. */
interface Stored {
  rounds: Map<number, Set<string>>;
  /** The in-sync set when the first of them had it; of each member how often it had left the set before. */
  inSync: ReadonlyMap<string, number>;
  /** How many replicas were enough then: the acknowledgement may wait while the shard gets further copies. */
  fewest: number;
}

export class Acknowledgements {
  /** By mark. */
  private readonly stored = new Map<string, Stored>();
  private readonly shardOfMark = new Map<string, string>();
  private readonly acknowledgedMarks = new Set<string>();
  /** Rows of configurations that are in force no more; their changes may be acknowledged still. */
  private readonly removed = new Set<string>();

  constructor(private readonly seen: Seen) {}

  /** All rows have been removed on purpose: who has them is no question any more. */
  reset(): void {
    for (const mark of this.stored.keys()) this.removed.add(mark);
  }

  /** A replica has committed these rounds. */
  applied(epoch: number, server: string, rounds: readonly RoundPart[], rows: readonly string[]): void {
    let next = 0;
    for (const { round, parts } of rounds) {
      for (const { shard, ops } of parts) {
        for (const op of ops) {
          const count = op.op === 'create' ? op.keys.length : op.op === 'update' ? 1 : 0;
          for (const row of rows.slice(next, next + count)) this.note(markOf(row), shard, epoch * 1e6 + round, server);
          next += count;
        }
      }
    }
  }

  /** An acknowledgement leaves a balancer. `added`: how many rows it says it wrote. */
  acknowledged(operation: Operation, added: number): void {
    if (!('tokens' in operation) || added < operation.tokens.length) return;
    for (const mark of operation.tokens) {
      // Answered again to who asks again, it says nothing about who has it by now.
      if (this.acknowledgedMarks.has(mark) || this.removed.has(mark)) continue;
      this.acknowledgedMarks.add(mark);
      const shard = this.shardOfMark.get(mark);
      const record = shard === undefined ? undefined : this.seen.newest.get(shard);
      const stored = this.stored.get(mark);
      if (record === undefined || stored === undefined) {
        this.seen.scheduler.violate(`I6: ${mark} was acknowledged and no replica has it`);
        return;
      }
      const faults = [...stored.rounds.values()].map((servers) => this.faultOf(mark, record, servers, stored));
      if (!faults.includes(null)) this.seen.scheduler.violate(faults[0] ?? '');
    }
  }

  private faultOf(mark: string, record: ShardRecord, has: ReadonlySet<string>, then: Stored): string | null {
    const { shard } = record;
    const fewest = Math.min(then.fewest, fewestOf(record));
    if (has.size < fewest)
      return `I6: ${mark} was acknowledged with ${has.size} replicas of ${shard} (${[...has].join(' ')}), not ${fewest}`;
    // Who has come into the set since has got it as a copy.
    const members = record.inSync.filter((server) => then.inSync.get(server) === this.seen.departures(shard, server));
    const lacking = members.filter((server) => !has.has(server) && !this.hasCopy(shard, server, mark));
    if (lacking.length === 0) return null;
    return `I1: ${mark} was acknowledged, and ${lacking.join()} in the in-sync set of ${shard} has not got it`;
  }

  private note(mark: string, shard: string, order: number, server: string): void {
    this.shardOfMark.set(mark, shard);
    if (this.removed.delete(mark)) this.stored.delete(mark);
    let known = this.stored.get(mark);
    if (known === undefined) {
      const record = this.seen.newest.get(shard);
      const members = record?.inSync ?? [];
      const inSync = new Map(members.map((member) => [member, this.seen.departures(shard, member)]));
      known = { rounds: new Map(), inSync, fewest: record === undefined ? 1 : fewestOf(record) };
      this.stored.set(mark, known);
    }
    known.rounds.set(order, (known.rounds.get(order) ?? new Set<string>()).add(server));
  }

  /** It has the row by another way than the round, or has lost its disk since. */
  private hasCopy(shard: string, server: string, mark: string): boolean {
    if (this.seen.isBlank(shard, server)) return true;
    const held = shardOn(this.seen.servers.byName.get(server), shard, this.seen.configId());
    return held !== null && [...held.table.values()].some(({ row }) => markOf(row) === mark);
  }
}
