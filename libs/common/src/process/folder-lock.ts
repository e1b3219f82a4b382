/**
 * An exclusive lock that the operating system holds for a process: `flock(2)` on a folder.
 *
 * It ends with the process, however that ends, and only with it: a process that is suspended keeps it, and a process id that is used
 * again means nothing to it. It is the folder itself that is locked and no file in it, which somebody could remove; a copy of the
 * folder is another folder.
 */
import { closeSync, constants, fstatSync, openSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { isCode } from './process-table';

/** What we use of the package, which has types for its other form, that of ES modules, only. */
interface Koffi {
  load(library: null): { func(prototype: string): unknown };
  errno(): number;
  os: { errno: Readonly<Record<string, number>> };
}
const koffi = createRequire(__filename)('koffi') as Koffi;

/** `sys/file.h`, the same on Linux and macOS. */
const LOCK_EX = 2;
const LOCK_NB = 4;

/** The C library is there already: it is a part of this process. */
const flock = koffi.load(null).func('int flock(int fd, int operation)') as (fd: number, operation: number) => number;

/**
 * Somebody else's lock may be looked at by `isHeld` for an instant: so often it is tried again before that is believed. Counted, and
 * not `pollUntil` with a deadline: a machine that stands still for that long would leave one try.
 */
const ATTEMPTS = 5;
const PAUSE_MS = 20;

export class FolderLock {
  private isHeld = true;

  private constructor(private readonly fd: number) {}

  /**
   * Takes the lock of the folder; null when another process has it.
   *
   * @throws when the folder is not there or cannot be read, or its file system has no locks for folders
   */
  static async acquire(path: string): Promise<FolderLock | null> {
    for (let attempt = 1; ; attempt += 1) {
      const lock = FolderLock.tryAcquire(path);
      if (lock !== null || attempt === ATTEMPTS) return lock;
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  }

  /** Whether some process has the lock right now. What is not there, or is no folder, is nobody's. */
  static isHeld(path: string): boolean {
    try {
      const lock = FolderLock.tryAcquire(path);
      lock?.release();
      return lock === null;
    } catch (error) {
      if (isCode(error, 'ENOENT') || isCode(error, 'ENOTDIR')) return false;
      throw error;
    }
  }

  /** Whether the path still leads to the folder that is locked: it may have been moved, removed or replaced. */
  isAt(path: string): boolean {
    const there = statSync(path, { throwIfNoEntry: false });
    const locked = fstatSync(this.fd);
    return there?.dev === locked.dev && there.ino === locked.ino;
  }

  /** Gives the lock to whoever wants it next. */
  release(): void {
    if (this.isHeld) closeSync(this.fd);
    this.isHeld = false;
  }

  private static tryAcquire(path: string): FolderLock | null {
    // Opened close-on-exec, as Node opens everything: children do not inherit the lock.
    const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
    if (flock(fd, LOCK_EX | LOCK_NB) === 0) return new FolderLock(fd);
    const errno = koffi.errno();
    closeSync(fd);
    if (errno === koffi.os.errno.EAGAIN) return null;
    const why = `error ${errno} of the operating system`;
    throw new Error(`cannot lock ${path}: ${why}; its file system has no locks for folders, take a local disk`);
  }
}
