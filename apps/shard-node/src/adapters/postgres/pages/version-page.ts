/** One page of versions as COPY writes them, bounded in bytes whatever the rows are. */
import type { CopyCursor } from '#common/contracts/node';
import type { VersionPage, VersionRange } from '../../../ports/version-store';
import { CopiedRows } from '../sql/copy-statements';
import type { RowSizes } from './bounded-pages';

/** What Postgres is asked for. */
interface CopyAsk {
  range: VersionRange;
  after: CopyCursor | null;
  limit: number;
}

export interface CopyAnswers {
  /** Hands over the rows in (key, cat) order. */
  copy(ask: CopyAsk, take: (row: Buffer) => void): Promise<void>;
  /** How many of those rows fit into so many bytes: one at least where there is one. Costs about as much as the rows. */
  fitting(ask: CopyAsk, maxBytes: number): Promise<number>;
}

/** What Postgres may send for one page at the very most. */
const MOST_BYTES = 4 * 1024 * 1024;
/** What Postgres may look at in vain at the very most. */
const SCAN_BYTES = 32 * 1024 * 1024;
/** A page is full enough when this share of it is; a statement is planned to fill about as much. */
const FULL = 0.9;
const TARGET = 0.97;
const MAX_STATEMENTS = 16;

/** @param largestBytes a bound for the bytes of a row, as far as one is known */
export async function readCopyPage(
  answers: CopyAnswers,
  range: VersionRange,
  start: CopyCursor | null,
  maxBytes: number,
  sizes: RowSizes,
  largestBytes: number,
): Promise<VersionPage> {
  const page = new CopiedRows(maxBytes);
  let after = start;
  for (let statements = 0; statements < MAX_STATEMENTS; statements += 1) {
    const before = { bytes: page.bytes, count: page.count, looked: page.looked };
    const room = maxBytes - before.bytes;
    const wanted = Math.max(1, Math.floor((room * TARGET) / sizes.average(largestBytes)));
    const ask = { range, after, limit: wanted };
    // Rows of very different sizes: Postgres counts first, so that it does not send what is not kept.
    if (wanted * largestBytes > MOST_BYTES) {
      ask.limit = Math.max(1, Math.min(wanted, Math.floor(SCAN_BYTES / largestBytes)));
      ask.limit = Math.max(1, await answers.fitting(ask, room));
    }
    await answers.copy(ask, page.add);
    const came = page.looked - before.looked;
    const kept = page.count - before.count;
    sizes.learn(page.bytes - before.bytes, kept);
    if (page.count > 0) {
      const [key, cat] = page.lastCells;
      after = { key, cat };
    }
    if (came < ask.limit && kept === came) return { ...pageOf(page, largestBytes), next: null };
    if (kept < came || page.bytes >= maxBytes * FULL) break;
  }
  return { ...pageOf(page, largestBytes), next: after };
}

function pageOf(page: CopiedRows, largestRowBytes: number): Omit<VersionPage, 'next'> {
  return { count: page.count, text: page.text, largestRowBytes };
}
