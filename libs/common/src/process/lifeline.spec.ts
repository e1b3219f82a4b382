import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freshBuild } from '../testing/fresh-build';
import { LifelineServer } from './lifeline';

let folder: string;
let path: string;
let lifeline: string;
const children: ChildProcess[] = [];
const servers: LifelineServer[] = [];

beforeAll(async () => {
  lifeline = join(await freshBuild(), 'libs/common/src/process/lifeline.js');
}, 120_000);
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'shardline-'));
  path = join(folder, 'lifeline');
});
afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  for (const server of servers.splice(0)) await server.close();
  await rm(folder, { recursive: true });
});

async function listen(): Promise<LifelineServer> {
  const server = await LifelineServer.listen(path);
  servers.push(server);
  return server;
}

/** A process that runs `script` with lifeline.js as `L` and says `ready` when told to by the script. */
async function start(script: string): Promise<ChildProcess> {
  const code = `const L = require(${JSON.stringify(lifeline)}); const path = ${JSON.stringify(path)};
    const ready = () => process.stdout.write('ready\\n'); setInterval(() => {}, 1000); ${script}`;
  const child = spawn(process.execPath, ['-e', code], { stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  await once(child.stdout, 'data');
  return child;
}

const service = (name: string, onCut: string): string =>
  `L.holdLifeline(path, ${JSON.stringify(name)}, () => { ${onCut} }); setTimeout(ready, 50);`;

test('a service notices that the launcher was killed', async () => {
  const launcher = await start('L.LifelineServer.listen(path).then(ready);');
  const held = await start(service('gateway', 'process.exit(7)'));
  const exit = once(held, 'exit');
  launcher.kill('SIGKILL');
  await expect(exit).resolves.toEqual([7, null]);
});

test('a service that comes when the launcher is gone stops at once', async () => {
  const held = spawn(process.execPath, [
    '-e',
    `require(${JSON.stringify(lifeline)}).holdLifeline(${JSON.stringify(path)}, 'late', () => process.exit(7))`,
  ]);
  children.push(held);
  await expect(once(held, 'exit')).resolves.toEqual([7, null]);
});

test('the launcher knows who holds on, and when all whom it asked to stop are gone', async () => {
  const server = await listen();
  const slow = await start(service('gateway', 'setTimeout(() => process.exit(0), 200)'));
  const quick = await start(service('shard-node Server0', 'process.exit(0)'));
  expect(server.members()).toEqual(
    expect.arrayContaining([
      { name: 'gateway', pid: slow.pid },
      { name: 'shard-node Server0', pid: quick.pid },
    ]),
  );
  server.release();
  await expect(server.empty(5_000)).resolves.toBe(true);
  expect(server.members()).toEqual([]);
});

test('one that does not stop when asked is killed', async () => {
  const server = await listen();
  const stuck = await start(service('stuck', ''));
  const exit = once(stuck, 'exit');
  server.release();
  await expect(server.empty(100)).resolves.toBe(false);
  expect(server.killRest()).toEqual([{ name: 'stuck', pid: stuck.pid }]);
  await expect(exit).resolves.toEqual([null, 'SIGKILL']);
  await expect(server.empty(5_000)).resolves.toBe(true);
});

test.each(['', 'not JSON\n', '[]\n', '{"name":"x","pid":0}\n', '{"name":"x","pid":-1}\n', '{"name":1,"pid":5}\n'])(
  'whoever says %j is nobody to kill',
  async (hello) => {
    const server = await listen();
    await start(
      `const s = require('node:net').connect(path, () => s.write(${JSON.stringify(hello)}, () => setTimeout(ready, 20)));`,
    );
    expect(server.members()).toEqual([]);
  },
);
