/**
 * I3, and the second half of I1: one order explains everything that clients were answered, and what the disks hold at the end.
 *
 * First all keys together are checked as one object, which is strict serializability of everything. Where that search grows too wide
 * each group of keys is checked by itself.
 */
import { faultOf, UNDECIDED, type Entry, type History } from '#common/testing/history';
import type { ShardRecord } from '../../../src/core/cluster/shard';
import type { KeySpace } from '../clients';
import { markOf } from '../rows';
import { rowsAt, shardOn, type Seen } from './seen';

export interface OrderVerdict {
  fault: string | null;
  /** Groups of keys that could not be checked. */
  undecided: number;
  /** All keys were checked together. */
  isStrict: boolean;
}

export function judgeOrder(entries: readonly Entry[], keys: KeySpace): OrderVerdict {
  const whole = faultOf(entries, keys.all);
  if (whole !== UNDECIDED) return { fault: whole === null ? null : `I3: ${whole}`, undecided: 0, isStrict: true };
  let undecided = 0;
  for (const group of keys.groups) {
    const fault = faultOf(entries, group);
    if (fault === UNDECIDED) undecided += 1;
    else if (fault !== null) return { fault: `I3: ${fault}`, undecided, isStrict: false };
  }
  return { fault: null, undecided, isStrict: false };
}

/** What every in-sync disk holds, as reads of a client that looks at nothing else. */
export function readDisks(
  seen: Seen,
  history: History,
  keys: KeySpace,
  vats: ReadonlyMap<string, { vat: number }>,
): void {
  for (const record of seen.newest.values()) {
    const own = keys.all.filter((key) => covers(record, key));
    const vat = vats.get(record.shard)?.vat ?? 0;
    if (own.length === 0) continue;
    for (const server of record.inSync) {
      // A member that has lost its disk stays one where too few would be left; it serves nobody.
      if (seen.isBlank(record.shard, server)) continue;
      const held = shardOn(seen.servers.byName.get(server), record.shard, seen.configId());
      const found = new Map(rowsAt(held, vat).map(({ key, row }) => [key, markOf(row)]));
      const entry = history.call(`disk of ${server}`, { kind: 'read', keys: own });
      history.answer(entry, { how: 'seen', values: own.map((key) => found.get(key) ?? null) });
    }
  }
}

function covers({ low, size }: ShardRecord, key: number): boolean {
  return key >= low && key < low + size;
}
