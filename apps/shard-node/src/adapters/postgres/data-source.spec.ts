import { Client } from 'pg';
import { DataSource } from 'typeorm';
import { openStore, runSql, TestPostgres } from '../../../test/support/test-postgres';
import { openDataSource } from './data-source';
import { FixedTables1760000000000 } from './migrations/1760000000000-fixed-tables';

let postgres: TestPostgres;

beforeAll(async () => {
  postgres = await TestPostgres.start();
}, 60_000);

afterAll(async () => {
  await postgres.stop();
});

it('makes by its migrations exactly the tables that the entities describe', async () => {
  const dataSource = await openDataSource({
    address: await postgres.freshDatabase(),
    poolSize: 1,
    statementTimeoutMs: 5_000,
  });
  try {
    const { upQueries } = await dataSource.driver.createSchemaBuilder().log();
    expect(upQueries.map((query) => query.query)).toEqual([]);
  } finally {
    await dataSource.destroy();
  }
});

it('opens the data of a node that knew nothing of the ids of changes', async () => {
  const address = await postgres.freshDatabase();
  if ('url' in address) throw new Error('a socket was expected');
  const old = new DataSource({
    ...{ type: 'postgres', host: address.host, username: address.user, database: address.database },
    ...{ migrations: [FixedTables1760000000000], migrationsTableName: 'migrations', migrationsRun: true },
  });
  await old.initialize();
  await old.query(`INSERT INTO node_t VALUES (1, 'Server0', 3, 7, '{"columns":["id"],"dtypes":["Number"]}')`);
  await old.query(
    `INSERT INTO term_t VALUES ('sh', 0, 10, 5, 4, 2, 3, 9, '{"sh":5}', false, 3, 1, '["Server0"]', 0, 9, NULL, NULL, 6)`,
  );
  await old.destroy();
  const store = await openStore(address, 'Server0');
  try {
    const shard = (await store.load()).shards.get('sh');
    expect(shard).toMatchObject({
      currentTerm: 5,
      committedVat: 4,
      forgottenUpTo: 0,
      newestRound: { epoch: 3, round: 9 },
    });
    expect(await store.recordPage({ shard: 'sh', after: 0, upTo: 5 }, 1000)).toEqual({ records: [], next: null });
  } finally {
    await store.close();
  }
});

it('knows a change again that was stored when fingerprints had another name', async () => {
  const address = await postgres.freshDatabase();
  const migrated = await openDataSource({ address, poolSize: 1, statementTimeoutMs: 5_000 });
  await migrated.undoLastMigration();
  await migrated.query(`INSERT INTO op_t (shard, term, id, print, outcome) VALUES ('sh', 3, 'a', 'p', '=1')`);
  await migrated.destroy();
  const store = await openStore(address, 'Server0');
  try {
    const { records } = await store.recordPage({ shard: 'sh', after: 0, upTo: 5 }, 1000);
    expect(records).toEqual([{ term: 3, id: 'a', fingerprint: 'p', outcome: { ok: 1 } }]);
  } finally {
    await store.close();
  }
});

it('needs no more than the ownership of its database', async () => {
  const address = await postgres.freshDatabase();
  if ('url' in address) throw new Error('a socket was expected');
  await runSql(address, `CREATE ROLE tenant LOGIN; ALTER DATABASE ${address.database} OWNER TO tenant`);
  const asTenant = { ...address, user: 'tenant' };
  const dataSource = await openDataSource({ address: asTenant, poolSize: 1, statementTimeoutMs: 5_000 });
  await dataSource.destroy();
  const client = new Client(asTenant);
  await client.connect();
  const roles = await client.query('SELECT rolsuper FROM pg_roles WHERE rolname = current_user');
  expect(roles.rows).toEqual([{ rolsuper: false }]);
  await client.end();
});
