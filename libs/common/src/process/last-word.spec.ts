import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { lastWordIn, lastWordOf } from './last-word';

test.each([
  ['', ''],
  ['{"level":30,"msg":"x"}\n', ''],
  [
    'could not start: Error: no\n    at f (file.js:1:1) {\n  code: 1\n}\n\nNode.js v20.1.0\n',
    'could not start: Error: no',
  ],
  ['an early word\n{"level":60,"msg":"gone for good","why":"it failed"}\n', 'gone for good: it failed'],
  ['{"level":50,"msg":"failed","err":{"message":"a\\nb"}}\n{"level":30,"msg":"x"}\n', 'failed: a b'],
  ['{torn\n', ''],
])('of %j', (text, word) => {
  expect(lastWordOf(text)).toBe(word);
});

test('only what stands behind the offset, and the end of it, is looked at', () => {
  const folder = mkdtempSync(join(tmpdir(), 'shardline-'));
  const file = join(folder, 'log');
  try {
    writeFileSync(file, 'before\n' + '{"level":30}\n'.repeat(10_000) + 'the word\n');
    expect(lastWordIn(file, 7)).toBe('the word');
    writeFileSync(file, 'before\n{"level":30}\n');
    expect(lastWordIn(file, 7)).toBe('');
    expect(lastWordIn(join(folder, 'none'), 0)).toBe('');
  } finally {
    rmSync(folder, { recursive: true });
  }
});
