/** Processes that are not our children: whether they run, what they run, and waiting for their end. */
import { execFile } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { pollUntil } from '../waiting/retry';

const POLL_MS = 20;

/**
 * The command line of a process, its arguments joined by spaces; undefined when there is no such process or only its exit
 * status is left of it. It comes from the kernel, so a process id that was used again is recognised by what it runs.
 */
export async function commandOf(pid: number): Promise<string | undefined> {
  return process.platform === 'linux' ? commandFromProc(pid) : commandFromPs(pid);
}

/** From `/proc`, since a slim container has no `ps`. What has ended has an empty command line there. */
async function commandFromProc(pid: number): Promise<string | undefined> {
  try {
    const text = await readFile(`/proc/${pid}/cmdline`, 'utf8');
    return text === '' ? undefined : text.replaceAll('\0', ' ').trimEnd();
  } catch (error) {
    if (isCode(error, 'ENOENT') || isCode(error, 'ESRCH')) return undefined;
    throw error;
  }
}

function commandFromPs(pid: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    execFile('ps', ['-ww', '-o', 'command=', '-p', String(pid)], { timeout: 5_000 }, (error, stdout) => {
      const line = stdout.trim();
      resolve(error !== null || line === '' || line.includes('<defunct>') ? undefined : line);
    });
  });
}

/** A process that runs, and its command line as `commandOf` returns it. */
export interface RunningCommand {
  pid: number;
  command: string;
}

/** Every process whose command line is as asked. It does not matter what any file says of them. */
export async function processesRunning(isMeant: (command: string) => boolean): Promise<RunningCommand[]> {
  const all = process.platform === 'linux' ? await commandsFromProc() : await commandsFromPs();
  return all.filter(({ command }) => isMeant(command));
}

async function commandsFromProc(): Promise<RunningCommand[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const commands = await Promise.all(pids.map((pid) => commandFromProc(pid)));
  return pids.flatMap((pid, index) => {
    const command = commands[index];
    return command === undefined ? [] : [{ pid, command }];
  });
}

async function commandsFromPs(): Promise<RunningCommand[]> {
  const options = { timeout: 5_000, maxBuffer: 64 << 20 };
  const { stdout } = await promisify(execFile)('ps', ['-axww', '-o', 'pid=,command='], options);
  const lines = stdout.split('\n').map((line) => /^\s*(\d+) (.*)$/.exec(line));
  return lines.flatMap((found) => (found === null ? [] : [{ pid: Number(found[1]), command: found[2] ?? '' }]));
}

/**
 * Sends a signal.
 *
 * @returns false when there is no such process
 * @throws when it is not ours to signal
 */
export function signalProcess(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal);
  } catch (error) {
    if (isCode(error, 'ESRCH')) return false;
    throw error;
  }
}

/** Waits until `isRunning` says no, at most `timeoutMs`; resolves to whether it did. */
export async function waitUntilGone(isRunning: () => Promise<boolean>, timeoutMs: number): Promise<boolean> {
  const look = async (): Promise<true | undefined> => ((await isRunning()) ? undefined : true);
  return (await pollUntil(look, { deadlineMs: timeoutMs, pauseMs: POLL_MS })) === true;
}

/** Whether the failure is the system's error of this code, `ENOENT` for example. */
export function isCode(error: unknown, code: string): boolean {
  return (error as NodeJS.ErrnoException | null)?.code === code;
}
