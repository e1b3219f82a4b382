/**
 * What one very large shard takes: comparing its replicas, naming a key in which they differ, and copying all of it to a server that
 * has lost its disk. Starts a cluster of its own with one shard on two servers.
 *
 *     make build && node load-tests/large-shard.js [--rows 10000000] [--port 5900] [--nats-port 4900]
 *
 * The rows are put into the tables of both servers by SQL, as one round would have left them: writing them through the API would take
 * most of an hour and show nothing of what is measured here.
 */
const { mkdtempSync, rmSync } = require('node:fs');
const { cpus, loadavg, tmpdir } = require('node:os');
const { join } = require('node:path');
const { setTimeout: delay } = require('node:timers/promises');
const { parseArgs } = require('node:util');
const { Client } = require('pg');
const { Cluster } = require('./failover/cluster.js');
const { Events } = require('./failover/events.js');

const SERVERS = ['Server0', 'Server1'];
const PATIENCE_MS = 60 * 60 * 1000;
const BATCH = 500_000;
const POLL_MS = 200;

async function main() {
  const { values } = parseArgs({
    options: {
      rows: { type: 'string', default: '10000000' },
      port: { type: 'string', default: '5900' },
      'nats-port': { type: 'string', default: '4900' },
    },
  });
  const rows = Number(values.rows);
  const dataDir = join(mkdtempSync(join(tmpdir(), 'shardline-large-')), 'data');
  // Nothing is compared before it is asked for, and that answer may take its time.
  Object.assign(process.env, { SCRUB_INTERVAL_S: '0', ADMIN_TIMEOUT_MS: String(PATIENCE_MS) });
  console.log(`${rows} rows, ${cpus().length} cores, load ${loadavg()[0].toFixed(1)}`);
  const cluster = await Cluster.start({ port: Number(values.port), natsPort: Number(values['nats-port']), dataDir });
  const events = await Events.of(cluster.natsUrl);
  try {
    await configure(cluster, rows);
    await Promise.all(SERVERS.map((server) => fill(dataDir, server, rows)));
    await experiments(cluster, events, dataDir, rows);
  } finally {
    await events.close();
    await cluster.stop();
    rmSync(join(dataDir, '..'), { recursive: true, force: true });
  }
}

async function configure(cluster, rows) {
  const schema = { columns: ['id', 'name', 'mark'], dtypes: ['Number', 'String', 'String'] };
  const shards = [{ Stud_id_low: 0, Shard_id: 'large', Shard_size: 2 * rows }];
  const servers = Object.fromEntries(SERVERS.map((server) => [server, ['large']]));
  await post(cluster, '/init', { N: 2, schema, shards, servers });
  await post(cluster, '/write', { data: [{ id: 0, name: 'the first', mark: '1' }] });
}

/** Rows 1 to `rows` - 1, born with the first one. */
async function fill(dataDir, server, rows) {
  const startMs = performance.now();
  const client = await connectTo(dataDir, server);
  for (let low = 1; low < rows; low += BATCH) {
    const high = Math.min(low + BATCH, rows) - 1;
    await client.query(
      `INSERT INTO shards.large (id, name, mark, cat, dat)
       SELECT id, 'student ' || id, (id % 100)::text, first.cat, first.dat
       FROM generate_series(${low}::bigint, ${high}::bigint) AS id, (SELECT cat, dat FROM shards.large WHERE id = 0) AS first`,
    );
  }
  await client.query('VACUUM ANALYZE shards.large');
  await client.end();
  console.log(`${server} filled in ${seconds(startMs)} s`);
}

async function experiments(cluster, events, dataDir, rows) {
  let startMs = performance.now();
  console.log(`scrub: ${JSON.stringify(await post(cluster, '/scrub', {}))}`);
  console.log(`  comparing two replicas of ${rows} rows took ${seconds(startMs)} s`);

  const client = await connectTo(dataDir, 'Server1');
  await client.query(`UPDATE shards.large SET mark = 'changed' WHERE id = ${Math.floor(rows * 0.7)}`);
  await client.end();
  startMs = performance.now();
  console.log(`scrub: ${JSON.stringify(await post(cluster, '/scrub', {}))}`);
  const { data } = await events.first(startMs, 'shard.diverged', undefined, PATIENCE_MS);
  console.log(
    `  naming the key that differs (${JSON.stringify(data.keys.map(({ key }) => key))}) took ${seconds(startMs)} s`,
  );
  await whole(cluster);
  console.log(`  and a full re-copy, ${seconds(startMs)} s in all`);

  startMs = performance.now();
  process.kill(cluster.nodePid('Server1'), 'SIGKILL');
  await cluster.loseDisk('Server1');
  const { data: caughtUp } = await events.first(startMs, 'shard.insync', undefined, PATIENCE_MS);
  console.log(
    `  Server1 killed, its disk lost: in sync again after ${seconds(startMs)} s: ${JSON.stringify(caughtUp)}`,
  );
  const { data: read } = await get(cluster, `/read?low=${rows - 2}&high=${rows}`);
  console.log(`  the last rows: ${JSON.stringify(read)}`);
}

async function whole(cluster) {
  await delay(POLL_MS);
  await cluster.untilWhole(PATIENCE_MS);
}

async function connectTo(dataDir, server) {
  const client = new Client({
    host: join(dataDir, 'servers', server, 'socket'),
    user: 'shardline',
    database: 'postgres',
  });
  await client.connect();
  return client;
}

async function post(cluster, path, body) {
  const answer = await fetch(`${cluster.baseUrl}${path}`, { method: 'POST', body: JSON.stringify(body) });
  const reply = await answer.json();
  if (answer.status !== 200) throw new Error(`POST ${path} answered ${answer.status}: ${reply.message}`);
  return reply;
}

async function get(cluster, path) {
  const answer = await fetch(`${cluster.baseUrl}${path}`);
  return answer.json();
}

function seconds(startMs) {
  return ((performance.now() - startMs) / 1000).toFixed(1);
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
