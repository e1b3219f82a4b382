/**
 * Messages that carry rows: a JSON array with the header as its first element and one row per line behind it.
 *
 *     [{"count":2,"next":null},
 *     {"Stud_id":1,"Stud_name":"Ada"},
 *     {"Stud_id":2,"Stud_name":"Alan"}]
 *
 * It is plain JSON for whoever looks at the wire, yet a hop that only forwards rows never parses them: a raw line feed
 * cannot occur inside JSON text that was written without white space, so the text splits at `,\n`.
 */
import { ShardlineError } from '../contracts/errors';
import { textBytes, textOf } from './text';

const SEPARATOR = ',\n';

/** A header and the raw JSON texts behind it. */
export interface Lines<H> {
  header: H;
  rows: string[];
}

/** A header and the text behind it, rows joined by `,\n`; empty when there is none. */
export interface RawLines<H> {
  header: H;
  text: string;
}

/** Header and rows as one message. */
export function encodeLines(header: unknown, rows: readonly string[]): Uint8Array {
  return encodeRawLines(header, rows.join(SEPARATOR));
}

/** Header and rows that are joined by `,\n` already as one message. */
export function encodeRawLines(header: unknown, text: string): Uint8Array {
  const head = JSON.stringify(header);
  return textBytes(text === '' ? `[${head}]` : `[${head}${SEPARATOR}${text}]`);
}

/** The header, and the rows behind it as one text. @throws ShardlineError BAD_MESSAGE */
export function decodeRawLines<H>(data: Uint8Array): RawLines<H> {
  try {
    const message = textOf(data);
    const end = message.indexOf(SEPARATOR);
    if (!message.startsWith('[') || !message.endsWith(']')) throw new Error('it is not a JSON array');
    if (end === -1) return { header: JSON.parse(message.slice(1, -1)) as H, text: '' };
    return { header: JSON.parse(message.slice(1, end)) as H, text: message.slice(end + SEPARATOR.length, -1) };
  } catch (cause) {
    throw new ShardlineError('BAD_MESSAGE', `unreadable message: ${(cause as Error).message}`, false, { cause });
  }
}

/** Rows that were joined by `,\n`. */
export function splitRows(text: string): string[] {
  return text === '' ? [] : text.split(SEPARATOR);
}

/** Rows as one text. */
export function joinRows(rows: readonly string[]): string {
  return rows.join(SEPARATOR);
}
