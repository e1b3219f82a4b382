/** The demo as a person runs it, on a log instead of a terminal, twice on the same data. */
import { spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '#common/testing/free-port';
import { freshBuild } from '#common/testing/fresh-build';
import { killNow, processesWith } from '#common/testing/processes';

let folder: string;
beforeAll(async () => {
  await freshBuild();
  folder = await mkdtemp(join(tmpdir(), 'shardline-'));
}, 120_000);
afterAll(async () => {
  killNow(processesWith(folder));
  await rm(folder, { recursive: true, force: true });
});

/** Runs the launcher to its end, which must be a good one. Returns what it said. */
async function run(command: string, where: string[]): Promise<string> {
  const main = join(await freshBuild(), 'apps/local/main.js');
  const env = { ...process.env, HEARTBEAT_INTERVAL_MS: '300' };
  const ran = spawnSync(process.execPath, [main, command, ...where], { encoding: 'utf8', timeout: 150_000, env });
  if (ran.status !== 0)
    throw new Error(`${command} ended with ${ran.status ?? 'a signal'}:\n${ran.stdout}${ran.stderr}`);
  return ran.stdout;
}

test('it fills a cluster, kills a shard-node, sees it heal, finds every row, and leaves the cluster running', async () => {
  const dataDir = join(folder, 'data');
  const port = await freePort();
  const where = ['--data-dir', dataDir, '--port', String(port), '--nats-port', String(await freePort())];

  const first = await run('demo', where);
  const order = [
    /Configured Database/,
    /10,000 of 10,000 students/,
    /0\.\.12287 +10,000 rows/,
    /SIGKILL/,
    /FLATLINE/,
    /RESPAWN/,
  ];
  const places = [...order, /RECOVERED/, /nothing is lost/, /make stop/].map((word) => first.search(word));
  expect(places).toEqual([...places].sort((a, b) => a - b));
  expect(places).not.toContain(-1);

  const alive = await fetch(`http://127.0.0.1:${port}/read?low=100&high=105`);
  expect(alive.status).toBe(200);

  const second = await run('demo', where);
  expect(second).toMatch(/10,000 are there from before/);

  await run('stop', where);
  expect(processesWith(dataDir)).toEqual([]);
}, 400_000);
