/**
 * `make guards`: switches off every guard of the cores and of the protocol's rules, one by one, and asks who notices.
 *
 * The unit tests and stories of the cores are asked first: each test once more with each guard off that has a say in it. Then so many
 * worlds run with all guards on, and it is written down in which of them each guard had a say; in those it is switched off. What nobody
 * notices is listed: it is not tested, or not needed. A world that breaks a promise although all guards are on is printed, and left out; so
 * is a test that fails then, and the run ends with 1.
 *
 * `SEEDS=2000` worlds to look for guards that have a say, 0 for none; `TRIES=400` worlds at most for each guard; `JOBS=2` processes;
 * `ONLY=recovery` guards of files whose path contains it; `EVERY=10` one guard of so many alone, for a sample; `TESTS=0` leaves the tests
 * out, `SPECS='recovery|wedges'` asks those alone whose path matches; `FROM=1` the first seed; `REPORT=file.json` all in numbers.
 */
import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Guard } from './guards';
import { share, Worker, type Finding } from './crew';
import { makeTree } from './tree';
import { UnitTests } from './unit-tests';

/** Root of the checkout, from `dist/apps/balancer/test/mutation`. */
const CHECKOUT = resolve(__dirname, '../../../../..');
const TREE = join(CHECKOUT, '.guards');
const SEEDS_A_TASK = 50;

interface Result {
  guard: Guard;
  /** Worlds of those looked at in which it had a say. */
  decisive: number;
  /** Files of tests in which it had a say. */
  specs: number;
  byWorlds: (Finding & { worlds: number }) | null;
  /** The test that fails without it. */
  byTest: string | null;
}

function numberFrom(name: string, otherwise: number): number {
  const value = Number(process.env[name] ?? otherwise);
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`${name} must be a whole number`);
  return value;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** By guard: the seeds in which it had a say, the first `tries` of them. */
async function findSay(
  workers: readonly Worker[],
  guards: readonly Guard[],
  seeds: readonly number[],
  tries: number,
): Promise<Map<number, number[]>> {
  const say = new Map<number, number[]>(guards.map(({ id }) => [id, []]));
  const tasks: number[][] = [];
  for (let at = 0; at < seeds.length; at += SEEDS_A_TASK) tasks.push(seeds.slice(at, at + SEEDS_A_TASK));
  const failing = new Set<number>();
  await share(workers, tasks, async (worker, task) => {
    for (let rest: readonly number[] = task; rest.length > 0;) {
      const finding = await worker.run({ guard: null, seeds: rest }, (seed, decisive) => {
        for (const id of decisive) {
          const known = say.get(id);
          if (known !== undefined && known.length < tries) known.push(seed);
        }
      });
      if (finding === null) return;
      print(`seed ${finding.seed} breaks a promise with all guards on, and is left out: ${finding.by}`);
      failing.add(finding.seed);
      rest = rest.slice(rest.indexOf(finding.seed) + 1);
    }
  });
  for (const [id, known] of say)
    say.set(
      id,
      known.filter((seed) => !failing.has(seed)),
    );
  return say;
}

/** Whether a world notices that the guard is off. */
async function tryInWorlds(worker: Worker, guard: Guard, seeds: readonly number[]): Promise<Result['byWorlds']> {
  const noticed = seeds.length === 0 ? null : await worker.run({ guard: guard.id, seeds }, () => undefined);
  return noticed === null ? null : { ...noticed, worlds: seeds.indexOf(noticed.seed) + 1 };
}

function describe({ guard, decisive, specs, byWorlds, byTest }: Result): string {
  const where = `${guard.file}:${guard.line}`;
  const what = `${guard.text.slice(0, 90)} -> ${guard.neutral}`;
  if (byWorlds === null && byTest === null)
    return `NOT NOTICED  ${where}  ${what}  (had a say in ${decisive} worlds, ${specs} files of tests)`;
  const inWorlds = byWorlds === null ? [] : [`after ${byWorlds.worlds} worlds, seed ${byWorlds.seed}: ${byWorlds.by}`];
  const inTests = byTest === null ? [] : [`test: ${byTest}`];
  return `noticed      ${where}  ${what}  ${[...inTests, ...inWorlds].map((one) => one.slice(0, 120)).join('; ')}`;
}

