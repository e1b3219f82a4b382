/**
 * An exclusive lock that the operating system holds for a process: `flock(2)` on a file that is never removed.
 *
 * It ends with the process, however that ends, and only with it: a process that is suspended keeps it, a process id that is used
 * again means nothing to it, and a copy of the file is another file.
 */
import { closeSync, constants, openSync } from 'node:fs';
import { createRequire } from 'node:module';

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

/** Somebody else's lock may be looked at by `isHeld` for an instant: so often it is tried again before that is believed. */
const ATTEMPTS = 5;
const PAUSE_MS = 20;

export class FileLock {
  private isHeld = true;

  private constructor(private readonly fd: number) {}

  /**
   * Takes the lock of the file, which is made if it is not there; null when another process has it.
   *
   * @throws when the file cannot be opened, or its file system knows no locks
   */
  static async acquire(path: string): Promise<FileLock | null> {
    for (let attempt = 1; ; attempt += 1) {
      const lock = FileLock.tryAcquire(path);
      if (lock !== null || attempt === ATTEMPTS) return lock;
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  }

  /** Whether some process has the lock right now. A file that is not there is nobody's. */
  static isHeld(path: string): boolean {
    try {
      const lock = FileLock.tryAcquire(path, constants.O_RDONLY);
      lock?.release();
      return lock === null;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
      throw error;
    }
  }

  /** Gives the lock to whoever wants it next. */
  release(): void {
    if (this.isHeld) closeSync(this.fd);
    this.isHeld = false;
  }

  private static tryAcquire(path: string, flags = constants.O_RDWR | constants.O_CREAT): FileLock | null {
    // Opened close-on-exec, as Node opens every file: children do not inherit the lock.
    const fd = openSync(path, flags, 0o644);
    if (flock(fd, LOCK_EX | LOCK_NB) === 0) return new FileLock(fd);
    const errno = koffi.errno();
    closeSync(fd);
    if (errno === koffi.os.errno.EAGAIN) return null;
    throw new Error(`cannot lock ${path}: error ${errno} of the operating system`);
  }
}
