/** The highest and the lowest of any number of numbers: `Math.max(...numbers)` puts all of them on the stack, and overflows it. */

/** The highest of the numbers, and no less than `atLeast`. */
export function highestOf(numbers: Iterable<number>, atLeast = Number.NEGATIVE_INFINITY): number {
  let highest = atLeast;
  for (const number of numbers) if (number > highest) highest = number;
  return highest;
}

/** The lowest of the numbers, and no more than `atMost`. */
export function lowestOf(numbers: Iterable<number>, atMost = Number.POSITIVE_INFINITY): number {
  let lowest = atMost;
  for (const number of numbers) if (number < lowest) lowest = number;
  return lowest;
}
