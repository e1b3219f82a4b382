import fc from 'fast-check';
import { exactDouble, Numeral, parseJsonText, toNumber } from './numeral';

test('whatever JSON.stringify writes is read as JSON.parse reads it', () => {
  fc.assert(
    fc.property(fc.json(), (text) => {
      expect(parseJsonText(text)).toEqual(JSON.parse(text));
    }),
  );
});

test.each(['1.0', '1.50', '1e3', '-0', '12345678901234567890', '0.12345678901234567891', '1e400', '0.0000001'])(
  'the number %s keeps its text, wherever it stands',
  (number) => {
    expect(parseJsonText(`{"a":[${number}, "${number}", {"b" : ${number}}]}`)).toEqual({
      a: [new Numeral(number), number, { b: new Numeral(number) }],
    });
  },
);

test('texts that look like numbers, quotes and backslashes do not confuse it', () => {
  const value = { 'a"1.0': String.raw`\"1.0\\`, '1e5': ['\\', '1.0', '"', '{1.50:'] };
  expect(parseJsonText(`[1.0,${JSON.stringify(value)}]`)).toEqual([new Numeral('1.0'), value]);
});

test('a client cannot pass a text off as a number', () => {
  expect(() => parseJsonText(String.raw`["\u00001.5", 2.50]`)).toThrow(/NUL/);
  expect(parseJsonText(String.raw`["\\u00001.5", 2.50]`)).toEqual([String.raw`\u00001.5`, new Numeral('2.50')]);
});

test.each(['', '{', '{"a":1,}', "{'a':1}", 'NaN', '{"a":01}', '"\n"', '[1 2]'])('%j is refused', (text) => {
  expect(() => parseJsonText(text)).toThrow(expect.objectContaining({ code: 'BAD_REQUEST' }));
});

test('absurd nesting is refused or read, and never ends the process', () => {
  const text = '['.repeat(200_000) + '1.0' + ']'.repeat(200_000);
  expect(() => parseJsonText(text)).toThrow(expect.objectContaining({ code: 'BAD_REQUEST' }));
});

test('a double is exact when it writes the same decimal value', () => {
  fc.assert(
    fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (value) => {
      expect(exactDouble(JSON.stringify(value))).toBe(Number(JSON.stringify(value)));
      expect(exactDouble(value.toExponential())).toBe(Number(value.toExponential()));
    }),
  );
});

test.each([
  ['2255', 2255],
  ['2255.0', 2255],
  ['0.1', 0.1],
  ['1e21', 1e21],
  ['9007199254740993', null],
  ['0.1000000000000000055511151231257827', null],
  ['1e400', null],
  ['1e-400', null],
  ['007', null],
  ['0x10', null],
  [' 1', null],
  ['', null],
  ['Infinity', null],
])('the text %j is the number %p', (text, number) => {
  expect(toNumber(text)).toBe(number);
  expect(toNumber(new Numeral(text))).toBe(number);
});
