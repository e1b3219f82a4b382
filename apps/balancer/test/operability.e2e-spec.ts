/** What an operator sees and does: events for whoever comes late, metrics, and restarts that drop no request. */
import { AckPolicy, connect, DeliverPolicy } from 'nats';
import { EVENT_STREAM } from '#common/contracts/subjects';
import type { CloudEvent } from '#common/contracts/events';
import { student } from '#common/testing/client';
import { sharedCluster } from '#common/testing/cluster-harness';
import { sixServers } from './support/six-servers';

describe('operability', () => {
  const shared = sharedCluster({
    init: sixServers(100_000),
    // Nobody may wait for the end of a lease: clients are held for a shorter time.
    env: { HEARTBEAT_INTERVAL_MS: '200', HEARTBEAT_MISSES: '3', HOLD_MS: '20000', LEASE_MS: '120000' },
  });
  const { client, events } = shared;

  test('a late subscriber replays the events from JetStream, as CloudEvents, in order', async () => {
    shared.cluster.kill('Server5');
    await events.until('server.recovered', 'Server5');
    const nats = await connect({ servers: shared.cluster.natsUrl });
    const manager = await nats.jetstreamManager();
    const { state } = await manager.streams.info(EVENT_STREAM);
    const { name } = await manager.consumers.add(EVENT_STREAM, {
      ack_policy: AckPolicy.None,
      deliver_policy: DeliverPolicy.All,
    });
    const consumer = await nats.jetstream().consumers.get(EVENT_STREAM, name);
    const replayed: CloudEvent[] = [];
    for await (const message of await consumer.fetch({ max_messages: state.messages, expires: 5000 })) {
      replayed.push(message.json<CloudEvent>());
    }
    await nats.close();
    const kinds = replayed.filter(({ subject }) => subject === 'Server5').map(({ type }) => type);
    // On a machine that is busy a server that has just started may be suspect for a moment, too.
    expect(kinds.filter((kind) => !/\.(suspect|healthy)$/.test(kind))).toEqual(
      ['added', 'flatline', 'respawned', 'recovered'].map((kind) => `io.shardline.server.${kind}`),
    );
    expect(kinds.slice(0, kinds.indexOf('io.shardline.server.flatline'))).toContain('io.shardline.server.suspect');
    expect(new Set(replayed.map(({ id }) => id)).size).toBe(replayed.length);
    for (const event of replayed) {
      expect(event).toMatchObject({ specversion: '1.0', datacontenttype: 'application/json' });
      expect(Number.isNaN(Date.parse(event.time))).toBe(false);
      expect(typeof event.data.cause).toBe('string');
    }
  }, 60_000);

  test('/metrics shows requests by route, round sizes, VATs, replica states and heartbeat ages', async () => {
    await client.fill(0, 2000);
    await client.ask('POST', '/read', { Stud_id: 5 });
    const text = await (await fetch(`${shared.cluster.baseUrl}/metrics`)).text();
    const [first] = await client.shards();
    expect(text).toMatch(new RegExp(`^shardline_shard_vat\\{shard="sh1"\\} ${first?.VAT ?? -1}$`, 'm'));
    expect(text).toMatch(/^shardline_replica_state\{shard="sh1",server="Server0",state="in-sync"\} 1$/m);
    expect(text).toMatch(/^shardline_heartbeat_age_seconds\{server="Server0"\} \d/m);
    expect(Number(/^shardline_round_rows_sum (\d+)/m.exec(text)?.[1])).toBeGreaterThanOrEqual(2000);
    expect(text).toMatch(/route="\/write"/);
    expect(text).toMatch(/route="\/read"/);
  }, 60_000);

  /** Writes one row after the other on each of several connections until `stop`; the ids acknowledged, and what went wrong. */
  function writing(from: number): { stop: () => Promise<{ acknowledged: number[]; failures: string[] }> } {
    let stopped = false;
    let next = from;
    const acknowledged: number[] = [];
    const failures: string[] = [];
    const worker = async (): Promise<void> => {
      while (!stopped) {
        const id = next++;
        const { status, body } = await client.write([student(id)]);
        if (status === 200) acknowledged.push(id);
        else failures.push(`${id}: ${status} ${JSON.stringify(body)}`);
      }
    };
    const workers = Array.from({ length: 16 }, worker);
    return {
      stop: async () => {
        stopped = true;
        await Promise.all(workers);
        return { acknowledged, failures };
      },
    };
  }

  async function epoch(): Promise<number> {
    return (await client.ask('GET', '/status')).body.epoch as number;
  }

  test('SIGTERM of the leading balancer under load drops no request: it answers what it has, the other one leads at once, the gateway holds the rest', async () => {
    const before = await epoch();
    const load = writing(4096);
    process.kill(shared.cluster.pidOf(await shared.cluster.leader()), 'SIGTERM');
    while ((await epoch()) === before);
    const { acknowledged, failures } = await load.stop();
    expect(failures).toEqual([]);
    const found = new Set((await client.rows(4096, 99_999)).map((row) => row.Stud_id));
    expect(acknowledged.filter((id) => !found.has(id))).toEqual([]);
    expect(acknowledged.length).toBeGreaterThan(0);
  }, 60_000);

  test('SIGTERM of a shard-node under load drops no request, and it comes back', async () => {
    const seen = events.seen.length;
    const load = writing(100_000);
    process.kill(shared.cluster.pidOf('Server1'), 'SIGTERM');
    await events.until('server.recovered', 'Server1');
    const { acknowledged, failures } = await load.stop();
    expect(failures).toEqual([]);
    expect(events.seen.length).toBeGreaterThan(seen);
    const found = new Set((await client.rows(100_000, 199_999)).map((row) => row.Stud_id));
    expect(acknowledged.filter((id) => !found.has(id))).toEqual([]);
  }, 60_000);
});
