import fc from 'fast-check';
import { answersNeeded, compareConfigs, minInSync, newestConfig } from './in-sync-set';

describe('minInSync', () => {
  it.each([
    [1, 1],
    [2, 1],
    [3, 2],
    [4, 2],
    [5, 3],
  ])('of %i replicas is %i', (replicas, fewest) => {
    expect(minInSync(replicas)).toBe(fewest);
  });
});

describe('answersNeeded', () => {
  it('is the fewest with which no set of minInSync replicas can be missed, by trying all sets', () => {
    for (let replicas = 1; replicas <= 7; replicas += 1) {
      const all = Array.from({ length: 2 ** replicas }, (_, set) => set);
      const size = (set: number): number => set.toString(2).replaceAll('0', '').length;
      const meetsEvery = (answers: number): boolean =>
        all
          .filter((set) => size(set) === answers)
          .every((asked) =>
            all.filter((set) => size(set) === minInSync(replicas)).every((kept) => (asked & kept) !== 0),
          );
      expect(meetsEvery(answersNeeded(replicas))).toBe(true);
      expect(meetsEvery(answersNeeded(replicas) - 1)).toBe(false);
    }
  });
});

describe('configurations', () => {
  const stamp = fc.record({ configEpoch: fc.nat({ max: 4 }), configVersion: fc.nat({ max: 4 }) });

  it('are ordered by epoch, then by version', () => {
    const older = { configEpoch: 1, configVersion: 9 };
    const newer = { configEpoch: 2, configVersion: 2 };
    expect(compareConfigs(newer, older)).toBeGreaterThan(0);
    expect(compareConfigs(older, newer)).toBeLessThan(0);
    expect(compareConfigs({ ...newer, configVersion: 3 }, newer)).toBeGreaterThan(0);
    expect(compareConfigs(newer, { ...newer })).toBe(0);
  });

  it('the newest is one that no other beats', () => {
    fc.assert(
      fc.property(fc.array(stamp), (configs) => {
        const newest = newestConfig(configs);
        if (newest === undefined) {
          expect(configs).toEqual([]);
          return;
        }
        expect(configs).toContain(newest);
        for (const config of configs) expect(compareConfigs(newest, config)).toBeGreaterThanOrEqual(0);
      }),
    );
  });
});
