/** Runs instrumented worlds in a process of its own: a world without a guard may loop forever, or take all memory. */
import { record, stopRecording, switchOff } from './switchboard';

/** `guard` null: all are on, and those that had a say are reported. */
export interface Task {
  guard: number | null;
  seeds: readonly number[];
}

/** A task of a guard ends with `noticed` or `passed`; one without a guard reports `decisive` for each seed, then `passed`. */
export type Report =
  | { is: 'ready' }
  | { is: 'decisive'; seed: number; guards: number[] }
  | { is: 'began'; seed: number }
  | { is: 'noticed'; seed: number; by: string }
  | { is: 'passed' };

type Simulate = (seed: number) => Promise<{ violation: string | null }>;

function send(report: Report): void {
  process.send?.(report);
}

async function run(simulate: Simulate, { guard, seeds }: Task): Promise<void> {
  switchOff(guard);
  for (const seed of seeds) {
    send({ is: 'began', seed });
    const decisive = guard === null ? record() : new Set<number>();
    const by = await outcomeOf(simulate, seed);
    stopRecording();
    if (guard === null) send({ is: 'decisive', seed, guards: [...decisive] });
    if (by === null) continue;
    send({ is: 'noticed', seed, by });
    return;
  }
  send({ is: 'passed' });
}

async function outcomeOf(simulate: Simulate, seed: number): Promise<string | null> {
  try {
    return (await simulate(seed)).violation;
  } catch (error) {
    return `it throws: ${error instanceof Error ? error.message : String(error)}`;
  }
}

/** The module that simulates stands in the instrumented tree, not beside this file. */
async function serve(path: string): Promise<void> {
  const { simulate } = (await import(path)) as { simulate: Simulate };
  process.on('message', (task: Task) => {
    void run(simulate, task);
  });
  send({ is: 'ready' });
}

const [, , simulation] = process.argv;
if (simulation !== undefined) void serve(simulation);
