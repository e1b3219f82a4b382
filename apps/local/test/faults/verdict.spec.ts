import { History, type Ending, type Operation } from '#common/testing/history';
import { KeyBlock, type Row } from './table';
import { judge, judgeEarlier, settledText, type Chapter } from './verdict';

const block = new KeyBlock(2, 4);
const [first = []] = block.groups;
const [a = 0, b = 0] = first;

const row = (key: number, token: string): Row => ({ Stud_id: key, Stud_name: token, Stud_marks: '' });
const write = (...keys: number[]): Operation => ({
  kind: 'write',
  onConflict: 'error',
  keys,
  tokens: keys.map((key) => `v${key}`),
});

/** Operations one after the other. */
function historyOf(...operations: [Operation, Ending][]): History {
  const history = new History();
  for (const [operation, ending] of operations) history.answer(history.call('c', operation), ending);
  return history;
}

describe('what clients were answered', () => {
  test.each<[string, [Operation, Ending][], Row[], RegExp | null]>([
    ['an acknowledged write is there', [[write(a), { how: 'done', added: 1 }]], [row(a, `v${a}`)], null],
    ['an acknowledged write is lost', [[write(a), { how: 'done', added: 1 }]], [], /no order explains/],
    ['half of a write is there', [[write(a, b), { how: 'done', added: 2 }]], [row(a, `v${a}`)], /no order explains/],
    ['a write of unknown outcome is there', [[write(a), { how: 'unknown' }]], [row(a, `v${a}`)], null],
    ['a write of unknown outcome is not there', [[write(a), { how: 'unknown' }]], [], null],
    ['half of one is there', [[write(a, b), { how: 'unknown' }]], [row(b, `v${b}`)], /no order explains/],
    ['one that did nothing is there', [[write(a), { how: 'none' }]], [row(a, `v${a}`)], /no order explains/],
    ['a row that nobody wrote', [], [row(a, 'whose?')], /no order explains/],
    [
      'a read finds what is deleted later',
      [
        [write(a), { how: 'done', added: 1 }],
        [
          { kind: 'delete', keys: [a] },
          { how: 'done', added: 1 },
        ],
        [
          { kind: 'read', keys: [a] },
          { how: 'seen', values: [`v${a}`] },
        ],
      ],
      [],
      /no order explains/,
    ],
  ])('%s', (_case, operations, rows, expected) => {
    const { faults, undecided } = judge(historyOf(...operations), block, rows);
    expect(undecided).toBe(0);
    if (expected === null) expect(faults).toEqual([]);
    else expect(faults).toEqual([expect.stringMatching(expected)]);
  });
});

test('keys of an earlier fault may change by what was left open, and by nothing else', () => {
  const chapter = (...operations: [Operation, Ending][]): Chapter => {
    const history = historyOf(...operations);
    judge(history, block, []);
    return { name: 'earlier', block, history, settled: settledText(block, []) };
  };
  expect(judgeEarlier([chapter()], [row(a + 4, 'of the next fault')])).toEqual([]);
  expect(judgeEarlier([chapter([write(a), { how: 'unknown' }])], [row(a, `v${a}`)])).toEqual([]);
  expect(judgeEarlier([chapter([write(a), { how: 'none' }])], [row(a, `v${a}`)])).toEqual([
    expect.stringMatching(/keys of earlier, later: no order explains/),
  ]);
});
