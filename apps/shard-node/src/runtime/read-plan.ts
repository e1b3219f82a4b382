/** Reads of one message, put together where one statement can answer several of them. */
import type { PageRead } from '#common/contracts/node';

/** Reads of single keys of one shard at one VAT: `places` are their positions in the message. */
export interface PointGroup {
  shard: string;
  vat: number;
  keys: number[];
  places: number[];
}

export interface ReadPlan {
  points: PointGroup[];
  /** Positions of the reads of more than one key. */
  ranges: number[];
}

export function planReads(reads: readonly PageRead[]): ReadPlan {
  const groups = new Map<string, PointGroup>();
  const ranges: number[] = [];
  reads.forEach(({ shard, vat, low, high }, place) => {
    if (low !== high) {
      ranges.push(place);
      return;
    }
    const name = `${vat} ${shard}`;
    let group = groups.get(name);
    if (group === undefined) groups.set(name, (group = { shard, vat, keys: [], places: [] }));
    group.keys.push(low);
    group.places.push(place);
  });
  return { points: [...groups.values()], ranges };
}
