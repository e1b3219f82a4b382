import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DataDir } from './data-dir';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'shardline-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});
const dataDir = (name = 'data'): DataDir => new DataDir(join(folder, name), name);

test('a folder is claimed, given free, and claimed again', async () => {
  const claimed = await dataDir().claim();
  expect(claimed.wasAbandoned).toBe(false);
  claimed.release();
  (await dataDir().claim()).release();
});

test('a folder that another launcher is just claiming is refused', async () => {
  const claimed = await dataDir().claim();
  await expect(dataDir().claim()).rejects.toThrow(/another launcher is starting on data/);
  claimed.release();
});

test('a folder that a killed launcher left is taken over', async () => {
  const lock = join(folder, 'data', 'launcher.json');
  dataDir().prepare();
  writeFileSync(lock, JSON.stringify({ pid: 4_194_303, socketDir: join(folder, 'data') }));
  const claimed = await dataDir().claim();
  expect(claimed.wasAbandoned).toBe(true);
  claimed.release();
});

test('a process id that somebody else has by now does not keep the folder', async () => {
  const lock = join(folder, 'data', 'launcher.json');
  dataDir().prepare();
  writeFileSync(lock, JSON.stringify({ pid: process.ppid, socketDir: join(folder, 'data') }));
  utimesSync(lock, 1, 1);
  (await dataDir().claim()).release();
});

test.each(['', '{', 'null', '{"pid":"x"}'])('a lock that says %j was torn by a power cut', async (text) => {
  dataDir().prepare();
  writeFileSync(join(folder, 'data', 'launcher.json'), text);
  (await dataDir().claim()).release();
});

test('a folder that holds something else is refused and left alone', async () => {
  mkdirSync(join(folder, 'photos'));
  writeFileSync(join(folder, 'photos', 'summer.jpg'), '');
  await expect(dataDir('photos').claim()).rejects.toThrow(/photos holds something else/);
});

test('a file where the folder should be is refused in one line', async () => {
  writeFileSync(join(folder, 'data'), '');
  await expect(dataDir().claim()).rejects.toThrow(/^cannot write data: .*$/);
});

test('however long the path is, its sockets fit', async () => {
  const claimed = await dataDir('x'.repeat(150)).claim();
  expect(Buffer.byteLength(claimed.lifelineSocket)).toBeLessThanOrEqual(103);
  claimed.release();
});

test('a place where no folder can be made is refused in one line', async () => {
  const nowhere = new DataDir('/proc/shardline/data', '/proc/shardline/data');
  await expect(nowhere.claim()).rejects.toThrow(/^cannot write \/proc\/shardline\/data: .*$/);
});
