/**
 * JSON whose numbers are not bent on the way in.
 *
 * JSON.parse turns every number into a double: `12345678901234567890` and `1.0` would arrive as something else than the
 * client wrote. Here a number that a double would spell differently stays a `Numeral`, its text as written; what may be
 * done with it is for the column to say. Numbers as almost all clients write them stay plain numbers.
 */
import { ShardlineError } from '#common/contracts/errors';

/** A number as the client wrote it, where the double of the same value is written in another way, if there is one. */
export class Numeral {
  constructor(readonly text: string) {}
}

/** Finds texts that may hold such a number; it may also hit inside a string, which costs time and nothing else. */
const MAYBE_NUMERAL = /[\d.]{16}|\d[eE]|\.\d*0(?!\d)|0\.000000|-0(?![.\d])/;
const NUMBER_TOKEN = /-?\d[\d.eE+-]*/g;
/** Stands in front of a numeral's text while it travels through JSON.parse as a string; no other string has it. */
const MARK = '\0';
const ESCAPED_MARK = String.raw`\u0000`;

/**
 * Parses JSON text.
 *
 * @throws ShardlineError BAD_REQUEST when it is not JSON, or has both a numeral and a string with a NUL in it
 */
export function parseJsonText(text: string): unknown {
  const plain = parse(text);
  if (!MAYBE_NUMERAL.test(text)) return plain;
  const marked = markNumerals(text);
  return marked === text ? plain : parse(marked, reviveNumeral);
}

function parse(text: string, reviver?: (key: string, value: unknown) => unknown): unknown {
  try {
    return JSON.parse(text, reviver) as unknown;
  } catch (cause) {
    // A RangeError comes from the reviver on absurdly deep nesting; V8's messages quote the text, ours need not.
    const why = cause instanceof RangeError ? 'nested too deeply' : 'not valid JSON';
    throw new ShardlineError('BAD_REQUEST', `the body is ${why}: send one JSON object`, false, { cause });
  }
}

/** Valid JSON text with every number that a double would spell differently as a marked string. */
function markNumerals(text: string): string {
  let marked = '';
  let at = 0;
  while (at < text.length) {
    const quote = text.indexOf('"', at);
    const end = quote === -1 ? text.length : quote;
    marked += text.slice(at, end).replace(NUMBER_TOKEN, markNumber);
    if (quote === -1) break;
    at = endOfString(text, quote);
    const token = text.slice(quote, at);
    if (token.includes(ESCAPED_MARK) && (JSON.parse(token) as string).includes(MARK)) {
      throw new ShardlineError('BAD_REQUEST', 'a text holds a NUL character, which cannot be stored: leave it out');
    }
    marked += token;
  }
  return marked;
}

function markNumber(token: string): string {
  return String(Number(token)) === token ? token : `"${ESCAPED_MARK}${token}"`;
}

/** The index behind the closing quote of the string that opens at `quote`. */
function endOfString(text: string, quote: number): number {
  let close = text.indexOf('"', quote + 1);
  while (isEscaped(text, close)) close = text.indexOf('"', close + 1);
  return close + 1;
}

function isEscaped(text: string, at: number): boolean {
  let backslashes = 0;
  while (text.charCodeAt(at - 1 - backslashes) === 92) backslashes += 1;
  return backslashes % 2 === 1;
}

function reviveNumeral(_key: string, value: unknown): unknown {
  return typeof value === 'string' && value.startsWith(MARK) ? new Numeral(value.slice(MARK.length)) : value;
}

const ZERO = 48;
const JSON_NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/;

/** The double with exactly the value that the text says, as decimals go (`0.1` counts as exact); null without one. */
export function exactDouble(text: string): number | null {
  if (!JSON_NUMBER.test(text)) return null;
  const value = Number(text);
  return Number.isFinite(value) && decimalForm(text) === decimalForm(String(value)) ? value : null;
}

/** One spelling for all texts of the same decimal value. */
function decimalForm(text: string): string {
  const match = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(text);
  if (match === null) return text;
  const [, sign = '', whole = '', fraction = '', exponent = '0'] = match;
  const digits = (whole + fraction).replace(/^0+/, '');
  const significant = withoutEndingZeros(digits);
  if (significant === '') return '0';
  const power = Number(exponent) - fraction.length + (digits.length - significant.length);
  return `${sign}${significant}e${power}`;
}

/** `1200` as `12`. A regular expression would start over at every zero within. */
export function withoutEndingZeros(digits: string): string {
  let end = digits.length;
  while (end > 0 && digits.charCodeAt(end - 1) === ZERO) end -= 1;
  return digits.slice(0, end);
}

/** A JSON value as a number, when it is one or the text of one and nothing is lost; null otherwise. */
export function toNumber(value: unknown): number | null {
  if (typeof value === 'number') return Number.isFinite(value) ? value : null;
  if (value instanceof Numeral) return exactDouble(value.text);
  return typeof value === 'string' ? exactDouble(value) : null;
}
