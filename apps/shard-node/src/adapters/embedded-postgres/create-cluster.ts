/** A data directory for Postgres: made whole, or not at all. */
import { mkdtemp, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { Logger } from '#common/logging/logger';
import { isCode } from '#common/process/process-table';
import { PostgresUnavailableError, type PostgresBinaries } from './binaries';
import { clusterTemplate } from './cluster-template';
import { runGuarded } from './guarded-run';
import type { RunAs } from './run-as';
import { initdbArgs } from './postgres-settings';

const COMMAND_TIMEOUT_MS = 120_000;

/**
 * Makes the cluster in `clusterDir` unless it is there. It is made under another name beside it, synced, and then renamed:
 * a crash in the middle leaves nothing under the name, and what it left beside is removed the next time.
 *
 * @throws PostgresUnavailableError when the cluster was made by another major version of Postgres
 */
export async function ensureCluster(
  clusterDir: string,
  binaries: PostgresBinaries,
  runAs: RunAs,
  logger: Logger,
): Promise<void> {
  await removeHalfMade(clusterDir);
  const version = await clusterVersion(clusterDir);
  if (version !== undefined) requireSameMajor(clusterDir, version, binaries.version);
  else if (await isEmpty(clusterDir)) await createCluster(clusterDir, binaries, runAs, logger);
  else throw damaged(clusterDir, 'PG_VERSION', 'is missing');
}

async function isEmpty(folder: string): Promise<boolean> {
  try {
    return (await readdir(folder)).length === 0;
  } catch (error) {
    if (isCode(error, 'ENOENT')) return true;
    throw error;
  }
}

async function createCluster(
  clusterDir: string,
  binaries: PostgresBinaries,
  runAs: RunAs,
  logger: Logger,
): Promise<void> {
  const making = await mkdtemp(`${clusterDir}.new-`);
  await runAs.own(making);
  const template = await clusterTemplate(binaries, runAs).catch((error: unknown) => {
    logger.debug({ err: error }, 'no template to copy: initdb runs here');
    return undefined;
  });
  if (template === undefined) await runGuarded(runAs.invoke(binaries.initdb, initdbArgs(making)), COMMAND_TIMEOUT_MS);
  else await copySynced(template, making, binaries, runAs);
  await rename(making, clusterDir);
  await syncFolder(dirname(clusterDir));
}

/** `cp` keeps owners and modes and uses whatever the file system has for cheap copies. We are who owns both, or root. */
async function copySynced(template: string, to: string, binaries: PostgresBinaries, runAs: RunAs): Promise<void> {
  await runGuarded({ program: 'cp', args: ['-Rp', `${template}/.`, to] }, COMMAND_TIMEOUT_MS);
  await runGuarded(runAs.invoke(binaries.initdb, ['--sync-only', `--pgdata=${to}`]), COMMAND_TIMEOUT_MS);
}

async function removeHalfMade(clusterDir: string): Promise<void> {
  const prefix = `${basename(clusterDir)}.new-`;
  for (const name of await readdir(dirname(clusterDir))) {
    if (name.startsWith(prefix))
      await rm(join(dirname(clusterDir), name), { recursive: true, force: true, maxRetries: 5 });
  }
}

/** What the cluster's own file says: `18`; undefined when there is no cluster. */
async function clusterVersion(clusterDir: string): Promise<string | undefined> {
  try {
    return (await readFile(join(clusterDir, 'PG_VERSION'), 'utf8')).trim();
  } catch (error) {
    if (isCode(error, 'ENOENT')) return undefined;
    throw error;
  }
}

function requireSameMajor(clusterDir: string, found: string, binaries: string): void {
  const major = binaries.split('.')[0];
  if (found === major) return;
  if (!/^\d{1,2}$/.test(found)) throw damaged(clusterDir, 'PG_VERSION', 'does not name a version');
  throw new PostgresUnavailableError(
    `${clusterDir} holds data of Postgres ${found}, and this is Postgres ${String(major)}: ` +
      `go back to the version that wrote it, or ${REMEDY}`,
  );
}

const REMEDY = 'remove the folder and let it be copied from the other replicas';

/** A file without which nobody can know what the data are. */
function damaged(clusterDir: string, file: string, how: string): PostgresUnavailableError {
  return new PostgresUnavailableError(`${join(clusterDir, file)} ${how}: the data are damaged; ${REMEDY}`);
}

/** Makes the folder's entries durable. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
