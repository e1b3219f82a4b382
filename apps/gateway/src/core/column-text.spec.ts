import type { Dtype } from '#common/contracts/schema';
import { columnText, keyText, MAX_JSON_DEPTH } from './column-text';
import { Numeral, parseJsonText } from './numeral';

const nested = (depth: number): unknown => {
  let value: unknown = 1;
  for (let level = 0; level < depth; level += 1) value = level % 2 === 0 ? [value] : { a: value };
  return value;
};

test.each<[Dtype, unknown, string]>([
  ['Number', 27, '27'],
  ['Number', '2255', '2255'],
  ['Number', new Numeral('1.50'), '1.5'],
  ['Number', -0, '0'],
  ['Number', 5e-324, '5e-324'],
  ['String', 'GHI', '"GHI"'],
  ['String', 'é"\\\n😀', JSON.stringify('é"\\\n😀')],
  ['String', 27, '"27"'],
  ['String', new Numeral('1.50'), '"1.50"'],
  ['String', true, '"true"'],
  ['Boolean', true, 'true'],
  ['Boolean', 'false', 'false'],
  ['Timestamp', '2024-02-29T12:00:00+01:00', '"2024-02-29T11:00:00Z"'],
  ['JSON', null, 'null'],
  ['JSON', { a: [1, 'x', { b: false }] }, '{"a":[1,"x",{"b":false}]}'],
  ['JSON', { a: [new Numeral('1.50')] }, '{"a":[1.5]}'],
  ['JSON', 'text', '"text"'],
])('a %s takes %p as %s', (dtype, value, text) => {
  expect(columnText(dtype, value)).toEqual({ text });
});

test.each<[Dtype, unknown]>([
  ['Number', 'abc'],
  ['Number', ''],
  ['Number', true],
  ['Number', null],
  ['Number', [1]],
  ['Number', {}],
  ['Number', new Numeral('1e400')],
  ['Number', new Numeral('12345678901234567891')],
  ['Number', '1; DROP TABLE x'],
  ['String', null],
  ['String', []],
  ['String', { toString: 'x' }],
  ['String', 'a\0b'],
  ['String', 'a\ud800b'],
  ['String', '\udc00'],
  ['Boolean', 1],
  ['Boolean', 'TRUE'],
  ['Boolean', null],
  ['Timestamp', 1700000000],
  ['Timestamp', '2024-02-30T00:00:00Z'],
  ['Timestamp', null],
  ['JSON', { a: { b: ['\0'] } }],
  ['JSON', { 'a\ud800': 1 }],
  ['JSON', [new Numeral('1e400')]],
  ['JSON', nested(MAX_JSON_DEPTH + 1)],
  ['JSON', nested(50_000)],
])('a %s does not take %p', (dtype, value) => {
  expect(columnText(dtype, value)).toEqual({ fault: expect.any(String) as string });
});

test('a JSON value may be nested as deep as promised', () => {
  expect(columnText('JSON', nested(MAX_JSON_DEPTH))).toEqual({ text: JSON.stringify(nested(MAX_JSON_DEPTH)) });
});

test('a field called __proto__ is a field like any other', () => {
  const text = '{"__proto__":{"admin":true},"constructor":1.50}';
  expect(columnText('JSON', parseJsonText(text))).toEqual({ text: '{"__proto__":{"admin":true},"constructor":1.5}' });
  expect(({} as { admin?: boolean }).admin).toBeUndefined();
});

test.each([
  [2255, '2255'],
  ['2255', '2255'],
  [-(2 ** 53), '-9007199254740992'],
  [-0, '0'],
])('%p is the key %s', (value, text) => {
  expect(keyText(value)).toEqual({ text });
});

test.each([1.5, 2 ** 53 + 2, new Numeral('9007199254740993'), '1e400', null, '', [], {}, true, '1 OR 1=1'])(
  '%p is no key',
  (value) => {
    expect(keyText(value)).toEqual({ fault: expect.any(String) as string });
  },
);

test('numbers that would be long without their exponents stay as short as they are', () => {
  const numbers = Array.from({ length: 20_000 }, () => 1e300);
  expect(columnText('JSON', numbers)).toEqual({ text: JSON.stringify(numbers) });
});
