/** The file by which whoever started us finds our process. */
import { readFile, rm } from 'node:fs/promises';
import type { Logger } from '#common/logging/logger';

/** Removes the file if it names this process: another one may have been started in our place. Never rejects. */
export async function removeOwnPidFile(path: string | undefined, logger: Logger): Promise<void> {
  if (path === undefined) return;
  try {
    if ((await readFile(path, 'utf8')).trim() === String(process.pid)) await rm(path);
  } catch (error) {
    logger.warn({ err: error, pidFile: path }, 'could not remove the pid file');
  }
}
