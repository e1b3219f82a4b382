/**
 * `make guards`: switches off every guard of the cores and of the protocol's rules, one by one, and asks who notices.
 *
 * First so many worlds run with all guards on, and it is written down in which of them each guard had a say. Then each guard is switched
 * off in those worlds, and, where none of them notices, in the unit tests and stories of the cores. What nobody notices is listed: it
 * is not tested, or not needed. A world that breaks a promise although all guards are on is told, and left out.
 *
 * `SEEDS=2000` worlds to look for guards that have a say; `TRIES=400` worlds at most for each guard; `JOBS=2` processes; `ONLY=recovery`
 * guards of files whose path contains it; `EVERY=10` one guard of so many alone, for a sample; `TESTS=0` leaves the tests out; `FROM=1` the first seed; `REPORT=file.json` all in numbers.
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
  /** Files of tests in which it had a say; undefined when they were not asked. */
  specs?: number;
  noticed: (Finding & { worlds: number }) | { by: string } | null;
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

/** Which worlds notice that the guard is off. */
async function tryInWorlds(worker: Worker, guard: Guard, seeds: readonly number[]): Promise<Result> {
  const noticed = seeds.length === 0 ? null : await worker.run({ guard: guard.id, seeds }, () => undefined);
  const worlds = noticed === null ? seeds.length : seeds.indexOf(noticed.seed) + 1;
  return { guard, decisive: seeds.length, noticed: noticed === null ? null : { ...noticed, worlds } };
}

function describe({ guard, decisive, specs, noticed }: Result): string {
  const where = `${guard.file}:${guard.line}`;
  const what = `${guard.text.slice(0, 90)} -> ${guard.neutral}`;
  if (noticed === null)
    return `NOT NOTICED  ${where}  ${what}  (had a say in ${decisive} worlds, ${specs ?? '?'} files of tests)`;
  const how = 'seed' in noticed ? `after ${noticed.worlds} worlds, seed ${noticed.seed}` : 'test';
  return `noticed      ${where}  ${what}  ${how}: ${noticed.by.slice(0, 100)}`;
}

async function main(): Promise<void> {
  const only = process.env.ONLY ?? '';
  const tree = makeTree(CHECKOUT, TREE);
  const every = Math.max(1, numberFrom('EVERY', 1));
  const guards = tree.guards.filter(({ file }) => file.includes(only)).filter((_, index) => index % every === 0);
  const workers = Array.from({ length: numberFrom('JOBS', 1) }, () => new Worker(TREE));
  const first = numberFrom('FROM', 1);
  const seeds = Array.from({ length: numberFrom('SEEDS', 2_000) }, (_, index) => first + index);
  print(`${guards.length} guards; looking for those that have a say in ${seeds.length} worlds`);
  const results: Result[] = [];
  try {
    const say = await findSay(workers, guards, seeds, numberFrom('TRIES', 400));
    await share(workers, guards, async (worker, guard) => {
      const result = await tryInWorlds(worker, guard, say.get(guard.id) ?? []);
      results.push(result);
      print(`${results.length}/${guards.length} ${describe(result)}`);
    });
  } finally {
    for (const worker of workers) worker.end();
  }
  const byWorlds = results.filter(({ noticed }) => noticed !== null).length;
  print(`noticed by worlds: ${byWorlds} of ${results.length}`);
  if (numberFrom('TESTS', 1) === 1) await runTests(results, workers);
  report(results, byWorlds, seeds.length);
}

/** Those that no world notices, in the tests; one guard after the other, as many at once as there are workers. */
async function runTests(results: readonly Result[], workers: readonly Worker[]): Promise<void> {
  const tests = await UnitTests.prepare(CHECKOUT, TREE);
  const open = results.filter(({ noticed }) => noticed === null);
  await share(workers, open, async (_worker, result) => {
    result.specs = tests.count(result.guard.id);
    const by = await tests.failing(result.guard.id);
    if (by !== null) result.noticed = { by };
    print(describe(result));
  });
}

/**
 * A comparison with undefined or null that has a say nowhere is there for the type checker: what it looks at is always there. The same
 * holds for what has a say nowhere because no message or workflow of the core can lead to it.
 */
function report(results: readonly Result[], byWorlds: number, seeds: number): void {
  const unnoticed = results.filter(({ noticed }) => noticed === null);
  const silent = unnoticed.filter(({ decisive, specs }) => decisive === 0 && specs === 0).length;
  const noticed = results.length - unnoticed.length;
  const share = (count: number, of: number): string => `${((100 * count) / Math.max(1, of)).toFixed(1)} %`;
  print('');
  for (const result of unnoticed) print(describe(result));
  print(`${results.length} guards, worlds drawn from ${seeds}; ${silent} have a say in no world and no test`);
  print(`noticed by worlds: ${byWorlds} (${share(byWorlds, results.length)})`);
  print(`noticed by worlds or tests: ${noticed} (${share(noticed, results.length)})`);
  print(`of those that have a say: ${share(noticed, results.length - silent)}`);
  if (process.env.REPORT !== undefined) writeFileSync(process.env.REPORT, JSON.stringify(results, null, 1));
}

void main();
