/** Folders made step by step. */
import { mkdirSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { isCode } from './process-table';

/**
 * Makes the folder and those above it that are missing. Unlike Node's own `mkdir` with `recursive` it ends where nothing can be
 * made: below /proc the system says that a folder above is missing, which is there, and that one tries forever.
 *
 * @throws as `mkdirSync` does; when something else than a folder is in the way, too
 */
export function makeFolder(path: string): void {
  const missing: string[] = [];
  for (let folder = resolve(path); !isFolder(folder); folder = dirname(folder)) missing.push(folder);
  for (const folder of missing.reverse()) makeOne(folder);
}

function makeOne(folder: string): void {
  try {
    mkdirSync(folder);
  } catch (error) {
    // Somebody else may have made it meanwhile.
    if (!isCode(error, 'EEXIST') || !isFolder(folder)) throw error;
  }
}

/** @throws ENOTDIR and the like, when nothing can be there */
function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}
