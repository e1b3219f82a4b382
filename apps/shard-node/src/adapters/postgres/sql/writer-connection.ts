/** The one connection that writes. */
import type { PoolClient } from 'pg';
import { ShardlineError } from '#common/contracts/errors';
import type { PreparedStatements } from './prepared-statements';
import type { Statement } from './shard-statements';

/** Which advisory lock the one that writes to a database holds, for as long as it is connected. */
const WRITER_LOCK = 7_320_614_905;
const LOCK_WAIT_MS = 1_000;
/** SQLSTATE of a lock that was not got within `lock_timeout`. */
const LOCK_NOT_AVAILABLE = '55P03';

/** One cell as `pg` hands it over. */
type Cell = string | number | boolean | null;
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
 *
 * It holds a lock in the database. Two processes that take themselves for the same server (one was paused, and another one was started in
 * its place) can thus not both write: the replies of the second to one and the same round would contradict those of the first.
 */
export class WriterConnection {
  private client: PoolClient | null = null;

  constructor(
    private readonly connect: () => Promise<PoolClient>,
    private readonly statements: PreparedStatements,
  ) {}

  /**
   * For one transaction after the other.
   *
   * @throws ShardlineError STORE_FAILED when another process writes to this database
   */
  async acquire(): Promise<PoolClient> {
    if (this.client !== null && !this.statements.isWornOut(this.client)) return this.client;
    await this.replace();
    const client = await this.connect();
    client.on('error', () => {
      this.discard(client);
    });
    try {
      await lock(client);
    } catch (error) {
      client.release(true);
      throw error;
    }
    this.client = client;
    return client;
  }

  /** Lets go of a client whose state can no longer be vouched for. */
  discard(client: PoolClient): void {
    if (this.client !== client) return;
    this.client = null;
    client.release(true);
  }

  /** The lock is released first: the end of a connection is noticed by Postgres some time later. */
  private async replace(): Promise<void> {
    const { client } = this;
    if (client === null) return;
    try {
      await client.query(`SELECT pg_advisory_unlock(${WRITER_LOCK})`);
    } catch {
      // It is broken, and the lock goes with it.
    }
    this.discard(client);
  }

  close(): void {
    this.client?.release(true);
    this.client = null;
  }
}

/** Waits a moment for it: the connection that we had before may not have been found broken over there. */
async function lock(client: PoolClient): Promise<void> {
  await client.query(`SET lock_timeout = ${LOCK_WAIT_MS}`);
  try {
    await client.query(`SELECT pg_advisory_lock(${WRITER_LOCK})`);
  } catch (cause) {
    if ((cause as { code?: unknown }).code !== LOCK_NOT_AVAILABLE) throw cause;
    throw new ShardlineError('STORE_FAILED', 'another process writes to this database', false, { cause });
  }
  await client.query('SET lock_timeout = 0');
}
