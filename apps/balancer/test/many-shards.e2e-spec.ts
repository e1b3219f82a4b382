/** As many shards as there may be, on two servers: made, written and read. */
import { student } from '#common/testing/client';
import { sharedCluster } from '#common/testing/cluster-harness';

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

const shared = sharedCluster();
const { client } = shared;

test('1,024 shards on two servers are made by one /init, and take writes', async () => {
  const answer = await client.ask('POST', '/init', INIT);
  expect({ status: answer.status, message: answer.body.message }).toMatchObject({ status: 200 });
  for (let from = 0; from < SHARDS; from += 64)
    expect(await client.write(ROWS.slice(from, from + 64))).toMatchObject({ status: 200 });
  expect(await client.rows(0, SHARDS * SIZE)).toEqual(ROWS);
  // Rounds over a quarter of the shards, and then one that every shard has in common, if that is quick enough here.
  const more = (from: number, to: number) =>
    client.write(IDS.slice(from, to).map((_, n) => student((from + n) * SIZE + 1)));
  for (let from = 0; from < SHARDS; from += 256) expect(await more(from, from + 256)).toMatchObject({ status: 200 });
  await client.write(IDS.map((_, index) => student(index * SIZE + 2)));
  await client.untilWhole();
  expect(shared.cluster.output.filter((line) => line.includes('unhandled rejection'))).toEqual([]);
}, 300_000);
