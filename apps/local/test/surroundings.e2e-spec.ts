/** What stands in the shell is not for the cluster; and what keeps a service from starting is said where somebody reads it. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { folderPerTest } from '#common/testing/cluster-harness';
import { Client } from '../src/demo/client';
import { EXAMPLE, student } from '../src/demo/students';
import { waitUntilReady } from '../src/supervision/readiness';

const STUDENTS = Array.from({ length: 100 }, (_, index) => student(index * 100));

const here = folderPerTest();

/** Variables that mean something to a library or a program that we use, each with a value that would break or change it. */
function hostile(): Record<string, string> {
  const probe = join(here.folder, 'probe.js');
  const loaded = JSON.stringify(join(here.folder, 'loaded'));
  writeFileSync(probe, `require('node:fs').appendFileSync(${loaded}, process.argv[1] + '\\n');`);
  const nowhere = 'http://127.0.0.1:1';
  return {
    PGSSLMODE: 'require',
    PGHOST: '/nowhere',
    PGPORT: '1',
    PGUSER: 'nobody',
    PGPASSWORD: 'x',
    PGDATABASE: 'nowhere',
    PGOPTIONS: '-c default_transaction_read_only=on',
    PGREPLICATION: 'database',
    PGSSLNEGOTIATION: 'direct',
    PGCLIENT_ENCODING: 'LATIN1',
    PGBINARY: '1',
    PGAPPNAME: 'x',
    PGDATA: '/nowhere',
    PGSERVICE: 'x',
    NODE_PG_FORCE_NATIVE: '1',
    DATABASE_URL: 'postgres://nobody@127.0.0.1:1/nowhere',
    NODE_OPTIONS: `--require ${probe}`,
    NATS_URL: 'nats://127.0.0.1:1',
    DATA_DIR: '/nowhere',
    PID_FILE: '/nowhere/pid',
    SERVER_NAME: '../x',
    LIFELINE_FD: '1',
    BALANCER_ID: 'x',
    PORT: '1',
    TZ: 'Asia/Kathmandu',
    LANG: 'tr_TR.UTF-8',
    LC_ALL: 'xx_XX.nonsense',
    http_proxy: nowhere,
    HTTP_PROXY: nowhere,
    HTTPS_PROXY: nowhere,
    NODE_USE_ENV_PROXY: '1',
    ENV: '/nowhere/rc',
    BASH_ENV: '/nowhere/rc',
    GODEBUG: 'nonsense',
  };
}

test('a cluster starts, works and comes back in any shell', async () => {
  const env = hostile();
  const first = await here.start({ env });
  await first.init(EXAMPLE);
  await new Client(first.baseUrl).write(STUDENTS);
  await expect(first.stopAndKeep()).resolves.toBe(0);
  const second = await here.start({ env });
  await expect(new Client(second.baseUrl).read(0, 20_000)).resolves.toMatchObject({ rows: STUDENTS });
  // What the user gave to Node.js is for the launcher, which the user started.
  const loadedBy = new Set(readFileSync(join(here.folder, 'loaded'), 'utf8').trim().split('\n'));
  expect([...loadedBy]).toEqual([expect.stringMatching(/apps\/local\/main\.js$/)]);
}, 180_000);

test('the folder in which it was started may be removed: what dies later is started again all the same', async () => {
  const cwd = join(here.folder, 'stood-here');
  mkdirSync(cwd);
  const cluster = await here.start({ cwd });
  rmSync(cwd, { recursive: true });
  for (const name of ['gateway', 'nats-server', await cluster.leader()]) cluster.kill(name);
  await expect(waitUntilReady(cluster.baseUrl, 60_000)).resolves.toBe('ready');
  await cluster.init(EXAMPLE);
  cluster.kill('Server0');
  await new Client(cluster.baseUrl).write(STUDENTS);
  await expect(new Client(cluster.baseUrl).read(0, 20_000)).resolves.toMatchObject({ rows: STUDENTS });
  expect(cluster.output.filter((line) => line.includes('cwd'))).toEqual([]);
}, 120_000);

test('a shard-node that cannot start says why on the terminal and to who asked for it, at once', async () => {
  // It is not waited for: that would take longer than this test may.
  const cluster = await here.start({ env: { NODE_START_TIMEOUT_MS: '600000' } });
  const data = join(cluster.dataDir, 'servers', 'Server1', 'postgres');
  mkdirSync(data, { recursive: true });
  writeFileSync(join(data, 'PG_VERSION'), '9\n');
  await expect(cluster.init(EXAMPLE)).rejects.toThrow(/Server1 cannot start: .*Postgres/);
  const said = /the shard-node could not start: retrying Server1: .*Postgres/;
  expect(cluster.output.filter((line) => said.test(line)).length).toBeGreaterThan(0);
}, 120_000);
