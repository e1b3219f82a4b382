/** A range of keys in parts of equal width: the same for everybody who is asked, whatever is stored. */
import type { DigestPart, DigestRange } from '#common/contracts/node';

/** Keys of a part. Exact, since no range has more than 2^53 keys. */
export function partWidth({ low, high, parts }: DigestRange): number {
  return Math.ceil((high - low + 1) / parts);
}

/** The keys of the part with this index. */
export function partAt(range: DigestRange, index: number): Pick<DigestPart, 'low' | 'high'> {
  const width = partWidth(range);
  const low = range.low + index * width;
  return { low, high: Math.min(low + (width - 1), range.high) };
}

/** The parts taken together. */
export function sumOf(parts: readonly DigestPart[]): Pick<DigestPart, 'digest' | 'rows'> {
  const digest = parts.reduce((sum, part) => sum + BigInt(part.digest), 0n);
  return { digest: String(digest), rows: parts.reduce((rows, part) => rows + part.rows, 0) };
}
