/** Tests that start whole services start what was built; this makes sure that it was built from the sources as they are. */
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, rmdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { projectRoot } from '../process/project-root';
import { highestOf } from '../protocol/extremes';
import { pollUntil } from '../waiting/retry';

const run = promisify(execFile);
const BUILD_DEADLINE_MS = 120_000;
const LOCK_POLL_MS = 100;

let built: Promise<string> | undefined;

/**
 * Builds into `dist/` if a source is newer than the last build; types are checked elsewhere. Test files that run at the same time wait for one
 * another. Returns the path of `dist/`.
 *
 * @throws when the compiler fails
 */
export function freshBuild(): Promise<string> {
  built ??= build();
  return built;
}

async function build(): Promise<string> {
  const root = projectRoot();
  const dist = join(root, 'dist');
  mkdirSync(dist, { recursive: true });
  const unlock = await lock(join(dist, '.lock'));
  try {
    const newest = highestOf(['apps', 'libs'].map((folder) => newestSourceMs(join(root, folder))));
    const stamps = [join(dist, '.built'), join(dist, '.built-for-tests')];
    if (stamps.some((stamp) => existsSync(stamp) && statSync(stamp).mtimeMs >= newest)) return dist;
    const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
    await run(process.execPath, [tsc, '-p', 'tsconfig.build.json', '--noCheck'], {
      cwd: root,
      timeout: BUILD_DEADLINE_MS,
    });
    writeFileSync(join(dist, '.built-for-tests'), '');
    return dist;
  } finally {
    unlock();
  }
}

function newestSourceMs(folder: string): number {
  let newest = 0;
  for (const entry of readdirSync(folder, { withFileTypes: true, recursive: true })) {
    if (!entry.isFile() || !entry.name.endsWith('.ts') || entry.name.endsWith('spec.ts')) continue;
    newest = Math.max(newest, statSync(join(entry.parentPath, entry.name)).mtimeMs);
  }
  return newest;
}

/** A folder is made by one only. One that a killed run left behind is older than any build may take. */
async function lock(path: string): Promise<() => void> {
  const take = async (): Promise<true | undefined> => {
    try {
      mkdirSync(path);
      return true;
    } catch {
      if (existsSync(path) && Date.now() - statSync(path).mtimeMs > BUILD_DEADLINE_MS) rmdirSync(path);
      return undefined;
    }
  };
  const taken = await pollUntil(take, { deadlineMs: 2 * BUILD_DEADLINE_MS, pauseMs: LOCK_POLL_MS });
  if (taken === undefined) throw new Error(`another build holds ${path}`);
  return () => {
    rmdirSync(path);
  };
}
