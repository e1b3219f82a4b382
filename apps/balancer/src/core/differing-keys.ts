/**
 * Which keys two replicas of a shard show differently at one VAT: digests of parts of the key range are compared, then of parts
 * of those that differ, until so few versions are left that each of them is told.
 */
import type { DigestRange, DigestReply, VersionDigest } from '#common/contracts/node';
import type { Outcome } from './effects';
import { all, wait, type Suspension, type Workflow } from './workflow';

/** Parts asked for at once; where no more versions than this are left, each is told. */
export const DIGEST_PARTS = 256;
/** Keys that are named; more are only counted. */
export const KEYS_NAMED = 20;
/** How often both are asked at the most. */
const ASKS = 64;

/** A version as it is told of in events: never the row itself. */
export type HeldVersion = Omit<VersionDigest, 'key'>;

/** What each of the two shows of a key: nothing, or a version (or several, which is wrong by itself). */
export interface DifferingKey {
  key: number;
  here: HeldVersion[];
  there: HeldVersion[];
}

export interface Differences {
  /** In key order, no more than `KEYS_NAMED`. */
  keys: DifferingKey[];
  /** Keys that differ, as far as was looked. */
  count: number;
  /** False when somebody did not answer or too much differs to look at all of it: then there may be more. */
  isComplete: boolean;
}

type Keys = Pick<DigestRange, 'low' | 'high'>;

/** Asks the one and the other; both must keep what is visible at the VAT in question meanwhile. */
export type AskDigest = (within: DigestRange) => Suspension<Outcome<DigestReply>>;

export function* differingKeys(here: AskDigest, there: AskDigest, whole: Keys): Workflow<Differences> {
  const found: Differences = { keys: [], count: 0, isComplete: true };
  let open: Keys[] = [whole];
  for (let asks = 0; asks < ASKS; asks += 1) {
    const keys = open.shift();
    if (keys === undefined) return found;
    const within = { ...keys, parts: DIGEST_PARTS };
    const [ours, theirs] = yield* wait(all([here(within), there(within)]));
    if (ours?.ok !== true || theirs?.ok !== true) return { ...found, isComplete: false };
    const differing = compare(ours.value, theirs.value, keys);
    for (const one of differing.keys) {
      if (found.keys.length < KEYS_NAMED) found.keys.push(one);
      found.count += 1;
    }
    open = [...differing.ranges, ...open];
  }
  return { ...found, isComplete: open.length === 0 };
}

/** What differs within a range: keys, where both told every version, else smaller ranges. */
function compare(ours: DigestReply, theirs: DigestReply, keys: Keys): { keys: DifferingKey[]; ranges: Keys[] } {
  if (isAlike(ours, theirs)) return { keys: [], ranges: [] };
  if (ours.versions !== undefined && theirs.versions !== undefined)
    return { keys: compareVersions(ours.versions, theirs.versions), ranges: [] };
  // More versions of one key than are told of at once.
  if (keys.low === keys.high) return { keys: [{ key: keys.low, here: [], there: [] }], ranges: [] };
  const others = new Map((theirs.parts ?? []).map((part) => [part.low, part]));
  const ranges: Keys[] = [];
  for (const part of ours.parts ?? []) {
    const other = others.get(part.low);
    others.delete(part.low);
    if (other === undefined || !isAlike(part, other)) ranges.push({ low: part.low, high: part.high });
  }
  for (const { low, high } of others.values()) ranges.push({ low, high });
  return { keys: [], ranges: ranges.sort((a, b) => a.low - b.low) };
}

/** Whether two replicas show the same, as far as digests tell. */
export function isAlike(a: Pick<DigestReply, 'digest' | 'rows'>, b: Pick<DigestReply, 'digest' | 'rows'>): boolean {
  return a.digest === b.digest && a.rows === b.rows;
}

function compareVersions(ours: readonly VersionDigest[], theirs: readonly VersionDigest[]): DifferingKey[] {
  const byKey = new Map<number, DifferingKey>();
  const entry = (key: number): DifferingKey => {
    const known = byKey.get(key) ?? { key, here: [], there: [] };
    byKey.set(key, known);
    return known;
  };
  for (const { key, cat, digest } of ours) entry(key).here.push({ cat, digest });
  for (const { key, cat, digest } of theirs) entry(key).there.push({ cat, digest });
  const textOf = (versions: readonly HeldVersion[]): string => JSON.stringify(versions);
  return [...byKey.values()].filter((one) => textOf(one.here) !== textOf(one.there)).sort((a, b) => a.key - b.key);
}
