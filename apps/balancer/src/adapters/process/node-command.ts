/** How a shard-node's process is started, and how it is known again by a balancer that did not start it. */
import { spawn, type ChildProcess } from 'node:child_process';
import { open, readFile } from 'node:fs/promises';
import { LIFELINE_FD } from '#common/process/lifeline';
import { nodeMark } from '#common/process/node-mark';
import { commandOf, isCode, processesRunning, waitUntilGone } from '#common/process/process-table';

/**
 * Writes its own process id, then becomes the node: however soon we are killed, no node runs without its file. The id is
 * the node's, since `exec` keeps it.
 */
const START = 'echo $$ >"$1.new" && mv "$1.new" "$1" && shift && exec "$@"';

const PID_FILE_TIMEOUT_MS = 5_000;

/** One shard-node on this machine. */
export interface NodePlace {
  server: string;
  /** The node's own folder. */
  dataDir: string;
  pidFile: string;
  logFile: string;
}

/** What a node's process is started with. */
export interface NodeProgram {
  command: readonly string[];
  env: NodeJS.ProcessEnv;
  /** Our own end of the launcher's lifeline, which the node gets from its first moment on; undefined: there is none. */
  lifelineFd: number | undefined;
}

/**
 * Starts the node's process, which goes on when ours ends. `onExit` is called when it ends while ours lives, with its exit status; null: by
 * a signal.
 *
 * @throws Error when it cannot be started
 */
export async function spawnNode(
  place: NodePlace,
  { command, env, lifelineFd }: NodeProgram,
  onExit: (status: number | null) => void,
): Promise<number> {
  const log = await open(place.logFile, 'a');
  try {
    const mark = nodeMark(place.server, place.dataDir);
    const args = ['-c', START, 'start-node', place.pidFile, ...command, ...mark];
    const given = lifelineFd === undefined ? env : { ...env, LIFELINE_FD: String(LIFELINE_FD) };
    const stdio = ['ignore', log.fd, log.fd, ...(lifelineFd === undefined ? [] : [lifelineFd])] as const;
    const child = spawn('/bin/sh', args, { detached: true, env: given, stdio: [...stdio] });
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', reject);
    });
    child.unref();
    const pid = await writtenPid(place, child);
    if (child.exitCode !== null || child.signalCode !== null) onExit(child.exitCode);
    else child.once('exit', onExit);
    return pid;
  } finally {
    await log.close();
  }
}

/** Until the file is there nobody could find the node, and a second one could be started beside it. */
async function writtenPid(place: NodePlace, child: ChildProcess): Promise<number> {
  const isMissing = async (): Promise<boolean> => (await readPid(place.pidFile)) !== child.pid;
  const isWaiting = async (): Promise<boolean> => child.exitCode === null && child.signalCode === null && isMissing();
  await waitUntilGone(isWaiting, PID_FILE_TIMEOUT_MS);
  if (child.pid !== undefined && !(await isMissing())) return child.pid;
  child.kill('SIGKILL');
  throw new Error(`the process of ${place.server} did not come up; see ${place.logFile}`);
}

/**
 * The process id of the node if it runs; what else may have got that id since is not taken for it. A file that says nothing, or
 * somebody else, does not hide a node that runs: then it is looked for among all processes.
 */
export async function runningPid(place: NodePlace): Promise<number | undefined> {
  const pid = await readPid(place.pidFile);
  if (pid !== undefined && (await isNode(place, pid))) return pid;
  // A shell that is about to become the node has not written its file yet.
  const [found] = await processesRunning((command) => isCommandOf(place, command) && !command.startsWith('/bin/sh '));
  return found?.pid;
}

/** Whether the process is this node. */
export async function isNode(place: NodePlace, pid: number): Promise<boolean> {
  const command = await commandOf(pid);
  return command !== undefined && isCommandOf(place, command);
}

function isCommandOf(place: NodePlace, command: string): boolean {
  return command.endsWith(` ${nodeMark(place.server, place.dataDir).join(' ')}`);
}

async function readPid(path: string): Promise<number | undefined> {
  try {
    const pid = Number((await readFile(path, 'utf8')).trim());
    return Number.isInteger(pid) && pid > 1 ? pid : undefined;
  } catch (error) {
    if (isCode(error, 'ENOENT')) return undefined;
    throw error;
  }
}
