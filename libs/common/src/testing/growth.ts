/**
 * How the work on an input grows with the input, measured so that a slow or busy machine does no harm: by processor time instead
 * of the clock, and only ever one size against another, one right after the other.
 */

const DOUBLINGS = 3;
const PAIRS = 7;
/** Each measurement works for at least so long, so that the clock's steps do not count. */
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
  const small = inputOf(size);
  const costOf = (input: T): number =>
    costUs(() => {
      work(input);
    });
  for (let doublings = 1; doublings <= DOUBLINGS; doublings += 1) {
    const large = inputOf(size * 2 ** doublings);
    const pairs: string[] = [];
    const isFast = (): boolean => {
      const [smallUs, largeUs] = [costOf(small), costOf(large)];
      pairs.push(`${Math.round(smallUs)} and ${Math.round(largeUs)} µs`);
      return largeUs <= NOISE * 2 ** doublings * Math.max(smallUs, 1);
    };
    // What looks too slow may have been disturbed; what was fast once is fast.
    let isLinear = false;
    for (let pair = 0; pair < PAIRS && !isLinear; pair += 1) isLinear = isFast();
    if (!isLinear) return `an input of ${size} and ${2 ** doublings} times as much took ${pairs.join(', ')}`;
  }
  return null;
}
