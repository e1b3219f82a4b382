/** A cluster of which many files were damaged while it was away: it comes back with every row, or says in one line why not. */
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { folderForAll } from '#common/testing/cluster-harness';
import { freePort } from '#common/testing/free-port';
import { damage, type Damage } from '#common/testing/damages';
import type { LocalCluster } from '#common/testing/local-cluster';
import { pollUntil } from '#common/waiting/retry';
import { Client } from '../src/demo/client';
import { EXAMPLE, student } from '../src/demo/students';
import { untilRead } from './reading';

const STUDENTS = Array.from({ length: 200 }, (_, index) => student(index * 50));

const here = folderForAll();
/** It has every row after each test, and is killed by the next one. */
let cluster: LocalCluster;

beforeAll(async () => {
  cluster = await here.start({ init: EXAMPLE });
  await new Client(cluster.baseUrl).write(STUDENTS);
}, 240_000);

/** Files below the data directory whose path ends so. */
function filesAt(pattern: RegExp): string[] {
  const all = readdirSync(here.dataDir, { recursive: true, encoding: 'utf8' });
  return all.filter((file) => pattern.test(file)).map((file) => join(here.dataDir, file));
}

test.each<[how: Damage | 'flipped in the middle', of: RegExp]>([
  ['empty', /(launcher\.json|shardline-data|node\.pid|postmaster\.pid|nats-server\.conf)$/],
  ['zeroed', /(launcher\.json|shardline-data|node\.pid|postmaster\.pid|nats-server\.conf)$/],
  ['zeroed', /KV_[^/]*\/(meta\.inf|meta\.sum)$/],
  ['flipped in the middle', /KV_[^/]*\/msgs\/\d+\.blk$/],
  ['gone', /nats\/jetstream$/],
])(
  'after kill -9 of everything, %s: %s',
  async (how, of) => {
    await cluster.kill9();
    const files = filesAt(of);
    expect(files.length).toBeGreaterThan(0);
    for (const file of files) {
      if (how === 'gone') rmSync(file, { recursive: true });
      else if (how === 'flipped in the middle') flipInTheMiddle(file);
      else damage(file, how, file);
    }
    cluster = await here.start();
    expect(await untilRead(cluster, STUDENTS.length)).toEqual(STUDENTS);
  },
  300_000,
);

test('while a server is waited for that does not start, everybody hears so', async () => {
  await cluster.kill9();
  rmSync(join(here.dataDir, 'nats', 'jetstream'), { recursive: true });
  // Nobody else knows what this one holds.
  writeFileSync(join(here.dataDir, 'servers', 'Server1', 'postgres', 'PG_VERSION'), '9\n');
  const port = await freePort();
  const starting = here.start({ port });
  const why = /nobody leads the cluster right now: the balancer that will lead waits for Server1\b/;
  await expect(untilSaid(`http://127.0.0.1:${port}/readyz`, why)).resolves.toMatch(why);
  await expect(untilSaid(`http://127.0.0.1:${port}/read?low=0&high=9`, why)).resolves.toMatch(why);
  cluster = await starting;
  expect(cluster.output.join('\n')).toMatch(/before it leads it waits for Server1\b/);
}, 300_000);

/** The first answer that says so, or the last one. */
async function untilSaid(url: string, what: RegExp): Promise<string> {
  let said = '';
  const look = async (): Promise<true | undefined> => {
    said = await fetch(url).then(
      (answer) => answer.text(),
      (error: unknown) => String(error), // not there yet
    );
    return what.test(said) ? true : undefined;
  };
  await pollUntil(look, { deadlineMs: 120_000, pauseMs: 50 });
  return said;
}

function flipInTheMiddle(file: string): void {
  const bytes = readFileSync(file);
  const middle = Math.floor(bytes.length / 2);
  bytes.writeUInt8((bytes[middle] ?? 0) ^ 1, middle);
  writeFileSync(file, bytes);
}
