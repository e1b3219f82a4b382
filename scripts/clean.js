/** Removes dist/ and the data of the cluster, if it is stopped: `node scripts/clean.js [--data-dir .shardline]`. */
const { existsSync, rmSync } = require('node:fs');
const { join, resolve } = require('node:path');
const { parseArgs } = require('node:util');

const { values } = parseArgs({
  strict: false,
  options: { 'data-dir': { type: 'string', default: '.shardline' } },
});
const shown = values['data-dir'];
const dataDir = resolve(shown);

/** Whether a launcher has the folder's lock. */
function isInUse() {
  if (!existsSync(dataDir)) return false;
  const folderLock = join(__dirname, '../dist/libs/common/src/process/folder-lock.js');
  if (!existsSync(folderLock))
    throw new Error(`"make build" first: without it nobody knows whether ${shown} is in use`);
  return require(folderLock).FolderLock.isHeld(dataDir);
}

function main() {
  if (isInUse()) throw new Error(`a cluster runs on ${shown}: "make stop" first`);
  rmSync(join(__dirname, '..', 'dist'), { recursive: true, force: true });
  if (!existsSync(dataDir)) return;
  if (!existsSync(join(dataDir, 'shardline-data')))
    throw new Error(`${shown} is not a data directory of Shardline: left alone`);
  rmSync(dataDir, { recursive: true, force: true });
  console.log(`removed dist and ${shown}`);
}

try {
  main();
} catch (error) {
  console.error(error.message);
  process.exit(1);
}
