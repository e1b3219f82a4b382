/**
 * `make explore`: small worlds with every pair of things that can go wrong, outside of any test runner.
 *
 * `WORLD='rm / leader ends@12 / S0 is empty@30'` runs that one and tells its timeline. Else `SCRIPTS=rm,init` (all unless told),
 * `PAIRS=20000` of all pairs of each (1000 unless told; `all`), spread evenly. Ends with 1 when a promise was broken; `FAILURES=20`
 * are looked for.
 */
import { mishapsIn, explore, nameOf, worldOf, type Finding } from './explore';
import { pairsOf, singlesOf, thirdOf } from './pairs';
import { SCRIPTS } from './scripts';
import { SWITCHES } from './switches';
import type { WorldMutations } from '../simulation/world';

const { env } = process;

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

async function main(): Promise<number> {
  const mutations = SWITCHES.find(({ name }) => name === env.SWITCH)?.mutations ?? ((): WorldMutations => ({}));
  if (env.SWITCH !== undefined && !SWITCHES.some(({ name }) => name === env.SWITCH))
    throw new RangeError('no such switch');
  if (env.WORLD !== undefined) {
    const { script, blows } = worldOf(env.WORLD);
    const finding = await explore(script, blows, mutations(), true);
    for (const line of finding.timeline.slice(-Number(env.LINES ?? 2_000))) print(line);
    print(
      `${finding.name}: ${finding.violation ?? (finding.isVoid ? 'void' : 'all is well')} (${finding.points} points)`,
    );
    return finding.violation === null ? 0 : 1;
  }
  const wanted = env.SCRIPTS?.split(';').map((name) => name.trim());
  const limit = env.PAIRS === 'all' ? Number.POSITIVE_INFINITY : Number(env.PAIRS ?? 1_000);
  const mostFailures = Number(env.FAILURES ?? 20);
  const isTriple = env.BLOWS === '3';
  let failures = 0;
  for (const script of SCRIPTS) {
    if (wanted !== undefined && !wanted.includes(script.name)) continue;
    const startMs = performance.now();
    const cpu = process.cpuUsage();
    let worlds = 0;
    let voids = 0;
    let failed = 0;
    let simulated = 0;
    const note = (finding: Finding): void => {
      worlds += 1;
      simulated += finding.simulatedMs;
      voids += Number(finding.isVoid);
      if (finding.violation === null) return;
      failed += 1;
      print(`WORLD='${finding.name}': ${finding.violation}`);
    };
    const mishaps = mishapsIn(script);
    const plain = await explore(script, [], mutations());
    note(plain);
    const singles = singlesOf(mishaps, plain.points);
    const counts: number[] = [];
    for (const single of singles) {
      if (failed >= mostFailures) break;
      const finding = await explore(script, [single], mutations());
      note(finding);
      // Worlds that are void or broken after one blow need no second.
      counts.push(finding.isStruck && !finding.isVoid && finding.violation === null ? finding.points : 0);
    }
    if (failed < mostFailures)
      for (const pair of pairsOf(mishaps, singles, counts, limit)) {
        if (failed >= mostFailures) break;
        const finding = await explore(script, pair, mutations());
        note(finding);
        if (!isTriple || !finding.isStruck || finding.isVoid || finding.violation !== null) continue;
        note(await explore(script, [...pair, thirdOf(mishaps, pair[1].at, finding.points, worlds)], mutations()));
      }
    const tookMs = performance.now() - startMs;
    failures += failed;
    print(
      `${nameOf(script, [])}: ${plain.points} points, ${singles.length} single mishaps; ${worlds} worlds, ${voids} void, ` +
        `${failed} failed; ${(tookMs / worlds).toFixed(1)} ms (CPU ${((process.cpuUsage(cpu).user + process.cpuUsage(cpu).system) / 1e3 / worlds).toFixed(1)}) and ${Math.round(simulated / worlds)} simulated ms each`,
    );
  }
  return failures === 0 ? 0 : 1;
}

void main().then((code) => {
  process.exitCode = code;
});
