import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FolderLock } from './folder-lock';

let above: string;
let path: string;
beforeEach(() => {
  above = mkdtempSync(join(tmpdir(), 'shardline-'));
  path = join(above, 'folder');
  mkdirSync(path);
});
afterEach(() => {
  rmSync(above, { recursive: true });
});

test('one has it at a time, and the next one after a release', async () => {
  expect(FolderLock.isHeld(path)).toBe(false);
  const lock = await FolderLock.acquire(path);
  expect(FolderLock.isHeld(path)).toBe(true);
  await expect(FolderLock.acquire(path)).resolves.toBeNull();
  lock?.release();
  expect(FolderLock.isHeld(path)).toBe(false);
  (await FolderLock.acquire(path))?.release();
});

test('what lies in the folder does not matter, and a copy is another folder', async () => {
  writeFileSync(join(path, 'file'), '');
  const lock = await FolderLock.acquire(path);
  cpSync(path, join(above, 'copy'), { recursive: true });
  rmSync(join(path, 'file'));
  expect(FolderLock.isHeld(path)).toBe(true);
  expect(FolderLock.isHeld(join(above, 'copy'))).toBe(false);
  lock?.release();
});

test('it goes with the folder when that is moved, and it is noticed that another one is in its place', async () => {
  const lock = await FolderLock.acquire(path);
  expect(lock?.isAt(path)).toBe(true);
  const moved = join(above, 'moved');
  renameSync(path, moved);
  expect(lock?.isAt(path)).toBe(false);
  mkdirSync(path);
  expect(lock?.isAt(path)).toBe(false);
  expect(FolderLock.isHeld(path)).toBe(false);
  expect(FolderLock.isHeld(moved)).toBe(true);
  lock?.release();
});

test('what is not there or is no folder is an error, not a free lock', async () => {
  await expect(FolderLock.acquire(join(above, 'none'))).rejects.toThrow(/ENOENT/);
  writeFileSync(join(above, 'file'), '');
  await expect(FolderLock.acquire(join(above, 'file'))).rejects.toThrow(/ENOTDIR/);
  for (const name of ['none', 'file']) expect(FolderLock.isHeld(join(above, name))).toBe(false);
});

test('a process has it while it is suspended, and not any more once it was killed; its children never have it', async () => {
  const program = `
    const koffi = require(${JSON.stringify(require.resolve('koffi'))});
    const fd = require('node:fs').openSync(${JSON.stringify(path)}, 'r');
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
    expect(FolderLock.isHeld(path)).toBe(true);
    await expect(FolderLock.acquire(path)).resolves.toBeNull();
    holder.kill('SIGKILL');
    await ended;
    // The child lives on.
    expect(process.kill(sleeper, 0)).toBe(true);
    expect(FolderLock.isHeld(path)).toBe(false);
  } finally {
    holder.kill('SIGKILL');
    process.kill(sleeper, 'SIGKILL');
  }
});
