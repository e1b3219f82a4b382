import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { freshBuild } from '../testing/fresh-build';
import { LIFELINE_FD, Lifelines } from './lifeline';

let lifeline: string;
const children: ChildProcess[] = [];

beforeAll(async () => {
  lifeline = join(await freshBuild(), 'libs/common/src/process/lifeline.js');
}, 120_000);
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

/** A process that runs `script` with lifeline.js as `L`, says `ready`, and lives on. With `'pipe'` it gets a lifeline. */
async function start(script: string, fd3: 'pipe' | 'ignore' = 'pipe'): Promise<ChildProcess> {
  const code = `const L = require(${JSON.stringify(lifeline)}); const { spawn } = require('node:child_process');
    setInterval(() => {}, 1000); ${script}; console.log('ready');`;
  const child = spawn(process.execPath, ['-e', code], {
    stdio: ['ignore', 'pipe', 'inherit', fd3],
    env: { ...process.env, LIFELINE_FD: String(LIFELINE_FD) },
  });
  children.push(child);
  await once(child.stdout!, 'data');
  return child;
}

const hold = (onCut: string): string => `L.Lifeline.hold(process.env, () => { ${onCut} })`;
/** Starts a process that holds the same lifeline as the one that starts it, and goes on without it. */
const startUnder = (onCut: string): string => `
  const code = 'const L = require(' + ${JSON.stringify(JSON.stringify(lifeline))} + ');' +
    ${JSON.stringify(`${hold(onCut)}; setInterval(() => {}, 1000);`)};
  const child = spawn(process.execPath, ['-e', code], { detached: true, stdio: ['ignore', 'inherit', 'inherit', 3] });
  process.on('SIGUSR2', () => child.kill('SIGKILL'));`;

test('however deep it is, a service notices that the launcher was killed', async () => {
  const under = `${hold('console.log("service cut")')}; ${startUnder('console.log("node cut"); process.exit(0)')}`;
  const launcher = await start(
    `const child = spawn(process.execPath, ['-e', ${JSON.stringify(
      `const L = require(${JSON.stringify(lifeline)}); const { spawn } = require('node:child_process');
       setInterval(() => {}, 1000); ${under}; console.log(process.pid);`,
    )}], { detached: true, stdio: ['ignore', 'inherit', 'inherit', 'pipe'] });
    new L.Lifelines().hold(child)`,
    'ignore',
  );
  const lines = createInterface({ input: launcher.stdout! })[Symbol.asyncIterator]();
  const pid = Number((await lines.next()).value);
  launcher.kill('SIGKILL');
  const said = [String((await lines.next()).value), String((await lines.next()).value)];
  process.kill(pid, 'SIGKILL');
  expect(said.sort()).toEqual(['node cut', 'service cut']);
});

test('the launcher knows when all whom it asked to stop are gone, also those that others started', async () => {
  const lifelines = new Lifelines();
  const parent = await start(`${hold('')}; ${startUnder('')}`);
  lifelines.hold(parent);
  lifelines.hold(await start(hold('process.exit(0)')));
  lifelines.release();
  await expect(lifelines.empty(500)).resolves.toBe(false);
  const ended = once(parent, 'exit');
  parent.kill('SIGUSR2'); // the one below
  await expect(lifelines.empty(200)).resolves.toBe(false);
  parent.kill('SIGKILL');
  await ended;
  await expect(lifelines.empty(5_000)).resolves.toBe(true);
});

test('one that has not begun to look after its lifeline holds it all the same', async () => {
  const lifelines = new Lifelines();
  const child = spawn('/bin/sh', ['-c', 'exec sleep 60'], { stdio: ['ignore', 'ignore', 'inherit', 'pipe'] });
  children.push(child);
  lifelines.hold(child);
  lifelines.release();
  await expect(lifelines.empty(200)).resolves.toBe(false);
  child.kill('SIGKILL');
  await expect(lifelines.empty(5_000)).resolves.toBe(true);
});

test('programs that a service starts do not hold its lifeline', async () => {
  const lifelines = new Lifelines();
  const spawned = `const c = spawn('sleep', ['60'], { stdio: 'ignore' }); process.on('exit', () => console.log(c.pid))`;
  const service = await start(`${hold('process.exit(0)')}; ${spawned}`);
  const said = once(service.stdout!, 'data');
  lifelines.hold(service);
  lifelines.release();
  await expect(lifelines.empty(5_000)).resolves.toBe(true);
  // It lives on.
  expect(process.kill(Number(String((await said)[0])), 'SIGKILL')).toBe(true);
});

test.each(['', ' '])('without one (%j) there is nobody to watch', async (given) => {
  const child = await start(`process.env.LIFELINE_FD = ${JSON.stringify(given)}; ${hold('process.exit(7)')}`, 'ignore');
  expect(child.exitCode).toBeNull();
});

test.each(['3', '0', '9', '10', 'x', '/tmp/lifeline'])(
  'a descriptor that is none (%j) is refused in one line',
  async (given) => {
    const script = `process.env.LIFELINE_FD = ${JSON.stringify(given)};
    try { ${hold('')} } catch (error) { console.log(error.name + ': ' + error.message) }`;
    const code = `const L = require(${JSON.stringify(lifeline)}); ${script}`;
    const child = spawn(process.execPath, ['-e', code], { stdio: ['ignore', 'pipe', 'inherit', 'ignore'] });
    children.push(child);
    const [said] = (await once(child.stdout!, 'data')) as [Buffer];
    expect(said.toString()).toMatch(/^ConfigError: wrong configuration: LIFELINE_FD is .*\n$/);
  },
);
