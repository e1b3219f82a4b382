/** The table that the clients work on: three shards, three replicas each, on four servers, and the keys of one fault. */
import type { Chance } from './chance';

export const SHARDS = ['sh1', 'sh2', 'sh3'] as const;
const SHARD_SIZE = 4096;

/** The body of `/init`. */
export const CONFIGURATION = {
  N: 4,
  schema: { columns: ['Stud_id', 'Stud_name', 'Stud_marks'], dtypes: ['Number', 'String', 'String'] },
  shards: SHARDS.map((id, index) => ({ Stud_id_low: index * SHARD_SIZE, Shard_id: id, Shard_size: SHARD_SIZE })),
  servers: {
    Server0: ['sh1', 'sh2', 'sh3'],
    Server1: ['sh1', 'sh2'],
    Server2: ['sh2', 'sh3'],
    Server3: ['sh1', 'sh3'],
  },
} as const;

export const SERVERS = Object.keys(CONFIGURATION.servers);
export const REPLICAS = 3;

export interface Row {
  Stud_id: number;
  Stud_name: string;
  Stud_marks: string;
}

/** The shard of a key. */
export function shardOf(key: number): string {
  return SHARDS[Math.floor(key / SHARD_SIZE)] ?? 'none';
}

export interface KeyRange {
  low: number;
  high: number;
}

/**
 * The keys of one fault: the same few in every shard, so that operations meet. They form groups of one key of each shard; a change touches keys
 * of one group only, so that each group's history can be checked by itself.
 */
export class KeyBlock {
  readonly groups: readonly (readonly number[])[];
  private readonly from: number;

  constructor(
    index: number,
    private readonly keysPerShard: number,
  ) {
    this.from = index * keysPerShard;
    if (this.from + keysPerShard > SHARD_SIZE) throw new RangeError('the shards have no keys left for another fault');
    this.groups = Array.from({ length: keysPerShard }, (_, offset) =>
      SHARDS.map((_shard, shard) => shard * SHARD_SIZE + this.from + offset),
    );
  }

  /** Some groups are asked for more often than others. */
  pickGroup(chance: Chance): readonly number[] {
    const place = Math.floor(chance.next() * chance.next() * this.groups.length);
    return this.groups[place] ?? [];
  }

  has(key: number): boolean {
    const offset = (key % SHARD_SIZE) - this.from;
    return offset >= 0 && offset < this.keysPerShard;
  }

  /** The block's keys within one shard. */
  within(shard: number): KeyRange {
    const low = shard * SHARD_SIZE + this.from;
    return { low, high: low + this.keysPerShard - 1 };
  }

  /** From the block's first key in the first shard to its last one in the last. */
  get whole(): KeyRange {
    return { low: this.within(0).low, high: this.within(SHARDS.length - 1).high };
  }

  /** The block's keys that lie in a range, in order. */
  keysIn({ low, high }: KeyRange): number[] {
    const keys = this.groups.flat().filter((key) => key >= low && key <= high);
    return keys.sort((a, b) => a - b);
  }
}
