/** What stands in for a shard-node where launchers are tested: it shows in its data that it was started, and ends as asked, or does not. */

/** How stand-ins behave; without anything they come up at once and stop on SIGTERM. */
export interface NodeBehaviour {
  /** It does not end on SIGTERM. */
  stubborn?: boolean;
  /** So many starts fail, with this status and this word. */
  fails?: number;
  status?: number;
  word?: string;
}

/** Its program, CommonJS. It adds its name to the file `data` in DATA_DIR at every start. */
export const STAND_IN = `
const { appendFileSync, readFileSync, fstatSync } = require('node:fs');
const { SERVER_NAME, DATA_DIR, NATS_URL, EXTRA, STUBBORN, FAILS, STATUS, WORD, LIFELINE_FD } = process.env;
const lifeline = LIFELINE_FD && fstatSync(Number(LIFELINE_FD)).ino;
appendFileSync(DATA_DIR + '/data', SERVER_NAME);
if (readFileSync(DATA_DIR + '/data', 'utf8').length <= Number(FAILS ?? 0) * SERVER_NAME.length) {
  console.error(WORD);
  process.exit(Number(STATUS ?? 1));
}
process.on('SIGTERM', () => { if (!STUBBORN) { console.log('stopped'); process.exit(0); } });
console.log(JSON.stringify({ pid: process.pid, SERVER_NAME, DATA_DIR, NATS_URL, EXTRA, lifeline }));
setInterval(() => undefined, 1000);
`;

/** The variables that make it behave so. */
export function behaving({ stubborn, fails, status, word }: NodeBehaviour): NodeJS.ProcessEnv {
  return {
    ...(stubborn === true ? { STUBBORN: 'yes' } : {}),
    ...(fails === undefined ? {} : { FAILS: String(fails) }),
    ...(status === undefined ? {} : { STATUS: String(status) }),
    ...(word === undefined ? {} : { WORD: word }),
  };
}
