/**
 * How fast one shard-node copies a shard from another: two processes, each with a Postgres of its own, over a real NATS, asked
 * as the balancer asks. Beside it, in the same run, what Postgres does alone: COPY TO of the same table straight into COPY FROM of
 * the other one, through a pipe.
 *
 *     npm run build && node load-tests/copy-rate.js [--mb 200] [--row-bytes 100,1000] [--shards 1] [--page-bytes 524288]
 *
 * Bytes are those of the rows as COPY writes them, the same for both. What is measured ends with the last page durable.
 */
const { execFileSync, spawn } = require('node:child_process');
const { mkdtempSync, rmSync } = require('node:fs');
const { tmpdir } = require('node:os');
const { join } = require('node:path');
const { parseArgs } = require('node:util');
const { connect } = require('nats');
const { Client } = require('pg');

const ROOT = join(__dirname, '..');
const common = (file) => require(join(ROOT, 'dist', 'libs', 'common', 'src', file));
const node = (file) => require(join(ROOT, 'dist', 'apps', 'shard-node', 'src', file));
const { provideNatsServer } = common('nats/nats-server-binary.js');
const { createLogger } = common('logging/logger.js');
const { EmbeddedPostgres } = node('adapters/embedded-postgres/embedded-postgres.js');

const MIB = 1024 * 1024;
const SLICE_BYTES = 8 * MIB;
const ASK_MS = 60_000;
const SERVERS = ['Source', 'Target'];
const SCHEMA = {
  columns: ['id', 'mark', 'name', 'there', 'since', 'more'],
  dtypes: ['Number', 'Number', 'String', 'Boolean', 'Timestamp', 'JSON'],
};
const ends = [];

async function main() {
  const { values } = parseArgs({
    options: {
      mb: { type: 'string', default: '200' },
      'row-bytes': { type: 'string', default: '100,1000' },
      shards: { type: 'string', default: '1' },
      'page-bytes': { type: 'string', default: '524288' },
    },
  });
  const dir = mkdtempSync(join(tmpdir(), 'shardline-copy-rate-'));
  ends.push(() => rmSync(dir, { recursive: true, force: true }));
  const natsUrl = await startNats(dir);
  const databases = {};
  for (const server of SERVERS) {
    const postgres = await EmbeddedPostgres.start({
      dataDir: join(dir, server),
      logger: createLogger('copy-rate', 'silent'),
    });
    ends.push(() => postgres.stop());
    databases[server] = postgres.connection;
    await startNode(server, postgres.connection, natsUrl, values['page-bytes']);
  }
  const nats = await connect({ servers: natsUrl });
  ends.push(() => nats.close());
  const shards = Number(values.shards);
  let configId = 0;
  for (const rowBytes of values['row-bytes'].split(',').map(Number)) {
    configId += 1;
    await measure({ nats, databases, dir, configId, rowBytes, shards, bytes: Number(values.mb) * MIB });
  }
}

async function measure({ nats, databases, dir, configId, rowBytes, shards, bytes }) {
  const names = Array.from({ length: shards }, (_, index) => `sh${index}`);
  const rows = Math.floor(bytes / rowBytes / shards);
  for (const server of SERVERS) {
    const configs = names.map((shard, index) => {
      const range = { shard, low: index * rows, size: rows };
      return { ...range, configEpoch: 1, configVersion: 1, inSync: ['Source'] };
    });
    await ask(nats, server, 'config', { epoch: 1, configId, schema: SCHEMA, shards: configs, drop: [], areNew: true });
  }
  const total = await fill(nats, databases.Source, names, rows, rowBytes);
  const plain = await plainCopy(databases, dir, names[0]);
  const started = performance.now();
  await Promise.all(names.map((shard) => copy(nats, shard)));
  const tookMs = performance.now() - started;
  await compare(databases, names);
  const ours = total / 1e6 / (tookMs / 1000);
  console.log(
    `rows of ~${rowBytes} B, ${shards} shard(s), ${(total / 1e6).toFixed(0)} MB: copied at ${ours.toFixed(1)} MB/s` +
      ` (${Math.round((rows * shards) / (tookMs / 1000))} rows/s), COPY alone ${plain.toFixed(1)} MB/s, ratio ${(ours / plain).toFixed(2)}`,
  );
}

