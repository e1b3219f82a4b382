/**
 * Loads a running cluster with the scripts in load-tests/k6: `node scripts/load.js [--port 5000] [write read-point …]`.
 * BASE_URL and the scripts' own variables come from the environment. k6 is taken from the PATH, else from .tools, which Go's
 * installer fills.
 */
const { execFileSync, spawnSync } = require('node:child_process');
const { existsSync, mkdirSync, readdirSync } = require('node:fs');
const { join } = require('node:path');
const { parseArgs } = require('node:util');

const ROOT = join(__dirname, '..');
const SCRIPTS = join(ROOT, 'load-tests', 'k6');
const TOOLS = join(ROOT, '.tools');
/** In the order in which they make sense: what is read was written before. */
const ORDER = ['write', 'read-point', 'bulk-write', 'read-range', 'mixed'];

function runs(command) {
  return spawnSync(command, ['version'], { stdio: 'ignore' }).status === 0;
}

function provideK6() {
  if (runs('k6')) return 'k6';
  const own = join(TOOLS, 'k6');
  if (runs(own)) return own;
  console.log('fetching k6 into .tools by "go install" (this takes a few minutes)');
  mkdirSync(TOOLS, { recursive: true });
  const installed = spawnSync('go', ['install', 'go.k6.io/k6@latest'], {
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, GOBIN: TOOLS },
  });
  if (installed.status === 0 && runs(own)) return own;
  throw new Error(
    'there is no k6 on the PATH, and Go could not install it: see https://grafana.com/docs/k6 for how to get it',
  );
}

function chosenScripts(names) {
  const there = existsSync(SCRIPTS) ? readdirSync(SCRIPTS).filter((name) => name.endsWith('.js')) : [];
  const known = there.map((name) => name.slice(0, -'.js'.length));
  const unknown = names.find((name) => !known.includes(name));
  if (unknown !== undefined) throw new Error(`there is no load-tests/k6/${unknown}.js; there are: ${known.join(', ')}`);
  const chosen = names.length > 0 ? names : ORDER.filter((name) => known.includes(name));
  if (chosen.length === 0) throw new Error('there are no scripts in load-tests/k6');
  return chosen;
}

async function main() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      port: { type: 'string', default: '5000' },
      'data-dir': { type: 'string' },
      'nats-port': { type: 'string' },
    },
  });
  const baseUrl = process.env.BASE_URL || `http://127.0.0.1:${values.port}`;
  const scripts = chosenScripts(positionals);
  await fetch(`${baseUrl}/healthz`, { signal: AbortSignal.timeout(5_000) }).catch(() => {
    throw new Error(`nobody answers on ${baseUrl}: start a cluster with "make run" in another terminal`);
  });
  const k6 = provideK6();
  for (const script of scripts) {
    console.log(`\n${script}`);
    execFileSync(k6, ['run', join(SCRIPTS, `${script}.js`)], {
      stdio: 'inherit',
      env: { ...process.env, BASE_URL: baseUrl, K6_NO_USAGE_REPORT: 'true' },
    });
  }
}

main().catch((error) => {
  console.error(error.message);
  process.exit(1);
});
