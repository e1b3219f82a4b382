/**
 * Which disks hold everything of a shard that was acknowledged, by the disks alone: what any configuration says of them does
 * not matter. While no fault has destroyed the last such disk there must be one (I1).
 *
 * A disk is whole at a VAT when it is not being filled, has got so far, and shows the rows that are acknowledged there. Which rows these
 * are follows from step to step: a disk that was whole before and holds the next terms says what was added.
 */
import { isPrepared, shardOn, shownAt, type Seen } from './seen';

/** What is acknowledged of a shard. */
interface Acknowledged {
  vat: number;
  rows: string;
}

export class WholeCopies {
  private readonly acknowledged = new Map<string, Acknowledged>();
  /** By shard: up to which term a disk had got, farther than any other, that a fault has destroyed. */
  private readonly destroyedUpTo = new Map<string, number>();
  /** A fault has destroyed the last whole copy of some shard: from here on nothing is promised. */
  isVoid = false;

  constructor(private readonly seen: Seen) {}

  /** A leader shows a VAT for the first time. `members`: those whom it counts on. */
  shown(shard: string, vat: number, members: readonly string[]): void {
    if (this.isVoid) return;
    const known = this.acknowledged.get(shard) ?? { vat: 0, rows: '' };
    if (vat < known.vat) return;
    const holders = this.names().filter((server) => this.mayWitness(server, shard, known, vat));
    // Of a leader that was deposed a disk may hold other rows under the same terms: those whom the present one counts on go first.
    const witness = holders.find((server) => members.includes(server)) ?? holders[0];
    if (vat === 0) {
      this.acknowledged.set(shard, known);
      return;
    }
    // Somebody said that it had this, and a fault took that disk before it could be shown.
    if (witness === undefined && vat <= (this.destroyedUpTo.get(shard) ?? 0)) this.isVoid = true;
    else if (witness === undefined) {
      this.seen.scheduler.violate(
        `I1: ${shard} is shown at VAT ${vat}, and no disk that was whole at ${known.vat} has it`,
      );
    } else this.acknowledged.set(shard, { vat, rows: this.rowsOn(witness, shard, vat) });
  }

  /** Another configuration is in force, of which nothing has been acknowledged yet. */
  reset(): void {
    this.acknowledged.clear();
    this.destroyedUpTo.clear();
  }

  /** Whether the server's disk holds everything that is acknowledged of the shard: before the first row the tables suffice. */
  isWhole(shard: string, server: string): boolean {
    const { vat, rows } = this.acknowledged.get(shard) ?? { vat: 0, rows: '' };
    if (vat === 0 && isPrepared(this.seen.servers.byName.get(server), shard, this.seen.configId())) return true;
    return this.holds(server, shard, vat) && this.rowsOn(server, shard, vat) === rows;
  }

  /** Whether the server's disk shows nothing any more of what was acknowledged last, but only something newer. */
  isAhead(shard: string, server: string): boolean {
    const purgedTo = this.seenShard(server, shard)?.state.purgedTo ?? 0;
    return purgedTo > (this.acknowledged.get(shard)?.vat ?? 0);
  }

  /** Servers with a whole copy of the shard. */
  of(shard: string): string[] {
    return this.names().filter((server) => this.isWhole(shard, server));
  }

  /** Looks at all disks: the code may never have dropped the last whole copy. */
  check(): void {
    if (this.isVoid) return;
    for (const [shard, { vat }] of this.acknowledged) {
      if (vat > 0 && this.of(shard).length === 0)
        this.seen.scheduler.violate(`I1: no disk holds everything that was acknowledged of ${shard}`);
    }
  }

  /** A fault destroys disks. Where it takes the last whole copy of a shard, nothing is promised any more. */
  destroy(fault: () => void): void {
    const before = [...this.acknowledged.keys()].filter((shard) => this.of(shard).length > 0);
    const terms = new Map(before.map((shard) => [shard, this.highestTerm(shard)]));
    fault();
    for (const [shard, term] of terms) if (this.highestTerm(shard) < term) this.destroyedUpTo.set(shard, term);
    // What was broken before is no fault's doing.
    const isFirst = this.seen.scheduler.violation === null;
    if (isFirst && before.some((shard) => this.of(shard).length === 0)) this.isVoid = true;
  }

  private highestTerm(shard: string): number {
    return Math.max(0, ...this.names().map((server) => this.seenShard(server, shard)?.state.currentTerm ?? 0));
  }

  private names(): string[] {
    return [...this.seen.servers.byName.keys()];
  }

  /** It was whole at what was acknowledged before, as far as it still shows that, and holds the terms up to `vat`. */
  private mayWitness(server: string, shard: string, before: Acknowledged, vat: number): boolean {
    if (!this.holds(server, shard, vat)) return false;
    const purgedTo = this.seenShard(server, shard)?.state.purgedTo ?? 0;
    return purgedTo > before.vat || this.rowsOn(server, shard, before.vat) === before.rows;
  }

  private holds(server: string, shard: string, vat: number): boolean {
    const held = this.seenShard(server, shard);
    if (held === null) return false;
    const { catchUp, currentTerm, purgedTo } = held.state;
    return catchUp === null && currentTerm >= vat && purgedTo <= vat;
  }

  private rowsOn(server: string, shard: string, vat: number): string {
    return shownAt(this.seenShard(server, shard), vat);
  }

  private seenShard(server: string, shard: string): ReturnType<typeof shardOn> {
    return shardOn(this.seen.servers.byName.get(server), shard, this.seen.configId());
  }
}
