import { compareClusters, compareMarks, hasForgotten, REIGNS_KEPT, type Reign } from './bucket-history';

const HISTORY: Reign[] = [
  { epoch: 3, instance: 'a', since: 10 },
  { epoch: 4, instance: 'b', since: 20 },
  { epoch: 7, instance: 'c', since: 30 },
];

describe('whether a bucket has forgotten what a replica has heard', () => {
  it.each([
    ['what the present leader sent', { epoch: 7, instance: 'c', revision: 99 }, false],
    ['what an earlier one sent before the next one led', { epoch: 3, instance: 'a', revision: 19 }, false],
    [
      'what an earlier one sent behind that: the next one did not see it',
      { epoch: 3, instance: 'a', revision: 20 },
      true,
    ],
    ['what somebody else sent under an epoch that was given twice', { epoch: 4, instance: 'x', revision: 21 }, true],
    ['what was sent under an epoch that nobody in there had', { epoch: 6, instance: 'd', revision: 25 }, true],
    ['what was sent before all of them, in a history that is complete', { epoch: 1, instance: 'z', revision: 1 }, true],
  ])('%s', (_what, mark, expected) => {
    expect(hasForgotten(HISTORY, mark)).toBe(expected);
  });

  it('takes two reigns of one instance as two', () => {
    const again: Reign[] = [...HISTORY, { epoch: 9, instance: 'a', since: 40 }];
    expect(hasForgotten(again, { epoch: 9, instance: 'a', revision: 50 })).toBe(false);
    expect(hasForgotten(again, { epoch: 3, instance: 'a', revision: 50 })).toBe(true);
  });

  it('cannot know of what is older than a history of full length', () => {
    const long = Array.from({ length: REIGNS_KEPT }, (_, index) => ({ epoch: index + 5, instance: 'a', since: index }));
    expect(hasForgotten(long, { epoch: 4, instance: 'b', revision: 1 })).toBe(false);
    expect(hasForgotten(long, { epoch: 5, instance: 'b', revision: 1 })).toBe(true);
  });

  it('goes by the next leader whose beginning is known', () => {
    const unsure: Reign[] = HISTORY.map((reign) => (reign.epoch === 4 ? { ...reign, since: 0 } : reign));
    expect(hasForgotten(unsure, { epoch: 3, instance: 'a', revision: 29 })).toBe(false);
    expect(hasForgotten(unsure, { epoch: 3, instance: 'a', revision: 30 })).toBe(true);
  });
});

it('compares records of the cluster by /init, then epoch, then version', () => {
  const stamp = (configId: number, configEpoch: number, configVersion: number) => ({
    configId,
    configEpoch,
    configVersion,
  });
  expect(compareClusters(stamp(2, 1, 1), stamp(1, 9, 9))).toBeGreaterThan(0);
  expect(compareClusters(stamp(1, 2, 1), stamp(1, 1, 9))).toBeGreaterThan(0);
  expect(compareClusters(stamp(1, 1, 2), stamp(1, 1, 3))).toBeLessThan(0);
});

it('compares marks by epoch, then revision', () => {
  const mark = (epoch: number, revision: number) => ({ epoch, instance: 'a', revision });
  expect(compareMarks(mark(2, 1), mark(1, 9))).toBeGreaterThan(0);
  expect(compareMarks(mark(1, 1), mark(1, 9))).toBeLessThan(0);
});
