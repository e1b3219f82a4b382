/**
 * Measures a running cluster: the whole published set in order, each figure beside that of a bare Fastify server which is
 * measured first in the same run. Prints one table and writes load-tests/reports/<time>.json.
 *
 *     node load-tests/run.js [--base-url http://127.0.0.1:5000] [--count 10000] [--clients 64,256] [--range-clients 16]
 *                            [--bulk-count 1000] [--batch 100] [--shard-size 40960] [--label text]
 *
 * The cluster should be empty: an unconfigured one is configured (see configure.js), in a configured one rows 0 … must
 * not exist yet. k6 is taken from the PATH, else from .tools/.
 */
const { spawn, spawnSync } = require('node:child_process');
const { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } = require('node:fs');
const { cpus, tmpdir } = require('node:os');
const { join } = require('node:path');
const { createInterface } = require('node:readline');
const { parseArgs } = require('node:util');
const { configure } = require('./configure.js');

const ROOT = join(__dirname, '..');
const REPORTS = join(__dirname, 'reports');
const STATUS_TIMEOUT_MS = 30_000;
const BASELINE_START_MS = 20_000;

function findK6() {
  for (const candidate of ['k6', join(ROOT, '.tools', 'k6')]) {
    const found = spawnSync(candidate, ['version'], { encoding: 'utf8' });
    if (found.status === 0) return { path: candidate, version: found.stdout.trim() };
  }
  throw new Error(
    'k6 is neither on the PATH nor in .tools/: "go install go.k6.io/k6@latest" gets it, or see https://grafana.com/docs/k6',
  );
}

function wholes(text, name) {
  const numbers = text.split(',').map(Number);
  if (numbers.length === 0 || numbers.some((number) => !Number.isInteger(number) || number < 1)) {
    throw new Error(`--${name} ${text}: whole numbers from 1 on are needed`);
  }
  return numbers;
}

function readOptions() {
  const { values } = parseArgs({
    options: {
      'base-url': { type: 'string', default: process.env.BASE_URL || 'http://127.0.0.1:5000' },
      count: { type: 'string', default: '10000' },
      clients: { type: 'string', default: '64,256' },
      'range-clients': { type: 'string', default: '16' },
      'bulk-count': { type: 'string', default: '1000' },
      batch: { type: 'string', default: '100' },
      'shard-size': { type: 'string', default: '40960' },
      label: { type: 'string', default: '' },
    },
  });
  const one = (name) => wholes(values[name], name)[0];
  return {
    baseUrl: values['base-url'],
    count: one('count'),
    clients: wholes(values.clients, 'clients'),
    rangeClients: one('range-clients'),
    bulkCount: one('bulk-count'),
    batch: one('batch'),
    shardSize: one('shard-size'),
    label: values.label,
  };
}

/** Configures an empty cluster. @returns how many keys its shards have @throws when the configuration is another one */
async function prepare(options) {
  const ask = () =>
    fetch(`${options.baseUrl}/status`, { signal: AbortSignal.timeout(STATUS_TIMEOUT_MS) }).then(
      (response) => response.json(),
      () => {
        throw new Error(`no answer from ${options.baseUrl}: start a cluster with "make run" in another terminal`);
      },
    );
  let status = await ask();
  if (status.N === 0) {
    console.log(`configuring 4 shards of ${options.shardSize} keys on 6 servers`);
    await configure(options.baseUrl, options.shardSize);
    status = await ask();
  }
  const sizes = status.shards.map((shard) => shard.Shard_size);
  const isOurs = (shard, index) => shard.Shard_size === sizes[0] && shard.Stud_id_low === index * sizes[0];
  const inOrder = [...status.shards].sort((a, b) => a.Stud_id_low - b.Stud_id_low);
  if (inOrder.length !== 4 || !inOrder.every(isOurs)) {
    throw new Error(
      'the cluster has another configuration than that of load-tests/configure.js: start with an empty one',
    );
  }
  return sizes[0];
}

/** The published set, in an order in which what is read was written before. */
function experimentsFor(options) {
  const { count, clients, rangeClients, bulkCount, batch } = options;
  const [few] = clients;
  const rows = { COUNT: count, ROWS: count };
  let start = 0;
  const take = (indices) => {
    const first = start;
    start += Math.ceil(indices / 4) * 4;
    return first;
  };
  const experiments = [
    // On processes that were just started and have compiled nothing yet; the same is measured again further down.
    { name: 'write, fresh', script: 'write', clients: few, env: { COUNT: count, START_KEY: take(count) } },
    ...clients.map((each) => ({ script: 'read-point', clients: each, env: rows })),
    { script: 'read-range', clients: rangeClients, env: { ...rows, EXACT: 'true' } },
    ...clients.map((each) => ({ script: 'write', clients: each, env: { COUNT: count, START_KEY: take(count) } })),
    // Batches take the shards in turn: the last turn may use one batch of every shard.
    {
      script: 'bulk-write',
      clients: few,
      env: { COUNT: bulkCount, BATCH: batch, START_KEY: take((bulkCount + 4) * batch) },
    },
    { script: 'mixed', clients: few, env: { ...rows, START_KEY: take(Math.ceil(count / 10)) } },
  ];
  return { experiments, rowsNeeded: start };
}

