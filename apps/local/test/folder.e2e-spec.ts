/** What people and programs do to a folder that a cluster runs on: clean it, move it, reach it by other names. */
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { folderForAll, folderPerTest } from '#common/testing/cluster-harness';
import type { LocalCluster } from '#common/testing/local-cluster';
import { processesWith } from '#common/testing/processes';
import { Client } from '../src/demo/client';
import { EXAMPLE, student } from '../src/demo/students';
import { launch, launchRun } from './launch';
import { until, untilRead } from './reading';

jest.setTimeout(180_000);

const STUDENTS = Array.from({ length: 100 }, (_, index) => student(index * 100));

const FILES = ['control', 'launcher.json', 'shardline-data'];

describe('the folder of a cluster that runs', () => {
  const here = folderForAll();
  let cluster: LocalCluster;

  beforeAll(async () => {
    cluster = await here.start({ init: EXAMPLE });
    await new Client(cluster.baseUrl).write(STUDENTS);
  }, 240_000);

  /** Every file that lies in the folder itself, as a cleaner of old files would. */
  function removeFiles(): void {
    const files = readdirSync(here.dataDir, { withFileTypes: true }).filter((entry) => !entry.isDirectory());
    expect(files.map(({ name }) => name).sort()).toEqual(FILES);
    for (const name of FILES) rmSync(join(here.dataDir, name));
  }

  test('with every file of it removed no other launcher takes it, and "stop" does not say that nothing runs', async () => {
    process.kill(cluster.pid, 'SIGSTOP');
    removeFiles();
    await expect(launchRun(here.dataDir)).resolves.toMatchObject({ status: 69 });
    await expect(launch(['stop', '--data-dir', here.dataDir])).resolves.toEqual({
      status: 69,
      said: expect.stringMatching(/^shardline: a launcher uses .*: end it yourself\n$/) as string,
    });
    process.kill(cluster.pid, 'SIGCONT');
    await until('the folder has its files again', () => FILES.every((name) => existsSync(join(here.dataDir, name))));
    await expect(launchRun(here.dataDir)).resolves.toEqual({
      status: 69,
      said: expect.stringMatching(/^shardline: a cluster runs on .* already/) as string,
    });
    await untilRead(cluster, STUDENTS.length);
  });

  test('with every file of it removed, services that die come back, and the cluster can be stopped', async () => {
    const stood = (await cluster.leader()) === 'balancer-1' ? 'balancer-2' : 'balancer-1';
    removeFiles();
    for (const name of [await cluster.leader(), stood, 'gateway', 'nats-server']) {
      cluster.kill(name);
      await untilRead(cluster, STUDENTS.length);
    }
    for (const name of FILES) rmSync(join(here.dataDir, name), { force: true });
    await expect(launch(['stop', '--data-dir', here.dataDir])).resolves.toMatchObject({
      status: 0,
      said: expect.stringMatching(/^stopped the cluster/) as string,
    });
    expect(processesWith(here.dataDir)).toEqual([]);
    cluster = await here.start();
    await untilRead(cluster, STUDENTS.length);
  });

  test('when it is moved the cluster ends and says so, and goes on where the folder is now', async () => {
    const moved = join(here.folder, 'moved');
    renameSync(here.dataDir, moved);
    mkdirSync(here.dataDir);
    await cluster.untilGone();
    // On its standard error: what it wrote to its standard output, the other pipe, may be read after that.
    const why = /^shardline: .*data was moved, removed or replaced while its cluster ran/;
    expect(cluster.output).toContainEqual(expect.stringMatching(why));
    await expect(cluster.stop()).resolves.toBe(69);
    expect(readdirSync(here.dataDir)).toEqual([]);
    rmSync(here.dataDir, { recursive: true });
    cluster = await here.start({ dataDir: moved });
    await untilRead(cluster, STUDENTS.length);
  });

  test('by whatever links it is reached, it has one cluster, and any of them stops it', async () => {
    const { dataDir } = cluster;
    const links = ['one', 'two'].map((name) => join(here.folder, name));
    for (const link of links) symlinkSync(dataDir, link);
    await expect(launchRun(links[0] ?? '')).resolves.toMatchObject({ status: 69 });
    expect((await launch(['stop', '--data-dir', links[1] ?? ''])).said).toMatch(/^stopped the cluster/);
    expect(processesWith(dataDir)).toEqual([]);
    await until('it says that it stopped', () => cluster.output.at(-1)?.startsWith('stopped') === true);
    await untilRead(await here.start({ dataDir: links[0] ?? '' }), STUDENTS.length);
  });
});

describe('shard-nodes that are starting', () => {
  const here = folderPerTest();

  /** A cluster whose first shard-nodes have only begun to start, and the `/init` that waits for them. */
  async function startBeginning(): Promise<{ cluster: LocalCluster; init: Promise<unknown> }> {
    const cluster = await here.start();
    const init = cluster.init(EXAMPLE).catch((error: unknown) => error);
    const servers = join(here.dataDir, 'servers');
    const begun = (): boolean => readdirSync(servers).some((name) => existsSync(join(servers, name, 'node.pid')));
    await until('a shard-node is started', begun);
    return { cluster, init };
  }

  test('end when the launcher is killed', async () => {
    const { cluster, init } = await startBeginning();
    await cluster.killLauncher();
    await cluster.untilGone();
    await init;
    const logs = readdirSync(join(here.dataDir, 'logs')).filter((name) => name.startsWith('Server'));
    const said = logs.map((name) => readFileSync(join(here.dataDir, 'logs', name), 'utf8')).join('');
    expect(said).toMatch(/the launcher stops or is gone/);
  });

  test('are waited for by a stop', async () => {
    const { cluster, init } = await startBeginning();
    expect((await launch(['stop', '--data-dir', here.dataDir])).status).toBe(0);
    // The guard of a Postgres that was starting may be ending it still.
    expect(processesWith(here.dataDir).filter(({ args }) => args.includes('--server'))).toEqual([]);
    await cluster.untilGone();
    await init;
  });
});
