/** `stop`: end the cluster of a data directory. */
import { commandOf, signalProcess, waitUntilGone } from '#common/process/process-table';
import { stopLauncher } from './control';
import { DataDir } from './data-dir';
import type { Options } from './options';
import { EXIT, Refusal } from './refusal';
import type { Terminal } from './terminal';

/** Every part has its own deadline; all of them together stay below this. */
const STOP_DEADLINE_MS = 60_000;
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
  const dataDir = new DataDir(options.dataDir, options.shownDataDir);
  const launcher = await dataDir.launcher();
  if (launcher === undefined) {
    terminal.say(`no cluster runs on ${options.shownDataDir}`);
    return 0;
  }
  const isGone = launcher.answers
    ? await stopLauncher(launcher.controlSocket, deadlineMs)
    : await signalLauncher(dataDir, launcher.pid, deadlineMs);
  if (!isGone) {
    const what = `the cluster on ${options.shownDataDir} (launcher ${launcher.pid ?? 'unknown'}) does not stop`;
    throw new Refusal(launcher.answers ? what : `${what}; is it suspended? "kill -CONT" lets it go on`);
  }
  terminal.say(`stopped the cluster on ${options.shownDataDir}; its data stays there`);
  return 0;
}

/**
 * A launcher that has the folder's lock but cannot be reached by its socket, which somebody removed: it understands SIGTERM as
 * well. One that is suspended takes the signal when it goes on.
 */
async function signalLauncher(dataDir: DataDir, pid: number | undefined, deadlineMs: number): Promise<boolean> {
  const command = pid === undefined ? undefined : await commandOf(pid);
  if (pid === undefined || command?.includes(LAUNCHER_COMMAND) !== true) {
    const what = `a launcher uses ${dataDir.shown}, but launcher.json there does not say which process it is`;
    throw new Refusal(`${what}: end it yourself`, EXIT.unavailable);
  }
  signalProcess(pid, 'SIGTERM');
  return waitUntilGone(async () => dataDir.isUsed(), deadlineMs);
}
