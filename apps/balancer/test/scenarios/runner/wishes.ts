/** What a client asks, from the words of a story. */
import type { OnConflict } from '#common/contracts/commands';
import type { Wish } from './clients';

/** `write 1=x 2=y [ignore|replace] [as id]`, `update 1=x`, `delete 1`, `read 1`, `read 1..9`, `open 1..9`, `outcome id`; null for other words. */
export function wishOf(text: string): Wish | null {
  const [verb = '', ...words] = text.split(' ');
  const [first = ''] = words;
  switch (verb) {
    case 'write':
      return writeOf(words);
    case 'update': {
      const [key, row] = recordOf(first);
      return { kind: 'change', command: { op: 'update', key, row, ...nameIn(words) } };
    }
    case 'delete':
      return { kind: 'change', command: { op: 'delete', key: keyOf(first), ...nameIn(words) } };
    case 'read':
    case 'open': {
      const [low = '', high = low] = first.split('..');
      return { kind: 'read', low: keyOf(low), high: keyOf(high), isHeld: verb === 'open' };
    }
    case 'outcome':
      return { kind: 'lookup', operation: first };
    default:
      return null;
  }
}

function writeOf(words: readonly string[]): Wish {
  const records = words.filter((word) => word.includes('=')).map(recordOf);
  const onConflict = words.find((word): word is OnConflict => word === 'ignore' || word === 'replace') ?? 'error';
  const keys = records.map(([key]) => key);
  const rows = records.map(([, row]) => row);
  return { kind: 'change', command: { op: 'write', onConflict, keys, rows, ...nameIn(words) } };
}

function nameIn(words: readonly string[]): { operation?: string; fingerprint?: string } {
  const place = words.indexOf('as');
  if (place === -1) return {};
  const asked = words.slice(0, place).join(',');
  return { operation: words[place + 1] ?? '', fingerprint: asked };
}

function recordOf(word: string): [key: number, row: string] {
  const [key = '', value = ''] = word.split('=');
  return [keyOf(key), JSON.stringify({ id: keyOf(key), value })];
}

function keyOf(word: string): number {
  const key = Number(word);
  if (!Number.isSafeInteger(key)) throw new Error(`${word} is no key`);
  return key;
}
