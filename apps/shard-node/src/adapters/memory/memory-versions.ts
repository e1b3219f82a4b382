/** The versions of one shard as a table in memory, as texts and as digests. */
import { hash } from 'node:crypto';
import { ShardlineError } from '#common/contracts/errors';
import type { CopyCursor } from '#common/contracts/node';
import { ALIVE, ALIVE_TEXT } from '#common/protocol/visibility';
import type { RowsText } from '../../ports/version-store';

export interface Version {
  key: number;
  cat: number;
  dat: number;
  /** The row as JSON text. */
  row: string;
}

/** Versions of one shard by `key/cat`. Once they are stored, neither the table nor a version is ever changed, only replaced. */
export type Versions = ReadonlyMap<string, Version>;

export const NO_TABLE: Versions = new Map();
export function put(table: Map<string, Version>, version: Version): void {
  table.set(idOf(version), version);
}

export function idOf({ key, cat }: Version): string {
  return `${key}/${cat}`;
}

export function living(table: Versions): number {
  return [...table.values()].filter((version) => version.dat === ALIVE).length;
}

export function compare(a: CopyCursor, b: CopyCursor): number {
  return a.key - b.key || a.cat - b.cat;
}

export function isTouched({ cat, dat }: Version, from: number, to: number): boolean {
  return cat > from || (dat > from && dat <= to);
}

/** As many of the texts as fit, but at least one when there is one. */
export function fill(versions: readonly Version[], textOf: (version: Version) => string, maxBytes: number): RowsText {
  const texts: string[] = [];
  let bytes = 0;
  for (const version of versions) {
    const text = textOf(version);
    bytes += Buffer.byteLength(text) + 2;
    if (texts.length > 0 && bytes > maxBytes) break;
    texts.push(text);
  }
  return { text: texts.join(',\n'), count: texts.length };
}

export function versionText({ cat, dat, row }: Version, to: number): string {
  return `${row.slice(0, -1)},"cat":${cat},"dat":${dat > to ? ALIVE_TEXT : dat}}`;
}

const TERMS = /,"cat":(\d+),"dat":(\d+)\}$/;

export function parseVersion(line: string, keyColumn: string): Version {
  const terms = TERMS.exec(line);
  if (terms === null) throw new ShardlineError('BAD_MESSAGE', 'a version without its terms');
  const row = `${line.slice(0, terms.index)}}`;
  const key = (JSON.parse(row) as Record<string, number>)[keyColumn] ?? Number.NaN;
  return { key, cat: Number(terms[1]), dat: terms[2] === ALIVE_TEXT ? ALIVE : Number(terms[2]), row };
}

export function sumOfHashes(versions: readonly Version[]): string {
  return String(versions.reduce((total, { key, cat, row }) => total + hash64(`${key} ${cat} ${row}`), 0n));
}

export function hash64(text: string): bigint {
  return BigInt.asIntN(64, BigInt(`0x${hash('md5', text).slice(0, 16)}`));
}
