/** TypeORM's data source of a node: the fixed tables, their migrations, and the pool that everything runs on. */
import type { Pool } from 'pg';
import { DataSource } from 'typeorm';
import { connectionsOf } from '../../config/connections';
import { FixedTables1760000000000 } from './migrations/1760000000000-fixed-tables';
import { Operations1761000000000 } from './migrations/1761000000000-operations';
import { CopyProgress1763800000000 } from './migrations/1763800000000-copy-progress';
import { EpochStarts1763900000000 } from './migrations/1763900000000-epoch-starts';
import { ClusterRecords1764200000000 } from './migrations/1764200000000-cluster-records';
import { EpochOwner1764300000000 } from './migrations/1764300000000-epoch-owner';
import { NamesOfTheField1764400000000 } from './migrations/1764400000000-names-of-the-field';
import { Fingerprints1764500000000 } from './migrations/1764500000000-fingerprints';
import { NodeT, OpT, TermT } from './entities/node-entities';

/** Where Postgres is: a socket's folder or host with a user and a database, or a URL. */
export type PostgresAddress = { host: string; port?: number; user: string; database: string } | { url: string };

export interface DataSourceOptions {
  address: PostgresAddress;
  /** Connections for reading; one more writes, and one more is for migrations and the like. */
  poolSize: number;
  statementTimeoutMs: number;
}

const CONNECT_TIMEOUT_MS = 10_000;
/** What Postgres did not end by itself is given up on this much later. */
const GIVE_UP_AFTER_MS = 2_000;

/** Connects and brings the fixed tables up to date. */
export async function openDataSource({
  address,
  poolSize,
  statementTimeoutMs,
}: DataSourceOptions): Promise<DataSource> {
  const dataSource = new DataSource({
    type: 'postgres',
    ...('url' in address
      ? { url: address.url }
      : { host: address.host, port: address.port ?? 5432, username: address.user, database: address.database }),
    entities: [NodeT, TermT, OpT],
    migrations: [
      FixedTables1760000000000,
      Operations1761000000000,
      CopyProgress1763800000000,
      EpochStarts1763900000000,
      ClusterRecords1764200000000,
      EpochOwner1764300000000,
      NamesOfTheField1764400000000,
      Fingerprints1764500000000,
    ],
    migrationsTableName: 'migrations',
    migrationsRun: true,
    poolSize: connectionsOf(poolSize),
    connectTimeoutMS: CONNECT_TIMEOUT_MS,
    applicationName: 'shardline',
    extra: {
      // Statements of one transaction go out together.
      pipeline: true,
      query_timeout: statementTimeoutMs + GIVE_UP_AFTER_MS,
      options: [
        '-c timezone=UTC',
        // Copies are in the text form of the session that writes them.
        '-c datestyle=ISO',
        '-c synchronous_commit=on',
        // Compiling a statement that runs for a millisecond takes longer than running it.
        '-c jit=off',
        `-c statement_timeout=${statementTimeoutMs}`,
        `-c idle_in_transaction_session_timeout=${statementTimeoutMs}`,
      ].join(' '),
    },
  });
  return dataSource.initialize();
}

/** The pool beneath TypeORM. */
export function poolOf(dataSource: DataSource): Pool {
  return (dataSource.driver as unknown as { master: Pool }).master;
}
