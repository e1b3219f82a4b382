import { mkdir, mkdtemp, readFile, readlink, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { restoreLibraryLinks } from './binaries';

describe('links between libraries that npm did not make', () => {
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'shardline-links-'));
    await mkdir(join(folder, 'native', 'lib'), { recursive: true });
    await writeFile(join(folder, 'native', 'lib', 'libpq.so.5.18'), 'library');
    const links = ['libpq.so', 'libpq.so.5'].map((name) => ({
      source: 'native/lib/libpq.so.5.18',
      target: `native/lib/${name}`,
    }));
    await writeFile(join(folder, 'native', 'pg-symlinks.json'), JSON.stringify(links));
  });

  afterEach(async () => {
    await rm(folder, { recursive: true, force: true });
  });

  it('are made by several processes at once, and lead where they should wherever the folder is moved', async () => {
    await Promise.all([1, 2, 3, 4].map(() => restoreLibraryLinks(folder)));
    for (const name of ['libpq.so', 'libpq.so.5']) {
      expect(await readlink(join(folder, 'native', 'lib', name))).toBe('libpq.so.5.18');
    }
  });

  it('leave alone what npm made', async () => {
    await writeFile(join(folder, 'native', 'lib', 'libpq.so'), 'a copy');
    await restoreLibraryLinks(folder);
    expect(await readFile(join(folder, 'native', 'lib', 'libpq.so'), 'utf8')).toBe('a copy');
  });

  it('are no matter to a package that lists none', async () => {
    await rm(join(folder, 'native', 'pg-symlinks.json'));
    await expect(restoreLibraryLinks(folder)).resolves.toBeUndefined();
  });

  it('say which one is missing and what to do when they cannot be made', async () => {
    await rm(join(folder, 'native', 'lib'), { recursive: true });
    await expect(restoreLibraryLinks(folder)).rejects.toThrow(/^Postgres lacks native\/lib\/libpq\.so .*npm rebuild/);
  });
});
