/**
 * I6, and the first half of I1: when a change is acknowledged, enough replicas have its rows in a committed transaction, and every
 * member of the newest in-sync set that still has its disk is among them.
 */
import type { RoundPart } from '#common/contracts/node';
import type { Operation } from '#common/testing/history';
import { markOf } from '../rows';
import { fewestOf, shardOn, type Seen } from './seen';

/** A row's newest round, and who has that round on disk. */
interface Stored {
  order: number;
  servers: Set<string>;
  /** The in-sync set when the first of them had it. */
  inSync: readonly string[];
}

const NOWHERE: Pick<Stored, 'servers' | 'inSync'> = { servers: new Set(), inSync: [] };

export class Acknowledgements {
  /** By mark. */
  private readonly stored = new Map<string, Stored>();
  private readonly shardOfMark = new Map<string, string>();

  constructor(private readonly seen: Seen) {}

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
      const shard = this.shardOfMark.get(mark);
      const record = shard === undefined ? undefined : this.seen.newest.get(shard);
      const { servers, inSync } = this.stored.get(mark) ?? NOWHERE;
      if (record === undefined) {
        this.seen.scheduler.violate(`I6: ${mark} was acknowledged and no replica has it`);
        return;
      }
      const fewest = fewestOf(record);
      if (servers.size < fewest) {
        const names = [...servers].join(' ');
        this.seen.scheduler.violate(
          `I6: ${mark} was acknowledged with ${servers.size} replicas of ${record.shard} (${names}), not ${fewest}`,
        );
      }
      // Who has come into the set since has got it as a copy.
      const members = record.inSync.filter((server) => inSync.includes(server));
      const lacking = members.filter((server) => !servers.has(server) && !this.hasCopy(record.shard, server, mark));
      if (lacking.length > 0) {
        this.seen.scheduler.violate(
          `I1: ${mark} was acknowledged, and ${lacking.join()} in the in-sync set of ${record.shard} has not got it`,
        );
      }
    }
  }

  private note(mark: string, shard: string, order: number, server: string): void {
    this.shardOfMark.set(mark, shard);
    const known = this.stored.get(mark);
    const inSync = this.seen.newest.get(shard)?.inSync ?? [];
    if (known === undefined || known.order < order)
      this.stored.set(mark, { order, servers: new Set([server]), inSync });
    else if (known.order === order) known.servers.add(server);
  }

  /** It has the row by another way than the round, or has lost its disk since. */
  private hasCopy(shard: string, server: string, mark: string): boolean {
    if (this.seen.isBlank(shard, server)) return true;
    const known = this.seen.servers.byName.get(server);
    const held = known === undefined ? null : shardOn(known, shard);
    return held?.versions.some(({ row }) => markOf(row) === mark) === true;
  }
}
