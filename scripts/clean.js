/** Removes dist/ and the data of the cluster, if it is stopped: `node scripts/clean.js [--data-dir .shardline]`. */
const { existsSync, readFileSync, rmSync } = require('node:fs');
const { connect } = require('node:net');
const { join, resolve } = require('node:path');
const { parseArgs } = require('node:util');

const ANSWER_DEADLINE_MS = 2_000;

const { values } = parseArgs({
  strict: false,
  options: { 'data-dir': { type: 'string', default: '.shardline' } },
});
const shown = values['data-dir'];
const dataDir = resolve(shown);

/** Whether a launcher listens on the control socket that the folder names. */
async function isInUse() {
  const lock = join(dataDir, 'launcher.json');
  if (!existsSync(lock)) return false;
  let socketDir;
  try {
    ({ socketDir } = JSON.parse(readFileSync(lock, 'utf8')));
  } catch {
    return false; // torn by a power cut
  }
  return new Promise((done) => {
    const socket = connect(join(String(socketDir), 'control'));
    const end = (answer) => {
      socket.destroy();
      done(answer);
    };
    socket.setTimeout(ANSWER_DEADLINE_MS, () => end(true));
    socket.once('data', () => end(true));
    socket.once('error', () => end(false));
  });
}

async function main() {
  if (await isInUse()) throw new Error(`a cluster runs on ${shown}: "make stop" first`);
  rmSync(join(__dirname, '..', 'dist'), { recursive: true, force: true });
  if (!existsSync(dataDir)) return;
  if (!existsSync(join(dataDir, 'shardline-data')))
    throw new Error(`${shown} is not a data directory of ours: left alone`);
  rmSync(dataDir, { recursive: true, force: true });
  console.log(`removed dist and ${shown}`);
}

main().catch((error) => {
  console.error(error.message);
  process.exit(1);
});
