import fc from 'fast-check';
import {
  ALIVE,
  ALIVE_TEXT,
  isPurgeable,
  isUncommittedBirth,
  isUncommittedDeath,
  isVisible,
  undoAbove,
} from './visibility';

const term = fc.integer({ min: 1, max: 30 });
const version = fc
  .record({ cat: term, lived: fc.option(fc.integer({ min: 1, max: 20 }), { nil: undefined }) })
  .map(({ cat, lived }) => ({ cat, dat: lived === undefined ? ALIVE : cat + lived }));

describe('the rules, case by case', () => {
  it.each([
    ['lives', { cat: 3, dat: ALIVE }, 3, true],
    ['is not born yet', { cat: 3, dat: ALIVE }, 2, false],
    ['dies at the VAT', { cat: 3, dat: 5 }, 5, false],
    ['dies right after the VAT', { cat: 3, dat: 5 }, 4, true],
    ['has died', { cat: 3, dat: 5 }, 9, false],
  ])('visible: a version that %s', (_, lifetime, vat, visible) => {
    expect(isVisible(lifetime, vat)).toBe(visible);
  });

  it.each([
    ['rule 1 takes what died at the mark', isPurgeable({ cat: 1, dat: 5 }, 5), true],
    ['rule 1 leaves what died after it', isPurgeable({ cat: 1, dat: 6 }, 5), false],
    ['rule 1 leaves what lives', isPurgeable({ cat: 1, dat: ALIVE }, 5), false],
    ['rule 2 takes what was born above the VAT', isUncommittedBirth({ cat: 6, dat: ALIVE }, 5), true],
    ['rule 2 leaves what was born at it', isUncommittedBirth({ cat: 5, dat: ALIVE }, 5), false],
    ['rule 3 takes back a death above the VAT', isUncommittedDeath({ cat: 1, dat: 6 }, 5), true],
    ['rule 3 leaves a death at it', isUncommittedDeath({ cat: 1, dat: 5 }, 5), false],
    ['rule 3 has nothing to do with what lives', isUncommittedDeath({ cat: 1, dat: ALIVE }, 5), false],
  ])('%s', (_, found, expected) => {
    expect(found).toBe(expected);
  });

  it('spells ALIVE as the largest bigint of Postgres', () => {
    expect(BigInt(ALIVE_TEXT)).toBe(2n ** 63n - 1n);
  });
});

describe('the rules together', () => {
  it('undo above a VAT changes nothing that is visible at or below it', () => {
    fc.assert(
      fc.property(version, term, term, (each, vat, earlier) => {
        const undone = undoAbove(each, vat);
        const at = Math.min(vat, earlier);
        expect(undone !== null && isVisible(undone, at)).toBe(isVisible(each, at));
      }),
    );
  });

  it('after it nothing changes any more above that VAT', () => {
    fc.assert(
      fc.property(version, term, term, (each, vat, later) => {
        const undone = undoAbove(each, vat);
        if (undone === null) return;
        expect(isVisible(undone, Math.max(vat, later))).toBe(isVisible(undone, vat));
        expect(undoAbove(undone, vat)).toEqual(undone);
      }),
    );
  });

  it('purging up to a mark takes nothing that is visible at it or later', () => {
    fc.assert(
      fc.property(version, term, term, (each, mark, later) => {
        if (isPurgeable(each, mark)) expect(isVisible(each, Math.max(mark, later))).toBe(false);
      }),
    );
  });

  it('keeps the rest of a version', () => {
    expect(undoAbove({ cat: 1, dat: 9, row: 'kept' }, 5)).toEqual({ cat: 1, dat: ALIVE, row: 'kept' });
  });
});
