/** Reads of one message, put together where one statement can answer several of them. */
import type { PageRead } from '#common/contracts/node';

/** Reads of single keys of one shard at one VAT: `places` are their positions in the message. */
interface PointGroup {
  shard: string;
  vat: number;
  keys: number[];
  places: number[];
}

export interface ReadPlan {
  points: PointGroup[];
  /** Reads of more than one key, with their positions in the message. */
  ranges: { read: PageRead; place: number }[];
}

export function planReads(reads: readonly PageRead[]): ReadPlan {
  const groups = new Map<string, PointGroup>();
  const ranges: ReadPlan['ranges'] = [];
  reads.forEach((read, place) => {
    const { shard, vat, low, high } = read;
    if (low !== high) {
      ranges.push({ read, place });
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
