/** One replica's Postgres is changed outside of Shardline, under load: it is found, the key is named, and the replica healed. */
import { student } from '#common/testing/client';
import { sharedCluster } from '#common/testing/cluster-harness';
import { withPostgres } from './support/replica-tables';
import { sixServers } from './support/six-servers';

const SIZE = 4096;
const ALIVE = '9223372036854775807';

interface ReplicaView {
  server: string;
  state: string;
  lastProvenIdentical: { at: string; VAT: number } | null;
}

interface Damage {
  what: string;
  shard: string;
  server: string;
  key: number;
  sql: string;
  /** Versions of the key that the event shows: of the replica, and of the others. */
  here: number;
  there: number;
}

const table = (shard: string): string => `shards."${shard}"`;
const DAMAGES: Damage[] = [
  {
    ...{ what: 'a row was changed', shard: 'sh1', server: 'Server0', key: 17, here: 1, there: 1 },
    sql: `UPDATE ${table('sh1')} SET "Stud_marks" = 'forged' WHERE "Stud_id" = 17`,
  },
  {
    ...{ what: 'a record was deleted', shard: 'sh2', server: 'Server4', key: SIZE + 5, here: 0, there: 1 },
    sql: `DELETE FROM ${table('sh2')} WHERE "Stud_id" = ${SIZE + 5}`,
  },
  {
    ...{ what: 'a record was added', shard: 'sh3', server: 'Server3', key: 2 * SIZE + 999, here: 1, there: 0 },
    sql: `INSERT INTO ${table('sh3')} VALUES (${2 * SIZE + 999}, 'nobody', '0', 1, ${ALIVE})`,
  },
  {
    ...{ what: 'a term was changed', shard: 'sh4', server: 'Server1', key: 3 * SIZE + 8, here: 1, there: 1 },
    sql: `UPDATE ${table('sh4')} SET cat = 0 WHERE "Stud_id" = ${3 * SIZE + 8}`,
  },
];

describe('divergence', () => {
  const shared = sharedCluster({ init: sixServers(SIZE), env: { SCRUB_INTERVAL_S: '1' } });
  const { client, events } = shared;

  beforeAll(async () => {
    for (const index of [0, 1, 2, 3]) await client.fill(index * SIZE, index * SIZE + 200);
  }, 120_000);

  const diverged = (): unknown[] => events.seen.filter(({ type }) => type.endsWith('shard.diverged'));

  async function replicas(): Promise<ReplicaView[]> {
    return (await client.shards()).flatMap((shard) => shard.replicas as ReplicaView[]);
  }

  /** Clients that write and update until the work is done, none of which may fail. */
  async function underLoad(work: () => Promise<void>): Promise<void> {
    let isOver = false;
    const writer = async (number: number): Promise<void> => {
      for (let turn = 0; !isOver; turn += 1) {
        const id = (turn % 4) * SIZE + 2000 + number * 100 + (Math.floor(turn / 4) % 100);
        const reply = await client.ask('POST', '/write?onConflict=replace', { data: [student(id, `turn ${turn}`)] });
        expect(reply).toMatchObject({ status: 200 });
      }
    };
    const writers = Promise.all([0, 1, 2, 3].map(writer));
    try {
      await Promise.race([work(), writers]);
    } finally {
      isOver = true;
      await writers;
    }
  }

  /** What a replica shows, by its own Postgres. */
  async function versions(server: string, shard: string): Promise<unknown[]> {
    return await withPostgres(shared.cluster.dataDir, server, async (postgres) => {
      return (await postgres.query<object>(`SELECT * FROM ${table(shard)} WHERE dat = ${ALIVE} ORDER BY "Stud_id"`))
        .rows;
    });
  }

  async function expectAlike(shard: string): Promise<void> {
    const holders = Object.entries(await client.servers()).filter(([, shards]) => shards.includes(shard));
    const [first = [], ...others] = await Promise.all(holders.map(([server]) => versions(server, shard)));
    expect(first.length).toBeGreaterThan(200);
    expect(others).toEqual([first, first]);
  }

  test('clients write, and all replicas prove again and again that they are identical', async () => {
    const sinceMs = Date.now();
    await underLoad(async () => {
      const vats = async (): Promise<number[]> =>
        (await replicas()).map(({ lastProvenIdentical }) => lastProvenIdentical?.VAT ?? -1);
      const end = performance.now() + 60_000;
      const provenSince = async (before: readonly number[]): Promise<readonly number[]> => {
        for (;;) {
          const now = await vats();
          if (now.every((vat, index) => vat > (before[index] ?? -1))) return now;
          if (performance.now() > end) throw new Error(`not proven again: ${before.join()} and then ${now.join()}`);
        }
      };
      await provenSince(await provenSince(await provenSince([])));
    });
    expect(diverged()).toEqual([]);
    for (const { lastProvenIdentical } of await replicas()) {
      const atMs = Date.parse(lastProvenIdentical?.at ?? '');
      expect(atMs).toBeGreaterThanOrEqual(sinceMs);
      expect(atMs).toBeLessThanOrEqual(Date.now());
    }
  }, 90_000);

  test.each(DAMAGES)(
    '$what: the key is named, and the replica is healed',
    async (damage) => {
      const { shard, server, key, sql, here, there } = damage;
      const before = diverged().length;
      await underLoad(async () => {
        await withPostgres(shared.cluster.dataDir, server, (postgres) => postgres.query(sql));
        await events.until('shard.diverged', `${shard}/${server}`);
        await events.until('shard.insync', `${shard}/${server}`);
      });
      const { data } = await events.until('shard.diverged', `${shard}/${server}`);
      expect(data).toMatchObject({ shard, server, hasMajority: true, differing: 1, complete: true });
      const [difference] = data.keys as { key: number; here: unknown[]; there: unknown[] }[];
      expect(difference).toMatchObject({ key });
      expect([difference?.here.length, difference?.there.length]).toEqual([here, there]);
      expect(diverged()).toHaveLength(before + 1);
      await expectAlike(shard);
      const aside = await withPostgres(shared.cluster.dataDir, server, async (postgres) => {
        const found = await postgres.query<object>(
          `SELECT * FROM set_aside."${shard}" WHERE "Stud_id" = ${key} AND dat = ${ALIVE}`,
        );
        return found.rows;
      });
      expect(aside).toHaveLength(here);
    },
    90_000,
  );

  test('POST /scrub compares all of them at once, and the metrics count what was found', async () => {
    const reply = await client.ask('POST', '/scrub');
    expect(reply).toMatchObject({
      status: 200,
      body: { message: 'Compared the replicas of 4 shards: 0 replicas differ', status: 'success' },
    });
    expect(reply.body.shards).toMatchObject(['sh1', 'sh2', 'sh3', 'sh4'].map((id) => ({ Shard_id: id, diverged: [] })));
    const metrics = await (await fetch(`${shared.cluster.baseUrl}/metrics`)).text();
    for (const { shard, server } of DAMAGES) {
      expect(metrics).toContain(`shardline_divergences_total{shard="${shard}"} 1\n`);
      expect(metrics).toMatch(
        new RegExp(`shardline_replica_proven_age_seconds\\{shard="${shard}",server="${server}"\\} \\d`),
      );
    }
  });
});
