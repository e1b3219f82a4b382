import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { freshBuild } from '../testing/fresh-build';

let built: string;
const children: ChildProcess[] = [];

beforeAll(async () => {
  built = join(await freshBuild(), 'libs/common/src');
}, 120_000);
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

/** What ended a service, and what it wrote until then. */
interface Ended {
  status: number | null;
  lines: string[];
}

/** A process that runs a service whose parts are JavaScript; `tell` is told of every line that it writes. */
async function run(
  start: string,
  env: NodeJS.ProcessEnv = {},
  tell?: (line: string, child: ChildProcess) => void,
): Promise<Ended> {
  const code = `
    const { runService } = require(${JSON.stringify(join(built, 'process/service.js'))});
    const { COMMON_SETTINGS, parseEnv } = require(${JSON.stringify(join(built, 'config/env.js'))});
    const { z } = require('zod');
    runService({
      name: 'test',
      parse: (env) => parseEnv(z.object(COMMON_SETTINGS), env),
      warnings: ({ LOG_LEVEL }) => ['the level is ' + LOG_LEVEL],
      bindings: () => ({ server: 'S' }),
      start: async (config, logger) => { ${start} },
    });`;
  const child = spawn(process.execPath, ['-e', code], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, ...env },
  });
  children.push(child);
  const lines: string[] = [];
  createInterface({ input: child.stderr }).on('line', (line) => {
    lines.push(line);
    tell?.(line, child);
  });
  const [status] = (await once(child, 'close')) as [number | null];
  return { status, lines };
}

const said = ({ lines }: Ended): unknown[] => lines.map((line) => (JSON.parse(line) as { msg: unknown }).msg);
const WAIT = 'setInterval(() => undefined, 1000);';
const endAt = (msg: string) => (line: string, child: ChildProcess) => {
  if (line.includes(`"msg":"${msg}"`)) child.kill('SIGTERM');
};

test('it warns, starts, says so, and stops when it is told to', async () => {
  const runs = `${WAIT} return { started: { message: 'runs', data: { at: 1 } }, stop: async () => logger.info('finishing') };`;
  const ended = await run(runs, {}, endAt('runs'));
  expect(ended.status).toBe(0);
  expect(said(ended)).toEqual(['the level is info', 'runs', 'stopping', 'finishing']);
  expect(JSON.parse(ended.lines[1] ?? '')).toMatchObject({ service: 'test', server: 'S', at: 1 });
});

test('what is wrong with its configuration it says in one line, and ends with 78', async () => {
  expect(await run(WAIT, { LOG_LEVEL: 'loud' })).toEqual({
    status: 78,
    lines: [expect.stringMatching(/^wrong configuration: LOG_LEVEL is "loud": /)],
  });
});

test('told to stop while it starts it ends at once, whatever it waits for', async () => {
  const ended = await run(`${WAIT} logger.info('waits'); await new Promise(() => undefined);`, {}, endAt('waits'));
  expect(ended.status).toBe(0);
  expect(said(ended)).toEqual(['the level is info', 'waits', 'stopping']);
});

test.each([
  ['it cannot start', `throw new Error('no disk');`, /^could not start: Error: no disk/],
  [
    'nobody awaited a failure',
    `${WAIT} void Promise.reject(new Error('lost')); await new Promise(() => undefined);`,
    /unhandled rejection/,
  ],
])('when %s it says so and ends with 1', async (_, start, line) => {
  const { status, lines } = await run(start);
  expect(status).toBe(1);
  expect(lines[1]).toMatch(line);
});

test('a stop that fails ends it with 1', async () => {
  const runs = `${WAIT} return { started: { message: 'runs', data: {} }, stop: () => Promise.reject(new Error('stuck')) };`;
  const ended = await run(runs, {}, endAt('runs'));
  expect(ended.status).toBe(1);
  expect(said(ended).at(-1)).toBe('the graceful stop failed');
});
