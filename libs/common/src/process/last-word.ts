/** What a process that has ended said of it: in short, from what it wrote. */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

const SHOWN_CHARS = 300;
const ERROR_LEVEL = 50;
/** The end of a log in which the last word is looked for. */
const TAIL_BYTES = 64 * 1024;

/** A line that a program wrote as it gave up: neither a log entry nor a line of a stack, nor what Node puts under one. */
export function isWord(line: string): boolean {
  return line.trim() !== '' && !/^[\s{}[]|^Node\.js v/.test(line);
}

/** The last such line, or the last entry of an error in a log; '' when there is neither. */
export function lastWordOf(text: string): string {
  for (const line of text.split('\n').reverse()) {
    const word = isWord(line) ? line : errorOf(line);
    if (word !== undefined) return word.replaceAll(/\s+/g, ' ').trim().slice(0, SHOWN_CHARS);
  }
  return '';
}

/** The same of what was written to the file behind `offset`; '' as well when the file cannot be read. */
export function lastWordIn(path: string, offset: number): string {
  try {
    const file = openSync(path, 'r');
    try {
      const from = Math.max(offset, fstatSync(file).size - TAIL_BYTES);
      const buffer = Buffer.alloc(TAIL_BYTES);
      return lastWordOf(buffer.toString('utf8', 0, readSync(file, buffer, 0, TAIL_BYTES, from)));
    } finally {
      closeSync(file);
    }
  } catch {
    return ''; // it is only for people
  }
}

function errorOf(line: string): string | undefined {
  if (!line.startsWith('{')) return undefined;
  try {
    const entry = JSON.parse(line) as { level?: unknown; msg?: unknown; why?: unknown; err?: { message?: unknown } };
    if (typeof entry.level !== 'number' || entry.level < ERROR_LEVEL) return undefined;
    return [entry.msg, entry.err?.message ?? entry.why].filter((part) => typeof part === 'string').join(': ');
  } catch {
    return undefined;
  }
}
