/**
 * Which keys two replicas of a shard show differently at one VAT. The one is asked for its digest page by page, in key order, and the
 * other for that of the same keys; where they differ, digests of parts of these keys are compared, then of parts of those, until so few
 * versions are left that each of them is reported.
 */
import type { DigestRange, DigestReply, VersionDigest } from '#common/contracts/node';
import type { Result } from '../kernel/effects';
import { all, wait, type Suspension, type Workflow } from '../kernel/workflow';

/** Parts asked for at once; where no more versions than this are left, each is reported. */
export const DIGEST_PARTS = 256;
/** Keys that are named; more are only counted. */
export const KEYS_NAMED = 20;
/** How often both are asked for parts at the most. */
const ASKS = 64;

/** A version as events show it: never the row itself. */
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

/** Asks a replica, which must keep what is visible at the VAT in question meanwhile. */
export interface DigestAsker {
  /** For some of the keys behind `after`, so many as it gets to. */
  page: (after: number | null) => Workflow<Result<DigestReply>>;
  within: (within: DigestRange) => Suspension<Result<DigestReply>>;
}

/** @param there the replica that is believed: its pages say which keys are compared at once */
export function* differingKeys(here: DigestAsker, there: DigestAsker, whole: Keys): Workflow<Differences> {
  const found: Differences = { keys: [], count: 0, isComplete: true };
  const budget = { asks: ASKS };
  let { low } = whole;
  let after: number | null = null;
  for (;;) {
    const page: Result<DigestReply> = yield* there.page(after);
    if (!page.ok) return { ...found, isComplete: false };
    const high = page.value.next ?? whole.high;
    const ours = yield* wait(here.within({ low, high, parts: DIGEST_PARTS }));
    if (!ours.ok) return { ...found, isComplete: false };
    const isNarrowed = isAlike(ours.value, page.value) || (yield* narrow(here, there, { low, high }, found, budget));
    if (!isNarrowed) return { ...found, isComplete: false };
    if (page.value.next === null) return found;
    after = page.value.next;
    low = after + 1;
  }
}

/** Adds what differs within the keys; false when that could not be found out to the end. */
function* narrow(
  here: DigestAsker,
  there: DigestAsker,
  page: Keys,
  found: Differences,
  budget: { asks: number },
): Workflow<boolean> {
  let open: Keys[] = [page];
  for (; budget.asks > 0; budget.asks -= 1) {
    const keys = open.shift();
    if (keys === undefined) return true;
    const within = { ...keys, parts: DIGEST_PARTS };
    const [ours, theirs] = yield* wait(all([here.within(within), there.within(within)]));
    if (ours?.ok !== true || theirs?.ok !== true) return false;
    const differing = compare(ours.value, theirs.value, keys);
    for (const one of differing.keys) {
      if (found.keys.length < KEYS_NAMED) found.keys.push(one);
      found.count += 1;
    }
    open = [...differing.ranges, ...open];
  }
  return open.length === 0;
}

/** What differs within a range: keys, where both reported every version, else smaller ranges. */
function compare(ours: DigestReply, theirs: DigestReply, keys: Keys): { keys: DifferingKey[]; ranges: Keys[] } {
  if (ours.versions !== undefined && theirs.versions !== undefined)
    return { keys: compareVersions(ours.versions, theirs.versions), ranges: [] };
  // More versions of one key than are reported at once.
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

/** Whether two replicas show the same, as far as digests go. */
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