/** Rows straight into the tables, below the one term that a round has used. Answers how many bytes they have as text. */
async function fill(nats, database, names, rows, rowBytes) {
  const client = new Client(database);
  await client.connect();
  let total = 0;
  for (const [index, shard] of names.entries()) {
    const low = index * rows;
    const largest = JSON.stringify({
      id: low,
      mark: 1.5,
      name: 'x'.repeat(rowBytes),
      there: true,
      since: '2026-01-02T03:04:05Z',
      more: null,
    });
    const op = { op: 'create', onConflict: 'error', keys: [low] };
    const part = { shard, vat: 0, firstTerm: 1, lastTerm: 1, ops: [op] };
    const round = { round: 1 + index, lastTerms: { [shard]: 1 }, parts: [part] };
    const message = `[${JSON.stringify({ epoch: 1, rounds: [round] })},\n${largest}]`;
    const answer = await nats.request('shardline.node.Source.apply', message, { timeout: ASK_MS });
    if (answer.json().error !== undefined) throw new Error(answer.string());
    await client.query(
      `INSERT INTO shards.${shard} (id, mark, name, there, since, more, cat, dat)
       SELECT ${low} + n, n / 8.0, rpad(md5(n::text), $1, md5((n * 7)::text)), n % 2 = 0, timestamptz '2026-01-02 03:04:05Z' + n * interval '1 s', NULL, 1, 9223372036854775807
       FROM generate_series(1, $2::int - 1) AS n`,
      [Math.max(1, rowBytes - 60), rows],
    );
    const { rows: sizes } = await client.query(
      `SELECT sum(octet_length(concat_ws(E'\\t', id, mark, name, there, since, coalesce(more::text, '\\N'), cat, dat)) + 1)::bigint AS bytes FROM shards.${shard}`,
    );
    total += Number(sizes[0].bytes);
  }
  await client.query('CHECKPOINT');
  await client.end();
  return total;
}

/** MB/s of one COPY into another, into an empty table with the same indexes. */
async function plainCopy(databases, dir, shard) {
  const [source, target] = [new Client(databases.Source), new Client(databases.Target)];
  await Promise.all([source.connect(), target.connect()]);
  const pipe = join(dir, `pipe-${Math.random().toString(36).slice(2)}`);
  execFileSync('mkfifo', ['-m', '666', pipe]);
  execFileSync('chmod', ['a+rx', dir]);
  await target.query(`CREATE TABLE shards.plain (LIKE shards.${shard} INCLUDING ALL)`);
  const size = `SELECT sum(octet_length(concat_ws(E'\\t', id, mark, name, there, since, coalesce(more::text, '\\N'), cat, dat)) + 1)::bigint AS bytes FROM shards.${shard}`;
  const { rows } = await source.query(size);
  const started = performance.now();
  await Promise.all([
    source.query(`COPY shards.${shard} TO '${pipe}'`),
    target.query(`COPY shards.plain FROM '${pipe}'`),
  ]);
  const tookMs = performance.now() - started;
  await target.query('DROP TABLE shards.plain');
  await target.query('CHECKPOINT');
  await Promise.all([source.end(), target.end()]);
  return Number(rows[0].bytes) / 1e6 / (tookMs / 1000);
}

let turn = 0;
async function copy(nats, shard) {
  for (;;) {
    turn += 1;
    const range = { shard, source: 'Source', from: 0, to: 1 };
    const reply = await ask(nats, 'Target', 'catchup', { epoch: 1, turn, ...range, maxBytes: SLICE_BYTES });
    if (reply.next === null) return;
  }
}

async function compare(databases, names) {
  const counts = [];
  for (const server of SERVERS) {
    const client = new Client(databases[server]);
    await client.connect();
    const sums = names.map((shard) => `SELECT count(*), sum(hashtext(t::text)) FROM shards.${shard} AS t`);
    counts.push(JSON.stringify((await client.query(sums.join(' UNION ALL '))).rows));
    await client.end();
  }
  if (counts[0] !== counts[1]) throw new Error(`the copy differs: ${counts.join(' ')}`);
}

async function ask(nats, server, verb, request) {
  const answer = await nats.request(`shardline.node.${server}.${verb}`, JSON.stringify(request), { timeout: ASK_MS });
  const reply = answer.json();
  if (reply.error !== undefined) throw new Error(`${verb} of ${server}: ${reply.error.message}`);
  return reply;
}

async function startNats(dir) {
  const port = 25_000 + Math.floor(Math.random() * 900);
  const config = join(dir, 'nats.conf');
  require('node:fs').writeFileSync(config, `listen: "127.0.0.1:${port}"\nmax_payload: 8MB\n`);
  start(await provideNatsServer(), ['-c', config, '-l', join(dir, 'nats.log')], {});
  return `nats://127.0.0.1:${port}`;
}

async function startNode(server, { host, user, database }, natsUrl, pageBytes) {
  const url = `postgres://${user}@localhost/${database}?host=${encodeURIComponent(host)}`;
  const env = { SERVER_NAME: server, DATABASE_URL: url, NATS_URL: natsUrl, PAGE_BYTES: pageBytes, LOG_LEVEL: 'warn' };
  start(process.execPath, [join(ROOT, 'dist', 'apps', 'shard-node', 'main.js')], env);
  const nats = await connect({ servers: natsUrl, waitOnFirstConnect: true });
  for (const deadline = performance.now() + ASK_MS; ;) {
    try {
      await ask(nats, server, 'fence', { epoch: 1 });
      break;
    } catch (error) {
      if (performance.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
  await nats.close();
}

function start(command, args, env) {
  const child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'ignore', 'inherit'] });
  ends.push(
    () =>
      new Promise((resolve) => {
        if (child.exitCode !== null) resolve();
        child.once('exit', resolve);
        child.kill('SIGTERM');
      }),
  );
}

async function cleanUp() {
  for (const end of ends.reverse()) {
    try {
      await end();
    } catch (error) {
      console.error(error.message);
    }
  }
}

main()
  .catch((error) => {
    console.error(error);
    process.exitCode = 1;
  })
  .finally(cleanUp);
