/** The launcher on real processes: what it keeps, what it leaves behind (nothing), and what it says. The tests share a cluster, in turn. */
import { existsSync, readdirSync } from 'node:fs';
import { copyFile, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { folderForAll } from '#common/testing/cluster-harness';
import { freePort } from '#common/testing/free-port';
import { freshBuild } from '#common/testing/fresh-build';
import { documentedBounds } from '#common/testing/documented-bounds';
import type { LocalCluster } from '#common/testing/local-cluster';
import { processesWith } from '#common/testing/processes';
import { Client } from '../src/demo/client';
import { EXAMPLE, student, type Student } from '../src/demo/students';
import { checkSettings } from '../src/supervision/service-settings';
import { launch, launchRun, type Launched } from './launch';
import { until, untilRead } from './reading';

const STUDENTS = Array.from({ length: 500 }, (_, index) => student(index * 20));

const here = folderForAll();
let cluster: LocalCluster;

beforeAll(async () => {
  await freshBuild();
  cluster = await here.start({ init: EXAMPLE });
  await fill(cluster);
}, 300_000);

/** On the same data and ports. */
async function startAgain(): Promise<void> {
  cluster = await here.start({ port: cluster.port, natsPort: cluster.natsPort });
}

async function fill(cluster: LocalCluster, rows: Student[] = STUDENTS): Promise<void> {
  await new Client(cluster.baseUrl).write(rows);
}

async function rowsOf(cluster: LocalCluster): Promise<Student[]> {
  return (await new Client(cluster.baseUrl).read(0, 20_000)).rows;
}

/** Until another process of that name runs: where one stands by for it, the cluster goes on before it is there. */
async function untilAnother(name: string, pid: number): Promise<void> {
  const runs = (): boolean => {
    try {
      return cluster.pidOf(name) !== pid;
    } catch {
      return false; // none runs right now
    }
  };
  await until(`${name} is started again`, runs);
}

test('a launcher that is suspended keeps its folder', async () => {
  process.kill(cluster.pid, 'SIGSTOP');
  try {
    await expect(launchRun(here.dataDir)).resolves.toEqual({
      status: 69,
      said: expect.stringMatching(
        /^shardline: another launcher, process \d+, uses .*, and it does not answer.*\n$/,
      ) as string,
    });
  } finally {
    process.kill(cluster.pid, 'SIGCONT');
  }
  await expect(rowsOf(cluster)).resolves.toEqual(STUDENTS);
}, 180_000);

test('a copy of the folder is another cluster: stopping that leaves the original alone', async () => {
  const copy = join(here.folder, 'copy');
  await mkdir(copy);
  for (const file of ['shardline-data', 'launcher.json']) await copyFile(join(here.dataDir, file), join(copy, file));
  await expect(launch(['stop', '--data-dir', copy])).resolves.toMatchObject({
    status: 0,
    said: expect.stringMatching(/^no cluster runs on/),
  });
  await expect(rowsOf(cluster)).resolves.toEqual(STUDENTS);
}, 180_000);

test('two clusters side by side have nothing to do with one another', async () => {
  const other = await here.start({ dataDir: join(here.folder, 'other'), init: EXAMPLE });
  await fill(other, STUDENTS.slice(0, 3));
  await expect(rowsOf(cluster)).resolves.toEqual(STUDENTS);
  await expect(rowsOf(other)).resolves.toEqual(STUDENTS.slice(0, 3));
  await other.stopAndKeep();
  await expect(rowsOf(cluster)).resolves.toEqual(STUDENTS);
}, 180_000);

test('services that die are started again, and the cluster goes on', async () => {
  for (const name of ['gateway', 'balancer-1', 'balancer-2', 'nats-server']) {
    const pid = cluster.pidOf(name);
    cluster.kill(name);
    await untilRead(cluster, STUDENTS.length);
    await untilAnother(name, pid);
    expect(cluster.output.join('\n')).toMatch(
      new RegExp(`${name} exited unexpectedly \\(SIGKILL|${name} exited unexpectedly \\(exit status 137`),
    );
  }
}, 180_000);

test('when the launcher is killed everything under it ends, and the next run finds the data', async () => {
  await cluster.killLauncher();
  await cluster.untilGone();
  await startAgain();
  await expect(rowsOf(cluster)).resolves.toEqual(STUDENTS);
}, 180_000);

test('after kill -9 of every process at once nothing that was acknowledged is gone', async () => {
  const later = STUDENTS.slice(0, 3).map((row) => ({ ...row, Stud_id: row.Stud_id + 1 }));
  await fill(cluster, later);
  await cluster.kill9();
  await startAgain();
  const rows = await rowsOf(cluster);
  expect(rows).toEqual([...STUDENTS, ...later].sort((a, b) => a.Stud_id - b.Stud_id));
}, 180_000);

test('after a stop nothing is left but the data, and the next run finds it', async () => {
  const before = await rowsOf(cluster);
  await expect(cluster.stopAndKeep()).resolves.toBe(0);
  expect(processesWith(here.dataDir)).toEqual([]);
  const servers = readdirSync(join(here.dataDir, 'servers'));
  expect(servers.length).toBeGreaterThan(0);
  expect(servers.filter((server) => existsSync(join(here.dataDir, 'servers', server, 'node.pid')))).toEqual([]);

  await startAgain();
  await expect(rowsOf(cluster)).resolves.toEqual(before);
  const refused = await launchRun(here.dataDir);
  expect(refused).toEqual({
    status: 69,
    said: expect.stringMatching(/^shardline: a cluster runs on .* already.*\n$/) as string,
  });
}, 180_000);

test('a port in use is said before anything is started', async () => {
  const other = join(here.folder, 'third');
  const runOn = async (port: number, natsPort: number): Promise<Launched> =>
    launch(['run', '--data-dir', other, '--port', String(port), '--nats-port', String(natsPort)]);
  const taken = await runOn(cluster.port, await freePort());
  expect(taken).toEqual({
    status: 69,
    said: `shardline: port ${cluster.port} (the gateway) is in use; choose another with --port\n`,
  });
  const nats = await runOn(await freePort(), cluster.natsPort);
  expect(nats.said).toBe(`shardline: port ${cluster.natsPort} (NATS) is in use; choose another with --nats-port\n`);
}, 60_000);

test('"stop" ends the cluster, and says when there is none', async () => {
  const stopped = await launch(['stop', '--data-dir', here.dataDir]);
  expect(stopped.status).toBe(0);
  expect(processesWith(here.dataDir)).toEqual([]);
  expect((await launch(['stop', '--data-dir', here.dataDir])).said).toMatch(/^no cluster runs on/);
}, 180_000);

test.each([
  ['gateway', { BODY_LIMIT: 'large' }, 'BODY_LIMIT is "large"'],
  ['gateway', { BODY_LIMIT: '8388608' }, 'BODY_LIMIT is 8388608'],
  ['gateway', { SERVICES_NATS_URL: ',' }, 'NATS_URL is ","'],
  ['balancer', { HEARTBEAT_MISSES: '-1' }, 'HEARTBEAT_MISSES is "-1"'],
  ['balancer', { WRITE_QUEUE_WAIT_MS: '45001' }, 'WRITE_QUEUE_WAIT_MS must not be longer than ADMIN_WAIT_MS'],
  ['shard-node', { POOL_SIZE: '500' }, 'POOL_SIZE is "500"'],
])('a wrong setting of the %s (%j) is refused before anything is started', async (service, env, why) => {
  const dataDir = join(here.folder, 'never');
  const { status, said } = await launchRun(dataDir, env);
  expect({ status, said }).toMatchObject({
    status: 78,
    said: expect.stringMatching(/^shardline: [^\n]+\n$/) as string,
  });
  expect(said).toContain(`shardline: ${service}: wrong configuration: ${why}`);
  expect(existsSync(dataDir)).toBe(false);
});

test.each(documentedBounds('Shard-node'))(
  'the launcher knows the bounds of $name, which no service that it starts reads itself',
  ({ name, min, max }) => {
    const check = (value: number) => (): void => {
      checkSettings({ [name]: String(value) }, { dataDir: here.dataDir, port: 1, natsPort: 2 });
    };
    for (const value of [min, max]) expect(check(value)).not.toThrow();
    for (const value of [min - 1, max + 1]) expect(check(value)).toThrow(`shard-node: wrong configuration: ${name} is`);
  },
);
