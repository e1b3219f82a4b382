import { Holdings, type LockKind } from './lock-order';

function holding(...locks: [LockKind, string][]): Holdings {
  const holdings = new Holdings();
  for (const [kind, name] of locks) holdings.add(kind, name);
  return holdings;
}

it.each<[LockKind, string, LockKind, string, boolean]>([
  ['administrators', '', 'scrub', '', true],
  ['copies', '', 'write queue', 'a', true],
  ['write queue', 'a', 'write queue', 'b', true],
  ['write queue', 'b', 'configuration', 'a', true],
  ['scrub', '', 'administrators', '', false],
  ['scrub', '', 'scrub', '', false],
  ['write queue', 'b', 'write queue', 'a', false],
  ['write queue', 'a', 'write queue', 'a', false],
  ['configuration', 'a', 'write queue', 'b', false],
  ['configuration', 'b', 'configuration', 'a', false],
])('whoever holds %s %s may take %s %s: %j', (heldKind, heldName, kind, name, isAllowed) => {
  const check = (): void => {
    holding([heldKind, heldName]).check(kind, name);
  };
  if (isAllowed) expect(check).not.toThrow();
  else expect(check).toThrow('against the order of locks');
});

describe('what is released', () => {
  it('is that lock, and none that was taken before', () => {
    const holdings = holding(['write queue', 'a']);
    holdings.add('configuration', 'a')();
    expect(() => {
      holdings.check('configuration', 'a');
    }).not.toThrow();
    expect(() => {
      holdings.check('write queue', 'a');
    }).toThrow('against the order of locks');
  });

  it('counts no more when what was taken behind it is released as well', () => {
    const holdings = new Holdings();
    const drops = ['a', 'b', 'c'].map((name) => holdings.add('write queue', name));
    for (const drop of [drops[1], drops[0], drops[2]]) drop?.();
    expect(() => {
      holdings.check('write queue', 'a');
    }).not.toThrow();
  });

  it('leaves what was taken behind it where it is', () => {
    const holdings = new Holdings();
    const drop = holdings.add('write queue', 'a');
    holdings.add('write queue', 'b');
    drop();
    expect(() => {
      holdings.check('write queue', 'b');
    }).toThrow('against the order of locks');
  });
});
