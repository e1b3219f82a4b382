import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FileLock } from './file-lock';

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'shardline-'));
  path = join(folder, 'lock');
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

test('one has it at a time, and the next one after a release', async () => {
  expect(FileLock.isHeld(path)).toBe(false);
  const lock = await FileLock.acquire(path);
  expect(FileLock.isHeld(path)).toBe(true);
  await expect(FileLock.acquire(path)).resolves.toBeNull();
  lock?.release();
  expect(FileLock.isHeld(path)).toBe(false);
  (await FileLock.acquire(path))?.release();
});

test('a copy of the file is another file', async () => {
  const lock = await FileLock.acquire(path);
  copyFileSync(path, join(folder, 'copy'));
  expect(FileLock.isHeld(join(folder, 'copy'))).toBe(false);
  lock?.release();
});

test('a file that cannot be opened is an error, not a free lock', async () => {
  await expect(FileLock.acquire(join(folder, 'none', 'lock'))).rejects.toThrow(/ENOENT/);
});

test('a process has it while it is suspended, and not any more once it was killed; its children never have it', async () => {
  const program = `
    const koffi = require(${JSON.stringify(require.resolve('koffi'))});
    const fd = require('node:fs').openSync(${JSON.stringify(path)}, 'a');
    if (koffi.load(null).func('int flock(int, int)')(fd, 6) !== 0) process.exit(1);
    const child = require('node:child_process').spawn('sleep', ['60'], { stdio: 'ignore' });
    process.stdout.write(String(child.pid) + '\\n');
    setInterval(() => undefined, 1000);`;
  const holder = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(holder, 'exit');
  const [said] = (await once(holder.stdout, 'data')) as [Buffer];
  const sleeper = Number(said.toString());
  try {
    holder.kill('SIGSTOP');
    expect(FileLock.isHeld(path)).toBe(true);
    await expect(FileLock.acquire(path)).resolves.toBeNull();
    holder.kill('SIGKILL');
    await ended;
    // The child lives on.
    expect(process.kill(sleeper, 0)).toBe(true);
    expect(FileLock.isHeld(path)).toBe(false);
  } finally {
    holder.kill('SIGKILL');
    process.kill(sleeper, 'SIGKILL');
  }
});
