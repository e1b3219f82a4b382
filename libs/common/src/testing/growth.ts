/**
 * How the work on an input grows with the input, measured so that a slow or busy machine does no harm: by processor time instead
 * of the clock, the best of several repetitions, sizes taken in turn, and only ever one against another of the same run.
 */

const DOUBLINGS = 3;
const REPETITIONS = 5;
/** A repetition works for at least so long, so that the clock's steps do not count. */
const LEAST_US = 1_500;
/** Linear work grows as its input does; so many times more than that is not noise. Quadratic work is 8 times above it. */
const NOISE = 3;

/** Processor time of this process, in microseconds. */
function spentUs(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

function costUs(work: () => void): number {
  const startUs = spentUs();
  for (let times = 1; ; times += 1) {
    work();
    const tookUs = spentUs() - startUs;
    if (tookUs >= LEAST_US) return tookUs / times;
  }
}

/**
 * Does `work` on inputs of `size`, 2, 4 and 8 times as much. Null when the work is linear in the input's size, else how it grew.
 * Work that is clearly not linear is not tried on larger inputs.
 */
export function growthFault<T>(size: number, inputOf: (size: number) => T, work: (input: T) => void): string | null {
  const inputs = Array.from({ length: DOUBLINGS + 1 }, (_, doublings) => inputOf(size * 2 ** doublings));
  const best = inputs.map(() => Number.POSITIVE_INFINITY);
  const tryOnce = (doublings: number): void => {
    const input = inputs[doublings];
    if (input === undefined) return;
    const cost = costUs(() => {
      work(input);
    });
    best[doublings] = Math.min(best[doublings] ?? cost, cost);
  };
  const isTooMuch = (doublings: number): boolean =>
    (best[doublings] ?? 0) > NOISE * 2 ** doublings * Math.max(best[0] ?? 0, 1);
  for (let doublings = 0; doublings <= DOUBLINGS; doublings += 1) {
    for (let repetition = 0; repetition < REPETITIONS; repetition += 1) {
      tryOnce(doublings);
      // What looks too slow may have been disturbed; what looks fast is fast.
      if (repetition > 0 && !isTooMuch(doublings)) break;
      tryOnce(0);
    }
    if (isTooMuch(doublings)) {
      const costs = best.slice(0, doublings + 1).map((cost) => `${Math.round(cost)} µs`);
      return `an input of ${size} doubled ${doublings} times took ${costs.join(', ')}`;
    }
  }
  return null;
}
