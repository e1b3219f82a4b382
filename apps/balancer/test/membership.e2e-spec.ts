/** Servers come and go while there is data in the cluster. */
import { connect } from 'nats';
import { sharedCluster } from '#common/testing/cluster-harness';
import { tableRows } from './support/replica-tables';

const SMALL = {
  N: 2,
  schema: { columns: ['Stud_id', 'Stud_name', 'Stud_marks'], dtypes: ['Number', 'String', 'String'] },
  shards: [
    { Stud_id_low: 0, Shard_id: 'sh1', Shard_size: 4096 },
    { Stud_id_low: 4096, Shard_id: 'sh2', Shard_size: 4096 },
  ],
  servers: { Server0: ['sh1', 'sh2'], Server1: ['sh1', 'sh2'] },
};

describe('membership', () => {
  const shared = sharedCluster({ init: SMALL, env: { NODE_ADMIN_TIMEOUT_MS: '2000' } });
  const { client, events } = shared;

  beforeAll(async () => {
    await client.fill(0, 3000);
    await client.fill(5000, 6000);
  }, 120_000);

  test('/add: a new server gets a copy of a shard that exists and a new, empty shard', async () => {
    const before = await client.rows(0, 8191);
    const reply = await client.ask('POST', '/add', {
      n: 2,
      new_shards: [{ Stud_id_low: 8192, Shard_id: 'sh5', Shard_size: 4096 }],
      servers: { Server4: ['sh1', 'sh5'], 'Server[5]': ['sh2', 'sh5'] },
    });
    expect(reply.status).toBe(200);
    const { message } = reply.body as { message: string };
    expect(reply.body).toMatchObject({ N: 4, status: 'successful' });
    const [, random] = /^Add Server:4 and Server:(\d+)$/.exec(message) ?? [];
    expect(random).toBeDefined();
    expect(await client.isWhole()).toBe(true);
    expect(await client.rows(0, 8191)).toEqual(before);
    expect(await tableRows(shared.cluster.dataDir, 'Server4', 'sh1')).toEqual(
      before.filter((row) => row.Stud_id < 4096),
    );
    await client.fill(8192, 8300);
    expect(await tableRows(shared.cluster.dataDir, `Server${random ?? ''}`, 'sh5')).toHaveLength(108);
  }, 60_000);

  test('/rm: the shards of a server that leaves are copied first, so that every shard keeps its copies', async () => {
    const before = await client.rows(0, 9000);
    const copies = new Map((await client.shards()).map((shard) => [shard.Shard_id, shard.replicas.length]));
    const reply = await client.ask('DELETE', '/rm', { n: 1, servers: ['Server4'] });
    expect(reply).toEqual({ status: 200, body: { message: { N: 3, servers: ['Server4'] }, status: 'successful' } });
    await events.until('server.removed', 'Server4');
    expect(Object.keys(await client.servers())).not.toContain('Server4');
    expect(await client.rows(0, 9000)).toEqual(before);
    for (const shard of await client.shards()) {
      expect(shard.inSync).toHaveLength(Math.min(copies.get(shard.Shard_id) ?? 0, 3));
    }
    expect(() => shared.cluster.pidOf('Server4')).toThrow();
  }, 60_000);

  test('/rm at random removes what loses nothing, and refuses what would lose the last copy', async () => {
    const before = await client.rows(0, 9000);
    expect(await client.ask('DELETE', '/rm', { n: 1 })).toMatchObject({ status: 200, body: { message: { N: 2 } } });
    expect(await client.rows(0, 9000)).toEqual(before);
    expect(await client.ask('DELETE', '/rm', { n: 2 })).toMatchObject({ status: 400, body: { status: 'failure' } });
    expect(Object.keys(await client.servers())).toHaveLength(2);
    expect(await client.rows(0, 9000)).toEqual(before);
  }, 60_000);

  test('an /init that cannot be carried out gives nothing up for it', async () => {
    const nats = await connect({ servers: shared.cluster.natsUrl });
    const before = await client.rows(0, 9000);
    const [server] = Object.keys(await client.servers());
    const pid = shared.cluster.pidOf(server ?? '');
    const shards = [{ shard: 'other', low: 0, size: 10 }];
    const schema = { columns: ['id'], dtypes: ['Number'] };
    const command = { n: 1, schema, shards, servers: { [server ?? '']: ['other'] }, allowReinit: true };
    process.kill(pid, 'SIGSTOP');
    const paused = await nats.request('shardline.cmd.init', JSON.stringify(command), { timeout: 30_000 });
    process.kill(pid, 'SIGCONT');
    expect(paused.json()).toMatchObject({ error: { message: expect.stringMatching(/does not answer/) as string } });
    const wrong = { ...command, schema: { columns: [1, {}], dtypes: ['x'] } };
    const refused = await nats.request('shardline.cmd.init', JSON.stringify(wrong), { timeout: 30_000 });
    expect(refused.json()).toMatchObject({ error: { code: 'BAD_REQUEST' } });
    await nats.close();
    expect(await client.rows(0, 9000)).toEqual(before);
  }, 60_000);

  test('a restart finds the cluster as it was changed', async () => {
    const servers = await client.servers();
    const before = await client.rows(0, 9000);
    await shared.restart();
    expect(await client.servers()).toEqual(servers);
    expect(await client.rows(0, 9000)).toEqual(before);
  }, 120_000);
});
