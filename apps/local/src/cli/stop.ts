/** `stop`: end the cluster of a data directory. */
import { commandOf, signalProcess, waitUntilGone } from '#common/process/process-table';
import { pollUntil } from '#common/waiting/retry';
import { stopLauncher } from '../supervision/control';
import { DataDir, type FoundLauncher } from '../supervision/data-dir';
import type { Options } from './options';
import { EXIT, Refusal } from '../refusal';
import type { Terminal } from '../terminal';

/** Every part has its own deadline; all of them together stay below this. */
const STOP_DEADLINE_MS = 60_000;
/** A launcher whose files somebody removed puts them back within a second. */
const FOUND_DEADLINE_MS = 3_000;
const POLL_MS = 100;
/** What the command line of a launcher contains. */
const LAUNCHER_COMMAND = 'local/main.js';

/**
 * Resolves when the cluster is gone, or when there was none.
 *
 * @throws Refusal when it does not end, or when nothing says for certain which process it is
 */
export async function stopCluster(
  options: Options,
  terminal: Terminal,
  deadlineMs: number = STOP_DEADLINE_MS,
): Promise<number> {
  const startMs = performance.now();
  const dataDir = new DataDir(options.dataDir, options.shownDataDir);
  const launcher = await findLauncher(dataDir);
  if (launcher === undefined) {
    terminal.say(`no cluster runs on ${options.shownDataDir}`);
    return 0;
  }
  if (launcher.answers) await stopLauncher(launcher.controlSocket, deadlineMs);
  else await signalLauncher(dataDir, launcher.pid);
  // It is the lock that counts: a connection may end for other reasons.
  const restMs = Math.max(startMs + deadlineMs - performance.now(), 0);
  if (!(await waitUntilGone(async () => dataDir.isUsed(), restMs))) {
    const what = `the cluster on ${options.shownDataDir} (launcher ${launcher.pid ?? 'unknown'}) does not stop`;
    throw new Refusal(launcher.answers ? what : `${what}; is it suspended? "kill -CONT" resumes it`);
  }
  terminal.say(`stopped the cluster on ${options.shownDataDir}; its data stays there`);
  return 0;
}

/**
 * A launcher that has the folder's lock but cannot be reached by its socket, which somebody removed: it understands SIGTERM as
 * well. One that is suspended takes the signal when it goes on.
 */
async function signalLauncher(dataDir: DataDir, pid: number | undefined): Promise<void> {
  const command = pid === undefined ? undefined : await commandOf(pid);
  if (pid === undefined || command?.includes(LAUNCHER_COMMAND) !== true) {
    const what = `a launcher uses ${dataDir.shown}, but launcher.json there does not say which process it is`;
    throw new Refusal(`${what}: end it yourself`, EXIT.unavailable);
  }
  signalProcess(pid, 'SIGTERM');
}

/** The launcher that uses the folder; one that does not answer is given the time to be found again. */
async function findLauncher(dataDir: DataDir): Promise<FoundLauncher | undefined> {
  let found: FoundLauncher | undefined;
  const look = async (): Promise<true | undefined> => {
    found = await dataDir.launcher();
    return found === undefined || found.answers ? true : undefined;
  };
  await pollUntil(look, { deadlineMs: FOUND_DEADLINE_MS, pauseMs: POLL_MS });
  return found;
}
