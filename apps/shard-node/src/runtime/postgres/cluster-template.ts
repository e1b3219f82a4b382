/**
 * A cluster as initdb makes it, kept beside the installation to be copied.
 *
 * initdb costs the better part of a second of processor time. A copy costs a tenth of it, which is felt when six nodes start
 * at once or one comes back without its disk. Copies share Postgres's "system identifier"; it matters only to
 * Postgres's own replication, which we do not use.
 *
 * The template is built under another name, synced, and renamed, so that what has the name is whole. Not having one
 * (nowhere to write, somebody else builds it for too long) costs time and nothing else.
 */
import { createHash } from 'node:crypto';
import { access, mkdir, mkdtemp, open, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { commandOf, isCode } from '#common/process/process-table';
import type { PostgresBinaries } from './binaries';
import { runGuarded } from './guarded-run';
import type { RunAs } from './run-as';
import { initdbArgs } from './settings';

const BUILD_TIMEOUT_MS = 60_000;
const POLL_MS = 50;

/** Path of a whole template, built now if there was none. @throws when it cannot be had */
export async function clusterTemplate(binaries: PostgresBinaries, runAs: RunAs): Promise<string> {
  await mkdir(binaries.cacheDir, { recursive: true });
  const kind = createHash('sha256').update(initdbArgs('').join(' ')).digest('hex').slice(0, 8);
  const template = join(binaries.cacheDir, `postgres-${binaries.version}-${kind}-${runAs.uid}`);
  const lock = `${template}.lock`;
  const deadline = performance.now() + BUILD_TIMEOUT_MS;
  while (!(await exists(template))) {
    if (performance.now() > deadline) throw new Error(`${template} is not built in time`);
    if (await takeLock(lock)) await buildUnder(lock, template, binaries, runAs);
    else await waitForLock(lock);
  }
  return template;
}

async function buildUnder(lock: string, template: string, binaries: PostgresBinaries, runAs: RunAs): Promise<void> {
  const building = await mkdtemp(`${template}.new-`);
  try {
    await runAs.own(building);
    await runGuarded(runAs.invoke(binaries.initdb, initdbArgs(building)), BUILD_TIMEOUT_MS);
    await rename(building, template);
  } catch (error) {
    // Somebody who took the lock for abandoned was quicker: theirs is as good.
    if (!isCode(error, 'ENOTEMPTY') && !isCode(error, 'EEXIST')) throw error;
  } finally {
    await rm(building, { recursive: true, force: true });
    await rm(lock, { force: true });
  }
}

/** The lock spares work, it does not guard the template: two builders at once are harmless. */
async function takeLock(lock: string): Promise<boolean> {
  try {
    const file = await open(lock, 'wx');
    await file.writeFile(String(process.pid));
    await file.close();
    return true;
  } catch (error) {
    if (isCode(error, 'EEXIST')) return false;
    throw error;
  }
}

/** Waits a moment, or removes the lock of a process that is gone. */
async function waitForLock(lock: string): Promise<void> {
  const pid = Number(await readFile(lock, 'utf8').catch(() => ''));
  if (pid > 0 && (await commandOf(pid)) === undefined) await rm(lock, { force: true });
  await delay(POLL_MS);
}

async function exists(path: string): Promise<boolean> {
  try {
    await access(path);
    return true;
  } catch {
    return false;
  }
}
