/**
 * Pages of bounded size from a table whose rows have any size.
 *
 * How many rows a statement may fetch follows from the shard's average. Where even the largest rows would not make the
 * result large, the plain statement is used; else one that cuts the result inside Postgres, at some more cost.
 */

/** Rows fetched by one statement. `looked` counts those that were looked at; more than `count` means that it was cut. */
export interface Chunk<C> {
  text: string;
  count: number;
  looked: number;
  /** Where the last row of the chunk stands; null when it has none. */
  last: C | null;
}

interface ChunkAsk<C> {
  after: C | null;
  limit: number;
  /** Bytes that the rows may have together. */
  room: number;
  /** The first row comes even when it is larger. */
  firstMayCome: boolean;
}

/** Fetches chunks: `plain` ignores `room`, `cut` keeps to it. Null: only `cut` is to be used. */
export interface ChunkSource<C> {
  plain: ((ask: ChunkAsk<C>) => Promise<Chunk<C>>) | null;
  cut: (ask: ChunkAsk<C>) => Promise<Chunk<C>>;
}

export interface Page<C> {
  text: string;
  count: number;
  /** Where the last row of the page stands, when there may be more behind it. */
  next: C | null;
}

/** What a plain statement may return at the very most. */
const PLAIN_LIMIT_BYTES = 4 * 1024 * 1024;
/** What Postgres may look at in vain at the very most, when a statement cuts. */
const SCAN_LIMIT_BYTES = 32 * 1024 * 1024;
const MAX_CHUNKS = 64;
/** A page is full enough when this share of it is. */
const FULL = 0.9;
/** Rows fetched are planned to fill this share of the room, so that they seldom exceed it. */
const TARGET = 0.97;

/** What is known of the sizes of a shard's rows: the average is learned from pages, the largest is reported. */
export class RowSizes {
  private averageBytes: number | null = null;

  /** @param bytes of `count` rows that were read or written */
  learn(bytes: number, count: number): void {
    if (count === 0) return;
    const average = bytes / count + 2;
    this.averageBytes = this.averageBytes === null ? average : this.averageBytes + (average - this.averageBytes) * 0.2;
  }

  average(largestBytes: number): number {
    return Math.max(this.averageBytes ?? largestBytes, 16);
  }
}

/** @param largestBytes a bound for the bytes of a row, as far as one is known */
export async function readPage<C>(
  source: ChunkSource<C>,
  start: C | null,
  maxBytes: number,
  sizes: RowSizes,
  largestBytes: number,
): Promise<Page<C>> {
  const texts: string[] = [];
  let count = 0;
  let bytes = 0;
  let after = start;
  let growth = 1;
  for (let chunks = 0; chunks < MAX_CHUNKS; chunks += 1) {
    const room = maxBytes - bytes;
    const wanted = Math.max(1, Math.floor((room * TARGET) / sizes.average(largestBytes)));
    const ask = { after, limit: wanted, room, firstMayCome: count === 0 };
    const { chunk, size, limit } = await fetchChunk(source, ask, largestBytes, growth);
    growth *= 4;
    if (chunk.count > 0) {
      sizes.learn(size, chunk.count);
      texts.push(chunk.text);
      count += chunk.count;
      bytes += size + 2;
      after = chunk.last;
    }
    const ended = chunk.looked < limit && chunk.looked === chunk.count;
    if (ended) return { text: texts.join(',\n'), count, next: null };
    if (chunk.looked > chunk.count || bytes >= maxBytes * FULL) break;
  }
  return { text: texts.join(',\n'), count, next: after };
}

async function fetchChunk<C>(
  source: ChunkSource<C>,
  ask: ChunkAsk<C>,
  largestBytes: number,
  growth: number,
): Promise<{ chunk: Chunk<C>; size: number; limit: number }> {
  if (source.plain !== null && ask.limit * largestBytes <= PLAIN_LIMIT_BYTES) {
    const chunk = await source.plain(ask);
    const size = Buffer.byteLength(chunk.text);
    if (size <= ask.room) return { chunk, size, limit: ask.limit };
  }
  // The first look is a cautious one; as long as rows turn out small, the next looks at more of them.
  const cautious = Math.max(1, Math.floor((SCAN_LIMIT_BYTES * growth) / Math.max(largestBytes, 1)));
  const limit = Math.min(ask.limit, cautious);
  const chunk = await source.cut({ ...ask, limit });
  return { chunk, size: Buffer.byteLength(chunk.text), limit };
}
