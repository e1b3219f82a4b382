/**
 * `make guards`: switches off every guard of the cores and of the protocol's rules, one by one, and asks who notices.
 *
 * First so many worlds run with all guards on, and it is written down in which of them each guard had a say. Then each guard is switched
 * off in those worlds, and, where none of them notices, in the unit tests and stories of the cores. What nobody notices is listed: it
 * is not tested, or not needed.
 *
 * `SEEDS=2000` worlds to look for guards that have a say; `TRIES=400` worlds at most for each guard; `JOBS=2` processes; `ONLY=recovery`
 * guards of files whose path contains it; `TESTS=0` leaves the tests out; `FROM=1` the first seed; `REPORT=file.json` all in numbers.
 */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Guard } from './guards';
import { share, Worker, type Finding } from './crew';
import { makeTree } from './tree';

/** Root of the checkout, from `dist/apps/balancer/test/mutation`. */
const CHECKOUT = resolve(__dirname, '../../../../..');
const TREE = join(CHECKOUT, '.guards');
const SEEDS_A_TASK = 50;
const TEST_DEADLINE_MS = 300_000;
/** Tests that need neither processes nor the simulation, which has had its turn. */
const NO_UNIT_TESTS = ['e2e-spec', 'simulation', 'mutation', '/adapters/', '/config/', '/http/', '/bus/', 'apps/local'];

interface Result {
  guard: Guard;
  /** Worlds of those looked at in which it had a say. */
  decisive: number;
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
  await share(workers, tasks, async (worker, task) => {
    const finding = await worker.run({ guard: null, seeds: task }, (seed, decisive) => {
      for (const id of decisive) {
        const known = say.get(id);
        if (known !== undefined && known.length < tries) known.push(seed);
      }
    });
    if (finding !== null) throw new Error(`seed ${finding.seed} breaks a promise with all guards on: ${finding.by}`);
  });
  return say;
}

/** Which worlds notice that the guard is off. */
async function tryInWorlds(worker: Worker, guard: Guard, seeds: readonly number[]): Promise<Result> {
  const noticed = seeds.length === 0 ? null : await worker.run({ guard: guard.id, seeds }, () => undefined);
  const worlds = noticed === null ? seeds.length : seeds.indexOf(noticed.seed) + 1;
  return { guard, decisive: seeds.length, noticed: noticed === null ? null : { ...noticed, worlds } };
}

/** Whether a test of the cores fails; null when all pass. */
function failingTest(file: string, id: number): string | null {
  const args = [join(CHECKOUT, 'node_modules/jest/bin/jest.js'), '--bail', '-w', '1', '--reporters', 'default'];
  args.push('--setupFiles', join(__dirname, 'switchboard.js'), '--testPathIgnorePatterns', ...NO_UNIT_TESTS);
  args.push('--findRelatedTests', file);
  const env = { ...process.env, GUARD_OFF: String(id) };
  const ended = spawnSync(process.execPath, args, { cwd: TREE, env, encoding: 'utf8', timeout: TEST_DEADLINE_MS });
  if (ended.status === 0) return null;
  const failed = /● (.*)/.exec(ended.stderr)?.[1] ?? /FAIL (\S+)/.exec(ended.stderr)?.[1];
  return failed ?? (ended.error === undefined ? 'the tests fail' : 'the tests do not end');
}

function describe({ guard, decisive, noticed }: Result): string {
  const where = `${guard.file}:${guard.line}`;
  const what = `${guard.text.slice(0, 90)} -> ${guard.neutral}`;
  if (noticed === null) return `NOT NOTICED  ${where}  ${what}  (had a say in ${decisive} worlds)`;
  const how = 'seed' in noticed ? `after ${noticed.worlds} worlds, seed ${noticed.seed}` : 'test';
  return `noticed      ${where}  ${what}  ${how}: ${noticed.by.slice(0, 100)}`;
}

async function main(): Promise<void> {
  const only = process.env.ONLY ?? '';
  const tree = makeTree(CHECKOUT, TREE);
  const guards = tree.guards.filter(({ file }) => file.includes(only));
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
  if (numberFrom('TESTS', 1) === 1) runTests(results);
  report(results, byWorlds, seeds.length);
}

function runTests(results: readonly Result[]): void {
  for (const result of results.filter(({ noticed }) => noticed === null)) {
    const by = failingTest(result.guard.file, result.guard.id);
    if (by !== null) result.noticed = { by };
    print(describe(result));
  }
}

function report(results: readonly Result[], byWorlds: number, seeds: number): void {
  const unnoticed = results.filter(({ noticed }) => noticed === null);
  const noticed = results.length - unnoticed.length;
  const share = (count: number): string => `${((100 * count) / Math.max(1, results.length)).toFixed(1)} %`;
  print('');
  for (const result of unnoticed) print(describe(result));
  print(`${results.length} guards, worlds drawn from ${seeds}: ${byWorlds} (${share(byWorlds)}) noticed by worlds`);
  print(`${noticed} (${share(noticed)}) noticed by worlds or tests, ${unnoticed.length} by nobody`);
  if (process.env.REPORT !== undefined) writeFileSync(process.env.REPORT, JSON.stringify(results, null, 1));
}

void main();
