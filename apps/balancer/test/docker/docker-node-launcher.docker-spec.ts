/** The launcher of containers on a real engine: `make test-docker`. */
import { randomBytes } from 'node:crypto';
import { createLogger } from '#common/logging/logger';
import { waitUntilGone } from '#common/process/process-table';
import { DockerNodeLauncher, type DockerNodeLauncherOptions } from '../../src/adapters/docker/docker-node-launcher';
import { launcherContract, type LauncherBench } from '../contract/node-launcher.contract';
import { behaving, STAND_IN } from '../contract/stand-in-node';
import { containersOf, docker, engineHost, removeCluster, testedImage, volumesOf } from './engine-under-test';

jest.setTimeout(180_000);

const newCluster = (): string => `launcher-test-${randomBytes(4).toString('hex')}`;

function optionsFor(cluster: string, options: Partial<DockerNodeLauncherOptions> = {}): DockerNodeLauncherOptions {
  return {
    host: engineHost(),
    timeoutMs: 60_000,
    cluster,
    image: testedImage(),
    network: 'bridge',
    natsUrl: 'nats://127.0.0.1:1',
    memoryBytes: 0,
    cpus: 0,
    env: {},
    command: ['node', '-e', STAND_IN],
    logger: createLogger('test', 'silent'),
    retryPauseMs: 50,
    ...options,
  };
}

const bracketed = (server: string): string => server.replaceAll('[', '.5B').replaceAll(']', '.5D');

/** What a stand-in has written, read where the engine keeps volumes: no container need run for it. */
async function dataOf(cluster: string, server: string): Promise<string> {
  const volume = `${cluster}-${bracketed(server)}`;
  if (!(await volumesOf(cluster)).includes(volume)) return '';
  const read = 'test ! -e /data/data || cat /data/data';
  return docker('run', '--rm', '--network=none', '-v', `${volume}:/data:ro`, testedImage(), 'sh', '-c', read);
}

function prepareBench(): Promise<LauncherBench> {
  const cluster = newCluster();
  const made: DockerNodeLauncher[] = [];
  const running = (server: string): Promise<string[]> =>
    containersOf(cluster, '--filter', `label=io.shardline.server=${server}`);
  return Promise.resolve({
    launcher: (behaviour = {}, stopTimeoutMs = 10_000) => {
      const sut = new DockerNodeLauncher(optionsFor(cluster, { env: behaving(behaviour), stopTimeoutMs }));
      made.push(sut);
      return sut;
    },
    running: async (server) => {
      const ids = await running(server);
      if (ids.length > 1) throw new Error(`${ids.length} containers of ${server} run`);
      return ids[0];
    },
    data: (server) => dataOf(cluster, server),
    pause: async (server) => {
      for (const id of await running(server)) await docker('pause', id);
    },
    destroy: async () => {
      for (const sut of made) sut.close();
      await removeCluster(cluster);
    },
  });
}

describe('the contract of launchers, by containers', () => {
  launcherContract(prepareBench);
});

