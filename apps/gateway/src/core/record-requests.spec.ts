import fc from 'fast-check';
import { CONFLICT_POLICIES } from '#common/contracts/commands';
import { conflictPolicyOf, deletedKeyOf, keyRangeOf, updateOf, withoutRepeats, writtenRowsOf } from './record-requests';

describe('/read', () => {
  test.each<[unknown, Record<string, unknown>, { low: number; high: number }]>([
    [{ Stud_id: { low: 1, high: 9 } }, {}, { low: 1, high: 9 }],
    [{ STUD_ID: { Low: '1', HIGH: 9 } }, {}, { low: 1, high: 9 }],
    [{ Stud_id: 5 }, {}, { low: 5, high: 5 }],
    [{ Stud_id: '5' }, {}, { low: 5, high: 5 }],
    [undefined, { low: '-1', HIGH: '9' }, { low: -1, high: 9 }],
    [{ Stud_id: 5 }, { low: '1', high: '2' }, { low: 5, high: 5 }],
  ])('%j and %j', (body, query, range) => {
    expect(keyRangeOf(body, query, 'Stud_id')).toEqual(range);
  });

  test('the field is called as the key is', () => {
    expect(keyRangeOf({ roll: 5 }, {}, 'Roll')).toEqual({ low: 5, high: 5 });
    expect(() => keyRangeOf({ Stud_id: 5 }, {}, 'Roll')).toThrow(/lacks the field "Roll"/);
  });

  test.each<[unknown, Record<string, unknown>]>([
    [undefined, {}],
    [undefined, { low: '1' }],
    [undefined, { low: ['1', '2'], high: '3' }],
    [undefined, { low: '1', high: 'x' }],
    [{}, {}],
    [[], {}],
    [{ Stud_id: {} }, {}],
    [{ Stud_id: [1, 2] }, {}],
    [{ Stud_id: null }, {}],
    [{ Stud_id: { low: 2, high: 1 } }, {}],
    [{ Stud_id: { low: 0, high: 1e300 } }, {}],
    [{ Stud_id: { low: 0.5, high: 1 } }, {}],
    [{ Stud_id: '1 OR 1=1' }, {}],
    [{ Stud_id: { low: {}, high: 1 } }, {}],
  ])('refuses %j and %j', (body, query) => {
    expect(() => keyRangeOf(body, query, 'Stud_id')).toThrow(expect.objectContaining({ code: 'BAD_REQUEST' }));
  });
});

test.each<[unknown]>([
  [undefined],
  [[]],
  [{}],
  [{ data: {} }],
  [{ data: 'x' }],
  [{ data: null }],
  [{ data: [], DATA: [] }],
])('/write refuses %j', (body) => {
  expect(() => writtenRowsOf(body)).toThrow(expect.objectContaining({ code: 'BAD_REQUEST' }));
});

test('/write takes rows as they come', () => {
  expect(writtenRowsOf({ Data: [1, 'x'] })).toEqual([1, 'x']);
});

test("the client's word on conflicts counts more than the gateway's", () => {
  expect(conflictPolicyOf({}, 'replace')).toBe('replace');
  expect(conflictPolicyOf({ onconflict: 'ignore' }, 'replace')).toBe('ignore');
  expect(() => conflictPolicyOf({ onConflict: 'drop' }, 'error')).toThrow(/error, ignore, replace/);
  expect(() => conflictPolicyOf({ onConflict: ['ignore', 'replace'] }, 'error')).toThrow(/a list/);
});

test('/update and /del name the key as the schema does', () => {
  expect(updateOf({ roll: '7', DATA: { a: 1 } }, 'Roll')).toEqual({ key: 7, row: { a: 1 } });
  expect(deletedKeyOf({ ROLL: 7 }, 'Roll')).toBe(7);
  expect(() => updateOf({ roll: 7 }, 'Roll')).toThrow(/lacks the field "data"/);
  expect(() => deletedKeyOf({ roll: { low: 1, high: 2 } }, 'Roll')).toThrow(/whole number/);
});

describe('keys that stand twice', () => {
  const rows = { keys: [1, 2, 1, 1], rows: ['a', 'b', 'c', 'd'] };

  test('are refused, or the first or the last one counts', () => {
    expect(() => withoutRepeats(rows, 'error', 'id')).toThrow(expect.objectContaining({ code: 'KEY_REPEATED' }));
    expect(withoutRepeats(rows, 'ignore', 'id')).toEqual({ keys: [1, 2], rows: ['a', 'b'] });
    expect(withoutRepeats(rows, 'replace', 'id')).toEqual({ keys: [1, 2], rows: ['d', 'b'] });
  });

  test('never leave the gateway, and no other key is lost', () => {
    const keys = fc.array(fc.integer({ min: 0, max: 9 }));
    fc.assert(
      fc.property(keys, fc.constantFrom(...CONFLICT_POLICIES), (given, policy) => {
        const all = { keys: given, rows: given.map((key, index) => `${key}/${index}`) };
        if (policy === 'error' && new Set(given).size < given.length) return;
        const kept = withoutRepeats(all, policy, 'id');
        expect([...kept.keys].sort()).toEqual([...new Set(given)].sort());
        expect(kept.rows).toEqual(kept.keys.map((key) => `${key}/${place(given, key, policy)}`));
      }),
    );
  });

  const place = (keys: number[], key: number, policy: string): number =>
    policy === 'replace' ? keys.lastIndexOf(key) : keys.indexOf(key);
});
