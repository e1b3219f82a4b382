/** What a real engine cannot be made to do at will. The rest of the launcher is tried on one: apps/balancer/test/docker. */
import { rm } from 'node:fs/promises';
import type { ShardlineError } from '#common/contracts/errors';
import { ConfigError } from '#common/config/env';
import { createLogger } from '#common/logging/logger';
import { waitUntilGone } from '#common/process/process-table';
import { ScriptedEngine, type Scripted } from '../../../test/docker/scripted-engine';
import { textOfLog } from './container-log';
import { DockerNodeLauncher } from './docker-node-launcher';
import { addressOf } from './engine';
import { containerOf } from './node-container';

const VOLUME = { Name: 'c-a', Labels: { 'io.shardline.cluster': 'c', 'io.shardline.server': 'a' } };
const HAS_VOLUME: Scripted = { status: 200, body: { Volumes: [VOLUME] } };
const CONTAINER = { Id: 'id', Labels: VOLUME.Labels };
const HAS_CONTAINER: Scripted = { status: 200, body: [CONTAINER] };
const NO_CONTAINER: Scripted = { status: 200, body: [] };
const STARTS: Record<string, Scripted | Scripted[]> = {
  'GET /volumes': HAS_VOLUME,
  'POST /containers/create': { status: 201, body: { Id: 'id' } },
  'POST /containers/id/start': { status: 204 },
  'POST /containers/id/wait': 'hang',
  'GET /containers/id/logs': { status: 404, body: { message: 'no log' } },
  'DELETE /containers/id': { status: 204 },
};
/** How long a call may take where the engine does not answer it. */
const SHORT_MS = 200;

describe('a Docker engine that misbehaves', () => {
  let engine: ScriptedEngine;
  let sut: DockerNodeLauncher;

  const prepare = async (script: Record<string, Scripted | Scripted[]>, timeoutMs = 20_000): Promise<void> => {
    engine = await ScriptedEngine.start(script);
    sut = new DockerNodeLauncher({
      host: engine.host,
      timeoutMs,
      cluster: 'c',
      image: 'shardline',
      network: 'bridge',
      natsUrl: 'nats://nats:4222',
      memoryBytes: 0,
      cpus: 0,
      env: {},
      stopTimeoutMs: 0,
      logger: createLogger('test', 'silent'),
    });
  };

  afterEach(async () => {
    sut.close();
    await engine.stop();
  });

  it.each([
    ['that something is as asked already, when a container is to start', 'POST /containers/id/start'],
    ['that something is as asked already, when a container is to stop', 'POST /containers/id/stop'],
  ])('says %s (304): that is well', async (_, what) => {
    await prepare({ ...STARTS, 'GET /containers/json': [NO_CONTAINER, HAS_CONTAINER], [what]: { status: 304 } });
    await sut.start('a');
    await sut.stop('a');
    expect(engine.asked).toContain(what);
  });

  it('does not start what it has created: the container is removed again, and the data stay', async () => {
    await prepare({
      ...STARTS,
      'GET /containers/json': [NO_CONTAINER, HAS_CONTAINER],
      'POST /containers/id/start': { status: 500, body: { message: 'no space left on device' } },
    });
    await expect(sut.start('a')).rejects.toMatchObject({
      code: 'STORE_FAILED',
      message: 'the Docker engine refuses a: no space left on device',
      cause: { name: 'EngineError', status: 500 },
    });
    expect(engine.asked.at(-1)).toBe('DELETE /containers/id');
    expect(engine.asked).not.toContain('DELETE /volumes/c-a');
  });

  it('does not create the container: the volume that was made for it is removed again', async () => {
    await prepare({
      ...STARTS,
      'GET /volumes': [{ status: 200, body: { Volumes: null } }, HAS_VOLUME],
      'POST /volumes/create': { status: 201, body: VOLUME },
      'POST /containers/create': { status: 409, body: { message: 'the name is already in use' } },
      'DELETE /volumes/c-a': [{ status: 409, body: { message: 'volume is in use' } }, { status: 204 }],
    });
    await expect(sut.start('a')).rejects.toThrow('the Docker engine refuses a: the name is already in use');
    expect(engine.asked.filter((what) => what === 'DELETE /volumes/c-a')).toHaveLength(2);
  });

  it('is removing a container already: that is waited for', async () => {
    await prepare({
      ...STARTS,
      'GET /containers/json': [HAS_CONTAINER, HAS_CONTAINER, NO_CONTAINER],
      'DELETE /containers/id': { status: 409, body: { message: 'removal is already in progress' } },
    });
    await sut.start('a');
    expect(engine.asked).toContain('POST /containers/id/start');
  });

  it.each([
    ['list the containers', 'GET /containers/json'],
    ['list the volumes', 'GET /volumes'],
    ['create the container', 'POST /containers/create'],
    ['start the container', 'POST /containers/id/start'],
  ])('never answers (%s): the call ends by its deadline, and its connection with it', async (call, what) => {
    await prepare({ ...STARTS, [what]: 'hang' }, SHORT_MS);
    await expect(sut.start('a')).rejects.toMatchObject({
      code: 'STORE_FAILED',
      message: `the Docker engine at ${engine.host} did not answer within ${SHORT_MS} ms: ${call}`,
    });
    expect(await waitUntilGone(() => Promise.resolve(engine.hanging.size > 0), 10_000)).toBe(true);
  });

  it('never answers questions about all servers: they end, too', async () => {
    await prepare({ 'GET /containers/json': 'hang', 'GET /volumes': 'hang' }, SHORT_MS);
    await expect(sut.list()).rejects.toThrow('did not answer within');
    await expect(sut.known()).rejects.toThrow('did not answer within');
  });

  it('cuts the connection in the middle of an answer: the call ends all the same', async () => {
    await prepare({ 'GET /containers/json': 'cut' }, SHORT_MS);
    await expect(sut.list()).rejects.toMatchObject({ code: 'STORE_FAILED' });
  });

  it('does not answer while the balancer ends: calls are broken off, and none is made any more', async () => {
    await prepare({ 'GET /containers/json': 'hang' });
    const listed = sut.list();
    const started = sut.start('a');
    expect(await waitUntilGone(() => Promise.resolve(engine.asked.length < 2), 10_000)).toBe(true);
    sut.close();
    await expect(listed).rejects.toThrow('the balancer ends');
    await expect(started).rejects.toThrow('the balancer ends');
    await expect(sut.known()).rejects.toThrow('the balancer ends');
    expect(engine.asked).toEqual(['GET /containers/json', 'GET /containers/json']);
  });

  it('is not there: it is named with its address and the cause', async () => {
    await prepare({});
    await rm(engine.path);
    const failed = (await sut.start('a').catch((error: unknown) => error)) as ShardlineError;
    expect(failed.code).toBe('STORE_FAILED');
    expect(failed.message).toContain(`the Docker engine at ${engine.host} cannot be reached: connect ENOENT`);
    expect(failed.cause).toHaveProperty('code', 'ENOENT');
  });

  it('is another one than DOCKER_HOST of our own environment names: the socket counts', async () => {
    const before = process.env.DOCKER_HOST;
    process.env.DOCKER_HOST = 'tcp://127.0.0.1:1';
    try {
      await prepare({ 'GET /containers/json': HAS_CONTAINER });
      expect(await sut.list()).toEqual(['a']);
    } finally {
      if (before === undefined) delete process.env.DOCKER_HOST;
      else process.env.DOCKER_HOST = before;
    }
  });
});

