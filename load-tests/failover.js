/**
 * What clients feel when parts of a cluster die, and how long the cluster takes to be whole again: starts a cluster of its own,
 * fills it, lets clients write and read, and in turn kills a replica, the leader, NATS, a replica with
 * its disk, and stops one for a while.
 *
 *     node load-tests/failover.js [--rows 100000] [--clients 64] [--only leader-kill,nats] [--port 5900] [--nats-port 4900]
 *                                 [--data-dir dir] [--quiet-s 5] [--after-s 5]
 *
 * "Before" is the time without any fault just before each, on the same processes and under the same load: on a shared machine a
 * figure means little without it. A write is one `PUT /update`, measured by its client from the first byte sent to the last
 * received; each is read back. Prints a table and writes load-tests/reports/failover-<time>.json. Ends with 1 when a client saw an error.
 */
const { mkdirSync, mkdtempSync, rmSync, writeFileSync } = require('node:fs');
const { cpus, loadavg, tmpdir } = require('node:os');
const { join } = require('node:path');
const { setTimeout: delay } = require('node:timers/promises');
const { parseArgs } = require('node:util');
const { configure, seed } = require('./configure.js');
const { Cluster } = require('./failover/cluster.js');
const { Events } = require('./failover/events.js');
const { FAULTS, WAIT_MS } = require('./failover/faults.js');
const { Load } = require('./failover/load.js');

const REPORTS = join(__dirname, 'reports');
/** Rows that clients change; the others only make the table large. */
const CHANGED_ROWS = 4_096;
const WARM_UP_MS = 5_000;

function readOptions() {
  const { values } = parseArgs({
    options: {
      rows: { type: 'string', default: '100000' },
      clients: { type: 'string', default: '64' },
      only: { type: 'string', default: FAULTS.map(({ name }) => name).join(',') },
      port: { type: 'string', default: '5900' },
      'nats-port': { type: 'string', default: '4900' },
      'data-dir': { type: 'string' },
      'quiet-s': { type: 'string', default: '5' },
      'after-s': { type: 'string', default: '5' },
    },
  });
  const names = values.only.split(',');
  const unknown = names.filter((name) => !FAULTS.some((fault) => fault.name === name));
  if (unknown.length > 0)
    throw new Error(`--only knows ${FAULTS.map(({ name }) => name).join(', ')}, not ${unknown.join(', ')}`);
  return {
    rows: Number(values.rows),
    clients: Number(values.clients),
    faults: FAULTS.filter(({ name }) => names.includes(name)),
    port: Number(values.port),
    natsPort: Number(values['nats-port']),
    dataDir: values['data-dir'],
    quietMs: Number(values['quiet-s']) * 1000,
    afterMs: Number(values['after-s']) * 1000,
  };
}

/** One fault under load, from a quiet time before it to a while after it is over. */
async function experiment(fault, { cluster, events, changed }, { clients, quietMs, afterMs }) {
  await cluster.untilWhole(WAIT_MS);
  const load = new Load(cluster.baseUrl, clients, changed);
  try {
    await delay(WARM_UP_MS);
    const quietFromMs = performance.now();
    await delay(quietMs);
    const quiet = load.between(quietFromMs, performance.now());
    const { atMs, figures, window } = await fault.run({ cluster, events });
    await delay(afterMs);
    await load.stop();
    const seen = load.between(atMs, performance.now());
    const more = window?.((fromMs, toMs) => load.between(fromMs, toMs)) ?? [];
    return { fault: fault.name, title: fault.title, aim: fault.aim, quiet, seen, figures: [...figures, ...more] };
  } finally {
    await load.stop();
  }
}

function print({ title, aim, quiet, seen, figures }) {
  const ms = (value) => `${String(Math.round(value)).padStart(6)} ms`;
  console.log(`\n${title}\n  aim: ${aim}`);
  console.log(`  ${''.padEnd(40)}    before        with the fault`);
  console.log(
    `  ${'errors that clients saw'.padEnd(40)} ${String(quiet.errors.length).padStart(9)} ${String(seen.errors.length).padStart(14)}`,
  );
  console.log(`  ${'longest read'.padEnd(40)} ${ms(quiet.longestReadMs)} ${ms(seen.longestReadMs).padStart(14)}`);
  console.log(`  ${'longest write'.padEnd(40)} ${ms(quiet.longestMs)} ${ms(seen.longestMs).padStart(14)}`);
  console.log(
    `  ${'longest time without any answered write'.padEnd(40)} ${ms(quiet.silenceMs)} ${ms(seen.silenceMs).padStart(14)}`,
  );
  console.log(
    `  ${'answered writes'.padEnd(40)} ${String(quiet.writes).padStart(9)} ${String(seen.writes).padStart(14)}`,
  );
  for (const [what, value] of figures) console.log(`  ${what.padEnd(40)} ${value}`);
  for (const { what } of seen.errors.slice(0, 5)) console.log(`    ${what}`);
}

async function main() {
  const options = readOptions();
  const dataDir = options.dataDir ?? join(mkdtempSync(join(tmpdir(), 'shardline-failover-')), 'data');
  const shardSize = Math.max(4_096, Math.ceil(options.rows / 4));
  const { keyOf, studentOf } = await import('./k6/layout.mjs');
  const cluster = await Cluster.start({ port: options.port, natsPort: options.natsPort, dataDir });
  const results = [];
  try {
    await configure(cluster.baseUrl, shardSize);
    await seed(cluster.baseUrl, options.rows, shardSize);
    const changed = Array.from({ length: Math.min(options.rows, CHANGED_ROWS) }, (_, row) =>
      studentOf(keyOf(row, shardSize)),
    );
    const events = await Events.of(cluster.natsUrl);
    console.log(
      `${options.rows} rows in 4 shards, 3 replicas of each on 6 servers; ${options.clients} clients that change and read records; ` +
        `2 balancers, 1 gateway\n${cpus().length} x ${cpus()[0]?.model ?? '?'}, load average ${loadavg()[0].toFixed(1)}, Node ${process.version}`,
    );
    for (const fault of options.faults) {
      const result = await experiment(fault, { cluster, events, changed }, options);
      print(result);
      results.push(result);
    }
    await events.close();
  } finally {
    await cluster.stop();
    if (options.dataDir === undefined) rmSync(join(dataDir, '..'), { recursive: true, force: true });
  }
  mkdirSync(REPORTS, { recursive: true });
  const file = join(REPORTS, `failover-${new Date().toISOString().replaceAll(':', '-')}.json`);
  const { rows, clients } = options;
  writeFileSync(file, JSON.stringify({ rows, clients, cpus: cpus().length, load: loadavg(), results }, null, 2));
  console.log(`\n${file}`);
  if (results.some(({ seen }) => seen.errors.length > 0)) process.exitCode = 1;
}

main().catch((error) => {
  console.error(error.stack);
  process.exitCode = 1;
});
