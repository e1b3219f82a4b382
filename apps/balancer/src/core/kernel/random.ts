/**
 * A small seeded generator: the same seed gives the same numbers, so that a choice can be repeated.
 *
 * A counter that steps by the golden ratio's fraction, each value put through the finaliser of MurmurHash3: the scheme of
 * SplitMix (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, OOPSLA 2014) at 32 bits. Its period is
 * 2^32. It is for spreading things, not for secrets.
 */

/** A number in [0, 1). */
export type Random = () => number;

/** 2^32 divided by the golden ratio, made odd. */
const GOLDEN_STEP = 0x9e3779b9;
const TWO_TO_32 = 2 ** 32;

/** Every bit of the result depends on every bit of the argument; no two 32-bit arguments share a result. */
export function mix32(value: number): number {
  let mixed = value | 0;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}

/** A generator that starts from `seed`. */
export function seededRandom(seed: number): Random {
  let counter = seed | 0;
  return () => {
    counter = (counter + GOLDEN_STEP) | 0;
    return mix32(counter) / TWO_TO_32;
  };
}

/** A whole number in [0, bound). */
export function randomBelow(bound: number, random: Random): number {
  return Math.floor(random() * bound);
}

/** One of the items. @throws RangeError when there is none */
export function randomItem<T>(items: readonly T[], random: Random): T {
  if (items.length === 0) throw new RangeError('there is nothing to choose from');
  return items[randomBelow(items.length, random)] as T;
}

/** The items in random order, as a new list. */
export function shuffled<T>(items: readonly T[], random: Random): T[] {
  const result = [...items];
  for (let last = result.length - 1; last > 0; last -= 1) {
    const other = randomBelow(last + 1, random);
    [result[last], result[other]] = [result[other] as T, result[last] as T];
  }
  return result;
}
