/**
 * A cluster as initdb makes it, kept beside the installation to be copied.
 *
 * initdb costs the better part of a second of processor time. A copy costs a tenth of it, which is felt when six nodes start
 * at once or one comes back without its disk. Copies share Postgres's "system identifier"; it matters only to
 * Postgres's own replication, which we do not use.
 *
 * The template is built under another name, synced, and renamed, so that what has the name is whole. A sum over all of its files
 * stands beside it: one that was damaged since is rebuilt, since every copy would be damaged, too. Not having one (nowhere to
 * write, somebody else builds it for too long) costs time and nothing else.
 */
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { FolderLock } from '#common/process/folder-lock';
import { isCode } from '#common/process/process-table';
import { pollUntil } from '#common/waiting/retry';
import type { PostgresBinaries } from './binaries';
import { runGuarded } from './guarded-run';
import type { RunAs } from './run-as';
import { initdbArgs } from './postgres-settings';

const BUILD_TIMEOUT_MS = 60_000;
const POLL_MS = 50;

/** Path of a whole template, built now if there was none. @throws when it cannot be had */
export async function clusterTemplate(binaries: PostgresBinaries, runAs: RunAs): Promise<string> {
  await mkdir(binaries.cacheDir, { recursive: true });
  const kind = createHash('sha256').update(initdbArgs('').join(' ')).digest('hex').slice(0, 8);
  const template = join(binaries.cacheDir, `postgres-${binaries.version}-${kind}-${runAs.uid}`);
  const look = async (): Promise<string | undefined> => {
    if (!(await isWhole(template))) await buildOnce(template, binaries, runAs);
    return (await isWhole(template)) ? template : undefined;
  };
  const whole = await pollUntil(look, { deadlineMs: BUILD_TIMEOUT_MS, pauseMs: POLL_MS });
  if (whole === undefined) throw new Error(`${template} is not built in time`);
  return whole;
}

/** Builds it, unless somebody else does so now. */
async function buildOnce(template: string, binaries: PostgresBinaries, runAs: RunAs): Promise<void> {
  const held = await FolderLock.acquire(binaries.cacheDir);
  if (held === null) return;
  try {
    // Somebody else may have built it while we waited for the lock, and others copy it already.
    if (!(await isWhole(template))) await build(template, binaries, runAs);
  } finally {
    held.release();
  }
}

async function build(template: string, binaries: PostgresBinaries, runAs: RunAs): Promise<void> {
  const building = await mkdtemp(`${template}.new-`);
  try {
    await runAs.own(building);
    await runGuarded(runAs.invoke(binaries.initdb, initdbArgs(building)), BUILD_TIMEOUT_MS);
    await rm(template, { recursive: true, force: true });
    await rename(building, template);
    await writeFile(`${building}.sum`, await sumOf(template));
    await rename(`${building}.sum`, sumFile(template));
  } finally {
    await rm(building, { recursive: true, force: true });
  }
}

/** Whether there is a template, and it is as it was made. */
async function isWhole(template: string): Promise<boolean> {
  try {
    return (await readFile(sumFile(template), 'utf8')) === (await sumOf(template));
  } catch (error) {
    if (isCode(error, 'ENOENT')) return false;
    throw error;
  }
}

function sumFile(template: string): string {
  return `${template}.sum`;
}

/** Over the names and the contents of all files. */
async function sumOf(folder: string): Promise<string> {
  const sum = createHash('sha256');
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  for (const file of files.sort()) {
    sum.update(`${relative(folder, file)}\0`);
    sum.update(await readFile(file));
  }
  return sum.digest('hex');
}
