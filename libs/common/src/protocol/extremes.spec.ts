import * as fc from 'fast-check';
import { highestOf, lowestOf } from './extremes';

test('the extremes of few numbers are those of Math', () => {
  fc.assert(
    fc.property(fc.array(fc.integer()), fc.integer(), (numbers, bound) => {
      expect(highestOf(numbers, bound)).toBe(Math.max(bound, ...numbers));
      expect(lowestOf(numbers, bound)).toBe(Math.min(bound, ...numbers));
    }),
  );
});

test('of none there are none', () => {
  expect(highestOf([])).toBe(Math.max());
  expect(lowestOf([])).toBe(Math.min());
});

test('a million numbers are not too many', () => {
  const numbers = Array.from({ length: 1_000_000 }, (_, index) => index);
  expect([highestOf(numbers), lowestOf(numbers)]).toEqual([999_999, 0]);
});
