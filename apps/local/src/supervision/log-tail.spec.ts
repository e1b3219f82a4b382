import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LogTail, remarkOf, type Remark } from './log-tail';

test.each([
  ['{"level":50,"msg":"FLATLINE","server":"Server0"}', { level: 'error', text: 'FLATLINE Server0' }],
  ['{"level":40,"msg":"late","err":{"message":"no\\nanswer"}}', { level: 'warn', text: 'late: no answer' }],
  [
    '{"level":50,"msg":"cannot start","server":"Server0","why":"no disk"}',
    { level: 'error', text: 'cannot start Server0: no disk' },
  ],
  ['{"level":30,"msg":"fine"}', undefined],
  ['{"level":"50","msg":"not ours"}', undefined],
  ['{torn', undefined],
  ['[7] 2025/01/01 [ERR] disk full', { level: 'error', text: 'disk full' }],
  ['[7] 2025/01/01 [WRN] slow', { level: 'warn', text: 'slow' }],
  ['[7] 2025/01/01 [INF] Server is ready', undefined],
  ['plain words', undefined],
])('%s', (line, remark) => {
  expect(remarkOf(line)).toEqual(remark);
});

describe('following a file', () => {
  const folder = mkdtempSync(join(tmpdir(), 'shardline-'));
  const file = join(folder, 'log');
  afterAll(() => {
    rmSync(folder, { recursive: true });
  });

  const follow = (): { tail: LogTail; remarks: Remark[] } => {
    writeFileSync(file, '{"level":50,"msg":"from an earlier run"}\nan earlier word\n');
    const remarks: Remark[] = [];
    const tail = new LogTail(file, (remark) => remarks.push(remark));
    tail.start();
    return { tail, remarks };
  };

  test('only what comes from now on is shown, also when a line comes in parts', () => {
    const { tail, remarks } = follow();
    appendFileSync(file, '{"level":50,"msg":"to');
    expect(tail.finalWord()).toBe('');
    appendFileSync(file, 'rn"}\n');
    tail.stop();
    expect(remarks).toEqual([{ level: 'error', text: 'torn' }]);
  });

  test('a flood of warnings does not flood the terminal', () => {
    const { tail, remarks } = follow();
    appendFileSync(file, '{"level":50,"msg":"again"}\n'.repeat(5_000));
    tail.stop();
    expect(remarks.length).toBeLessThan(20);
  });

  test('what a program said last before it gave up is known, not the stack under it', () => {
    const { tail } = follow();
    appendFileSync(
      file,
      '{"level":30,"msg":"x"}\nwrong configuration: PORT is "x"\n    at Object.<anonymous>\n\nNode.js v20.19.0\n',
    );
    expect(tail.finalWord()).toBe('wrong configuration: PORT is "x"');
    tail.stop();
  });
});
