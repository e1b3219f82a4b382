/**
 * `make sim`: runs many worlds outside of any test runner.
 *
 * `SEEDS=20000` so many (default: 1000), `SEED=17` from that one on (alone, when SEEDS is not given), `JOBS=2` in so many
 * processes, `PROFILE=disks` worlds of that kind alone, `LINES=400` that much of the timeline of a failure. Ends with 1 at the first
 * failure.
 */
import { spawn } from 'node:child_process';
import { reportOf } from './report';
import { simulate } from './simulation';

const DEFAULT_SEEDS = 1_000;
const PROGRESS_MS = 10_000;

interface Range {
  from: number;
  count: number;
}

interface Tally {
  seeds: number;
  operations: number;
  faults: number;
  simulatedMs: number;
  isVoid: number;
  undecided: number;
}

/** By profile. */
type Tallies = Record<string, Tally>;

const EMPTY: Tally = { seeds: 0, operations: 0, faults: 0, simulatedMs: 0, isVoid: 0, undecided: 0 };

function numberFrom(name: string, otherwise: number): number {
  const value = Number(process.env[name] ?? otherwise);
  if (!Number.isSafeInteger(value) || value < 1) throw new RangeError(`${name} must be a whole number from 1 on`);
  return value;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** Runs the seeds one after the other; null when one of them failed, which has been printed. */
async function runAll({ from, count }: Range): Promise<Tallies | null> {
  const tallies: Tallies = {};
  const startMs = performance.now();
  let reportedMs = startMs;
  for (let seed = from; seed < from + count; seed += 1) {
    const verdict = await simulate(seed);
    if (verdict.violation !== null) {
      print(await reportOf(verdict, numberFrom('LINES', 300)));
      return null;
    }
    const tally = (tallies[verdict.profile] ??= { ...EMPTY });
    tally.seeds += 1;
    tally.operations += verdict.operations;
    tally.faults += verdict.faults;
    tally.simulatedMs += verdict.simulatedMs;
    tally.isVoid += Number(verdict.isVoid);
    tally.undecided += Number(verdict.undecided > 0);
    const nowMs = performance.now();
    if (nowMs - reportedMs < PROGRESS_MS) continue;
    reportedMs = nowMs;
    print(`  up to seed ${seed}: ${Math.round(((seed - from + 1) * 1000) / (nowMs - startMs))} seeds/s`);
  }
  return tallies;
}

/** The same in a process of its own. */
function runApart({ from, count }: Range): Promise<Tallies | null> {
  return new Promise((resolve, reject) => {
    const env = { ...process.env, SEED: String(from), SEEDS: String(count), JOBS: '1', SIMULATION_PART: '1' };
    const child = spawn(process.execPath, [...process.execArgv, __filename], {
      env,
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    let tally: Tallies | null = null;
    child.on('message', (message) => {
      tally = message as Tallies;
    });
    child.on('error', reject);
    child.on('exit', () => {
      resolve(tally);
    });
  });
}

function add(total: Tally, tally: Tally): void {
  for (const name of Object.keys(total) as (keyof Tally)[]) total[name] += tally[name];
}

function sum(parts: readonly Tallies[]): Tallies {
  const total: Tallies = {};
  for (const part of parts)
    for (const [profile, tally] of Object.entries(part)) add((total[profile] ??= { ...EMPTY }), tally);
  return total;
}

function split({ from, count }: Range, jobs: number): Range[] {
  const size = Math.ceil(count / jobs);
  const starts = Array.from({ length: jobs }, (_, index) => index * size).filter((start) => start < count);
  return starts.map((start) => ({ from: from + start, count: Math.min(size, count - start) }));
}

function summary(tallies: Tallies, tookMs: number, jobs: number): string {
  const total = { ...EMPTY };
  for (const tally of Object.values(tallies)) add(total, tally);
  const { seeds, operations, faults, simulatedMs, isVoid, undecided } = total;
  const perSecond = Math.round((seeds * 1000) / tookMs);
  const lines = Object.entries(tallies)
    .sort(([a], [b]) => a.localeCompare(b))
    .map(([profile, one]) => `    ${profile}: ${one.seeds} worlds, ${one.isVoid} void, ${one.undecided} undecided`);
  return [
    `${seeds} worlds in ${(tookMs / 1000).toFixed(1)} s with ${jobs} process(es): ${perSecond} seeds/s`,
    `  ${operations} operations of clients, ${faults} faults, ${Math.round(simulatedMs / 1000)} s of simulated time`,
    `  ${isVoid} worlds lost their only copies (nothing is promised then), ${undecided} held a history too wide to check`,
    ...lines,
    '  no promise was broken',
  ].join('\n');
}

async function main(): Promise<void> {
  const isOne = process.env.SEED !== undefined && process.env.SEEDS === undefined;
  const range = { from: numberFrom('SEED', 1), count: isOne ? 1 : numberFrom('SEEDS', DEFAULT_SEEDS) };
  const jobs = numberFrom('JOBS', 1);
  const startMs = performance.now();
  const parts = jobs === 1 ? [runAll(range)] : split(range, jobs).map(runApart);
  const tallies = (await Promise.all(parts)).filter((tally) => tally !== null);
  if (tallies.length < parts.length) process.exitCode = 1;
  else if (process.env.SIMULATION_PART !== undefined) process.send?.(sum(tallies));
  else print(summary(sum(tallies), performance.now() - startMs, jobs));
}

void main();
