/** A shard-node as it is started by hand: with the largest pool, in any shell, on a Postgres of its own or of somebody else. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectNats, request, type NatsConnection } from '#common/nats/connection';
import { nodeSubject } from '#common/contracts/subjects';
import { freshBuild } from '#common/testing/fresh-build';
import { killNow, processesWith } from '#common/testing/processes';
import { TestNatsServer } from '#common/testing/nats-server';
import { ForeignPostgres } from './support/foreign-postgres';
import { runSql } from './support/test-postgres';

jest.setTimeout(120_000);

let dist: string;
let server: TestNatsServer;
let nats: NatsConnection;
let folder: string;

beforeAll(async () => {
  dist = await freshBuild();
  server = await TestNatsServer.start();
  nats = await connectNats([server.url], 'test');
});
afterAll(async () => {
  await nats.close();
  await server.stop();
});
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'shardline-node-'));
});
afterEach(async () => {
  killNow(processesWith(folder));
  await rm(folder, { recursive: true, force: true, maxRetries: 10 });
});

/** What the node wrote until it was ready, or its exit status. */
async function start(env: NodeJS.ProcessEnv): Promise<{ child: ChildProcess; status: number | null; said: string }> {
  const own = { SERVER_NAME: 'S', NATS_URL: server.url, DATA_DIR: join(folder, 'data') };
  const child = spawn(process.execPath, [join(dist, 'apps/shard-node/main.js')], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...own, ...env },
  });
  let said = '';
  const isReady = new Promise<null>((resolve) => {
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk: Buffer) => {
        said += chunk.toString();
        if (said.includes('"msg":"ready"')) resolve(null);
      });
    }
  });
  const ended = once(child, 'close').then(([status]) => status as number);
  return { child, status: await Promise.race([isReady, ended]), said };
}

async function ask<T>(verb: 'ping' | 'config' | 'read', message: object): Promise<T> {
  const data = await request(nats, nodeSubject('S', verb), JSON.stringify(message), 20_000);
  return JSON.parse(Buffer.from(data).toString()) as T;
}

async function stop(child: ChildProcess): Promise<void> {
  const ended = once(child, 'close');
  child.kill('SIGTERM');
  await ended;
}

const PING = { epoch: 1, configId: 1, vats: {}, marks: {} };

test('the largest pool there may be has its connections, and a heartbeat one more', async () => {
  const { child, status } = await start({ POOL_SIZE: '100' });
  expect(status).toBeNull();
  const address = { host: join(folder, 'data', 'socket'), port: 5432, user: 'shardline', database: 'postgres' };
  const rows = await runSql(address, `SELECT current_setting('max_connections')::int - 1 AS free`);
  // Of the pool, of the writer and the heartbeat, and some to spare.
  expect(rows).toEqual([{ free: 115 }]);
  await expect(ask('ping', PING)).resolves.toMatchObject({ postgres: 'ok' });
  await stop(child);
});

test('variables of the shell that mean another Postgres mean nothing', async () => {
  const { child, status, said } = await start({
    ...{ PGSSLMODE: 'require', PGOPTIONS: '-c default_transaction_read_only=on', PGREPLICATION: 'database' },
    ...{ PGHOST: '/nowhere', PGCLIENT_ENCODING: 'LATIN1', PGSSLNEGOTIATION: 'direct', NODE_PG_FORCE_NATIVE: '1' },
  });
  expect({ status, said: status === null ? '' : said }).toEqual({ status: null, said: '' });
  await expect(ask('ping', PING)).resolves.toMatchObject({ postgres: 'ok' });
  await stop(child);
});

describe('on a Postgres of somebody else', () => {
  let foreign: ForeignPostgres;
  beforeAll(async () => {
    foreign = await ForeignPostgres.start({ max_connections: '30', reserved_connections: '5' });
    const given = ['ROLE few LOGIN CONNECTION LIMIT 5', 'ROLE plain LOGIN', 'DATABASE small CONNECTION LIMIT 5'];
    for (const what of given) await runSql({ url: foreign.url() }, `CREATE ${what}`);
  });
  afterAll(async () => {
    await foreign.stop();
  });

  test.each([
    [{ POOL_SIZE: '21' }, 'shardline', 'postgres', 'allows 22 (max_connections is 30, 8 of them reserved)'],
    [{}, 'few', 'postgres', 'allows 5 to this role'],
    [{}, 'plain', 'small', 'allows 5 to this database'],
  ])(
    'that lets in too few (%j as %s on %s) it does not start, and says so in one line',
    async (env, user, database, why) => {
      const { status, said } = await start({ ...env, DATABASE_URL: foreign.url(user, database) });
      expect(status).toBe(78);
      expect(said).toMatch(/^wrong configuration: POOL_SIZE is [^\n]+\n$/);
      expect(said).toContain(why);
    },
  );

  test('that lets in just as many it works', async () => {
    const { child, status, said } = await start({ POOL_SIZE: '20', DATABASE_URL: foreign.url() });
    expect({ status, said: status === null ? '' : said }).toEqual({ status: null, said: '' });
    await expect(ask('ping', PING)).resolves.toMatchObject({ postgres: 'ok' });
    await stop(child);
  });
});
