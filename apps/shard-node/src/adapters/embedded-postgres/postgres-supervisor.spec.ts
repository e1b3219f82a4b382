import { mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Client } from 'pg';
import { createLogger } from '#common/logging/logger';
import { commandOf, waitUntilGone } from '#common/process/process-table';
import { killNow, processesWith } from '#common/testing/processes';
import { PostgresSupervisor, type RestartPolicy } from './postgres-supervisor';
import { postmasterPid } from './leftover';

jest.setTimeout(60_000);

const logger = createLogger('test', 'silent');
const POLICY: RestartPolicy = { tries: 3, pauseMs: 20 };

describe('a Postgres that is started again when it ends by itself', () => {
  let dataDir: string;
  const running: PostgresSupervisor[] = [];

  beforeEach(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'shardline-pg-'));
  });

  afterEach(async () => {
    await Promise.all(running.splice(0).map((postgres) => postgres.stop()));
    killNow(processesWith(dataDir));
    await rm(dataDir, { recursive: true, force: true });
  });

  const start = async (policy = POLICY): Promise<PostgresSupervisor> => {
    const postgres = await PostgresSupervisor.start({ dataDir, logger }, policy);
    running.push(postgres);
    return postgres;
  };
  const postmaster = async (): Promise<number> => (await postmasterPid(join(dataDir, 'postgres')))!;
  const kill = async (): Promise<number> => {
    const pid = await postmaster();
    process.kill(pid, 'SIGKILL');
    return pid;
  };
  const whyGivenUp = (postgres: PostgresSupervisor): Promise<string> =>
    new Promise((resolve) => {
      postgres.onGivenUp(resolve);
    });

  it('has every committed row again, at the same place, each time it is killed', async () => {
    const postgres = await start();
    await ask(postgres, 'CREATE TABLE committed AS SELECT generate_series(1, 1000) AS v');
    for (const count of [1000, 1001]) {
      const killed = await kill();
      expect(await askUntilAnswered(postgres, 'SELECT count(*)::int AS v FROM committed')).toBe(count);
      expect(await postmaster()).not.toBe(killed);
      await ask(postgres, 'INSERT INTO committed VALUES (0)');
    }
  });

  it('is given up when it was killed once too often in a row', async () => {
    const postgres = await start({ tries: 1, pauseMs: 1 });
    const why = whyGivenUp(postgres);
    await kill();
    await askUntilAnswered(postgres, 'SELECT 1 AS v');
    await kill();
    expect(await why).toMatch(/^Postgres failed 2 times in a row: it ended with /);
  });

  it('is given up, with the end of its log, when it does not start again', async () => {
    const postgres = await start();
    const why = whyGivenUp(postgres);
    await rename(join(dataDir, 'postgres', 'global', 'pg_control'), join(dataDir, 'gone'));
    await kill();
    expect(await why).toMatch(/^Postgres failed 4 times in a row: .*pg_control/s);
  });

  it('keeps others out, whatever file of the folder is removed', async () => {
    const first = await start();
    for (const name of await readdir(dataDir))
      if (name !== 'postgres') await rm(join(dataDir, name), { recursive: true });
    await expect(start()).rejects.toThrow(/^another process has the data in /);
    await kill();
    expect(await askUntilAnswered(first, 'SELECT 1 AS v')).toBe(1);
  });

  it('is started again when its socket was removed, since nobody finds it any more', async () => {
    const postgres = await start();
    await ask(postgres, 'CREATE TABLE committed AS SELECT 7 AS v');
    const before = await postmaster();
    await rm(join(dataDir, 'socket'), { recursive: true });
    expect(await askUntilAnswered(postgres, 'SELECT v FROM committed')).toBe(7);
    expect(await postmaster()).not.toBe(before);
  });

  it('is given up, and leaves alone what is there now, when its folder was moved and another one put in its place', async () => {
    const first = await start();
    const why = whyGivenUp(first);
    const moved = `${dataDir}-moved`;
    await rename(dataDir, moved);
    try {
      await mkdir(dataDir);
      process.kill((await postmasterPid(join(moved, 'postgres')))!, 'SIGKILL');
      expect(await why).toBe(`${dataDir} was moved, removed or replaced`);
      expect(await readdir(dataDir)).toEqual([]);
    } finally {
      await rm(moved, { recursive: true, force: true });
    }
  });

  it('stays away when it is stopped while it waits to be started again', async () => {
    const postgres = await start({ tries: 3, pauseMs: 60_000 });
    const killed = await kill();
    await waitUntilGone(async () => (await commandOf(killed)) !== undefined, 5_000);
    await postgres.stop();
    expect(processesWith(dataDir)).toEqual([]);
  });
});

async function ask(postgres: PostgresSupervisor, sql: string): Promise<unknown> {
  const client = new Client(postgres.connection);
  client.on('error', () => undefined);
  await client.connect();
  try {
    const { rows } = await client.query<{ v: unknown }>(sql);
    return rows[0]?.v;
  } finally {
    await client.end();
  }
}

async function askUntilAnswered(postgres: PostgresSupervisor, sql: string): Promise<unknown> {
  const deadline = performance.now() + 20_000;
  for (;;) {
    try {
      return await ask(postgres, sql);
    } catch (error) {
      if (performance.now() > deadline) throw error;
      await delay(20);
    }
  }
}
