import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeFolder } from './folders';

describe('makeFolder', () => {
  let dir: string;

  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'shardline-'));
  });

  afterEach(() => {
    rmSync(dir, { recursive: true });
  });

  it('makes what is missing, and is content with what is there', () => {
    const path = join(dir, 'a/b/c');
    makeFolder(path);
    makeFolder(path);
    expect(statSync(path).isDirectory()).toBe(true);
  });

  it('says what is in the way', () => {
    writeFileSync(join(dir, 'file'), '');
    expect(() => {
      makeFolder(join(dir, 'file'));
    }).toThrow(/EEXIST/);
    expect(() => {
      makeFolder(join(dir, 'file/below'));
    }).toThrow(/ENOTDIR|EEXIST/);
  });

  it('ends where nothing can be made', () => {
    // Without /proc this is a folder above that nobody may write to, or root's; neither is left behind.
    expect(() => {
      makeFolder(process.platform === 'linux' ? '/proc/shardline/data' : '/dev/null/shardline');
    }).toThrow(/ENOENT|ENOTDIR|EACCES|EPERM/);
  });
});
