/**
 * `make explore`: small worlds with whatever can go wrong in them, outside of any test runner.
 *
 * `WORLD='rm / leader ends@12 / S0 is empty@30'` runs that one and prints its timeline, of which `LINES=200` are shown. Else
 * `SCRIPTS='rm;init'` (default: all), `TURNS=20000` of each (default: 1000), each a world with one mishap, and with a second one that
 * comes after it, and so on up to `BLOWS=3` (default: 2); `TURNS=all` for every single mishap and every pair. `MISHAPS='empty|bucket'`
 * are those whose names match. `SWITCH=` turns off a guard of `switches.ts`. Ends with 1 when a promise was broken; `FAILURES=20` are looked
 * for in each script, `EXCUSED=1` names those in which a shard need not be served although a disk holds all of it.
 */
import type { WorldMutations } from '../simulation/world';
import { explore, mishapsIn, worldOf, type Blow, type Finding } from './explore';
import { blowOf, pairsOf, singlesOf } from './pairs';
import { SCRIPTS, type Script } from './scripts';
import { SWITCHES } from './switches';

const { env } = process;

/** For the first blow of a world, the second, the third. */
const SPREADS = [5, 2, 3].map((square) => Math.sqrt(square) % 1);

interface Tally {
  worlds: number;
  isVoid: number;
  excused: number;
  failed: number;
  simulatedMs: number;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

function numberFrom(name: string, otherwise: number): number {
  const value = Number(env[name] ?? otherwise);
  if (!Number.isSafeInteger(value) || value < 1) throw new RangeError(`${name} must be a whole number from 1 on`);
  return value;
}

/** The guard that is turned off, if any. */
function mutationsOf(name: string | undefined): () => WorldMutations {
  const found = SWITCHES.find((one) => one.name === name);
  if (name !== undefined && found === undefined)
    throw new RangeError(`there is no switch ${name}: ${SWITCHES.map((one) => one.name).join('; ')}`);
  return found?.mutations ?? ((): WorldMutations => ({}));
}

/** Whether another blow may show something. */
function mayGoFurther({ isStruck, isVoid, violation }: Finding): boolean {
  return isStruck && !isVoid && violation === null;
}

class Explorer {
  private readonly tally: Tally = { worlds: 0, isVoid: 0, excused: 0, failed: 0, simulatedMs: 0 };
  private readonly mishaps;
  private readonly mostFailures = numberFrom('FAILURES', 20);

  constructor(
    private readonly script: Script,
    private readonly mutations: () => WorldMutations,
  ) {
    const pattern = new RegExp(env.MISHAPS ?? '');
    this.mishaps = mishapsIn(script).filter(({ name }) => pattern.test(name));
  }

  /** Returns how many worlds failed. */
  async run(): Promise<number> {
    const startMs = performance.now();
    const cpu = process.cpuUsage();
    const { points } = await this.look([]);
    if (env.TURNS === 'all') await this.lookAtAll(points);
    else await this.take(numberFrom('TURNS', 1_000), numberFrom('BLOWS', 2), points);
    const { worlds, isVoid, excused, failed, simulatedMs } = this.tally;
    const { user, system } = process.cpuUsage(cpu);
    const [tookMs, cpuMs] = [performance.now() - startMs, (user + system) / 1_000];
    const each = [tookMs, cpuMs, simulatedMs].map((ms) => (ms / worlds).toFixed(1));
    print(
      `${this.script.name}: ${points} points, ${this.mishaps.length} mishaps; ${worlds} worlds, ${isVoid} void, ${excused} excused, ${failed} failed; ` +
        `each ${each[0]} ms, ${each[1]} ms of CPU, ${each[2]} simulated ms`,
    );
    return failed;
  }

  private async take(turns: number, blows: number, points: number): Promise<void> {
    for (let turn = 1; turn <= turns && !this.isDone(); turn += 1) {
      const struck: Blow[] = [];
      let last: Finding | null = null;
      for (const spread of SPREADS.slice(0, blows)) {
        const after = struck.at(-1)?.at ?? 0;
        struck.push(blowOf(this.mishaps, after, last?.points ?? points, turn, spread));
        last = await this.look(struck);
        if (!mayGoFurther(last)) break;
      }
    }
  }

  private async lookAtAll(points: number): Promise<void> {
    const singles = singlesOf(this.mishaps, points);
    const counts: number[] = [];
    for (const single of singles) {
      if (this.isDone()) return;
      const finding = await this.look([single]);
      counts.push(mayGoFurther(finding) ? finding.points : 0);
    }
    for (const pair of pairsOf(this.mishaps, singles, counts, Number.POSITIVE_INFINITY)) {
      if (this.isDone()) return;
      await this.look(pair);
    }
  }

  private async look(blows: readonly Blow[]): Promise<Finding> {
    const finding = await explore(this.script, blows, this.mutations());
    this.tally.worlds += 1;
    this.tally.isVoid += Number(finding.isVoid);
    this.tally.simulatedMs += finding.simulatedMs;
    this.tally.excused += Number(finding.excused.length > 0);
    if (finding.excused.length > 0 && env.EXCUSED !== undefined) print(`WORLD='${finding.name}': excused`);
    if (finding.violation !== null) {
      this.tally.failed += 1;
      print(`WORLD='${finding.name}': ${finding.violation}`);
    }
    return finding;
  }

  private isDone(): boolean {
    return this.tally.failed >= this.mostFailures;
  }
}

async function main(): Promise<number> {
  const mutations = mutationsOf(env.SWITCH);
  if (env.WORLD !== undefined) {
    const { script, blows } = worldOf(env.WORLD);
    const { name, violation, isVoid, points, timeline } = await explore(script, blows, mutations(), true);
    for (const line of timeline.slice(-numberFrom('LINES', 2_000))) print(line);
    print(`${name}: ${violation ?? (isVoid ? 'void' : 'all is well')} (${points} points)`);
    return violation === null ? 0 : 1;
  }
  const wanted = env.SCRIPTS?.split(';').map((name) => name.trim());
  let failed = 0;
  for (const script of SCRIPTS)
    if (wanted?.includes(script.name) !== false) failed += await new Explorer(script, mutations).run();
  return failed === 0 ? 0 : 1;
}

void main().then((code) => {
  process.exitCode = code;
});
