/** An `/init` in the place of another configuration: it comes into force as a whole, or the other one is served on with all of its rows. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { sharedCluster } from '#common/testing/cluster-harness';
import { withPostgres } from './support/replica-tables';

const SCHEMA = { columns: ['Stud_id', 'Stud_name', 'Stud_marks'], dtypes: ['Number', 'String', 'String'] };
const BEFORE = {
  N: 2,
  schema: SCHEMA,
  shards: [{ Stud_id_low: 0, Shard_id: 'sh1', Shard_size: 4096 }],
  servers: { Server0: ['sh1'], Server1: ['sh1'] },
};
const AFTER = { ...BEFORE, shards: [{ Stud_id_low: 0, Shard_id: 'sh1', Shard_size: 1000 }] };
const REFUSE = `
  CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no room' USING ERRCODE = 'disk_full'; END $$;
  CREATE EVENT TRIGGER refuse ON ddl_command_start WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION refuse()`;

describe('/init over another configuration', () => {
  const shared = sharedCluster({ init: BEFORE, env: { ALLOW_REINIT: 'true' } });
  const { client } = shared;

  beforeAll(async () => {
    await client.fill(0, 500);
  }, 120_000);

  const sqlOn = (server: string, text: string): Promise<unknown[]> =>
    withPostgres(shared.cluster.dataDir, server, async (postgres) => (await postgres.query<object>(text)).rows);

  async function isServedOn(): Promise<void> {
    expect(await client.rows(0, 4095)).toHaveLength(500);
    const update = { Stud_id: 3, data: { Stud_id: 3, Stud_name: 'still', Stud_marks: 'here' } };
    expect((await client.ask('PUT', '/update', update)).status).toBe(200);
    expect(await client.isWhole()).toBe(true);
    expect(Object.keys(await client.servers()).sort()).toEqual(['Server0', 'Server1']);
  }

  test('with a new server that cannot start, the other one is served on', async () => {
    await writeFile(join(shared.cluster.dataDir, 'servers', 'Server7'), 'no folder');
    const { status } = await client.ask('POST', '/init', { ...AFTER, servers: { Server0: ['sh1'], Server7: ['sh1'] } });
    expect(status).toBe(503);
    await isServedOn();
  }, 120_000);

  test('with a server that refuses the table, the other one is served on, and nothing is left behind', async () => {
    await sqlOn('Server1', REFUSE);
    const { status } = await client.ask('POST', '/init', {
      ...AFTER,
      N: 3,
      servers: { ...AFTER.servers, Server8: ['sh1'] },
    });
    expect(status).toBe(503);
    await isServedOn();
    expect(() => shared.cluster.pidOf('Server8')).toThrow();
    await sqlOn('Server1', 'DROP EVENT TRIGGER refuse');
    const left = `SELECT tablename FROM pg_tables WHERE schemaname = 'prepared'`;
    expect(await sqlOn('Server0', left)).toEqual([]);
  }, 120_000);

  test('that can be carried out takes the place of the other, whose rows are gone', async () => {
    expect((await client.ask('POST', '/init', AFTER)).status).toBe(200);
    expect(await client.rows(0, 999)).toEqual([]);
    await client.fill(0, 10);
    expect(await client.rows(0, 999)).toHaveLength(10);
    expect((await client.ask('GET', '/status')).body).toMatchObject({ shards: [{ Shard_size: 1000 }] });
  }, 120_000);
});
