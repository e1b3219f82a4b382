/** As many shards as there may be, on two servers: made, written and read, and there again after a restart. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LocalCluster } from '#common/testing/local-cluster';
import { Client, student } from './support/client';

const SHARDS = 1_024;
const SIZE = 10;
const IDS = Array.from({ length: SHARDS }, (_, index) => `sh${index}`);
const INIT = {
  N: 2,
  schema: { columns: ['Stud_id', 'Stud_name', 'Stud_marks'], dtypes: ['Number', 'String', 'String'] },
  shards: IDS.map((id, index) => ({ Stud_id_low: index * SIZE, Shard_id: id, Shard_size: SIZE })),
  servers: { Server0: IDS, Server1: IDS },
};
const ROWS = IDS.map((_, index) => student(index * SIZE));

let folder: string;
const clusters: LocalCluster[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'shardline-many-'));
});
afterAll(async () => {
  for (const cluster of clusters) await cluster.destroy();
  await rm(folder, { recursive: true, force: true });
}, 60_000);

async function start(): Promise<Client> {
  const cluster = await LocalCluster.start({ dataDir: join(folder, 'data') });
  clusters.push(cluster);
  return new Client(cluster.baseUrl);
}

test('1,024 shards on two servers are made by one /init, take writes, and come back', async () => {
  const client = await start();
  const answer = await client.ask('POST', '/init', INIT);
  expect({ status: answer.status, message: answer.body.message }).toMatchObject({ status: 200 });
  for (let from = 0; from < SHARDS; from += 64)
    expect(await client.write(ROWS.slice(from, from + 64))).toMatchObject({ status: 200 });
  expect(await client.rows(0, SHARDS * SIZE)).toEqual(ROWS);
  await expect(clusters[0]?.stopAndKeep()).resolves.toBe(0);
  const again = await start();
  await again.untilWhole();
  expect(await again.rows(0, SHARDS * SIZE)).toEqual(ROWS);
}, 300_000);
