/** A real Postgres for tests, with a fresh database for every store. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { createLogger } from '#common/logging/logger';
import { openDataSource, type PostgresAddress } from '../../src/adapters/postgres/data-source';
import { PostgresVersionStore } from '../../src/adapters/postgres/postgres-version-store';
import { EmbeddedPostgres } from '../../src/adapters/embedded-postgres/embedded-postgres';

export class TestPostgres {
  private databases = 0;
  private paused: number[] = [];

  private constructor(
    private postgres: EmbeddedPostgres,
    private readonly dir: string,
  ) {}

  static async start(): Promise<TestPostgres> {
    const dir = await mkdtemp(join(tmpdir(), 'shardline-store-'));
    const logger = createLogger('test', 'silent');
    return new TestPostgres(await EmbeddedPostgres.start({ dataDir: dir, logger }), dir);
  }

  /** The address of a new, empty database. */
  async freshDatabase(): Promise<PostgresAddress> {
    this.databases += 1;
    const database = `test${this.databases}`;
    const client = new Client(this.postgres.connection);
    await client.connect();
    await client.query(`CREATE DATABASE ${database}`);
    await client.end();
    return { ...this.postgres.connection, database };
  }

  /** Lets Postgres stand still: whoever is connected gets no answer, nobody new gets in, until `resume`. */
  async pause(): Promise<void> {
    const file = await readFile(join(this.dir, 'postgres', 'postmaster.pid'), 'utf8');
    const clients = await runSql(this.postgres.connection, `SELECT pid FROM pg_stat_activity WHERE state = 'idle'`);
    this.paused = [Number.parseInt(file, 10), ...clients.map(({ pid }) => Number(pid))];
    for (const pid of this.paused) process.kill(pid, 'SIGSTOP');
  }

  resume(): void {
    for (const pid of this.paused.splice(0)) process.kill(pid, 'SIGCONT');
  }

  /** Kills Postgres, does something while it is gone, and starts it again at the same place. */
  async crash(meanwhile: () => Promise<void>): Promise<void> {
    const gone = new Promise((resolve) => {
      this.postgres.onExit(resolve);
    });
    process.kill(Number.parseInt(await readFile(join(this.dir, 'postgres', 'postmaster.pid'), 'utf8'), 10), 'SIGKILL');
    await gone;
    try {
      await meanwhile();
    } finally {
      this.postgres = await EmbeddedPostgres.start({ dataDir: this.dir, logger: createLogger('test', 'silent') });
    }
  }

  async stop(): Promise<void> {
    await this.postgres.stop();
    await rm(this.dir, { recursive: true, force: true });
  }
}

/** The store of `server` in the database. */
export async function openStore(
  address: PostgresAddress,
  server: string,
  mostStatements?: number,
): Promise<PostgresVersionStore> {
  const dataSource = await openDataSource({ address, poolSize: 3, statementTimeoutMs: 20_000 });
  return new PostgresVersionStore(dataSource, server, mostStatements);
}

/** Runs SQL beside the store. */
export async function runSql(address: PostgresAddress, text: string): Promise<Record<string, unknown>[]> {
  const client = new Client('url' in address ? { connectionString: address.url } : address);
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(text)).rows;
  } finally {
    await client.end();
  }
}
