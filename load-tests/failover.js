/**
 * How long a shard-node's death takes to be noticed and healed, and what clients feel of it: kills one shard-node of a running
 * local cluster with SIGKILL while clients write and read, and prints the times of what follows.
 *
 *     node load-tests/failover.js --base-url http://127.0.0.1:5000 --data-dir .shardline --server Server0 --clients 16
 *
 * Times are milliseconds from the signal, by this process's clock; events are taken from NATS as they come.
 */
const { readFileSync } = require('node:fs');
const { join } = require('node:path');
const { parseArgs } = require('node:util');
const { connect } = require('nats');

const { values } = parseArgs({
  options: {
    'base-url': { type: 'string', default: process.env.BASE_URL ?? 'http://127.0.0.1:5000' },
    'nats-url': { type: 'string', default: process.env.NATS_URL ?? 'nats://127.0.0.1:4222' },
    'data-dir': { type: 'string', default: '.shardline' },
    server: { type: 'string', default: 'Server0' },
    clients: { type: 'string', default: '16' },
    'wait-s': { type: 'string', default: '120' },
  },
});
const EVENTS = ['server.flatline', 'server.respawned', 'server.recovered'];

/** Clients that update rows of their own and read them back, each waiting for its answer. */
function startLoad(rows, clients) {
  const load = { answers: 0, errors: [], longestMs: 0, stopped: false, done: Promise.resolve() };
  const ask = async (method, path, body) => {
    const startMs = performance.now();
    const answer = await fetch(values['base-url'] + path, {
      method,
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    const text = await answer.text();
    load.answers += 1;
    load.longestMs = Math.max(load.longestMs, performance.now() - startMs);
    if (answer.status !== 200) load.errors.push(`${method} ${path}: ${answer.status} ${text.slice(0, 200)}`);
  };
  const work = async (client) => {
    for (let turn = 0; !load.stopped; turn += 1) {
      const row = { ...rows[(client + turn * clients) % rows.length], Stud_marks: String(turn) };
      await ask('PUT', '/update', { Stud_id: row.Stud_id, data: row });
      await ask('POST', '/read', { Stud_id: row.Stud_id });
    }
  };
  load.done = Promise.all(Array.from({ length: clients }, (_, client) => work(client)));
  return load;
}

/** Some rows of every shard. */
async function sampleRows() {
  const status = await (await fetch(`${values['base-url']}/status`)).json();
  const rows = [];
  for (const { Stud_id_low: low } of status.shards) {
    const answer = await fetch(`${values['base-url']}/read?low=${low}&high=${low + 499}`);
    rows.push(...(await answer.json()).data);
  }
  const total = status.shards.reduce((sum, shard) => sum + (shard.rows ?? 0), 0);
  return { rows, total };
}

async function main() {
  const { rows, total } = await sampleRows();
  if (rows.length === 0) throw new Error('the cluster holds no rows: fill it first');
  const nats = await connect({ servers: values['nats-url'] });
  const arrived = new Map();
  let killedMs = 0;
  const recovered = new Promise((resolve, reject) => {
    setTimeout(() => reject(new Error('it did not recover in time')), Number(values['wait-s']) * 1000).unref();
    nats.subscribe('shardline.event.server.*', {
      callback: (_error, message) => {
        const event = message.json();
        if (event.subject !== values.server) return;
        arrived.set(event.type.replace('io.shardline.', ''), Math.round(performance.now() - killedMs));
        if (event.type.endsWith('server.recovered')) resolve();
      },
    });
  });
  await nats.flush();
  const load = startLoad(rows, Number(values.clients));
  const pid = Number(readFileSync(join(values['data-dir'], 'servers', values.server, 'node.pid'), 'utf8'));
  killedMs = performance.now();
  process.kill(pid, 'SIGKILL');
  await recovered;
  load.stopped = true;
  await load.done;
  await nats.close();
  console.log(`${total} rows, ${values.clients} clients; SIGKILL of ${values.server} at 0 ms`);
  for (const kind of EVENTS) console.log(`  ${kind.padEnd(18)} ${String(arrived.get(kind) ?? '-').padStart(7)} ms`);
  console.log(
    `  client answers ${load.answers}, errors ${load.errors.length}, longest wait ${Math.round(load.longestMs)} ms`,
  );
  for (const error of load.errors.slice(0, 5)) console.log(`    ${error}`);
  if (load.errors.length > 0) process.exitCode = 1;
}

main().catch((error) => {
  console.error(error.message);
  process.exitCode = 1;
});
