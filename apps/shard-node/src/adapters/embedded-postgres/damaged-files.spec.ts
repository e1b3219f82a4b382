/** Files that are read at the start, as a power cut, a failing disk or a clumsy hand leaves them: it works, or one line says why not. */
import { existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { createLogger } from '#common/logging/logger';
import { commandOf, waitUntilGone } from '#common/process/process-table';
import { damage, DAMAGES, type Damage } from '#common/testing/damages';
import { killNow, processesWith } from '#common/testing/processes';
import { firstLine, spawnTypeScript } from '#common/testing/typescript-process';
import { findBinaries } from './binaries';
import { clusterTemplate } from './cluster-template';
import { PostgresSupervisor } from './postgres-supervisor';
import { postmasterPid } from './leftover';
import { chooseUser } from './run-as';

jest.setTimeout(120_000);

const logger = createLogger('test', 'silent');
const NO_RESTART = { tries: 0, pauseMs: 1 };

let folder: string;
let dataDir: string;
/** Where the same files of another node lie. */
let other: string;
const running: PostgresSupervisor[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'shardline-damaged-'));
  other = join(folder, 'other');
  dataDir = join(folder, 'data');
  for (const dir of [other, dataDir]) {
    const postgres = await PostgresSupervisor.start({ dataDir: dir, logger }, NO_RESTART);
    await ask(postgres, `CREATE TABLE kept AS SELECT '${dir}'::text AS v`);
    // As a power cut would: the pid file stays.
    killNow(processesWith(join(dir, 'postgres')));
    await postgres.stop();
  }
  await cp(dataDir, join(folder, 'as it was'), { recursive: true, preserveTimestamps: true });
});
afterEach(async () => {
  await Promise.all(running.splice(0).map((postgres) => postgres.stop()));
  killNow(processesWith(folder));
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

async function start(): Promise<PostgresSupervisor> {
  const postgres = await PostgresSupervisor.start({ dataDir, logger }, NO_RESTART);
  running.push(postgres);
  return postgres;
}

async function ask(postgres: PostgresSupervisor, sql: string): Promise<unknown> {
  const client = new Client(postgres.connection);
  client.on('error', () => undefined);
  await client.connect();
  try {
    return (await client.query<{ v: unknown }>(sql)).rows[0]?.v;
  } finally {
    await client.end();
  }
}

/** Everything as it was before the last test: files keep their owner. */
async function restore(file: string): Promise<void> {
  const user = await chooseUser((await findBinaries()).postgres, folder);
  await cp(join(folder, 'as it was', file), join(dataDir, file));
  await user.own(join(dataDir, file));
}

const WORKS = 'works';
const MUST_SAY = 'says what is wrong';

test.each(
  [
    { file: 'postgres/postmaster.pid', ...all(WORKS) },
    { file: 'postgres/PG_VERSION', ...all(MUST_SAY), 'of another': WORKS },
    // Behind its first bytes there is nothing in it. One of another node is for Postgres to check, by its log of changes.
    { file: 'postgres/global/pg_control', ...all(MUST_SAY), cut: WORKS, 'of another': undefined },
  ].flatMap(({ file, ...outcomes }) =>
    DAMAGES.flatMap((how) => (outcomes[how] === undefined ? [] : [[file, how, outcomes[how]] as const])),
  ),
)('%s, %s: it %s', async (file, how, outcome) => {
  const path = join(dataDir, file);
  if (!existsSync(path)) await restore(file);
  damage(path, how, join(other, file));
  const started = start();
  if (outcome === WORKS) {
    await expect(started.then((postgres) => ask(postgres, 'SELECT v FROM kept'))).resolves.toBe(dataDir);
    await running.splice(0)[0]?.stop();
    return;
  }
  const failure = await started.catch((error: unknown) => error as Error);
  expect(failure).toMatchObject({ name: 'PostgresUnavailableError' });
  const { message } = failure as Error;
  expect(message).toMatch(
    file.endsWith('PG_VERSION')
      ? /(PG_VERSION .*: the data are damaged; |holds data of Postgres \d+, .* or )remove the folder/
      : /^Postgres did not start on /,
  );
  expect(message).not.toContain('\n');
  await restore(file);
});

function all(outcome: string): Record<Damage, string> {
  return Object.fromEntries(DAMAGES.map((how) => [how, outcome])) as Record<Damage, string>;
}

test.each(DAMAGES)(
  'a Postgres that runs although its pid file is %s is ended before another one starts',
  async (how) => {
    const pid = await leftBehind();
    damage(join(dataDir, 'postgres/postmaster.pid'), how, join(folder, 'as it was', 'postgres/postmaster.pid'));
    expect(await commandOf(pid)).toBeDefined();
    expect(await ask(await start(), 'SELECT v FROM kept')).toBe(dataDir);
    expect(await commandOf(pid)).toBeUndefined();
  },
);

/** A Postgres whose owner and whose guard were killed, so that nothing ends it. */
async function leftBehind(): Promise<number> {
  const owner = spawnTypeScript(join(__dirname, 'test', 'owner.ts'), [dataDir]);
  await firstLine(owner);
  const pid = (await postmasterPid(join(dataDir, 'postgres')))!;
  const guards = processesWith(dataDir).filter(({ args }) => args[0] === '/bin/sh');
  expect(guards.length).toBeGreaterThan(0);
  // It must not see that its guard is gone while it lives: it would end what that has left.
  owner.kill('SIGSTOP');
  killNow(guards);
  owner.kill('SIGKILL');
  await waitUntilGone(async () => owner.exitCode === null && owner.signalCode === null, 5_000);
  return pid;
}

test('two nodes never run on the same data, and the second one says who has them', async () => {
  await start();
  await expect(PostgresSupervisor.start({ dataDir, logger }, NO_RESTART)).rejects.toThrow(
    /^another process has the data in .* \(it holds the lock of that folder\): end it first/,
  );
});

test.each(['base/1/PG_VERSION', 'global/pg_control', 'postgresql.conf', 'sum', 'a file more'])(
  'a template of which %s was changed is recreated',
  async (what) => {
    const binaries = { ...(await findBinaries()), cacheDir: join(folder, 'cache') };
    const runAs = await chooseUser(binaries.postgres, folder);
    const template = await clusterTemplate(binaries, runAs);
    const made = readdirSync(template).length;
    const file = what === 'sum' ? `${template}.sum` : join(template, what);
    if (what === 'a file more') writeFileSync(file, '');
    else damage(file, 'flipped', file);
    const changed = what === 'sum' ? '' : readFileSync(file, 'latin1');
    await clusterTemplate(binaries, runAs);
    expect(readdirSync(template)).toHaveLength(made);
    expect(existsSync(file) && readFileSync(file, 'latin1') === changed && what !== 'sum').toBe(false);
  },
);

test('a template whose builder was killed is built by the next one at once', async () => {
  const binaries = { ...(await findBinaries()), cacheDir: join(folder, 'cache') };
  const runAs = await chooseUser(binaries.postgres, folder);
  const template = await clusterTemplate(binaries, runAs);
  // Half of what it was building is left, and no lock: that ended with it.
  renameSync(template, `${template}.new-1`);
  await expect(clusterTemplate(binaries, runAs)).resolves.toBe(template);
  rmSync(`${template}.new-1`, { recursive: true });
});