async function main(): Promise<void> {
  const only = process.env.ONLY ?? '';
  const tree = makeTree(CHECKOUT, TREE);
  const every = Math.max(1, numberFrom('EVERY', 1));
  const jobs = numberFrom('JOBS', 1);
  const guards = tree.guards.filter(({ file }) => file.includes(only)).filter((_, index) => index % every === 0);
  const results = guards.map((guard): Result => ({ guard, decisive: 0, specs: 0, byWorlds: null, byTest: null }));
  const first = numberFrom('FROM', 1);
  const seeds = Array.from({ length: numberFrom('SEEDS', 2_000) }, (_, index) => first + index);
  if (numberFrom('TESTS', 1) === 1) await askTests(results, jobs);
  if (seeds.length > 0) await askWorlds(results, seeds, jobs);
  report(results, seeds.length);
}

async function askTests(results: readonly Result[], jobs: number): Promise<void> {
  print(`${results.length} guards; asking the tests`);
  const tests = new UnitTests(CHECKOUT, TREE, jobs, new RegExp(process.env.SPECS ?? ''), print);
  const { noticed, specs } = await tests.ask(results.map(({ guard }) => guard.id));
  if (tests.failing.length > 0) process.exitCode = 1;
  for (const result of results) {
    result.byTest = noticed.get(result.guard.id) ?? null;
    result.specs = specs.get(result.guard.id)?.size ?? 0;
  }
}

async function askWorlds(results: readonly Result[], seeds: readonly number[], jobs: number): Promise<void> {
  print(`${results.length} guards; looking for those that have a say in ${seeds.length} worlds`);
  const workers = Array.from({ length: jobs }, () => new Worker(TREE));
  let done = 0;
  try {
    const guards = results.map(({ guard }) => guard);
    const say = await findSay(workers, guards, seeds, numberFrom('TRIES', 400));
    await share(workers, results, async (worker, result) => {
      const tries = say.get(result.guard.id) ?? [];
      result.decisive = tries.length;
      result.byWorlds = await tryInWorlds(worker, result.guard, tries);
      done += 1;
      print(`${done}/${results.length} ${describe(result)}`);
    });
  } finally {
    for (const worker of workers) worker.end();
  }
}

/**
 * A comparison with undefined or null that has a say nowhere is there for the type checker: what it looks at is always there. The same
 * holds for what has a say nowhere because no message or workflow of the core can lead to it.
 */
function report(results: readonly Result[], seeds: number): void {
  const unnoticed = results.filter(({ byWorlds, byTest }) => byWorlds === null && byTest === null);
  const silent = unnoticed.filter(({ decisive, specs }) => decisive === 0 && specs === 0).length;
  const count = (fits: (result: Result) => boolean, of: number): string => {
    const fitting = results.filter(fits).length;
    return `${fitting} (${((100 * fitting) / Math.max(1, of)).toFixed(1)} %)`;
  };
  const isNoticed = ({ byWorlds, byTest }: Result): boolean => byWorlds !== null || byTest !== null;
  print('');
  for (const result of unnoticed) print(describe(result));
  print(`${results.length} guards, worlds drawn from ${seeds}; ${silent} have a say in no world and no test`);
  print(`noticed by tests: ${count(({ byTest }) => byTest !== null, results.length)}`);
  print(`noticed by worlds: ${count(({ byWorlds }) => byWorlds !== null, results.length)}`);
  print(`noticed by either: ${count(isNoticed, results.length)}`);
  print(`of those that have a say: ${count(isNoticed, results.length - silent)}`);
  if (process.env.REPORT !== undefined) writeFileSync(process.env.REPORT, JSON.stringify(results, null, 1));
}

void main();
