import fc from 'fast-check';
import { DEFAULT_SCHEMA } from '#common/contracts/schema';
import { parseJsonText } from '../core/numeral';
import { RowChecker } from './row-checker';

const students = new RowChecker(DEFAULT_SCHEMA);

test('a row becomes JSON text with its columns in the order of the schema and nothing between', () => {
  const rows = [
    { Stud_marks: 27, Stud_name: 'GHI', Stud_id: '2255' },
    { Stud_id: 3, Stud_name: 'é', Stud_marks: true },
  ];
  expect(students.check(rows)).toEqual({
    keys: [2255, 3],
    rows: ['{"Stud_id":2255,"Stud_name":"GHI","Stud_marks":"27"}', '{"Stud_id":3,"Stud_name":"é","Stud_marks":"true"}'],
  });
});

test('what is stored reads as what was sent', () => {
  const checker = new RowChecker({
    columns: ['id', 'n', 's', 'b', 'j[0]', 'toString'],
    dtypes: ['Number', 'Number', 'String', 'Boolean', 'JSON', 'String'],
  });
  const text = fc.string({ unit: 'grapheme' }).filter((value) => !value.includes('\0'));
  const number = fc.double({ noNaN: true, noDefaultInfinity: true });
  const row = fc.record({
    id: fc.maxSafeInteger(),
    n: number,
    s: text,
    b: fc.boolean(),
    'j[0]': fc.object({ key: text, values: [text, fc.integer(), fc.boolean(), fc.constant(null)], maxDepth: 3 }),
    toString: text,
  });
  fc.assert(
    fc.property(fc.array(row), (rows) => {
      const sent = JSON.stringify(rows);
      const stored = checker.check(parseJsonText(sent) as unknown[]);
      expect(JSON.parse(`[${stored.rows.join(',')}]`)).toEqual(JSON.parse(sent));
      expect(stored.keys).toEqual(rows.map(({ id }) => id));
      expect(stored.rows.join('')).not.toContain('\n');
    }),
  );
});

const good = { Stud_id: 1, Stud_name: 'a', Stud_marks: 'b' };
test.each<[unknown, RegExp]>([
  [{ Stud_id: 1, Stud_name: 'a' }, /^data\[1\] lacks the column Stud_marks/],
  [{ ...good, extra: 1 }, /^data\[1\] has the column "extra", which the table does not have/],
  [{ ...good, 'x"; DROP TABLE y; --': 1 }, /^data\[1\] has the column "x\\"; DROP/],
  [{ ...good, stud_id: 1 }, /^data\[1\] has the column "stud_id"/],
  [JSON.parse('{"Stud_id":1,"Stud_name":"a","__proto__":"b"}'), /^data\[1\]/],
  [{ ...good, Stud_id: 1.5 }, /^data\[1\] column Stud_id: must be a whole number/],
  [{ ...good, Stud_id: 1e300 }, /^data\[1\] column Stud_id/],
  [{ ...good, Stud_name: ['x'] }, /^data\[1\] column Stud_name: must be a text, not a list/],
  [{ ...good, Stud_name: 'a\0' }, /^data\[1\] column Stud_name: .*NUL/],
  [{ ...good, Stud_marks: 'a\udfff' }, /^data\[1\] column Stud_marks: .*surrogate/],
  [{ ...good, Stud_marks: null }, /^data\[1\] column Stud_marks: must be a text, not null/],
  [[1, 'a', 'b'], /^data\[1\] must be an object with the columns .*, not a list/],
  ['x', /^data\[1\] must be an object/],
  [null, /^data\[1\] must be an object/],
  [(parseJsonText('[1.0]') as unknown[])[0], /^data\[1\] must be an object .*not the number 1.0/],
])('%j is refused with the row, the column and the reason', (row, message) => {
  expect(() => students.check([{ ...good }, row])).toThrow(
    expect.objectContaining({ code: 'BAD_REQUEST', message: expect.stringMatching(message) as string }),
  );
});

test('a single row is called by its field', () => {
  expect(students.checkOne({ ...good })).toEqual({ key: 1, row: '{"Stud_id":1,"Stud_name":"a","Stud_marks":"b"}' });
  expect(() => students.checkOne({ Stud_id: 1 })).toThrow(/^data lacks the column/);
});

test('names that every object has by birth do not count as given', () => {
  const checker = new RowChecker({ columns: ['id', 'constructor'], dtypes: ['Number', 'String'] });
  expect(() => checker.check([{ id: 1 }])).toThrow(/lacks the column constructor/);
});
