/**
 * The real core and the real replicas in a simulated world of lost messages, crashes and lost disks.
 *
 * `SEEDS=5000` runs as many seeds, `SEED=17` one (or `SEEDS` from there on); a seed that fails prints its timeline, whose last
 * `LINES` (default 300) are shown.
 */
import { reportOf } from './report';
import { simulate, type Verdict } from './simulation';
import type { Mutation } from './mutation';
import { MUTATIONS } from './mutations';

const DEFAULT_SEEDS = 200;
const ONE_MINUTE_MS = 60_000;

function numberFrom(name: string, otherwise: number): number {
  return Number(process.env[name] ?? otherwise);
}

const isOneSeed = process.env.SEED !== undefined && process.env.SEEDS === undefined;
const firstSeed = numberFrom('SEED', 1);
const seeds = isOneSeed ? 1 : numberFrom('SEEDS', DEFAULT_SEEDS);

describe('a cluster in the simulated world', () => {
  test(
    'keeps every promise, whatever happens',
    async () => {
      const verdicts: Verdict[] = [];
      for (let seed = firstSeed; seed < firstSeed + seeds; seed += 1) {
        const verdict = await simulate(seed);
        if (verdict.violation !== null) throw new Error(await reportOf(verdict, numberFrom('LINES', 300)));
        verdicts.push(verdict);
      }
      // Worlds that promise nothing, and histories that nobody can checker, prove nothing.
      const judged = verdicts.filter(({ isVoid, undecided }) => !isVoid && undecided === 0);
      expect(judged.length).toBeGreaterThanOrEqual(isOneSeed ? 0 : Math.floor(seeds * 0.9));
      expect(verdicts.reduce((sum, { operations }) => sum + operations, 0)).toBeGreaterThan(seeds * 10);
    },
    ONE_MINUTE_MS + seeds * 1_000,
  );

  test('runs the same way every time', async () => {
    const [first, again] = [await simulate(7, {}, true), await simulate(7, {}, true)];
    expect(again.timeline).toEqual(first.timeline);
    expect(first.timeline.length).toBeGreaterThan(100);
  });
});

describe('the simulation notices a cluster that', () => {
  test.each(MUTATIONS.map((mutation): [string, number, Mutation] => [mutation.name, mutation.point, mutation]))(
    '%s (point %d)',
    async (_name, _point, { mutations, fromSeed, withinSeeds }) => {
      for (let seed = fromSeed; seed < fromSeed + withinSeeds; seed += 1) {
        const { violation } = await simulate(seed, mutations());
        if (violation !== null) return;
      }
      throw new Error(`nothing was noticed in ${withinSeeds} seeds`);
    },
    10 * ONE_MINUTE_MS,
  );

  test('breaks each of the ten points', () => {
    expect([...new Set(MUTATIONS.map(({ point }) => point))].sort((a, b) => a - b)).toEqual(
      Array.from({ length: 10 }, (_, index) => index + 1),
    );
  });
});
