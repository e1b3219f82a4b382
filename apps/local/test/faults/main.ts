/**
 * `make faults`: every fault in turn on real processes. Environment: `SEED` (a number; else chosen and printed), `FAULTS` (names, separated by
 * commas; else all), `ROUNDS` (1), `CLIENTS` (12). Ends with status 1 when something was found; logs and histories are kept then.
 */
import { FAULTS, type Fault } from './fault-list';
import { FaultRun, type FaultReport } from './fault-run';

interface Settings {
  seed: number;
  rounds: number;
  clients: number;
  faults: readonly Fault[];
}

function settingsFrom(env: NodeJS.ProcessEnv): Settings {
  const names = (env.FAULTS ?? '').split(/[ ,]+/).filter((name) => name !== '');
  const unknown = names.filter((name) => !FAULTS.some((fault) => fault.name === name));
  if (unknown.length > 0) {
    throw new Error(`no such fault: ${unknown.join(', ')}; there are ${FAULTS.map(({ name }) => name).join(', ')}`);
  }
  return {
    seed: numberFrom(env.SEED, Math.floor(Math.random() * 1e6)),
    rounds: numberFrom(env.ROUNDS, 1),
    clients: numberFrom(env.CLIENTS, 12),
    faults: names.length === 0 ? FAULTS : names.flatMap((name) => FAULTS.filter((fault) => fault.name === name)),
  };
}

function numberFrom(text: string | undefined, otherwise: number): number {
  if (text === undefined || text === '') return otherwise;
  if (!/^\d{1,9}$/.test(text)) throw new Error(`${JSON.stringify(text)} is not a number`);
  return Number(text);
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

const seconds = (ms: number | null): string => (ms === null ? '-' : `${(ms / 1000).toFixed(1)} s`);

function lineOf(outcome: FaultReport): string {
  const { fault, notHere, operations, errors, longestStallMs, wholeAfterMs, undecided, faults, note } = outcome;
  const name = fault.padEnd(18);
  if (notHere !== undefined) return `${name} not run: ${notHere}`;
  const counts = Object.entries(errors).map(([kind, count]) => `${count} × ${kind}`);
  const verdict = faults.length > 0 ? `${faults.length} FOUND` : undecided > 0 ? `ok (${undecided} undecided)` : 'ok';
  return [
    name,
    String(operations).padStart(6),
    seconds(longestStallMs).padStart(8),
    seconds(wholeAfterMs).padStart(8),
    verdict.padEnd(8),
    [counts.join(', ') || 'no errors', note].filter((text) => text !== '').join('; '),
  ].join('  ');
}

async function main(): Promise<number> {
  const { seed, rounds, clients, faults } = settingsFrom(process.env);
  say(`SEED=${seed}, ${clients} clients`);
  say(
    `${'fault'.padEnd(18)}  ${'ops'.padStart(6)}  ${'stall'.padStart(8)}  ${'whole'.padStart(8)}  verdict   what clients saw`,
  );
  let found = 0;
  for (let round = 0; round < rounds; round += 1) found += await runRound({ seed: seed + round, clients }, faults);
  say(found === 0 ? 'nothing found' : `${found} faults were not survived`);
  return found === 0 ? 0 : 1;
}

/** One cluster for as long as nothing is found; another one after that. Returns how many faults were not survived. */
async function runRound(options: { seed: number; clients: number }, faults: readonly Fault[]): Promise<number> {
  let found = 0;
  let run: FaultRun | undefined;
  try {
    for (const fault of faults) {
      run ??= await FaultRun.start(options, faults);
      const outcome = await run.inject(fault);
      say(lineOf(outcome));
      if (outcome.faults.length === 0) continue;
      found += 1;
      for (const text of outcome.faults.slice(0, 5)) say(`    ${text.slice(0, 2_000)}`);
      await run.endAndKeep();
      say(`    logs and history in ${run.folder}`);
      run = undefined;
    }
  } finally {
    await run?.destroy();
  }
  return found;
}

main().then(
  (status) => process.exit(status),
  (error: unknown) => {
    process.stderr.write(`${(error as Error).stack ?? String(error)}\n`);
    process.exit(1);
  },
);
