/** A small file system in memory under one server's folder, so that its disk can be full. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';

/** Room for a Postgres that has its usual write-ahead log. */
const SIZE = '640m';
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

  /** @throws when it is still in use */
  unmount(): void {
    const { status, stderr } = spawnSync('umount', [this.folder], { encoding: 'utf8' });
    if (status !== 0) throw new Error(`cannot unmount ${this.folder}: ${stderr}`);
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
