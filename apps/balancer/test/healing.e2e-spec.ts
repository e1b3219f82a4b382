/** A shard-node dies under load: nobody gets an error, nothing is lost, and the cluster becomes whole again by itself. */
import { execFileSync } from 'node:child_process';
import { student, type Row } from '#common/testing/client';
import { sharedCluster } from '#common/testing/cluster-harness';
import { Load } from './support/load';
import { compareReplicas } from './support/replica-tables';
import { sixServers } from './support/six-servers';

const KEYS = 16_384;

describe('healing', () => {
  const shared = sharedCluster({
    init: sixServers(),
    env: { HEARTBEAT_INTERVAL_MS: '300', HEARTBEAT_MISSES: '3' },
  });
  const { client, events } = shared;

  const untilWhole = (): Promise<void> => client.untilWhole();
  const expectReplicas = (expected: readonly Row[]): Promise<void> =>
    compareReplicas(shared.cluster, client, expected, 4096);

  const sorted = (rows: Iterable<Row>): Row[] => [...rows].sort((a, b) => a.Stud_id - b.Stud_id);

  test('SIGKILL of a shard-node under load: no client error, nothing lost, all replicas alike again', async () => {
    const load = new Load(client, 24, 0, KEYS);
    shared.cluster.kill('Server0');
    const flatline = await events.until('server.flatline', 'Server0');
    const respawned = await events.until('server.respawned', 'Server0');
    const recovered = await events.until('server.recovered', 'Server0');
    await load.stop();
    expect(load.failures).toEqual([]);
    expect(load.acknowledged).toBeGreaterThan(0);
    const times = [flatline, respawned, recovered].map(({ time }) => Date.parse(time));
    expect(times).toEqual([...times].sort((a, b) => a - b));
    expect(flatline.data).toMatchObject({ missed: 3, shards: ['sh1', 'sh2'] });
    await untilWhole();
    const expected = sorted(load.expected.values());
    expect(await client.rows(0, KEYS)).toEqual(expected);
    await expectReplicas(expected);
    const log = execFileSync('cat', [`${shared.cluster.dataDir}/logs/${await shared.cluster.leader()}.log`], {
      encoding: 'utf8',
      maxBuffer: 1 << 26,
    });
    for (const word of ['HEARTBEAT', 'FLATLINE', 'RESPAWN']) expect(log).toContain(word);
  }, 120_000);

  test('a node that is paused for longer than its flatline is replaced, and changes nothing when it goes on', async () => {
    const before = await client.rows(0, KEYS);
    const pid = shared.cluster.pidOf('Server4');
    process.kill(pid, 'SIGSTOP');
    await events.until('server.flatline', 'Server4');
    await events.until('server.recovered', 'Server4');
    expect(shared.cluster.pidOf('Server4')).not.toBe(pid);
    expect(() => process.kill(pid, 'SIGCONT')).toThrow(/ESRCH/);
    await untilWhole();
    expect(await client.rows(0, KEYS)).toEqual(before);
    await expectReplicas(before);
  }, 120_000);

  test('SIGKILL of the leading balancer: the one that stands by takes over from the replicas, nothing is lost', async () => {
    const { body } = await client.ask('GET', '/status');
    await client.ask('DELETE', '/del', { Stud_id: 0 });
    const before = await client.rows(64, KEYS);
    for (const { Stud_id: id } of await client.rows(0, 63)) await client.ask('DELETE', '/del', { Stud_id: id });
    const load = new Load(client, 8, 0, 64, true);
    shared.cluster.kill(await shared.cluster.leader());
    const end = performance.now() + 60_000;
    let epoch: unknown;
    while (epoch === undefined || epoch === body.epoch) {
      if (performance.now() > end) throw new Error('nobody took over');
      epoch = (await client.ask('GET', '/status')).body.epoch;
    }
    await load.stop();
    expect(epoch).toBe((body.epoch as number) + 1);
    expect(load.failures).toEqual([]);
    await untilWhole();
    const expected = sorted([...load.expected.values(), ...before]);
    expect(await client.rows(0, KEYS)).toEqual(expected);
    await expectReplicas(expected);
  }, 120_000);
});

describe('a shard of one replica', () => {
  const shards = [0, 4096].map((low, index) => ({ Stud_id_low: low, Shard_id: `sh${index + 1}`, Shard_size: 4096 }));
  const shared = sharedCluster({
    init: { N: 1, shards, servers: { Server0: ['sh1', 'sh2'] } },
    env: { HEARTBEAT_INTERVAL_MS: '300', HEARTBEAT_MISSES: '3' },
  });
  const { client, events } = shared;

  test('a write that comes while its only server is dead waits for the replacement, and what was there is still there', async () => {
    expect((await client.write([student(1), student(5000)])).status).toBe(200);
    shared.cluster.kill('Server0');
    // Before that is noticed, a write may be on its way to the dead: then nobody knows what became of it, and it is a 504.
    await events.until('server.flatline', 'Server0');
    const [write, read] = await Promise.all([client.write([student(2), student(5001)]), client.rows(1, 1)]);
    expect(write).toEqual({ status: 200, body: { message: '2 Data entries added', status: 'success' } });
    expect(read).toEqual([student(1)]);
    await events.until('server.recovered', 'Server0');
    expect(await client.rows(0, 8191)).toEqual([1, 2, 5000, 5001].map((id) => student(id)));
    // Published once per shard, not once per attempt.
    expect(events.seen.filter(({ type }) => type.endsWith('shard.unavailable')).length).toBeLessThanOrEqual(2);
  }, 60_000);
});
