/** Which worlds are looked at. */
import type { Mishap } from './mishaps';
import { blowOf, pairsOf, singlesOf } from './pairs';

const MISHAPS = ['one', 'other', 'third'].map((name): Mishap => ({ name, isOfServer: false, strike: () => null }));

describe('pairs of mishaps', () => {
  const singles = singlesOf(MISHAPS, 4);

  const nameOf = ({ mishap, at }: { mishap: Mishap; at: number }): string => `${mishap.name}@${at}`;

  it('come each once, the second behind the first', () => {
    const counts = singles.map(({ at }) => at + 2);
    const pairs = [...pairsOf(MISHAPS, singles, counts, Number.POSITIVE_INFINITY)];
    expect(new Set(pairs.map((pair) => pair.map(nameOf).join())).size).toBe(pairs.length);
    expect(pairs).toHaveLength(singles.length * 2 * MISHAPS.length);
    for (const [first, second] of pairs) expect(second.at).toBeGreaterThan(first.at);
  });

  it('have no first one whose world shows nothing any more', () => {
    const counts = singles.map(({ mishap }) => (mishap.name === 'other' ? 6 : 0));
    const pairs = [...pairsOf(MISHAPS, singles, counts, Number.POSITIVE_INFINITY)];
    expect(new Set(pairs.map(([{ mishap }]) => mishap.name))).toEqual(new Set(['other']));
  });

  it('are spread over all, when there are to be few', () => {
    const counts = singles.map(({ at }) => at + 2);
    const pairs = [...pairsOf(MISHAPS, singles, counts, singles.length)];
    expect(new Set(pairs.map(([first]) => nameOf(first))).size).toBeGreaterThan(singles.length / 2);
  });

  it('take every mishap before every point in turn', () => {
    const blows = Array.from({ length: 200 }, (_, turn) => blowOf(MISHAPS, 2, 6, turn, Math.SQRT2));
    expect(new Set(blows.map(nameOf)).size).toBe(4 * MISHAPS.length);
    expect(Math.min(...blows.map(({ at }) => at))).toBe(3);
    expect(Math.max(...blows.map(({ at }) => at))).toBe(6);
  });
});
