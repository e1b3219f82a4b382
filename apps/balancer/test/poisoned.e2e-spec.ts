/** Rows that Postgres takes on no page, on a real cluster: they fail alone, at once, and no replica is blamed. */
import type { Reply } from '#common/testing/client';
import { sharedCluster } from '#common/testing/cluster-harness';

const COLUMNS = Array.from({ length: 350 }, (_, index) => `text${index}`);
const SHARDS = ['a', 'b'].map((id, index) => ({ Stud_id_low: index * 1000, Shard_id: id, Shard_size: 1000 }));
const INIT = {
  N: 4,
  schema: { columns: ['id', ...COLUMNS], dtypes: ['Number', ...COLUMNS.map(() => 'String')] },
  shards: SHARDS,
  servers: { S0: ['a'], S1: ['a', 'b'], S2: ['a', 'b'], S3: ['b'] },
};
/** 350 values of 23 characters and their headers are more than a page of 8 KiB, and too short to be stored elsewhere. */
const LARGE = 23;

const shared = sharedCluster({ init: INIT });
const { client } = shared;

function row(id: number, length = 1): Record<string, unknown> {
  return { id, ...Object.fromEntries(COLUMNS.map((name) => [name, 'x'.repeat(length)])) };
}

function write(...rows: object[]): Promise<Reply> {
  return client.ask('POST', '/write', { data: rows });
}

async function expectUnharmed(): Promise<void> {
  const inSync = Object.fromEntries((await client.shards()).map((shard) => [shard.Shard_id, shard.inSync.length]));
  expect(inSync).toEqual({ a: 3, b: 3 });
  expect(shared.cluster.output.filter((line) => /stale|unavailable|flatline/.test(line))).toEqual([]);
}

test('a row that fits on no page is refused for what it is, and nothing of it is there', async () => {
  const { status, body } = await write(row(1, LARGE));
  expect({ status, message: body.message }).toEqual({
    status: 400,
    message: expect.stringContaining('row is too big') as string,
  });
  expect((await write(row(1))).status).toBe(200);
  await expectUnharmed();
}, 60_000);

test('among writes that come at the same time it fails alone, also over two shards', async () => {
  const good = Array.from({ length: 60 }, (_, n) => write(row(n % 2 === 0 ? 100 + n : 1100 + n)));
  const both = Array.from({ length: 5 }, (_, n) => write(row(300 + n), row(1300 + n)));
  const poisoned = [write(row(400, LARGE)), write(row(401), row(1401, LARGE)), write(row(402, LARGE), row(1402))];
  const statuses = async (replies: Promise<Reply>[]): Promise<number[]> =>
    (await Promise.all(replies)).map(({ status }) => status);
  expect(await statuses(poisoned)).toEqual([400, 400, 400]);
  expect(new Set(await statuses([...good, ...both]))).toEqual(new Set([200]));
  const { body } = await client.ask('POST', '/read', { id: { low: 400, high: 402 } });
  expect(body.data).toEqual([]);
  await expectUnharmed();
}, 60_000);
