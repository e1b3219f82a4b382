/** A cluster of which many files were damaged while it was away: it comes back with every row, or says in one line why not. */
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { freePort } from '#common/testing/free-port';
import { damage, type Damage } from '#common/testing/damages';
import { LocalCluster } from '#common/testing/local-cluster';
import { Client } from '../src/demo/client';
import { EXAMPLE, student } from '../src/demo/students';

const STUDENTS = Array.from({ length: 200 }, (_, index) => student(index * 50));

let folder: string;
const clusters: LocalCluster[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'shardline-'));
});
afterEach(async () => {
  for (const cluster of clusters.splice(0)) await cluster.destroy();
  await rm(folder, { recursive: true, force: true });
}, 60_000);

async function start(): Promise<LocalCluster> {
  const cluster = await LocalCluster.start({ dataDir: join(folder, 'data') });
  clusters.push(cluster);
  return cluster;
}

/** Files below the data directory whose path ends so. */
function filesAt(pattern: RegExp): string[] {
  const all = readdirSync(join(folder, 'data'), { recursive: true, encoding: 'utf8' });
  return all.filter((file) => pattern.test(file)).map((file) => join(folder, 'data', file));
}

async function untilRead(cluster: LocalCluster): Promise<void> {
  const end = performance.now() + 120_000;
  for (;;) {
    const rows = await new Client(cluster.baseUrl).read(0, 20_000).then(
      (answer) => answer.rows,
      () => [], // not yet
    );
    if (rows.length === STUDENTS.length) {
      expect(rows).toEqual(STUDENTS);
      return;
    }
    if (performance.now() > end) throw new Error(`cannot be read:\n${cluster.output.join('\n')}`);
  }
}

test.each<[how: Damage | 'flipped in the middle', of: RegExp]>([
  ['empty', /(launcher\.json|shardline-data|node\.pid|postmaster\.pid|nats-server\.conf)$/],
  ['zeroed', /(launcher\.json|shardline-data|node\.pid|postmaster\.pid|nats-server\.conf)$/],
  ['flipped in the middle', /KV_[^/]*\/msgs\/\d+\.blk$/],
  ['zeroed', /KV_[^/]*\/(meta\.inf|meta\.sum)$/],
  ['gone', /nats\/jetstream$/],
])(
  'after kill -9 of everything, %s: %s',
  async (how, of) => {
    const first = await start();
    await first.init(EXAMPLE);
    await new Client(first.baseUrl).write(STUDENTS);
    await first.kill9();
    const files = filesAt(of);
    expect(files.length).toBeGreaterThan(0);
    for (const file of files) {
      if (how === 'gone') rmSync(file, { recursive: true });
      else if (how === 'flipped in the middle') flipInTheMiddle(file);
      else damage(file, how, file);
    }
    await untilRead(await start());
  },
  300_000,
);

test('while a server is waited for that does not start, everybody is told so', async () => {
  const first = await start();
  await first.init(EXAMPLE);
  await first.kill9();
  rmSync(join(folder, 'data', 'nats', 'jetstream'), { recursive: true });
  // Nobody else knows what this one holds.
  writeFileSync(join(folder, 'data', 'servers', 'Server1', 'postgres', 'PG_VERSION'), '9\n');
  const port = await freePort();
  const starting = LocalCluster.start({ dataDir: join(folder, 'data'), port });
  const why = /nobody leads the cluster right now: the balancer that will lead waits for Server1\b/;
  await expect(untilSaid(`http://127.0.0.1:${port}/readyz`, why)).resolves.toMatch(why);
  await expect(untilSaid(`http://127.0.0.1:${port}/read?low=0&high=9`, why)).resolves.toMatch(why);
  const cluster = await starting;
  clusters.push(cluster);
  expect(cluster.output.join('\n')).toMatch(/before it leads it waits for Server1\b/);
}, 300_000);

/** The first answer that says so, or the last one. */
async function untilSaid(url: string, what: RegExp): Promise<string> {
  const end = performance.now() + 90_000;
  for (;;) {
    const said = await fetch(url).then(
      (answer) => answer.text(),
      (error: unknown) => String(error), // not there yet
    );
    if (what.test(said) || performance.now() > end) return said;
    await delay(100);
  }
}

function flipInTheMiddle(file: string): void {
  const bytes = readFileSync(file);
  const middle = Math.floor(bytes.length / 2);
  bytes.writeUInt8((bytes[middle] ?? 0) ^ 1, middle);
  writeFileSync(file, bytes);
}
