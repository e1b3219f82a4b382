/**
 * Gives a cluster the configuration that the published figures are measured on: 4 shards, 6 servers, 3 replicas of every
 * shard. `SHARD_SIZE=4096 ROWS=0 BASE_URL=http://127.0.0.1:5000 node load-tests/configure.js`; with ROWS that many rows
 * are written as well.
 */
const SCHEMA = { columns: ['Stud_id', 'Stud_name', 'Stud_marks'], dtypes: ['Number', 'String', 'String'] };
const SERVERS = {
  Server0: ['sh1', 'sh2'],
  Server1: ['sh3', 'sh4'],
  Server3: ['sh1', 'sh3'],
  Server4: ['sh4', 'sh2'],
  Server5: ['sh1', 'sh4'],
  Server6: ['sh3', 'sh2'],
};
const DEFAULT_SHARD_SIZE = 4096;
const SEED_BATCH = 500;
const SEED_CLIENTS = 8;
/** Six shard-nodes, each with a Postgres to be set up, may take a while on a small machine. */
const INIT_TIMEOUT_MS = 300_000;
const WRITE_TIMEOUT_MS = 60_000;

/** The body of `POST /init`. */
function configuration(shardSize) {
  const shards = [0, 1, 2, 3].map((index) => ({
    Stud_id_low: index * shardSize,
    Shard_id: `sh${index + 1}`,
    Shard_size: shardSize,
  }));
  return { N: Object.keys(SERVERS).length, schema: SCHEMA, shards, servers: SERVERS };
}

/** Posts JSON. @throws when the answer is not 200 */
async function post(url, body, timeoutMs) {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(timeoutMs),
  });
  const text = await response.text();
  if (response.status !== 200) throw new Error(`POST ${url} answered ${response.status}: ${text.slice(0, 300)}`);
  return JSON.parse(text);
}

/** Configures the cluster; one that has this configuration already stays as it is. */
async function configure(baseUrl, shardSize) {
  await post(`${baseUrl}/init`, configuration(shardSize), INIT_TIMEOUT_MS);
}

/** Writes rows 0 … rows-1, replacing those that are there. */
async function seed(baseUrl, rows, shardSize) {
  const { keyOf, studentOf } = await import('./k6/layout.mjs');
  let next = 0;
  const work = async () => {
    while (next < rows) {
      const first = next;
      next = Math.min(rows, first + SEED_BATCH);
      const data = Array.from({ length: next - first }, (_, row) => studentOf(keyOf(first + row, shardSize)));
      await post(`${baseUrl}/write?onConflict=replace`, { data }, WRITE_TIMEOUT_MS);
    }
  };
  await Promise.all(Array.from({ length: SEED_CLIENTS }, work));
}

module.exports = { configuration, configure, seed, DEFAULT_SHARD_SIZE };

if (require.main === module) {
  const baseUrl = process.env.BASE_URL || 'http://127.0.0.1:5000';
  const shardSize = Number(process.env.SHARD_SIZE || DEFAULT_SHARD_SIZE);
  const rows = Number(process.env.ROWS || 0);
  const startedMs = performance.now();
  configure(baseUrl, shardSize)
    .then(() => seed(baseUrl, rows, shardSize))
    .then(
      () => {
        const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
        console.log(`configured: 4 shards of ${shardSize} keys on 6 servers, ${rows} rows, ${seconds} s`);
      },
      (error) => {
        console.error(error.cause?.code === 'ECONNREFUSED' ? `no answer from ${baseUrl}` : error.message);
        process.exit(1);
      },
    );
}
