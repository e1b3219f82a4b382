import fc from 'fast-check';
import { toUtcTimestamp } from './timestamp';

/** A naive twin for whole milliseconds: Date itself. */
const pad = (value: number, width = 2): string => String(value).padStart(width, '0');

test('it means the instant that Date takes it for', () => {
  const range = { min: new Date('0001-01-02T00:00:00Z'), max: new Date('9999-12-30T00:00:00Z'), noInvalidDate: true };
  const minutes = fc.integer({ min: -15 * 60 - 59, max: 15 * 60 + 59 });
  fc.assert(
    fc.property(fc.date(range), minutes, (date, offset) => {
      const local = new Date(date.getTime() + offset * 60_000).toISOString().slice(0, -1);
      const zone = `${offset < 0 ? '-' : '+'}${pad(Math.floor(Math.abs(offset) / 60))}:${pad(Math.abs(offset) % 60)}`;
      const utc = toUtcTimestamp(local + zone);
      expect(utc).not.toBeNull();
      expect(new Date(utc!).getTime()).toBe(date.getTime());
      expect(toUtcTimestamp(utc!)).toBe(utc);
    }),
  );
});

test.each([
  ['2024-02-29T12:00:00Z', '2024-02-29T12:00:00Z'],
  ['2024-02-29t12:00z', '2024-02-29T12:00:00Z'],
  ['2024-02-29 12:00:00.123456+00', '2024-02-29T12:00:00.123456Z'],
  ['2024-01-01T00:00:00,500+05:30', '2023-12-31T18:30:00.5Z'],
  ['2024-12-31T23:59:59-0100', '2025-01-01T00:59:59Z'],
  ['2000-02-29T00:00:00Z', '2000-02-29T00:00:00Z'],
])('%s is %s', (text, utc) => {
  expect(toUtcTimestamp(text)).toBe(utc);
});

test.each([
  '2023-02-29T12:00:00Z',
  '1900-02-29T12:00:00Z',
  '2024-02-30T12:00:00Z',
  '2024-13-01T12:00:00Z',
  '2024-00-01T12:00:00Z',
  '2024-01-00T12:00:00Z',
  '2024-01-01T24:00:00Z',
  '2024-01-01T12:60:00Z',
  '2024-01-01T12:00:60Z',
  '2024-01-01T12:00:00',
  '2024-01-01',
  '2024-01-01T12:00:00.1234567Z',
  '2024-01-01T12:00:00+16:00',
  '2024-01-01T12:00:00+05:60',
  '0000-01-01T12:00:00Z',
  '0001-01-01T00:00:00+01:00',
  '9999-12-31T23:59:59-01:00',
  '12024-01-01T12:00:00Z',
  'now',
  "2024-01-01T12:00:00Z'; DROP TABLE students; --",
  '２０２４-01-01T12:00:00Z',
])('%s is no instant', (text) => {
  expect(toUtcTimestamp(text)).toBeNull();
});