/** Runs one script and resolves with its figures. Wrong answers count as figures; a script that cannot run throws. */
function runK6(k6, script, env) {
  const folder = mkdtempSync(join(tmpdir(), 'shardline-load-'));
  const summaryFile = join(folder, 'summary.json');
  return new Promise((resolve, reject) => {
    const child = spawn(k6.path, ['run', '--quiet', join(__dirname, 'k6', `${script}.js`)], {
      stdio: ['ignore', 'inherit', 'inherit'],
      env: { ...process.env, ...env, SUMMARY_FILE: summaryFile, K6_NO_USAGE_REPORT: 'true' },
    });
    child.once('error', reject);
    child.once('exit', (code) => {
      try {
        resolve(JSON.parse(readFileSync(summaryFile, 'utf8')));
      } catch {
        reject(new Error(`k6 ended with ${code} and left no figures for ${script}`));
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    });
  });
}

/** Starts the yardstick; `stop` ends it. */
async function startBaseline() {
  const child = spawn(process.execPath, [join(__dirname, 'baseline', 'server.js')], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, PORT: '' },
  });
  const deadline = setTimeout(() => child.kill(), BASELINE_START_MS);
  for await (const line of createInterface({ input: child.stdout })) {
    clearTimeout(deadline);
    return { baseUrl: `http://127.0.0.1:${JSON.parse(line).port}`, stop: () => child.stdin.end() };
  }
  throw new Error('the baseline server did not start; are the packages installed?');
}

async function measureBaseline(k6, clientCounts, count) {
  const server = await startBaseline();
  const byClients = new Map();
  try {
    for (const clients of clientCounts) {
      const env = { BASE_URL: server.baseUrl, CLIENTS: clients, COUNT: count };
      byClients.set(clients, await runK6(k6, 'baseline', env));
    }
  } finally {
    server.stop();
  }
  return byClients;
}

function printTable(results) {
  const header = ['', 'clients', 'requests', 'requests/s', 'of bare HTTP', 'p50 ms', 'p95 ms', 'p99 ms', 'failures'];
  const lines = results.map((result) => [
    result.name,
    String(result.clients),
    String(result.requests),
    result.requestsPerSecond.toFixed(0),
    result.ratio.toFixed(3),
    result.p50Ms.toFixed(1),
    result.p95Ms.toFixed(1),
    result.p99Ms.toFixed(1),
    String(result.failures),
  ]);
  const widths = header.map((title, column) => Math.max(title.length, ...lines.map((line) => line[column].length)));
  const pad = (cell, column) => (column === 0 ? cell.padEnd(widths[column]) : cell.padStart(widths[column]));
  for (const line of [header, ...lines]) console.log(line.map(pad).join('  '));
}

function writeReport(report) {
  mkdirSync(REPORTS, { recursive: true });
  const path = join(REPORTS, `${report.startedAt.replaceAll(':', '-')}.json`);
  writeFileSync(path, `${JSON.stringify(report, null, 2)}\n`);
  return path;
}

async function main() {
  const options = readOptions();
  const k6 = findK6();
  const startedAt = new Date().toISOString();
  const { experiments, rowsNeeded } = experimentsFor(options);
  const shardSize = await prepare(options);
  if (rowsNeeded > 4 * shardSize) {
    throw new Error(
      `${rowsNeeded} rows do not fit into 4 shards of ${shardSize} keys: --count, --bulk-count or --shard-size`,
    );
  }
  const clientCounts = [...new Set(experiments.map((experiment) => experiment.clients))];
  const baseline = await measureBaseline(k6, clientCounts, options.count);
  const results = [...baseline.values()].map((figures) => ({ ...figures, ratio: 1 }));
  for (const { name, script, clients, env } of experiments) {
    const figures = await runK6(k6, script, {
      BASE_URL: options.baseUrl,
      CLIENTS: clients,
      SHARD_SIZE: shardSize,
      ...env,
    });
    results.push({
      ...figures,
      name: name ?? figures.name,
      ratio: figures.requestsPerSecond / baseline.get(clients).requestsPerSecond,
    });
  }
  console.log();
  printTable(results);
  const machine = { cores: cpus().length, model: cpus()[0]?.model ?? 'unknown', platform: process.platform };
  const path = writeReport({ startedAt, options, shardSize, machine, node: process.version, k6: k6.version, results });
  console.log(`\nwritten to ${path}`);
  const failures = results.reduce((sum, result) => sum + result.failures + (result.asked - result.requests), 0);
  if (failures > 0) throw new Error(`${failures} requests had no or a wrong answer`);
}

main().catch((error) => {
  console.error(error.message);
  process.exit(1);
});
