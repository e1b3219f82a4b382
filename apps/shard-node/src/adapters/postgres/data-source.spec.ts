import { Client } from 'pg';
import { runSql, TestPostgres } from '../../../test/support/test-postgres';
import { openDataSource } from './data-source';

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
