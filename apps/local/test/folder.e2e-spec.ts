/** What people and programs do to a folder that a cluster runs on: clean it, move it, reach it by other names. */
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { LocalCluster } from '#common/testing/local-cluster';
import { processesWith } from '#common/testing/processes';
import { Client } from '../src/demo/client';
import { EXAMPLE, student } from '../src/demo/students';
import { launch, launchRun } from './launch';

jest.setTimeout(180_000);

const STUDENTS = Array.from({ length: 100 }, (_, index) => student(index * 100));

let folder: string;
let dataDir: string;
const clusters: LocalCluster[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'shardline-'));
  dataDir = join(folder, 'data');
});
afterEach(async () => {
  for (const cluster of clusters.splice(0)) await cluster.destroy();
  await rm(folder, { recursive: true, force: true });
}, 60_000);

async function start(path = dataDir): Promise<LocalCluster> {
  const cluster = await LocalCluster.start({ dataDir: path });
  clusters.push(cluster);
  return cluster;
}

async function startFilled(): Promise<LocalCluster> {
  const cluster = await start();
  await cluster.init(EXAMPLE);
  await new Client(cluster.baseUrl).write(STUDENTS);
  return cluster;
}

async function untilRead(cluster: LocalCluster): Promise<void> {
  const end = performance.now() + 90_000;
  for (;;) {
    const rows = await new Client(cluster.baseUrl).read(0, 20_000).then(
      (answer) => answer.rows,
      () => [], // not yet
    );
    if (rows.length === STUDENTS.length) return;
    if (performance.now() > end) throw new Error(`cannot be read:\n${cluster.output.join('\n')}`);
    await delay(100);
  }
}

/** Every file that lies in the folder itself, as a cleaner of old files would. */
function removeFiles(): void {
  const files = readdirSync(dataDir, { withFileTypes: true }).filter((entry) => !entry.isDirectory());
  expect(files.map(({ name }) => name).sort()).toEqual(['control', 'launcher.json', 'shardline-data']);
  for (const { name } of files) rmSync(join(dataDir, name));
}

async function untilThere(name: string): Promise<void> {
  const end = performance.now() + 30_000;
  while (!existsSync(join(dataDir, name))) {
    if (performance.now() > end) throw new Error(`${name} does not come back`);
    await delay(50);
  }
}

test('with every file of the folder removed, services that die come back, and the cluster can be stopped', async () => {
  const cluster = await startFilled();
  const stood = (await cluster.leader()) === 'balancer-1' ? 'balancer-2' : 'balancer-1';
  removeFiles();
  for (const name of [await cluster.leader(), stood, 'gateway', 'nats-server']) {
    cluster.kill(name);
    await untilRead(cluster);
  }
  removeFilesAgain();
  await expect(launch(['stop', '--data-dir', dataDir])).resolves.toMatchObject({
    status: 0,
    said: expect.stringMatching(/^stopped the cluster/) as string,
  });
  expect(processesWith(dataDir)).toEqual([]);
  await untilRead(await start());
});

function removeFilesAgain(): void {
  for (const name of ['control', 'launcher.json', 'shardline-data']) rmSync(join(dataDir, name), { force: true });
}

test('with every file of the folder removed no other launcher takes it, and "stop" does not say that nothing runs', async () => {
  const cluster = await startFilled();
  process.kill(cluster.pid, 'SIGSTOP');
  removeFiles();
  await expect(launchRun(dataDir)).resolves.toMatchObject({ status: 69 });
  await expect(launch(['stop', '--data-dir', dataDir])).resolves.toEqual({
    status: 69,
    said: expect.stringMatching(/^shardline: a launcher uses .*: end it yourself\n$/) as string,
  });
  process.kill(cluster.pid, 'SIGCONT');
  await untilThere('control');
  await expect(launchRun(dataDir)).resolves.toEqual({
    status: 69,
    said: expect.stringMatching(/^shardline: a cluster runs on .* already/) as string,
  });
  await untilRead(cluster);
});

test('by whatever links it is reached, a folder has one cluster, and any of them stops it', async () => {
  const cluster = await startFilled();
  const links = ['one', 'two'].map((name) => join(folder, name));
  for (const link of links) symlinkSync(dataDir, link);
  await expect(launchRun(links[0] ?? '')).resolves.toMatchObject({ status: 69 });
  expect((await launch(['stop', '--data-dir', links[1] ?? ''])).said).toMatch(/^stopped the cluster/);
  expect(processesWith(dataDir)).toEqual([]);
  await untilRead(await start(links[0]));
  expect(cluster.output.at(-1)).toMatch(/^stopped/);
});

test('a cluster whose folder is moved ends and says so, and goes on where the folder is now', async () => {
  const cluster = await startFilled();
  const moved = join(folder, 'moved');
  renameSync(dataDir, moved);
  mkdirSync(dataDir);
  await cluster.untilGone();
  // On its standard error: what it wrote to its standard output, the other pipe, may be read after that.
  const why = /^shardline: .*data was moved, removed or replaced while its cluster ran/;
  expect(cluster.output).toContainEqual(expect.stringMatching(why));
  await expect(cluster.stop()).resolves.toBe(69);
  expect(readdirSync(dataDir)).toEqual([]);
  rmSync(dataDir, { recursive: true });
  await untilRead(await start(moved));
});

/** A cluster whose first shard-nodes have only begun to start, and the `/init` that waits for them. */
async function startBeginning(): Promise<{ cluster: LocalCluster; init: Promise<unknown> }> {
  const cluster = await start();
  const init = cluster.init(EXAMPLE).catch((error: unknown) => error);
  const servers = join(dataDir, 'servers');
  const begun = (): boolean => readdirSync(servers).some((name) => existsSync(join(servers, name, 'node.pid')));
  const end = performance.now() + 30_000;
  while (!begun()) {
    if (performance.now() > end) throw new Error('no shard-node is started');
    await delay(5);
  }
  return { cluster, init };
}

test('when the launcher is killed, shard-nodes that are starting end as well', async () => {
  const { cluster, init } = await startBeginning();
  await cluster.killLauncher();
  await cluster.untilGone();
  await init;
  const logs = readdirSync(join(dataDir, 'logs')).filter((name) => name.startsWith('Server'));
  const said = logs.map((name) => readFileSync(join(dataDir, 'logs', name), 'utf8')).join('');
  expect(said).toMatch(/the launcher stops or is gone/);
});

test('a stop waits for shard-nodes that are starting', async () => {
  const { cluster, init } = await startBeginning();
  expect((await launch(['stop', '--data-dir', dataDir])).status).toBe(0);
  // The guard of a Postgres that was starting may be ending it still.
  expect(processesWith(dataDir).filter(({ args }) => args.includes('--server'))).toEqual([]);
  await cluster.untilGone();
  await init;
});
