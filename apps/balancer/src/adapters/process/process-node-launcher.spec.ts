import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, fstatSync, openSync } from 'node:fs';
import { access, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { createLogger } from '#common/logging/logger';
import { commandOf, waitUntilGone } from '#common/process/process-table';
import { damage, DAMAGES } from '#common/testing/damages';
import { killNow, processesWith } from '#common/testing/processes';
import { launcherContract, type LauncherBench } from '../../../test/contract/node-launcher.contract';
import { behaving, STAND_IN } from '../../../test/contract/stand-in-node';
import { ProcessNodeLauncher, type ProcessNodeLauncherOptions } from './process-node-launcher';

jest.setTimeout(30_000);

/** A cluster's folder on this machine. */
async function prepareBench(): Promise<LauncherBench> {
  const dataDir = await mkdtemp(join(tmpdir(), 'shardline launcher-'));
  const mainPath = join(dataDir, 'node.js');
  await writeFile(mainPath, STAND_IN);
  const logger = createLogger('test', 'silent');
  const made: ProcessNodeLauncher[] = [];
  const serverDir = (server: string): string => join(dataDir, 'servers', server);
  const running = (server: string): number[] =>
    processesWith(mainPath).flatMap(({ pid, args }) => (args.at(-1) === serverDir(server) ? [pid] : []));
  return {
    launcher: (behaviour = {}, stopTimeoutMs = 10_000) => {
      const env = behaving(behaviour);
      const natsUrl = 'nats://127.0.0.1:1';
      const sut = new ProcessNodeLauncher({ dataDir, natsUrl, logger, mainPath, env, stopTimeoutMs, retryPauseMs: 50 });
      made.push(sut);
      return sut;
    },
    running: (server) => {
      const pids = running(server);
      if (pids.length > 1) throw new Error(`${pids.length} processes of ${server} run`);
      return Promise.resolve(pids[0]?.toString());
    },
    data: (server) => readFile(join(serverDir(server), 'data'), 'utf8').catch(() => ''),
    pause: (server) => {
      for (const pid of running(server)) process.kill(pid, 'SIGSTOP');
      return Promise.resolve();
    },
    destroy: async () => {
      for (const sut of made) sut.close();
      killNow(processesWith(dataDir));
      await rm(dataDir, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

describe('the contract of launchers, by processes', () => {
  launcherContract(prepareBench);
});

describe('shard-nodes as processes', () => {
  let dataDir: string;
  let mainPath: string;

  beforeEach(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'shardline launcher-'));
    mainPath = join(dataDir, 'node.js');
    await writeFile(mainPath, STAND_IN);
  });

  afterEach(async () => {
    killNow(processesWith(dataDir));
    await rm(dataDir, { recursive: true, force: true, maxRetries: 5 });
  });

  const launcher = (options: Partial<ProcessNodeLauncherOptions> = {}): ProcessNodeLauncher =>
    new ProcessNodeLauncher({
      dataDir,
      natsUrl: 'nats://127.0.0.1:1',
      logger: createLogger('test', 'silent'),
      mainPath,
      ...options,
    });
  const log = (server: string): Promise<string> =>
    readFile(join(dataDir, 'logs', `${server}.log`), 'utf8').catch(() => '');
  const serverDir = (server: string): string => join(dataDir, 'servers', server);
  /** What the node that was started last of this name says of itself, once `starts` of them have said it. */
  const started = async (server: string, starts = 1): Promise<{ pid: number } & Record<string, unknown>> => {
    let lines: string[] = [];
    await waitUntilGone(async () => {
      lines = (await log(server)).split('\n').filter((line) => line.startsWith('{'));
      return lines.length < starts;
    }, 10_000);
    return JSON.parse(lines.at(-1)!) as { pid: number };
  };
  const runs = async (pid: number): Promise<boolean> => (await commandOf(pid)) !== undefined;
  const starts = async (server: string): Promise<number> =>
    (await readFile(join(serverDir(server), 'data'), 'utf8').catch(() => '')).length;
  /** Resolves when a node that cannot start has been started three times: one that failed before it has had its turn by then. */
  const startedAgain = async (server: string): Promise<void> => {
    const hopeless = launcher({ env: { FAILS: '1000' }, retryPauseMs: 50 });
    await hopeless.start(server);
    expect(await waitUntilGone(async () => (await starts(server)) < 3, 10_000)).toBe(true);
    await hopeless.stop(server);
  };

  it('are started with our environment and their own settings, and are recognised by their arguments', async () => {
    await launcher({ env: { EXTRA: 'given' } }).start('Server[4]');
    const { pid, ...settings } = await started('Server[4]');
    expect(settings).toEqual({
      SERVER_NAME: 'Server[4]',
      DATA_DIR: serverDir('Server[4]'),
      NATS_URL: 'nats://127.0.0.1:1',
      EXTRA: 'given',
    });
    expect(await commandOf(pid)).toContain(' --server Server[4] --data-dir ');
    expect(Number(await readFile(join(serverDir('Server[4]'), 'node.pid'), 'utf8'))).toBe(pid);
  });

  it('get the lifeline of whoever started us, and end with it: they are not started again then', async () => {
    // Any descriptor does for the stand-in.
    const file = openSync(mainPath, 'r');
    await launcher({ lifelineFd: file }).start('a');
    expect((await started('a')).lifeline).toBe(fstatSync(file).ino);
    closeSync(file);
    await launcher({ env: { FAILS: '1000', STATUS: '69' }, retryPauseMs: 10 }).start('b');
    const ended = async (): Promise<boolean> => (await launcher().list()).includes('b');
    expect(await waitUntilGone(ended, 10_000)).toBe(true);
    await startedAgain('c');
    expect(await starts('b')).toBe(1);
  });

  it('get nothing of the surroundings that is not for them', async () => {
    const before = { ...process.env };
    const hostile = {
      PGSSLMODE: 'require',
      NODE_OPTIONS: '--no-deprecation',
      DATABASE_URL: 'postgres://x/y',
      TZ: 'Asia/Tokyo',
    };
    Object.assign(process.env, hostile, { POOL_SIZE: '7' });
    try {
      await launcher().start('a');
    } finally {
      process.env = before;
    }
    const { pid } = await started('a');
    const variables = (await readFile(`/proc/${pid}/environ`, 'utf8')).split('\0');
    expect(variables).toContain('POOL_SIZE=7');
    expect(variables).toContain('TZ=UTC');
    for (const [name, value] of Object.entries(hostile)) expect(variables).not.toContain(`${name}=${value}`);
  });

  it('that cannot start are named in the log with the reason, at every start and when it is in vain', async () => {
    const said: string[] = [];
    const logger = pino({ level: 'warn' }, { write: (line: string) => said.push(line) });
    const failing = launcher({ env: { FAILS: '2', WORD: 'no disk' }, logger, retryPauseMs: 50 });
    await failing.start('a');
    const { pid } = await started('a');
    expect(said.filter((line) => line.includes('"why":"no disk"'))).toHaveLength(2);
    expect(Number(await readFile(join(serverDir('a'), 'node.pid'), 'utf8'))).toBe(pid);
    const wrong = launcher({ env: { FAILS: '1000', STATUS: '78', WORD: 'wrong configuration: X' }, logger });
    await wrong.start('b');
    expect(await waitUntilGone(async () => wrong.failureOf('b') === null, 10_000)).toBe(true);
    expect(said.join('')).toMatch(/"why":"wrong configuration: X".*the shard-node cannot start/);
  });

  it('are removed together with what a killed launcher has left of others', async () => {
    const sut = launcher();
    await sut.start('a');
    await started('a');
    await mkdir(join(dataDir, 'servers', '.removed-by-one-who-was-killed'));
    await sut.remove('a');
    expect(await readdir(join(dataDir, 'servers'))).toEqual([]);
  });

  it.each(DAMAGES)('that run are found although their pid file is damaged: %s', async (how) => {
    await Promise.all([launcher().start('a'), launcher().start('other')]);
    const first = await started('a');
    await started('other');
    damage(join(serverDir('a'), 'node.pid'), how, join(serverDir('other'), 'node.pid'));
    const sut = launcher();
    expect(await sut.list()).toEqual(['a', 'other']);
    await sut.start('a');
    expect(await runs(first.pid)).toBe(false);
    await started('a', 2);
    expect(processesWith(serverDir('a'))).toHaveLength(1);
    await sut.stop('a');
    expect(await sut.list()).toEqual(['other']);
  });

  it('are not mistaken for another process that has got their id', async () => {
    const other = spawn(process.execPath, ['-e', 'setInterval(() => undefined, 1000)', '--', dataDir]);
    await once(other, 'spawn');
    await mkdir(serverDir('a'), { recursive: true });
    await writeFile(join(serverDir('a'), 'node.pid'), `${String(other.pid)}\n`);
    const sut = launcher();
    expect(await sut.list()).toEqual([]);
    await sut.stop('a');
    await sut.start('a');
    await started('a');
    expect(other.exitCode ?? other.signalCode).toBeNull();
    expect(await sut.list()).toEqual(['a']);
  });

  it('are not mistaken for the node of the same name of another cluster', async () => {
    const otherDir = join(dataDir, 'other');
    const other = launcher({ dataDir: otherDir });
    await other.start('a');
    await waitUntilGone(
      () =>
        access(join(otherDir, 'servers', 'a', 'data')).then(
          () => false,
          () => true,
        ),
      10_000,
    );
    await mkdir(serverDir('a'), { recursive: true });
    await writeFile(join(serverDir('a'), 'node.pid'), await readFile(join(otherDir, 'servers', 'a', 'node.pid')));
    await launcher().stop('a');
    expect(await other.list()).toEqual(['a']);
  });

  it('are not mistaken for a file that somebody put beside their folders', async () => {
    const sut = launcher();
    await sut.start('a');
    await writeFile(serverDir('notes'), '');
    expect(await sut.list()).toEqual(['a']);
    expect(await sut.known()).toEqual(['a']);
  });

  it('are not started where another folder has been put in the place of theirs', async () => {
    const sut = launcher();
    await sut.start('a');
    await sut.stop('a');
    await rename(dataDir, `${dataDir}-moved`);
    try {
      await mkdir(dataDir);
      await expect(sut.start('a')).rejects.toMatchObject({
        code: 'STORE_FAILED',
        message: 'the folder of the cluster was moved, removed or replaced',
      });
      expect(await readdir(dataDir)).toEqual([]);
    } finally {
      await rm(`${dataDir}-moved`, { recursive: true });
    }
  });

  it('that cannot be started say so, and a next try is made', async () => {
    await writeFile(join(dataDir, 'servers'), 'not a folder');
    const said: string[] = [];
    const sut = launcher({ logger: pino({}, { write: (line: string) => said.push(line) }) });
    await expect(sut.start('a')).rejects.toMatchObject({
      code: 'STORE_FAILED',
      message: expect.stringMatching(/^the files of a cannot be used \(ENOTDIR\); [^/]*$/) as string,
    });
    expect(said.join('')).toContain(`ENOTDIR: not a directory, open '${join(dataDir, 'servers')}`);
    await rm(join(dataDir, 'servers'));
    await sut.start('a');
    expect(await sut.list()).toEqual(['a']);
  });
});
