import fc from 'fast-check';
import { ShardlineError } from '../contracts/errors';
import { decodeRawLines, encodeLines, encodeRawLines, joinRows, splitRows } from './lines';
import { decodeLines } from '../testing/decode-lines';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const text = (data: Uint8Array): string => new TextDecoder().decode(data);

const row = fc.jsonValue().map((value) => JSON.stringify(value));
/** A header is an object; -0 would come back as 0, as in any JSON. */
const header = fc.dictionary(fc.string(), fc.jsonValue()).map((value) => JSON.parse(JSON.stringify(value)) as object);

describe('messages with rows', () => {
  it('come back as they went', () => {
    fc.assert(
      fc.property(header, fc.array(row), (head, rows) => {
        expect(decodeLines(encodeLines(head, rows))).toEqual({ header: head, rows });
      }),
    );
  });

  it('are plain JSON for whoever looks at the wire', () => {
    fc.assert(
      fc.property(header, fc.array(row), (head, rows) => {
        const parsed: unknown = JSON.parse(text(encodeLines(head, rows)));
        expect(parsed).toEqual([head, ...rows.map((each) => JSON.parse(each) as unknown)]);
      }),
    );
  });

  it('are forwarded with another header without touching a row', () => {
    fc.assert(
      fc.property(header, header, fc.array(row), (head, other, rows) => {
        const { text: raw } = decodeRawLines(encodeLines(head, rows));
        expect(decodeLines(encodeRawLines(other, raw))).toEqual({ header: other, rows });
      }),
    );
  });

  it('look as the documentation says', () => {
    const message = encodeLines({ count: 2, next: null }, ['{"Stud_id":1}', '{"Stud_id":2}']);
    expect(text(message)).toBe('[{"count":2,"next":null},\n{"Stud_id":1},\n{"Stud_id":2}]');
    expect(text(encodeLines({ count: 0 }, []))).toBe('[{"count":0}]');
  });

  it('keep commas, line feeds, brackets and lone surrogates that stand inside strings', () => {
    const rows = ['a,\nb', '],\n[', '\ud800', '"', '\u2028', '\u0000'].map((value) => JSON.stringify({ value }));
    expect(decodeLines(encodeLines({ note: ',\n]' }, rows))).toEqual({ header: { note: ',\n]' }, rows });
  });

  it('join and split rows without losing one', () => {
    fc.assert(
      fc.property(fc.array(row), (rows) => {
        expect(splitRows(joinRows(rows))).toEqual(rows);
      }),
    );
  });
});

describe('what is no such message', () => {
  it.each([
    ['nothing', bytes('')],
    ['an empty array', bytes('[]')],
    ['a bare object', bytes('{"count":1}')],
    ['a text that stops short', bytes('[{"count":1},\n{"a":1}')],
    ['a header that is not JSON', bytes('[count,\n{}]')],
    ['a header that stops short', bytes('[{"count":1]')],
    ['bytes that are not UTF-8', new Uint8Array([0x5b, 0xff, 0xfe, 0x5d])],
    ['a row of bytes that are not UTF-8', new Uint8Array([...bytes('[{},\n"'), 0xff, ...bytes('"]')])],
    ['half a character', bytes('["é"]').subarray(0, 3)],
  ])('%s is refused as BAD_MESSAGE', (_, data) => {
    let thrown: unknown;
    try {
      decodeLines(data);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(ShardlineError);
    expect(thrown).toMatchObject({ code: 'BAD_MESSAGE', retryable: false });
  });

  it('never makes anything else than a ShardlineError come out, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (data) => {
        try {
          decodeLines(data);
        } catch (error) {
          expect(error).toBeInstanceOf(ShardlineError);
        }
      }),
    );
  });
});
