/** Which processes live that have to do with a folder; the way to see whether a cluster left something behind. */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

export interface FoundProcess {
  pid: number;
  args: string[];
}

/**
 * Every living process (no zombies) but this one that names `folder` in its arguments or environment, or works in it.
 * Where there is no /proc only arguments and environment are looked at.
 */
export function processesWith(folder: string): FoundProcess[] {
  const found = process.platform === 'linux' ? fromProc(folder) : fromPs(folder);
  return found.filter(({ pid }) => pid !== process.pid);
}

/** Sends SIGKILL to all of them. */
export function killNow(processes: readonly FoundProcess[]): void {
  for (const { pid } of processes) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // gone in this moment
    }
  }
}

function fromProc(folder: string): FoundProcess[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name) => ({ pid: Number(name), args: read(`/proc/${name}/cmdline`).split('\0').slice(0, -1) }))
    .filter(({ pid, args }) => args.length > 0 && mentions(pid, args, folder));
}

/** A process that ends in this moment mentions nothing any more. */
function mentions(pid: number, args: readonly string[], folder: string): boolean {
  if (args.some((arg) => arg.includes(folder))) return true;
  return read(`/proc/${pid}/environ`).includes(folder) || isWithin(workingFolder(pid), folder);
}

function workingFolder(pid: number): string {
  try {
    return readlinkSync(`/proc/${pid}/cwd`);
  } catch {
    return '';
  }
}

function isWithin(path: string, folder: string): boolean {
  return path === folder || path.startsWith(`${folder}/`);
}

function read(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}

function fromPs(folder: string): FoundProcess[] {
  const lines = execFileSync('ps', ['-A', '-E', '-ww', '-o', 'pid=,stat=,command='], { encoding: 'latin1' }).split(
    '\n',
  );
  return lines
    .map((line) => line.trim().split(/\s+/))
    .filter(([, state, ...command]) => state?.startsWith('Z') === false && command.join(' ').includes(folder))
    .map(([pid, , ...command]) => ({ pid: Number(pid), args: command }));
}
