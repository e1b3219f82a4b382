/**
 * Whether a bucket still knows what a replica has heard of it, or was lost or rolled back to an earlier state.
 *
 * Revisions alone do not show it: a bucket that was rolled back counts on from there and gives the same numbers again, as it does with
 * epochs. So the `leader` key keeps a history of who took the lead, under which epoch, and at which revision; and a replica stores
 * which leader reported which revision to it. Where the history lacks that leader, or where the next one came before that revision, what the
 * replica has heard is not in the bucket.
 *
 * What this cannot see: a bucket that was rolled back to before a change of which nobody who answers has heard.
 */
import type { BucketMark, ClusterStamp } from '../contracts/node';
import { compareConfigs } from './in-sync-set';

/** Somebody took the lead. */
export interface Reign {
  epoch: number;
  instance: string;
  /** The revision by which it did; 0 until it has written again. */
  since: number;
}

/** So many of the newest are kept. */
export const REIGNS_KEPT = 64;

/** Whether the bucket with this history (the oldest first) has lost something of which the replica has heard. */
export function hasForgotten(history: readonly Reign[], mark: BucketMark): boolean {
  const index = history.findIndex(({ epoch, instance }) => epoch === mark.epoch && instance === mark.instance);
  if (index === -1) {
    // What is older than a history of full length may have been in it.
    const isBeforeAll = mark.epoch < (history[0]?.epoch ?? 0);
    return !(isBeforeAll && history.length >= REIGNS_KEPT);
  }
  const next = history.slice(index + 1).find(({ since }) => since > 0);
  return next !== undefined && mark.revision >= next.since;
}

/** Positive when `a` is the newer one. */
export function compareClusters(a: ClusterStamp, b: ClusterStamp): number {
  return a.configId - b.configId || compareConfigs(a, b);
}

/** Positive when the first mark is the later one. */
export function compareMarks(a: BucketMark, b: BucketMark): number {
  return a.epoch - b.epoch || a.revision - b.revision;
}
