import { runInNewContext } from 'node:vm';
import { findGuards, instrument } from './guards';

/** What the instrumented code returns with one guard off. */
function evaluate(code: string, off: number): unknown {
  const guards = findGuards('some.ts', code, 0);
  const guard = <T>(id: number, value: T, neutral: T): T => (id === off ? neutral : value);
  return runInNewContext(`(() => { ${instrument(code, guards)} })()`, { __guard: guard });
}

describe('guards', () => {
  it.each<[string, string, [string, string][]]>([
    ['a condition', 'if (a) return 1;', [['a', 'false']]],
    ['the condition of a choice', 'f(a ? 1 : 2);', [['a', 'false']]],
    [
      'a chain of operands, each and the whole',
      'if (a && b && c) return 1;',
      [
        ['a && b && c', 'false'],
        ['a', 'true'],
        ['b', 'true'],
        ['c', 'true'],
      ],
    ],
    [
      'alternatives in a chain',
      'return a || (b && c);',
      [
        ['a', 'false'],
        ['(b && c)', 'false'],
        ['b', 'true'],
        ['c', 'true'],
      ],
    ],
    ['a predicate', 'return list.filter((one) => one.fits);', [['one.fits', 'true']]],
    [
      'operands of an extreme, but no numbers and spreads',
      'return Math.max(0, a, b + 1, ...list);',
      [
        ['a', '-Infinity'],
        ['b + 1', '-Infinity'],
      ],
    ],
    ['no comparison in a chain', 'list.sort((a, b) => a.x - b.x || a.y - b.y);', []],
  ])('are found in %s', (_, code, expected) => {
    expect(findGuards('some.ts', code, 0).map(({ text, neutral }) => [text, neutral])).toEqual(expected);
  });

  it('count on from the first id, and know their lines', () => {
    expect(findGuards('some.ts', 'x();\nif (a) b();\nif (c) d();', 7)).toMatchObject([
      { id: 7, line: 2, file: 'some.ts' },
      { id: 8, line: 3 },
    ]);
  });

  it.each<[string, number, unknown]>([
    ['if (true && 1 > 0) return "in"; return "out";', -1, 'in'],
    ['if (true && 1 > 0) return "in"; return "out";', 0, 'out'],
    ['if (false && 1 > 0) return "in"; return "out";', 1, 'in'],
    ['return [1, 2, 3].filter((n) => n > 1).length;', 0, 3],
    ['const a = 5, b = 3; return Math.max(a, b);', 0, 3],
  ])('of %s: with %i off the result is %p', (code, off, result) => {
    expect(evaluate(code, off)).toBe(result);
  });
});
