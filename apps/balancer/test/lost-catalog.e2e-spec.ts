/** The broker's disk is lost, or an older copy of it is put back: what the servers hold is the truth. */
import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { student } from '#common/testing/client';
import { sharedCluster } from '#common/testing/cluster-harness';

const SMALL = {
  N: 2,
  schema: { columns: ['Stud_id', 'Stud_name', 'Stud_marks'], dtypes: ['Number', 'String', 'String'] },
  shards: [
    { Stud_id_low: 0, Shard_id: 'sh1', Shard_size: 4096 },
    { Stud_id_low: 4096, Shard_id: 'sh2', Shard_size: 4096 },
  ],
  servers: { Server0: ['sh1', 'sh2'], Server1: ['sh1', 'sh2'] },
};
const OTHER = {
  ...SMALL,
  shards: [{ Stud_id_low: 0, Shard_id: 'other', Shard_size: 10 }],
  servers: { Server0: ['other'] },
  N: 1,
};

describe('a catalog that was lost or rolled back', () => {
  const shared = sharedCluster({ init: SMALL });
  const { client } = shared;

  beforeAll(async () => {
    await client.fill(0, 1000);
    await client.fill(5000, 5100);
  }, 120_000);

  /** Stops everything, has the broker's disk changed, and starts everything again. */
  function restart(change: (natsDir: string, copy: string) => Promise<void>): Promise<void> {
    return shared.restart((dataDir) => change(join(dataDir, 'nats'), join(dataDir, 'older-copy')));
  }

  const lose = (natsDir: string): Promise<void> => rm(natsDir, { recursive: true });
  async function rollBack(natsDir: string, copy: string): Promise<void> {
    await lose(natsDir);
    await cp(copy, natsDir, { recursive: true });
  }

  test('lost: every row is there, and /init says what to do instead of dropping them', async () => {
    const before = await client.rows(0, 8191);
    await restart(lose);
    expect(await client.rows(0, 8191)).toEqual(before);
    const refused = await client.ask('POST', '/init', OTHER);
    expect(refused.status).toBe(409);
    expect(JSON.stringify(refused.body)).toMatch(/ALLOW_REINIT=true/);
    expect((await client.ask('POST', '/init', SMALL)).status).toBe(200);
    expect(await client.rows(0, 8191)).toEqual(before);
    await client.fill(1000, 1100);
    await client.untilWhole();
  }, 120_000);

  test('lost while everybody runs on: it is served again, with every row, without anybody’s help', async () => {
    const before = await client.rows(0, 8191);
    const epoch = (await client.epoch()) ?? 0;
    shared.cluster.kill('nats-server');
    await lose(join(shared.cluster.dataDir, 'nats'));
    await client.untilLedAfter(epoch);
    await client.untilWhole();
    expect(await client.rows(0, 8191)).toEqual(before);
    await client.fill(1100, 1200);
    await client.untilWhole();
  }, 120_000);

  test('rolled back to before /add: the new server, its shard and all rows are there', async () => {
    await restart((natsDir, copy) => cp(natsDir, copy, { recursive: true }));
    const added = await client.ask('POST', '/add', {
      n: 1,
      new_shards: [{ Stud_id_low: 8192, Shard_id: 'sh3', Shard_size: 4096 }],
      servers: { Server2: ['sh1', 'sh3'] },
    });
    expect(added.status).toBe(200);
    await client.fill(8192, 8300);
    expect((await client.ask('PUT', '/update', { Stud_id: 7, data: student(7, 'new') })).status).toBe(200);
    const before = await client.rows(0, 12_000);
    const servers = await client.servers();
    await restart(rollBack);
    expect(await client.rows(0, 12_000)).toEqual(before);
    expect(await client.servers()).toEqual(servers);
    await client.fill(8300, 8310);
    await client.untilWhole();
  }, 180_000);

  test('rolled back to before /add and /rm: the server that was removed does not come back', async () => {
    expect((await client.ask('DELETE', '/rm', { n: 1, servers: ['Server1'] })).status).toBe(200);
    expect((await client.ask('PUT', '/update', { Stud_id: 8, data: student(8, 'new') })).status).toBe(200);
    const before = await client.rows(0, 12_000);
    await restart(rollBack);
    expect(await client.rows(0, 12_000)).toEqual(before);
    expect(Object.keys(await client.servers()).sort()).toEqual(['Server0', 'Server2']);
    await restart(rollBack);
    expect(await client.rows(0, 12_000)).toEqual(before);
    expect(Object.keys(await client.servers()).sort()).toEqual(['Server0', 'Server2']);
  }, 180_000);
});
