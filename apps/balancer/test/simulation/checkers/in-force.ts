/**
 * Which configuration of the cluster is in force, and which shards there are: what the bucket's record of the cluster says, as far as an
 * administrator has asked for it. It comes into force at the instant at which the bucket takes it. A configuration, or a shard, that
 * nobody has asked for must not come into being.
 */
import type { ClusterRecord } from '#common/contracts/node';
import type { ShardRange } from '#common/contracts/schema';
import type { AdminCommand } from '../../../src/core/kernel/effects';
import type { ShardRecord } from '../../../src/core/cluster/shard';

/** What came of a record that was stored. */
export interface InForceChange {
  /** Another configuration has taken the place of the one before, whose rows are gone. */
  isAnother: boolean;
  /** Shards that have come into being. */
  born: ShardRecord[];
}

export class InForce {
  configId = 0;
  private shards = new Set<string>();
  private readonly asked: AdminCommand[] = [];

  constructor(private readonly violate: (what: string) => void) {}

  /** An administrator asks for this: it may come into force once. */
  ask(command: AdminCommand): void {
    this.asked.push(command);
  }

  stored(record: ClusterRecord): InForceChange {
    if (record.configId < this.configId) return { isAnother: false, born: [] };
    const isAnother = record.configId > this.configId;
    const known = isAnother ? new Set<string>() : this.shards;
    const born = record.born.filter(({ shard }) => record.shards.includes(shard) && !known.has(shard));
    if (isAnother || born.length > 0) this.expectAsked(isAnother, born);
    this.configId = record.configId;
    this.shards = new Set([...known, ...born.map(({ shard }) => shard)]);
    return { isAnother, born: born.map((config) => ({ ...config, configId: record.configId })) };
  }

  private expectAsked(isAnother: boolean, born: readonly ShardRange[]): void {
    const place = this.asked.findIndex((command) => {
      if (command.op === 'init') return isAnother && areAlike(command.command.shards, born);
      return command.op === 'add' && !isAnother && areAlike(command.command.newShards, born);
    });
    const names = born.map(({ shard }) => shard).join();
    if (place === -1) this.violate(`nobody asked for ${isAnother ? 'a configuration with' : ''} the shards ${names}`);
    else this.asked.splice(place, 1);
  }
}

function areAlike(a: readonly ShardRange[], b: readonly ShardRange[]): boolean {
  const describe = (ranges: readonly ShardRange[]): string =>
    ranges
      .map(({ shard, low, size }) => `${shard} ${low} ${size}`)
      .sort()
      .join();
  return describe(a) === describe(b);
}
