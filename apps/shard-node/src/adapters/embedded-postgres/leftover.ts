/**
 * A Postgres that an earlier process of the node left on the data directory. Its guard ends it as soon as that process is
 * gone, so there is mostly nothing to do but to wait a moment; a guard that was killed as well, or a Postgres that was paused,
 * needs a harder hand.
 *
 * It is looked for among the processes that run. Postgres's own `postmaster.pid` is not believed: after a power cut it may be empty or
 * zeroed, name another program by now, or have come with a copy of the folder.
 */
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from '#common/logging/logger';
import { isCode, processesRunning, signalProcess, waitUntilGone } from '#common/process/process-table';

const OWN_END_MS = 3_000;
const QUIT_MS = 2_000;
const KILL_MS = 5_000;

/**
 * Sees to it that no Postgres runs on `clusterDir`, and that none is believed to: what is left of its pid file would keep Postgres from
 * starting.
 *
 * @throws Error when it cannot be ended
 */
export async function endLeftover(clusterDir: string, logger: Logger): Promise<void> {
  const runs = async (): Promise<boolean> => (await postmastersOn(clusterDir)).length > 0;
  if (await runs()) {
    logger.warn({ clusterDir }, 'another Postgres still uses this data directory');
    if (!(await waitUntilGone(runs, OWN_END_MS))) await killPostmaster(clusterDir, logger);
  }
  await rm(join(clusterDir, 'postmaster.pid'), { force: true });
}

/** Ends the Postgres on `clusterDir` without asking it; what it had acknowledged is on disk. */
export async function killPostmaster(clusterDir: string, logger: Logger): Promise<void> {
  const steps = [
    { signal: 'SIGQUIT', waitMs: QUIT_MS },
    { signal: 'SIGKILL', waitMs: KILL_MS },
  ] as const;
  for (const { signal, waitMs } of steps) {
    const pids = await postmastersOn(clusterDir);
    if (pids.length === 0) return;
    logger.warn({ postgresPids: pids, signal }, 'ending Postgres by force');
    for (const pid of pids) signalProcess(pid, signal);
    if (await waitUntilGone(async () => (await postmastersOn(clusterDir)).length > 0, waitMs)) return;
  }
  throw new Error(`Postgres on ${clusterDir} does not end`);
}

/** What Postgres says of itself in the file that it keeps while it runs: undefined when that says nothing. */
export async function postmasterPid(clusterDir: string): Promise<number | undefined> {
  try {
    const pid = Number.parseInt(await readFile(join(clusterDir, 'postmaster.pid'), 'utf8'), 10);
    return pid > 0 ? pid : undefined;
  } catch (error) {
    if (isCode(error, 'ENOENT')) return undefined;
    throw error;
  }
}

/** Every Postgres that was started on this very data directory; not the shell that guards it, whose arguments are the same. */
async function postmastersOn(clusterDir: string): Promise<number[]> {
  const found = await processesRunning((command) => {
    const at = command.indexOf(` -D ${clusterDir} `);
    return at > 0 && command.slice(0, at).endsWith('/postgres') && !command.startsWith('/bin/sh ');
  });
  return found.map(({ pid }) => pid);
}
