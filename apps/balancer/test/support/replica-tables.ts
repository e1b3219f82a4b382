/** What stands in a replica's own Postgres, read past all of Shardline. */
import { Client as PgClient } from 'pg';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { LocalCluster } from '#common/testing/local-cluster';
import type { Client, Row } from '#common/testing/client';

/** The living rows of a shard on one server, in key order. */
export async function tableRows(dataDir: string, server: string, shard: string): Promise<Row[]> {
  return await withPostgres(dataDir, server, async (postgres) => {
    const { rows } = await postgres.query<{ Stud_id: string; Stud_name: string; Stud_marks: string }>(
      `SELECT "Stud_id", "Stud_name", "Stud_marks" FROM shards."${shard}" WHERE dat = 9223372036854775807 ORDER BY "Stud_id"`,
    );
    return rows.map((row) => ({ ...row, Stud_id: Number(row.Stud_id) }));
  });
}

/** Runs `use` with a connection to the Postgres of one server. */
export async function withPostgres<T>(
  dataDir: string,
  server: string,
  use: (postgres: PgClient) => Promise<T>,
): Promise<T> {
  const host = join(dataDir, 'servers', server, 'socket');
  const socket = readdirSync(host).find((name) => /^\.s\.PGSQL\.\d+$/.test(name));
  const postgres = new PgClient({
    host,
    port: Number(socket?.split('.').pop()),
    user: 'shardline',
    database: 'postgres',
  });
  await postgres.connect();
  try {
    return await use(postgres);
  } finally {
    await postgres.end();
  }
}

/**
 * Expects every replica of every shard (`sh1`, `sh2`, ... of `size` keys each) to have exactly the rows that it must have, by
 * its own Postgres.
 */
export async function compareReplicas(
  cluster: LocalCluster,
  client: Client,
  expected: readonly Row[],
  size: number,
): Promise<void> {
  for (const [server, shards] of Object.entries(await client.servers())) {
    for (const shard of shards) {
      const low = (Number(shard.slice(2)) - 1) * size;
      const own = expected.filter(({ Stud_id: id }) => id >= low && id < low + size);
      const rows = await tableRows(cluster.dataDir, server, shard);
      expect({ server, shard, rows }).toEqual({ server, shard, rows: own });
    }
  }
}
