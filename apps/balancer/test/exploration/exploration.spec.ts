/**
 * A small, fixed part of all small worlds (`make explore` looks at as many as wanted), and for each guard that is switched off one in
 * which that is noticed.
 */
import { explore, mishapsIn, worldOf } from './explore';
import { pairsOf, singlesOf } from './pairs';
import { SCRIPTS } from './scripts';
import { SWITCHES, type Switch } from './switches';

const ONE_MINUTE_MS = 60_000;
/** Of each script. Their points are those of the world in which nothing goes wrong. */
const WORLDS = 25;

describe('in a small world', () => {
  test.each(SCRIPTS.map(({ name }, index): [string, number] => [name, index]))(
    'every promise is kept, whatever two things go wrong: %s',
    async (_name, index) => {
      const script = SCRIPTS[index]!;
      const mishaps = mishapsIn(script);
      const { points, violation } = await explore(script, []);
      expect(violation).toBeNull();
      const singles = singlesOf(mishaps, points);
      const counts = singles.map(() => points + 1);
      const worlds = [...pairsOf(mishaps, singles, counts, WORLDS)];
      let struck = 0;
      for (const blows of worlds) {
        const finding = await explore(script, blows);
        if (finding.violation !== null) throw new Error(`WORLD='${finding.name}' make explore: ${finding.violation}`);
        struck += Number(finding.isStruck && !finding.isVoid);
      }
      // What does not happen shows nothing.
      expect(struck).toBeGreaterThan(WORLDS / 4);
    },
    3 * ONE_MINUTE_MS,
  );

  test('the same happens every time', async () => {
    const { script, blows } = worldOf('rm / leader ends@20 / S1 is empty@40');
    const [first, again] = [await explore(script, blows, {}, true), await explore(script, blows, {}, true)];
    expect(again.timeline).toEqual(first.timeline);
    expect(first.isStruck).toBe(true);
  });

  test.each(
    SWITCHES.flatMap((one): [string, string, Switch][] => (one.world === null ? [] : [[one.name, one.world, one]])),
  )(
    'a cluster is noticed that %s',
    async (_name, world, { mutations }) => {
      const { script, blows } = worldOf(world);
      expect((await explore(script, blows)).violation).toBeNull();
      expect((await explore(script, blows, mutations())).violation).not.toBeNull();
    },
    ONE_MINUTE_MS,
  );
});
