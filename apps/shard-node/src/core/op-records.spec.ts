import type { OpOutcome } from '#common/contracts/node';
import { outcomeText, parseOutcome } from './op-records';

it.each<[OpOutcome, string]>([
  [{ ok: 0 }, '=0'],
  [{ ok: 12 }, '=12'],
  [{ refused: 'KEY_EXISTS', key: -3 }, '!KEY_EXISTS -3'],
  [{ refused: 'KEY_NOT_FOUND', key: 7 }, '!KEY_NOT_FOUND 7'],
  [{ refused: 'ID_REUSED', key: 0 }, '!ID_REUSED 0'],
])('%j is stored as %s, and read back', (outcome, text) => {
  expect(outcomeText(outcome)).toBe(text);
  expect(parseOutcome(text)).toEqual(outcome);
});

it('is stored alike whether it was known or not', () => {
  expect(outcomeText({ ok: 1, known: true })).toBe(outcomeText({ ok: 1 }));
});

it.each(['', '=', '=-1', '=1 ', '=1x', 'x=1', '!', '!KEY_EXISTS', '!KEY_EXISTS x', '!OTHER 1', '!KEY_EXISTS 1 2'])(
  'does not take %j for an outcome: the disk has changed it',
  (text) => {
    expect(() => parseOutcome(text)).toThrow(expect.objectContaining({ code: 'STORE_FAILED' }) as Error);
  },
);