describe('shard-nodes as containers', () => {
  let cluster: string;
  const made: DockerNodeLauncher[] = [];

  beforeEach(() => {
    cluster = newCluster();
  });

  afterEach(async () => {
    for (const sut of made.splice(0)) sut.close();
    await removeCluster(cluster);
  });

  const launcher = (options: Partial<DockerNodeLauncherOptions> = {}): DockerNodeLauncher => {
    const sut = new DockerNodeLauncher(optionsFor(cluster, options));
    made.push(sut);
    return sut;
  };

  interface Inspected {
    Config: { Env: string[]; Labels: Record<string, string>; User: string };
    HostConfig: Record<string, unknown>;
    Mounts: { Type: string; Name: string; Destination: string }[];
  }

  it('may do little, and get the variables that are for them', async () => {
    process.env.SECRET_OF_THE_BALANCER = 'x';
    await launcher({ env: { POOL_SIZE: '7' }, memoryBytes: 2 ** 29, cpus: 0.5 }).start('Server[4]');
    const [found] = JSON.parse(await docker('inspect', `${cluster}-Server.5B4.5D`)) as Inspected[];
    delete process.env.SECRET_OF_THE_BALANCER;
    expect(found?.HostConfig).toMatchObject({
      Init: true,
      ReadonlyRootfs: true,
      CapDrop: ['ALL'],
      SecurityOpt: ['no-new-privileges:true'],
      RestartPolicy: { Name: 'no' },
      Privileged: false,
      Memory: 2 ** 29,
      MemorySwap: 2 ** 29,
      NanoCpus: 5e8,
      NetworkMode: 'bridge',
    });
    expect(found?.HostConfig.Tmpfs).toHaveProperty('/tmp');
    expect(found?.Config.User).toBe('1000:1000');
    expect(found?.Config.Labels).toMatchObject({
      'io.shardline.cluster': cluster,
      'io.shardline.server': 'Server[4]',
    });
    const ownVariables = ['SERVER_NAME=Server[4]', 'DATA_DIR=/data', 'NATS_URL=nats://127.0.0.1:1', 'POOL_SIZE=7'];
    expect(found?.Config.Env).toEqual(expect.arrayContaining(ownVariables));
    expect(found?.Config.Env.filter((line) => line.startsWith('SECRET'))).toEqual([]);
    expect(found?.Mounts).toMatchObject([{ Type: 'volume', Name: `${cluster}-Server.5B4.5D`, Destination: '/data' }]);
  });

  it('leave neither container nor volume when their image is missing', async () => {
    const sut = launcher({ image: 'shardline-no-such-image:none' });
    await expect(sut.start('a')).rejects.toMatchObject({
      code: 'STORE_FAILED',
      message: expect.stringMatching(/No such image: shardline-no-such-image:none.*set DOCKER_IMAGE/) as string,
    });
    expect(await containersOf(cluster, '--all')).toEqual([]);
    expect(await volumesOf(cluster)).toEqual([]);
  });

  it('leave neither when they cannot be started, and keep the data of before', async () => {
    await expect(launcher({ network: 'no-such-network' }).start('a')).rejects.toMatchObject({
      code: 'STORE_FAILED',
      message: expect.stringContaining('no-such-network') as string,
    });
    expect(await containersOf(cluster, '--all')).toEqual([]);
    expect(await volumesOf(cluster)).toEqual([]);

    await launcher().start('b');
    await expect(launcher({ network: 'no-such-network' }).start('b')).rejects.toMatchObject({ code: 'STORE_FAILED' });
    expect(await containersOf(cluster, '--all')).toEqual([]);
    expect(await volumesOf(cluster)).toEqual([`${cluster}-b`]);
  });

  it('take no name, and no volume, that is somebody else’s', async () => {
    const foreign = await docker('create', '--name', `${cluster}-a`, testedImage());
    await docker('volume', 'create', `${cluster}-b`);
    try {
      const sut = launcher();
      await expect(sut.start('a')).rejects.toMatchObject({
        code: 'STORE_FAILED',
        message: expect.stringContaining('is already in use') as string,
      });
      await expect(sut.start('b')).rejects.toMatchObject({
        code: 'STORE_FAILED',
        message: `the volume ${cluster}-b is there, and is not of cluster ${cluster}`,
      });
      await sut.remove('a');
      await sut.remove('b');
      expect(await docker('ps', '--all', '-q', '--no-trunc', '--filter', `name=${cluster}-a`)).toBe(foreign);
      expect(await docker('volume', 'ls', '-q', '--filter', `name=${cluster}-b`)).toBe(`${cluster}-b`);
      expect(await volumesOf(cluster)).toEqual([]);
    } finally {
      await docker('rm', foreign);
      await docker('volume', 'rm', `${cluster}-b`);
    }
  });

  it('of another cluster on the same engine are left alone', async () => {
    const other = new DockerNodeLauncher(optionsFor(`${cluster}-2`));
    try {
      await other.start('a');
      const sut = launcher();
      await sut.start('a');
      await sut.remove('a');
      expect(await other.list()).toEqual(['a']);
      expect(await sut.list()).toEqual([]);
      expect(await sut.known()).toEqual([]);
    } finally {
      other.close();
      await removeCluster(`${cluster}-2`);
    }
  });

  it('that were created and never started are removed with the next order', async () => {
    const labels = ['--label', `io.shardline.cluster=${cluster}`, '--label', 'io.shardline.server=a'];
    await docker('create', '--name', `${cluster}-a`, ...labels, testedImage());
    const sut = launcher();
    expect(await sut.list()).toEqual([]);
    await sut.start('a');
    expect(await containersOf(cluster, '--all')).toHaveLength(1);
    expect(await sut.list()).toEqual(['a']);
  });

  it('that die later are not started again: that is for the leader to say', async () => {
    const sut = launcher();
    await sut.start('a');
    await docker('kill', `${cluster}-a`);
    const isDead = async (): Promise<boolean> => (await sut.list()).length === 0;
    expect(await waitUntilGone(async () => !(await isDead()), 10_000)).toBe(true);
    expect(await waitUntilGone(isDead, 2_000)).toBe(false);
    expect(sut.failureOf('a')).toBeNull();
    expect(await sut.known()).toEqual(['a']);
  });
});
