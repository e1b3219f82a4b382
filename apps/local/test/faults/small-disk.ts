/** A small file system in memory under one server's folder, so that its disk can be full. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { pollUntil } from '#common/waiting/retry';

/** Room for a Postgres that has its usual write-ahead log. */
const SIZE = '640m';
const RELEASED_WITHIN_MS = 30_000;
const CHUNK = Buffer.alloc(1024 * 1024);

export class SmallDisk {
  private readonly filler: string;

  private constructor(readonly folder: string) {
    this.filler = join(folder, 'filler');
  }

  /** Mounts one at `folder`, which it makes. Undefined where this user may not mount anything. */
  static mount(folder: string): SmallDisk | undefined {
    mkdirSync(folder, { recursive: true });
    const args = ['-t', 'tmpfs', '-o', `size=${SIZE},mode=0755`, 'shardline-faults', folder];
    return spawnSync('mount', args).status === 0 ? new SmallDisk(folder) : undefined;
  }

  /** Takes all the room that is left. */
  async fill(): Promise<void> {
    const file = await open(this.filler, 'a');
    try {
      for (let size = CHUNK.length; size >= 1; size = Math.floor(size / 2)) await writeAll(file, size);
    } finally {
      await file.close();
    }
  }

  /** Gives it back. */
  free(): void {
    rmSync(this.filler, { force: true });
  }

  /**
   * Takes it away as soon as nobody uses it: a process that was killed is no longer listed when it still has files open.
   *
   * @throws Error when it is in use for longer than that can take
   */
  async unmount(): Promise<void> {
    let complaint = '';
    const attempt = (): Promise<true | undefined> => {
      const { status, stderr } = spawnSync('umount', [this.folder], { encoding: 'utf8' });
      complaint = stderr;
      return Promise.resolve(status === 0 ? true : undefined);
    };
    if ((await pollUntil(attempt, { deadlineMs: RELEASED_WITHIN_MS, pauseMs: 50 })) === true) return;
    throw new Error(`cannot unmount ${this.folder}: ${complaint}`);
  }
}

/** Writes pieces of this size until one does not fit. */
async function writeAll(file: FileHandle, size: number): Promise<void> {
  for (;;) {
    try {
      if ((await file.write(CHUNK, 0, size)).bytesWritten < size) return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOSPC') return;
      throw error;
    }
  }
}