it.each(['', 'unix://', 'ssh://host', 'tcp://host', 'tcp://host:2375/path', 'https://host:2376', 'nonsense'])(
  'the address of an engine is not %j',
  (host) => {
    expect(() => addressOf(host)).toThrow(ConfigError);
  },
);

it('the address of an engine may be one of the network', () => {
  const address = { host: '10.0.0.7', port: 2375, protocol: 'http', socketPath: undefined };
  expect(addressOf('tcp://10.0.0.7:2375')).toEqual(address);
});

it('a container has no limits where none are asked for, and only the variables that it is given', () => {
  const { HostConfig, Env } = containerOf('a', {
    cluster: 'c',
    image: 'i',
    network: 'n',
    natsUrl: 'nats://n:4222',
    memoryBytes: 0,
    cpus: 0,
    env: { POOL_SIZE: '7', NATS_URL: 'nats://somewhere-else:1', PAGE_BYTES: undefined },
  });
  expect(HostConfig).not.toHaveProperty('Memory');
  expect(HostConfig).not.toHaveProperty('NanoCpus');
  expect(Env).toEqual(['POOL_SIZE=7', 'NATS_URL=nats://n:4222', 'SERVER_NAME=a', 'DATA_DIR=/data']);
});

it('a log is read without what the engine puts between its pieces, also when it is cut off', () => {
  const piece = (stream: number, text: string): Buffer => {
    const header = Buffer.from([stream, 0, 0, 0, 0, 0, 0, text.length]);
    return Buffer.concat([header, Buffer.from(text)]);
  };
  const log = Buffer.concat([piece(1, 'out\n'), piece(2, 'error\n'), piece(1, 'end')]);
  expect(textOfLog(log)).toBe('out\nerror\nend');
  expect(textOfLog(log.subarray(0, -1))).toBe('out\nerror\nen');
  expect(textOfLog(log.subarray(0, -6))).toBe('out\nerror\n');
  expect(textOfLog(Buffer.alloc(0))).toBe('');
});
