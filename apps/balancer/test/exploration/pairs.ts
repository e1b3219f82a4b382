/** In which order pairs of mishaps are tried: such that those tried so far are always spread evenly over all. */
import type { Blow } from './explore';
import type { Mishap } from './mishaps';

/** The part of a whole by which a step goes on: no two places are met soon that lie close to each other. */
const GOLDEN = (Math.sqrt(5) - 1) / 2;

/** Every mishap before every point. */
export function singlesOf(mishaps: readonly Mishap[], points: number): Blow[] {
  return Array.from({ length: points }, (_, place) => mishaps.map((mishap) => ({ mishap, at: place + 1 }))).flat();
}

/**
 * Up to `limit` of all pairs: each single blow, and each mishap before each point that its world has from there on.
 *
 * @param counts how many points the world of each single blow has; 0 where a second blow would show nothing
 */
export function* pairsOf(
  mishaps: readonly Mishap[],
  singles: readonly Blow[],
  counts: readonly number[],
  limit: number,
): Generator<[Blow, Blow]> {
  const starts = [0];
  for (const [index, { at }] of singles.entries())
    starts.push((starts[index] ?? 0) + Math.max(0, (counts[index] ?? 0) - at) * mishaps.length);
  const total = starts.pop() ?? 0;
  const step = strideFor(total);
  for (let turn = 0, place = 0; turn < Math.min(limit, total); turn += 1, place = (place + step) % total) {
    const index = lastUpTo(starts, place);
    const first = singles[index];
    const rest = place - (starts[index] ?? 0);
    const mishap = mishaps[rest % mishaps.length];
    if (first === undefined || mishap === undefined) return;
    yield [first, { mishap, at: first.at + 1 + Math.floor(rest / mishaps.length) }];
  }
}

/**
 * One of the mishaps before one of these points, another one each turn.
 *
 * @param after the point behind which it lies
 * @param points how many there are
 * @param spread an irrational number: one of its own for each blow of a world
 */
export function blowOf(mishaps: readonly Mishap[], after: number, points: number, turn: number, spread: number): Blow {
  const places = Math.max(1, points - after) * mishaps.length;
  const place = Math.floor(((turn * spread) % 1) * places);
  const mishap = mishaps[place % mishaps.length];
  if (mishap === undefined) throw new RangeError('nothing can go wrong');
  return { mishap, at: after + 1 + Math.floor(place / mishaps.length) };
}

/** A stride with which every place of so many is met once. */
function strideFor(total: number): number {
  let stride = Math.max(1, Math.round(total * GOLDEN));
  while (greatestDivisor(stride, total) > 1) stride += 1;
  return stride;
}

function greatestDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestDivisor(b, a % b);
}

/** The last index at which what stands there is not above the value. */
function lastUpTo(sorted: readonly number[], value: number): number {
  let low = 0;
  let high = sorted.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((sorted[middle] ?? 0) <= value) low = middle;
    else high = middle - 1;
  }
  return low;
}
