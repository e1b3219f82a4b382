import { spawn, type ChildProcess } from 'node:child_process';
import { access, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { createLogger } from '#common/logging/logger';
import { commandOf, waitUntilGone } from '#common/process/process-table';
import { killNow, processesWith } from '#common/testing/processes';
import { firstLine, spawnTypeScript } from '#common/testing/typescript-process';
import { EmbeddedPostgres, type PostgresConnection, type UnexpectedExit } from './embedded-postgres';
import { postmasterPid } from './leftover';
import { chooseUser } from './run-as';

jest.setTimeout(60_000);

const logger = createLogger('test', 'silent');

describe('the shard-node’s own Postgres', () => {
  let dataDir: string;
  const running: EmbeddedPostgres[] = [];

  beforeEach(async () => {
    // mkdtemp makes it 0700: as root this is the folder that nobody cannot enter.
    dataDir = await mkdtemp(join(tmpdir(), 'shardline-pg-'));
  });

  afterEach(async () => {
    await Promise.all(running.splice(0).map((postgres) => postgres.stop()));
    // A test that fails half-way may leave one behind that does not move.
    killNow(processesWith(dataDir));
    await rm(dataDir, { recursive: true, force: true });
  });

  const start = async (folder = dataDir): Promise<EmbeddedPostgres> => {
    const postgres = await EmbeddedPostgres.start({ dataDir: folder, logger });
    running.push(postgres);
    return postgres;
  };
  const clusterPid = async (folder = dataDir): Promise<number> => (await postmasterPid(join(folder, 'postgres')))!;

  it('lets clients in on a socket with the settings that durability needs', async () => {
    const { connection } = await start();
    const settings = [
      'fsync',
      'synchronous_commit',
      'full_page_writes',
      'listen_addresses',
      'TimeZone',
      'data_checksums',
    ];
    const values = await Promise.all(settings.map((name) => ask(connection, `SELECT current_setting('${name}') AS v`)));
    expect(values).toEqual(['on', 'on', 'on', '', 'UTC', 'on']);
    expect(
      await ask(
        connection,
        `SELECT string_agg(c, '' ORDER BY c) AS v FROM (VALUES ('b'), ('B'), ('a'), ('ä')) AS t (c)`,
      ),
    ).toBe('Babä');
    expect(await ask(connection, `SELECT upper('ä') AS v`)).toBe('Ä');
  });

  it('keeps its data from one start to the next', async () => {
    const first = await start();
    await ask(first.connection, `CREATE TABLE kept AS SELECT 'still here' AS v`);
    await first.stop();
    const second = await start();
    expect(await ask(second.connection, 'SELECT v FROM kept')).toBe('still here');
  });

  it('is gone after stop, does not call that unexpected, and needs no recovery', async () => {
    const postgres = await start();
    const exits: UnexpectedExit[] = [];
    postgres.onExit((exit) => exits.push(exit));
    const pid = await clusterPid();
    await postgres.stop();
    expect(await commandOf(pid)).toBeUndefined();
    expect(exits).toEqual([]);
    // Postgres removes its pid file in an orderly shutdown only.
    await expect(access(join(dataDir, 'postgres', 'postmaster.pid'))).rejects.toThrow('ENOENT');
  });

  it('stops although a client is in the middle of a transaction', async () => {
    const postgres = await start();
    const client = new Client(postgres.connection);
    const lost = new Promise((resolve) => client.once('end', resolve));
    client.on('error', () => undefined);
    await client.connect();
    await client.query('BEGIN; CREATE TABLE half (v int)');
    await postgres.stop();
    await lost;
    const again = await start();
    expect(await ask(again.connection, `SELECT to_regclass('half') AS v`)).toBeNull();
  });

  it('notices when Postgres is killed, and recovers every committed row at the next start', async () => {
    const postgres = await start();
    await ask(postgres.connection, 'CREATE TABLE committed AS SELECT generate_series(1, 1000) AS v');
    const exit = new Promise<UnexpectedExit>((resolve) => {
      postgres.onExit(resolve);
    });
    process.kill(await clusterPid(), 'SIGKILL');
    expect((await exit).status).not.toBe(0);
    const again = await start();
    expect(await ask(again.connection, 'SELECT count(*)::int AS v FROM committed')).toBe(1000);
  });

  it('ends with the process that owns it, SIGKILL included, and the next owner finds the data', async () => {
    const { owner, connection } = await startOwner(dataDir);
    await ask(connection, `CREATE TABLE kept AS SELECT 'still here' AS v`);
    const pid = await clusterPid();
    owner.kill('SIGKILL');
    expect(await waitUntilGone(async () => (await commandOf(pid)) !== undefined, 5_000)).toBe(true);
    expect(await ask((await start()).connection, 'SELECT v FROM kept')).toBe('still here');
  });

  it('ends a Postgres that an owner who was killed left behind and that does not move', async () => {
    const { owner, connection } = await startOwner(dataDir);
    await ask(connection, `CREATE TABLE kept AS SELECT 'still here' AS v`);
    const pid = await clusterPid();
    process.kill(pid, 'SIGSTOP');
    owner.kill('SIGKILL');
    expect(await ask((await start()).connection, 'SELECT v FROM kept')).toBe('still here');
    expect(await commandOf(pid)).toBeUndefined();
  });

  it('stops a Postgres that does not move', async () => {
    const postgres = await start();
    const pid = await clusterPid();
    process.kill(pid, 'SIGSTOP');
    await postgres.stop();
    expect(await commandOf(pid)).toBeUndefined();
  });

  it('starts although its pid file names a process that is something else by now', async () => {
    await (await start()).stop();
    const { program, args, ...as } = (await chooseUser('true', dataDir)).invoke('sleep', ['60']);
    const other = spawn(program, args, { ...as, cwd: '/' });
    try {
      await writeFile(join(dataDir, 'postgres', 'postmaster.pid'), `${String(other.pid)}\n`);
      expect(await ask((await start()).connection, 'SELECT 1 AS v')).toBe(1);
      expect(other.exitCode).toBeNull();
    } finally {
      other.kill('SIGKILL');
    }
  });

  it('serves three data directories that are made at once, and leaves nothing half-made', async () => {
    const folders = ['one', 'two', 'three'].map((name) => join(dataDir, name));
    await Promise.all(
      folders.map(async (folder) => {
        await mkdir(join(folder, 'postgres.new-abandoned'), { recursive: true });
        expect(await ask((await start(folder)).connection, 'SELECT 1 AS v')).toBe(1);
        expect((await readdir(folder)).sort()).toEqual(['postgres', 'socket']);
      }),
    );
  });

  it('works below a path that is too long for a socket', async () => {
    const folder = join(dataDir, 'x'.repeat(60), 'y'.repeat(60), 'with, comma and "quotes"');
    const postgres = await start(folder);
    expect(Buffer.byteLength(postgres.connection.host)).toBeLessThan(86);
    expect(await ask(postgres.connection, 'SELECT 1 AS v')).toBe(1);
    await postgres.stop();
    await expect(access(postgres.connection.host)).rejects.toThrow('ENOENT');
  });

  it('refuses data of another major version in one line', async () => {
    await mkdir(join(dataDir, 'postgres'));
    await writeFile(join(dataDir, 'postgres', 'PG_VERSION'), '11\n');
    await expect(start()).rejects.toThrow(/holds data of Postgres 11, and this is Postgres \d\d: [^\n]*$/);
  });

  it('says the end of Postgres’s log when that does not start', async () => {
    await (await start()).stop();
    await rm(join(dataDir, 'postgres', 'global', 'pg_control'));
    await expect(start()).rejects.toThrow(/did not start on .*postgres: it ended with \d+; .*pg_control/);
  });
});

/** A Postgres whose owner is a process of its own. */
async function startOwner(dataDir: string): Promise<{ owner: ChildProcess; connection: PostgresConnection }> {
  const owner = spawnTypeScript(join(__dirname, 'test', 'owner.ts'), [dataDir]);
  return { owner, connection: JSON.parse(await firstLine(owner)) as PostgresConnection };
}

async function ask(connection: PostgresConnection, sql: string): Promise<unknown> {
  const client = new Client(connection);
  await client.connect();
  try {
    const { rows } = await client.query<{ v: unknown }>(sql);
    return rows[0]?.v;
  } finally {
    await client.end();
  }
}
