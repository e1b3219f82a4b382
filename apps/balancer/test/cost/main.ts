/**
 * `make cost`: what a take-over and the events of a leader cost, by the number of shards and of writes that wait.
 *
 * `SERVERS=12` servers, three replicas of each shard. Each figure is the best of six runs, CPU time of the core's own thread, behind it
 * that of the whole process: V8 compiles in threads of its own. What disturbs a run is not the core's. A cold take-over is the first
 * that its process sees, as it is with a standby; of three processes the best counts.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Crowd, type Cost } from './crowd';
import { CpuTime, ThreadTime } from './meters';

const RUNS = 6;
const PROCESSES = 3;
const SERVERS = Number(process.env.SERVERS ?? 12);

/** The cheapest of some runs by each meter. */
interface Costs {
  thread: Cost;
  process: Cost;
}

function least(runs: number, measure: () => Cost): Cost {
  const costs = Array.from({ length: runs }, measure);
  return costs.reduce((best, cost) => (cost.total < best.total ? cost : best));
}

function measured(crowd: Crowd, measure: () => Cost): Costs {
  const [thread, ofProcess] = [new ThreadTime(), new CpuTime()].map((meter) => {
    crowd.meter = meter;
    return least(RUNS, measure);
  });
  return { thread: thread!, process: ofProcess! };
}

function describe({ thread, process: all }: Costs): string {
  const { total, longest, steps } = thread;
  const ofAll = `${all.total.toFixed(1)} and ${all.longest.toFixed(1)} ms`;
  return `${total.toFixed(1)} ms, the longest of ${steps} steps ${longest.toFixed(1)} ms (process: ${ofAll})`;
}

/** In a process of its own, of which `file` is the world. */
function cold(file: string): Costs {
  const run = (meter: string): Cost =>
    least(PROCESSES, () => JSON.parse(execFileSync(process.execPath, [__filename, file, meter]).toString()) as Cost);
  return { thread: run('thread'), process: run('process') };
}

function takeOvers(): void {
  const folder = mkdtempSync(join(tmpdir(), 'shardline-cost-'));
  const print = (what: string, crowd: Crowd, before: () => void): void => {
    before();
    const file = join(folder, 'crowd');
    writeFileSync(file, crowd.saved());
    const figures = `cold ${describe(cold(file))}; warm ${describe(
      measured(crowd, () => {
        before();
        return crowd.takeOver();
      }),
    )}`;
    process.stdout.write(`take-over with ${what}: ${figures}\n`);
  };
  try {
    for (const shards of [128, 256, 512, 1_024]) print(`${shards} shards`, Crowd.of(shards, SERVERS), () => undefined);
    for (const isKnown of [true, false]) {
      const crowd = Crowd.of(1_024, SERVERS);
      print(`1024 shards that share a round, ${isKnown ? 'known' : 'not known'} to be committed`, crowd, () => {
        crowd.writeEverywhere(isKnown);
      });
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function waitingWrites(): void {
  for (const waiting of [10_000, 160_000]) {
    const crowd = Crowd.of(64, SERVERS);
    crowd.holdsRounds = true;
    crowd.write(waiting);
    const costs = measured(crowd, () => {
      crowd.measure();
      for (let tick = 0; tick < 1_000; tick += 1) crowd.tick();
      return crowd.cost;
    });
    process.stdout.write(`1,000 ticks while ${waiting} writes wait: ${describe(costs)}\n`);
  }
}

/** One cold take-over, for the process that asks. */
function takeOverOnce(file: string, meter: string): void {
  const crowd = Crowd.restored(readFileSync(file));
  if (meter === 'thread') crowd.meter = new ThreadTime();
  process.stdout.write(JSON.stringify(crowd.takeOver()));
}

const [, , file, meter] = process.argv;
if (file !== undefined && meter !== undefined) takeOverOnce(file, meter);
else {
  takeOvers();
  waitingWrites();
}
