/** The one connection that writes. */
import type { Pool, PoolClient } from 'pg';
import type { Statement } from './shard-statements';

/** One cell as `pg` hands it over. */
export type Cell = string | number | boolean | null;
/** A row of a result as an array of its columns. */
export type Cells = Cell[];

/** A result as `pg` returns it with `rowMode: 'array'`. */
interface ArrayResult {
  rows: Cells[];
}

/** Runs a prepared statement on a client; rows come as arrays. */
export async function runPrepared(
  client: Pick<PoolClient, 'query'>,
  statement: Statement,
  values: unknown[],
): Promise<Cells[]> {
  const result = (await client.query({ ...statement, values, rowMode: 'array' })) as unknown as ArrayResult;
  return result.rows;
}

/**
 * Keeps one client of the pool for writing. Statements go out one behind the other without waiting for answers, so that a
 * transaction of several statements costs one round trip. After a failure of the connection the next use takes another.
 */
export class WriterConnection {
  private client: PoolClient | null = null;

  constructor(private readonly pool: Pool) {}

  async take(): Promise<PoolClient> {
    if (this.client !== null) return this.client;
    const client = await this.pool.connect();
    client.on('error', () => {
      this.discard(client);
    });
    this.client = client;
    return client;
  }

  /** Lets go of a client whose state can no longer be vouched for. */
  discard(client: PoolClient): void {
    if (this.client !== client) return;
    this.client = null;
    client.release(true);
  }

  close(): void {
    this.client?.release(true);
    this.client = null;
  }
}
