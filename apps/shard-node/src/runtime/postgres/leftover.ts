/**
 * A Postgres that an earlier process of ours left on the data directory. Its guard ends it as soon as that process is
 * gone, so there is mostly nothing to do but to wait a moment; a guard that was killed as well, or a Postgres that was paused,
 * needs a harder hand.
 */
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from '#common/logging/logger';
import { commandOf, isCode, signalProcess, waitUntilGone } from '#common/process/process-table';

const OWN_END_MS = 3_000;
const QUIT_MS = 2_000;
const KILL_MS = 5_000;

/**
 * Sees to it that no Postgres runs on `clusterDir`, and that none is believed to: a pid file whose number belongs to another
 * program by now would keep Postgres from starting.
 *
 * @throws Error when it cannot be ended
 */
export async function endLeftover(clusterDir: string, logger: Logger): Promise<void> {
  const pid = await postmasterPid(clusterDir);
  if (pid === undefined) return;
  const runs = (): Promise<boolean> => isPostmasterOf(clusterDir, pid);
  if (await runs()) logger.warn({ postgresPid: pid, clusterDir }, 'another Postgres is still on our data');
  if (!(await waitUntilGone(runs, OWN_END_MS))) await endByForce(pid, runs, logger);
  await rm(join(clusterDir, 'postmaster.pid'), { force: true });
}

/** Ends the Postgres on `clusterDir` without asking it; what it had acknowledged is on disk. */
export async function killPostmaster(clusterDir: string, logger: Logger): Promise<void> {
  const pid = await postmasterPid(clusterDir);
  if (pid !== undefined) await endByForce(pid, () => isPostmasterOf(clusterDir, pid), logger);
}

async function endByForce(pid: number, runs: () => Promise<boolean>, logger: Logger): Promise<void> {
  const steps = [
    { signal: 'SIGQUIT', waitMs: QUIT_MS },
    { signal: 'SIGKILL', waitMs: KILL_MS },
  ] as const;
  for (const { signal, waitMs } of steps) {
    if (!(await runs())) return;
    logger.warn({ postgresPid: pid, signal }, 'ending Postgres by force');
    signalProcess(pid, signal);
    if (await waitUntilGone(runs, waitMs)) return;
  }
  throw new Error(`Postgres (process ${pid}) does not end`);
}

/** The first line of the file that Postgres keeps while it runs. */
export async function postmasterPid(clusterDir: string): Promise<number | undefined> {
  try {
    const pid = Number.parseInt(await readFile(join(clusterDir, 'postmaster.pid'), 'utf8'), 10);
    return pid > 0 ? pid : undefined;
  } catch (error) {
    if (isCode(error, 'ENOENT')) return undefined;
    throw error;
  }
}

/** Whether the process is a Postgres that was started on this very data directory. */
async function isPostmasterOf(clusterDir: string, pid: number): Promise<boolean> {
  const command = await commandOf(pid);
  return command?.includes(`postgres -D ${clusterDir} `) === true;
}
