/**
 * Loads a running cluster: `node scripts/load.js [--port 5000] [options of load-tests/run.js]`. Sees to it that there is a k6: on
 * the PATH, else in .tools, which Go's installer fills.
 */
const { spawnSync } = require('node:child_process');
const { mkdirSync } = require('node:fs');
const { delimiter, join } = require('node:path');

const ROOT = join(__dirname, '..');
const TOOLS = join(ROOT, '.tools');
/** Options of the launcher that say nothing to a load test. */
const LAUNCHER_ONLY = ['--data-dir', '--nats-port'];

function runs(command) {
  return spawnSync(command, ['version'], { stdio: 'ignore' }).status === 0;
}

function provideK6() {
  if (runs('k6') || runs(join(TOOLS, 'k6'))) return;
  console.log('fetching k6 into .tools by "go install" (this takes a few minutes)');
  mkdirSync(TOOLS, { recursive: true });
  const env = { ...process.env, GOBIN: TOOLS };
  const installed = spawnSync('go', ['install', 'go.k6.io/k6@latest'], {
    stdio: ['ignore', 'inherit', 'inherit'],
    env,
  });
  if (installed.status === 0 && runs(join(TOOLS, 'k6'))) return;
  console.error(
    'there is no k6 on the PATH, and Go could not install it: https://grafana.com/docs/k6 says how to get it ' +
      '(macOS: brew install k6)',
  );
  process.exit(69);
}

/** The launcher's `--port` becomes a base URL, so that the same ARGS serve `make run` and `make load`. */
function translate(args) {
  const options = args.flatMap((arg) => {
    const equals = arg.indexOf('=');
    return arg.startsWith('--') && equals > 0 ? [arg.slice(0, equals), arg.slice(equals + 1)] : [arg];
  });
  const passed = [];
  for (let at = 0; at < options.length; at += 1) {
    const option = options[at];
    if (option === '--port') passed.push('--base-url', `http://127.0.0.1:${options[(at += 1)]}`);
    else if (LAUNCHER_ONLY.includes(option)) at += 1;
    else passed.push(option);
  }
  return passed;
}

provideK6();
const { status } = spawnSync(
  process.execPath,
  [join(ROOT, 'load-tests', 'run.js'), ...translate(process.argv.slice(2))],
  {
    stdio: 'inherit',
    env: { ...process.env, PATH: `${process.env.PATH ?? ''}${delimiter}${TOOLS}` },
  },
);
process.exit(status ?? 1);
