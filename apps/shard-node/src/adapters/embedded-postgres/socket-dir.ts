/** The folder of the socket. It is what keeps others out, and its path must be short. */
import { createHash } from 'node:crypto';
import { chmod, lstat, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isCode } from '#common/process/process-table';
import type { RunAs } from './run-as';

/** A socket's path holds 104 bytes on macOS, 108 on Linux, `/.s.PGSQL.5432` included. */
const LIMIT_BYTES = 100 - '/.s.PGSQL.5432'.length;

/**
 * An empty folder with access for the user of Postgres alone: in `dataDir`, or among the temporary files when the path would
 * be too long for a socket. The same data directory gets the same folder again, so that nothing piles up.
 */
export async function prepareSocketDir(dataDir: string, runAs: RunAs): Promise<string> {
  const path = await emptyFolder(dataDir, runAs);
  await chmod(path, 0o700);
  await runAs.own(path);
  return path;
}

async function emptyFolder(dataDir: string, runAs: RunAs): Promise<string> {
  const near = join(dataDir, 'socket');
  if (Buffer.byteLength(near) <= LIMIT_BYTES) {
    await rm(near, { recursive: true, force: true });
    await mkdir(near, { mode: 0o700 });
    return near;
  }
  const far = join(shortTmpDir(), `shardline-${createHash('sha256').update(dataDir).digest('hex').slice(0, 12)}`);
  if (await isForeign(far, runAs)) return mkdtemp(`${far}-`);
  await rm(far, { recursive: true, force: true });
  await mkdir(far, { mode: 0o700 });
  return far;
}

/** Everybody may write among the temporary files: a folder that is not ours, or a link, is not to be trusted. */
async function isForeign(path: string, runAs: RunAs): Promise<boolean> {
  try {
    const found = await lstat(path);
    return !found.isDirectory() || (found.uid !== runAs.uid && found.uid !== process.getuid?.());
  } catch (error) {
    if (isCode(error, 'ENOENT')) return false;
    throw error;
  }
}

function shortTmpDir(): string {
  const folder = tmpdir();
  return Buffer.byteLength(folder) <= LIMIT_BYTES - 40 ? folder : '/tmp';
}
