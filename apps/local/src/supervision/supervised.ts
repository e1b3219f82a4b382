/** A process that belongs to the cluster: started again when it ends by itself, with growing pauses, until it is stopped. */
import type { ChildProcess } from 'node:child_process';
import { closeSync, existsSync, openSync, renameSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { makeFolder } from '#common/process/folders';
import { LogTail, type Remark } from './log-tail';
import { EXIT } from '../refusal';

const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 5_000;
/** One that has lived this long starts again without a growing pause. */
const SETTLED_MS = 10_000;
/** A log that has grown beyond this is put aside at the next start of the launcher. */
const LOG_LIMIT_BYTES = 32 * 1024 * 1024;

export interface Program {
  name: string;
  logFile: string;
  /** Starts it in a process group of its own, writing to the file descriptor `log`. */
  spawn(log: number): ChildProcess;
  /** What it starts does not outlive it: its whole process group is killed when it is gone. */
  endsWithItsGroup: boolean;
}

export interface Watcher {
  /** The program wrote a warning or an error into its log. */
  remarked(name: string, remark: Remark): void;
  /** It ended by itself and is started again after the pause. */
  ended(name: string, how: string, pauseMs: number): void;
  /** It said that its configuration is wrong: starting it again would not help. */
  refused(name: string, why: string): void;
}

export class Supervised {
  private child: ChildProcess | undefined;
  private stopping = false;
  private pauseMs = FIRST_PAUSE_MS;
  private restart: NodeJS.Timeout | undefined;

  constructor(
    private readonly program: Program,
    private readonly watcher: Watcher,
  ) {}

  get name(): string {
    return this.program.name;
  }

  /** The process as it runs now. */
  get pid(): number | undefined {
    return this.child?.pid;
  }

  start(): void {
    putLongLogAside(this.program.logFile);
    this.launch();
  }

  /** Asks the program to end, and kills it when it has not within `deadlineMs`. */
  async stop(deadlineMs: number): Promise<'ended' | 'killed'> {
    this.stopping = true;
    clearTimeout(this.restart);
    const child = this.child;
    if (child === undefined) return 'ended';
    return new Promise((resolve) => {
      let how: 'ended' | 'killed' = 'ended';
      const timer = setTimeout(() => {
        how = 'killed';
        this.kill();
      }, deadlineMs);
      child.once('exit', () => {
        clearTimeout(timer);
        resolve(how);
      });
      child.kill('SIGTERM');
    });
  }

  /** Ends it at once. */
  kill(): void {
    this.stopping = true;
    this.child?.kill('SIGKILL');
    this.killGroup(this.child);
  }

  private launch(): void {
    const log = this.openLog();
    if (log === undefined) return;
    const startedMs = performance.now();
    const tail = new LogTail(this.program.logFile, (remark) => {
      this.watcher.remarked(this.name, remark);
    });
    tail.start();
    const child = this.program.spawn(log);
    closeSync(log);
    this.child = child;
    let over = false;
    const end = (how: string, status: number | null): void => {
      if (over) return;
      over = true;
      this.finish(child, tail, how, status, performance.now() - startedMs);
    };
    child.once('error', (error) => {
      end(error.message, null);
    });
    child.once('exit', (status, signal) => {
      end(signal ?? `exit status ${status ?? 'unknown'}`, status);
    });
  }

  private finish(child: ChildProcess, tail: LogTail, how: string, status: number | null, livedMs: number): void {
    const word = tail.finalWord();
    tail.stop();
    this.child = undefined;
    // What it had started must not hold its ports or files when it is started again.
    this.killGroup(child);
    if (this.stopping) return;
    if (status === EXIT.config) {
      this.watcher.refused(this.name, word);
      return;
    }
    if (livedMs >= SETTLED_MS) this.pauseMs = FIRST_PAUSE_MS;
    this.runAgain(word === '' ? how : `${how}: ${word}`);
  }

  private runAgain(how: string): void {
    this.watcher.ended(this.name, how, this.pauseMs);
    this.restart = setTimeout(() => {
      this.launch();
    }, this.pauseMs);
    this.pauseMs = Math.min(2 * this.pauseMs, LONGEST_PAUSE_MS);
  }

  /** Undefined when it cannot be written (somebody removed its folder, the disk is full): that is tried again. */
  private openLog(): number | undefined {
    try {
      makeFolder(dirname(this.program.logFile));
      return openSync(this.program.logFile, 'a');
    } catch (error) {
      this.runAgain((error as Error).message);
      return undefined;
    }
  }

  private killGroup(child: ChildProcess | undefined): void {
    if (!this.program.endsWithItsGroup || child?.pid === undefined) return;
    try {
      process.kill(-child.pid, 'SIGKILL');
    } catch {
      // nobody is left in it
    }
  }
}

function putLongLogAside(file: string): void {
  if (existsSync(file) && statSync(file).size > LOG_LIMIT_BYTES) renameSync(file, `${file}.1`);
}
