/** The launcher on real processes: what it keeps, what it leaves behind (nothing), and what it says. */
import { existsSync, readdirSync } from 'node:fs';
import { copyFile, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { folderPerTest } from '#common/testing/cluster-harness';
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

const here = folderPerTest();

beforeAll(async () => {
  await freshBuild();
}, 120_000);

async function fill(cluster: LocalCluster, rows: Student[] = STUDENTS): Promise<void> {
  await new Client(cluster.baseUrl).write(rows);
}

async function rowsOf(cluster: LocalCluster): Promise<Student[]> {
  return (await new Client(cluster.baseUrl).read(0, 20_000)).rows;
}

/** Until another process of that name runs: where one stands by for it, the cluster goes on before it is there. */
async function untilAnother(cluster: LocalCluster, name: string, pid: number): Promise<void> {
  const runs = (): boolean => {
    try {
      return cluster.pidOf(name) !== pid;
    } catch {
      return false; // none runs right now
    }
  };
  await until(`${name} is started again`, runs);
}

test('after a stop nothing is left but the data, and the next run finds it', async () => {
  const first = await here.start({ init: EXAMPLE });
  await fill(first);
  await expect(first.stopAndKeep()).resolves.toBe(0);
  expect(processesWith(here.dataDir)).toEqual([]);
  const servers = readdirSync(join(here.dataDir, 'servers'));
  expect(servers.length).toBeGreaterThan(0);
  expect(servers.filter((server) => existsSync(join(here.dataDir, 'servers', server, 'node.pid')))).toEqual([]);

  const second = await here.start();
  await expect(rowsOf(second)).resolves.toEqual(STUDENTS);
  const refused = await launchRun(here.dataDir);
  expect(refused).toEqual({
    status: 69,
    said: expect.stringMatching(/^shardline: a cluster runs on .* already.*\n$/) as string,
  });
  const stopped = await launch(['stop', '--data-dir', here.dataDir]);
  expect(stopped.status).toBe(0);
  expect(processesWith(here.dataDir)).toEqual([]);
  expect((await launch(['stop', '--data-dir', here.dataDir])).said).toMatch(/^no cluster runs on/);
}, 180_000);

test('after kill -9 of every process at once nothing that was acknowledged is gone', async () => {
  const first = await here.start({ init: EXAMPLE });
  await fill(first);
  await first.kill9();
  const second = await here.start({ port: first.port, natsPort: first.natsPort });
  await expect(rowsOf(second)).resolves.toEqual(STUDENTS);
}, 180_000);

test('when the launcher is killed everything under it ends, and the next run finds the data', async () => {
  const first = await here.start({ init: EXAMPLE });
  await fill(first);
  await first.killLauncher();
  await first.untilGone();
  const second = await here.start({ port: first.port, natsPort: first.natsPort });
  await expect(rowsOf(second)).resolves.toEqual(STUDENTS);
}, 180_000);

test('a launcher that is suspended keeps its folder', async () => {
  const cluster = await here.start({ init: EXAMPLE });
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
  await fill(cluster);
  await expect(rowsOf(cluster)).resolves.toEqual(STUDENTS);
}, 180_000);

test('a copy of the folder is another cluster: stopping that leaves the original alone', async () => {
  const cluster = await here.start({ init: EXAMPLE });
  await fill(cluster);
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
  const one = await here.start({ init: EXAMPLE });
  const other = await here.start({ dataDir: join(here.folder, 'other'), init: EXAMPLE });
  await fill(one);
  await fill(other, STUDENTS.slice(0, 3));
  await expect(rowsOf(one)).resolves.toEqual(STUDENTS);
  await one.stopAndKeep();
  await expect(rowsOf(other)).resolves.toEqual(STUDENTS.slice(0, 3));
}, 180_000);

test('services that die are started again, and the cluster goes on', async () => {
  const cluster = await here.start({ init: EXAMPLE });
  await fill(cluster);
  for (const name of ['gateway', 'balancer-1', 'balancer-2', 'nats-server']) {
    const pid = cluster.pidOf(name);
    cluster.kill(name);
    await untilRead(cluster, STUDENTS.length);
    await untilAnother(cluster, name, pid);
    expect(cluster.output.join('\n')).toMatch(
      new RegExp(`${name} exited unexpectedly \\(SIGKILL|${name} exited unexpectedly \\(exit status 137`),
    );
  }
}, 180_000);

test.each([
  ['gateway', { BODY_LIMIT: 'large' }, 'BODY_LIMIT is "large"'],
  ['gateway', { BODY_LIMIT: '8388608' }, 'BODY_LIMIT is 8388608'],
  ['gateway', { SERVICES_NATS_URL: ',' }, 'NATS_URL is ","'],
  ['balancer', { HEARTBEAT_MISSES: '-1' }, 'HEARTBEAT_MISSES is "-1"'],
  ['balancer', { WRITE_QUEUE_WAIT_MS: '45001' }, 'WRITE_QUEUE_WAIT_MS must not be longer than ADMIN_WAIT_MS'],
  ['shard-node', { POOL_SIZE: '500' }, 'POOL_SIZE is "500"'],
])('a wrong setting of the %s (%j) is refused before anything is started', async (service, env, why) => {
  const { status, said } = await launchRun(here.dataDir, env);
  expect({ status, said }).toMatchObject({
    status: 78,
    said: expect.stringMatching(/^shardline: [^\n]+\n$/) as string,
  });
  expect(said).toContain(`shardline: ${service}: wrong configuration: ${why}`);
  expect(existsSync(here.dataDir)).toBe(false);
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

test('a port in use is said before anything is started', async () => {
  const cluster = await here.start();
  const other = join(here.folder, 'other');
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
