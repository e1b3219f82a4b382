/** Workers, and what they find out about guards. */
import { fork, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import type { Report, Task } from './worker';

/** A world that takes longer than this does not end. Worlds take milliseconds; a busy machine is allowed for. */
const WORLD_DEADLINE_MS = 30_000;
const WORKER_MEMORY_MB = 1_024;

/** What a task came to: whether something was noticed, and where. */
export interface Finding {
  seed: number;
  by: string;
}

/** One process that is restarted whenever a world has ended it. */
export class Worker {
  private child: ChildProcess | null = null;

  constructor(private readonly root: string) {}

  /** Runs the task; null when nothing was noticed. `decisive` is called for each seed of a task without a guard. */
  async run(task: Task, decisive: (seed: number, guards: readonly number[]) => void): Promise<Finding | null> {
    const child = this.child ?? (await this.start());
    const finding = await this.follow(child, task, decisive);
    if (child.exitCode !== null || child.signalCode !== null) this.child = null;
    return finding;
  }

  end(): void {
    this.child?.kill('SIGKILL');
    this.child = null;
  }

  private start(): Promise<ChildProcess> {
    const simulation = join(this.root, 'dist/apps/balancer/test/simulation/simulation.js');
    const execArgv = [`--max-old-space-size=${WORKER_MEMORY_MB}`, '--max-semi-space-size=32'];
    const child = fork(join(__dirname, 'worker.js'), [simulation], {
      ...{ cwd: this.root, execArgv },
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    this.child = child;
    return new Promise((resolve, reject) => {
      child.once('message', () => {
        resolve(child);
      });
      child.once('exit', (code) => {
        reject(new Error(`the worker ended with ${String(code)} before it began`));
      });
      child.once('error', reject);
    });
  }

  private follow(
    child: ChildProcess,
    task: Task,
    decisive: (seed: number, guards: readonly number[]) => void,
  ): Promise<Finding | null> {
    return new Promise((resolve) => {
      let seed = task.seeds[0] ?? 0;
      let endsBy = 'the process ends';
      let deadline: NodeJS.Timeout | undefined;
      const finish = (finding: Finding | null): void => {
        clearTimeout(deadline);
        child.off('message', hear).off('exit', ended);
        resolve(finding);
      };
      const ended = (): void => {
        finish({ seed, by: endsBy });
      };
      const hear = (report: Report): void => {
        if (report.is === 'began') {
          seed = report.seed;
          clearTimeout(deadline);
          deadline = setTimeout(() => {
            endsBy = `the world does not end within ${WORLD_DEADLINE_MS} ms`;
            child.kill('SIGKILL');
          }, WORLD_DEADLINE_MS);
        } else if (report.is === 'decisive') decisive(report.seed, report.guards);
        else if (report.is === 'noticed') finish({ seed: report.seed, by: report.by });
        else if (report.is === 'passed') finish(null);
      };
      child.on('message', hear).on('exit', ended);
      child.send(task);
    });
  }
}

/** Works through the items with all workers at once, in order. */
export async function share<T>(
  workers: readonly Worker[],
  items: readonly T[],
  work: (worker: Worker, item: T) => Promise<void>,
): Promise<void> {
  const waiting = [...items];
  const one = async (worker: Worker): Promise<void> => {
    for (let item = waiting.shift(); item !== undefined; item = waiting.shift()) await work(worker, item);
  };
  await Promise.all(workers.map(one));
}
