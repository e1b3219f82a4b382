import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { ControlSocket, type LauncherInfo } from './control';
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

test('a folder that a launcher uses is refused, however little that launcher says', async () => {
  const claimed = await dataDir().claim();
  const refused = /^another launcher, process \d+, uses data, and it does not answer.*choose another --data-dir$/;
  await expect(dataDir().claim()).rejects.toThrow(refused);
  rmSync(join(folder, 'data', 'launcher.json'));
  await expect(dataDir().claim()).rejects.toThrow(/^another launcher uses data, and it does not answer/);
  claimed.release();
  (await dataDir().claim()).release();
});

test('a folder that a killed launcher left is taken over', async () => {
  dataDir().prepare();
  const note = { pid: process.ppid, socketDir: join(folder, 'data') };
  writeFileSync(join(folder, 'data', 'launcher.json'), JSON.stringify(note));
  await expect(dataDir().launcher()).resolves.toBeUndefined();
  const claimed = await dataDir().claim();
  expect(claimed.wasAbandoned).toBe(true);
  claimed.release();
  expect((await dataDir().claim()).wasAbandoned).toBe(false);
});

test.each(['', '{', 'null', '{"pid":"x"}', '\0\0\0\0'])(
  'a damaged launcher.json (%j) keeps nobody out',
  async (text) => {
    dataDir().prepare();
    writeFileSync(join(folder, 'data', 'launcher.json'), text);
    (await dataDir().claim()).release();
  },
);

test('a folder keeps its cluster id, and a copy has the same one in another place', async () => {
  (await dataDir().claim()).release();
  const { clusterId, place } = dataDir().identity();
  expect(clusterId).toMatch(/^[0-9a-f-]{36}$/);
  (await dataDir().claim()).release();
  expect(dataDir().identity()).toEqual({ clusterId, place });
  cpSync(join(folder, 'data'), join(folder, 'copy'), { recursive: true });
  const copy = dataDir('copy').identity();
  expect(copy.clusterId).toBe(clusterId);
  expect(copy.place).not.toBe(place);
});

/** A launcher that listens in the folder `name`, and says that it is of this folder. */
async function listening(name: string, of: { clusterId: string; place: string }): Promise<() => void> {
  const claimed = await dataDir(name).claim();
  const info = (): LauncherInfo => ({ pid: 1, port: 5000, natsPort: 4222, ready: true, ...of });
  await new ControlSocket(info, () => undefined).listenAt(claimed.controlSocket);
  return () => {
    claimed.release();
  };
}

test('only a launcher of this cluster in this place is taken for the one that uses the folder', async () => {
  (await dataDir().claim()).release();
  const own = dataDir().identity();
  let end = await listening('data', own);
  await expect(dataDir().launcher()).resolves.toMatchObject({ answers: true, pid: 1 });
  end();
  end = await listening('data', { ...own, clusterId: 'of another cluster' });
  await expect(dataDir().launcher()).resolves.toEqual({ answers: false, pid: undefined });
  end();
  end = await listening('data', { ...own, place: 'of a copy' });
  await expect(dataDir().launcher()).resolves.toEqual({ answers: false, pid: undefined });
  end();
});

test('a folder keeps its lock and its id, and is found again, whatever somebody removed of it', async () => {
  const claimed = await dataDir().claim();
  const info = (): LauncherInfo => ({ pid: 1, port: 5000, natsPort: 4222, ready: true, ...claimed.identity() });
  const control = new ControlSocket(info, () => undefined);
  await control.listenAt(claimed.controlSocket);
  const { clusterId } = dataDir().identity();
  for (const name of readdirSync(join(folder, 'data'))) rmSync(join(folder, 'data', name), { recursive: true });
  await expect(dataDir().launcher()).resolves.toEqual({ answers: false, pid: undefined });
  await expect(dataDir().claim()).rejects.toThrow(/^another launcher uses data/);
  claimed.restore();
  await control.listenAt(claimed.controlSocket);
  await expect(dataDir().launcher()).resolves.toMatchObject({ answers: true, pid: 1, clusterId });
  claimed.release();
});

test('a socket that somebody put in place of ours is replaced, and ours is left alone', async () => {
  const claimed = await dataDir().claim();
  const place = claimed.controlSocket;
  const infoOf = (pid: number) => (): LauncherInfo => {
    return { pid, port: 5000, natsPort: 4222, ready: true, ...claimed.identity() };
  };
  const ours = new ControlSocket(infoOf(1), () => undefined);
  await ours.listenAt(place);
  const { ino } = statSync(place);
  await ours.listenAt(place);
  expect(statSync(place).ino).toBe(ino);
  await new ControlSocket(infoOf(2), () => undefined).listenAt(place);
  await expect(dataDir().launcher()).resolves.toMatchObject({ pid: 2 });
  await ours.listenAt(place);
  await expect(dataDir().launcher()).resolves.toMatchObject({ pid: 1 });
  claimed.release();
});

test('by whatever link a folder is reached, it is one folder with one name', async () => {
  symlinkSync(join(folder, 'data'), join(folder, 'link'));
  mkdirSync(join(folder, 'data'));
  const claimed = await dataDir('link').claim();
  expect(claimed.path).toBe(realpathSync(join(folder, 'data')));
  expect(dataDir('data').isUsed()).toBe(true);
  claimed.release();
});

test('a folder that was moved is reported, and what has taken its place is left alone', async () => {
  const claimed = await dataDir().claim();
  expect(claimed.isInPlace()).toBe(true);
  renameSync(join(folder, 'data'), join(folder, 'moved'));
  const other = await dataDir().claim();
  expect(claimed.isInPlace()).toBe(false);
  claimed.release();
  expect(readdirSync(join(folder, 'data'))).toContain('launcher.json');
  other.release();
});

test('a folder that holds something else is refused and left alone', async () => {
  mkdirSync(join(folder, 'photos'));
  writeFileSync(join(folder, 'photos', 'summer.jpg'), '');
  await expect(dataDir('photos').claim()).rejects.toThrow(/photos holds something else/);
});

test('a first start that was cut short keeps the next one out of nothing', async () => {
  mkdirSync(join(folder, 'data'));
  writeFileSync(join(folder, 'data', 'shardline-data.4711'), '');
  (await dataDir().claim()).release();
});

test('a file where the folder should be is nobody’s', async () => {
  writeFileSync(join(folder, 'data'), '');
  await expect(dataDir().launcher()).resolves.toBeUndefined();
});

test('a file where the folder should be is refused in one line', async () => {
  writeFileSync(join(folder, 'data'), '');
  await expect(dataDir().claim()).rejects.toThrow(/^cannot write data: .*$/);
});

test('however long the path is, its socket fits, and its folder is made again when it was cleaned away', async () => {
  const claimed = await dataDir('x'.repeat(150)).claim();
  rmSync(dirname(claimed.controlSocket), { recursive: true });
  claimed.restore();
  expect(existsSync(dirname(claimed.controlSocket))).toBe(true);
  expect(Buffer.byteLength(claimed.controlSocket)).toBeLessThanOrEqual(103);
  claimed.release();
});

test('a place where no folder can be made is refused in one line', async () => {
  const nowhere = new DataDir('/proc/shardline/data', '/proc/shardline/data');
  await expect(nowhere.claim()).rejects.toThrow(/^cannot write \/proc\/shardline\/data: .*$/);
});
