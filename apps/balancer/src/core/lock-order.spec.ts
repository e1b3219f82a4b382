import { Holdings, type LockKind } from './lock-order';

function holding(...locks: [LockKind, string][]): Holdings {
  const holdings = new Holdings();
  for (const [kind, name] of locks) holdings.add(kind, name);
  return holdings;
}

it.each<[LockKind, string, LockKind, string, boolean]>([
  ['administrators', '', 'scrub', '', true],
  ['copies', '', 'lane', 'a', true],
  ['lane', 'a', 'lane', 'b', true],
  ['lane', 'b', 'configuration', 'a', true],
  ['scrub', '', 'administrators', '', false],
  ['scrub', '', 'scrub', '', false],
  ['lane', 'b', 'lane', 'a', false],
  ['lane', 'a', 'lane', 'a', false],
  ['configuration', 'a', 'lane', 'b', false],
  ['configuration', 'b', 'configuration', 'a', false],
])('whoever holds %s %s may take %s %s: %j', (heldKind, heldName, kind, name, isAllowed) => {
  const check = (): void => {
    holding([heldKind, heldName]).check(kind, name);
  };
  if (isAllowed) expect(check).not.toThrow();
  else expect(check).toThrow('against the order of locks');
});

describe('what is given back', () => {
  it('is that lock, and not another one of the same name', () => {
    const holdings = holding(['lane', 'a'], ['configuration', 'a']);
    holdings.drop('configuration', 'a');
    expect(() => {
      holdings.check('configuration', 'a');
    }).not.toThrow();
  });

  it('is that lock, and not another one of the same kind', () => {
    const holdings = holding(['lane', 'a'], ['lane', 'b']);
    holdings.drop('lane', 'b');
    expect(() => {
      holdings.check('lane', 'b');
    }).not.toThrow();
  });

  it('leaves the others where they are when it is not held', () => {
    const holdings = holding(['lane', 'a']);
    holdings.drop('lane', 'b');
    expect(() => {
      holdings.check('lane', 'a');
    }).toThrow('against the order of locks');
  });
});
