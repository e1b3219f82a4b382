/** Shard-nodes in containers, killed by the engine while clients write: `make test-docker`. */
import { Client, student } from '#common/testing/client';
import { EventWatch } from '#common/testing/event-watch';
import { ContainerCluster } from './container-cluster';
import { containersOf, docker, execIn, volumesOf } from './engine-under-test';

jest.setTimeout(400_000);

const INIT = {
  N: 3,
  schema: { columns: ['Stud_id', 'Stud_name', 'Stud_marks'], dtypes: ['Number', 'String', 'String'] },
  shards: [
    { Stud_id_low: 0, Shard_id: 'sh1', Shard_size: 50_000 },
    { Stud_id_low: 50_000, Shard_id: 'sh2', Shard_size: 50_000 },
  ],
  servers: { Server0: ['sh1', 'sh2'], Server1: ['sh1', 'sh2'], Server2: ['sh1', 'sh2'] },
};
const FILLED = 5_000;
const EVENT_MS = 180_000;

describe('shard-nodes in containers', () => {
  let started: ContainerCluster | undefined;
  let cluster: ContainerCluster;
  const events = new EventWatch();
  const client = new Client(() => cluster.baseUrl);

  beforeAll(async () => {
    started = await ContainerCluster.start();
    cluster = started;
    await events.open(cluster.natsUrl);
    const answer = await client.ask('POST', '/init', INIT);
    expect(answer).toMatchObject({ status: 200 });
    await client.fill(0, FILLED);
  });

  afterAll(async () => {
    await events.close();
    await started?.destroy();
  });

  test('one that is killed under writes comes back as a new container with its volume, and nothing is lost', async () => {
    const before = await cluster.containerOf('Server1');
    const volume = await cluster.volumeOf('Server1');
    const acknowledged: number[] = [];
    let isOver = false;
    const write = async (): Promise<void> => {
      for (let id = 50_000; !isOver; id += 1) {
        const { status, body } = await client.write([student(id)]);
        if (status !== 200) throw new Error(`/write of ${id} answered ${status}: ${JSON.stringify(body)}`);
        acknowledged.push(id);
      }
    };
    const writing = write();
    try {
      await docker('kill', before);
      await events.until('server.flatline', 'Server1', EVENT_MS);
      await events.until('server.recovered', 'Server1', EVENT_MS);
    } finally {
      isOver = true;
    }
    await writing;
    await client.untilWhole();
    const after = await cluster.containerOf('Server1');
    expect(after).not.toBe(before);
    expect(await cluster.volumeOf('Server1')).toBe(volume);
    expect(await containersOf(cluster.name, '--all')).toHaveLength(3);
    expect(acknowledged.length).toBeGreaterThan(0);
    const rows = await client.rows(50_000, 99_999);
    expect(rows.map(({ Stud_id }) => Stud_id)).toEqual(acknowledged);
    expect(await client.rows(0, 49_999)).toHaveLength(FILLED);
  });

  test('the health check of the image says of one whether it answers', async () => {
    const container = await cluster.containerOf('Server0');
    const check = ['node', 'dist/libs/common/src/nats/health-check.js'];
    expect(await execIn(container, [], ...check)).toEqual([0, '']);
    const nowhere = await execIn(container, ['NATS_URL=nats://127.0.0.1:1'], ...check);
    expect(nowhere).toEqual([1, expect.stringContaining('CONNECTION_REFUSED')]);
    const nobody = await execIn(container, ['SERVER_NAME=nobody'], ...check);
    expect(nobody).toEqual([1, expect.stringContaining('503')]);
  });

  test('one that is removed goes with its container and its volume', async () => {
    const answer = await client.ask('DELETE', '/rm', { n: 1, servers: ['Server2'] });
    expect(answer).toMatchObject({ status: 200 });
    await events.until('server.removed', 'Server2', EVENT_MS);
    const left = ['Server0', 'Server1'].map((server) => `${cluster.name}-${server}`);
    expect((await volumesOf(cluster.name)).sort()).toEqual(left);
    expect(await containersOf(cluster.name, '--all')).toHaveLength(2);
    expect(await client.rows(0, 49_999)).toHaveLength(FILLED);
  });
});
