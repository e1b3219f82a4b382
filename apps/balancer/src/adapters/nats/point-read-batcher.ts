/** Reads of single keys that travel to one server in one message. */
import { ShardlineError, type ErrorCode } from '#common/contracts/errors';
import type { NodeReadRequest, PageRead } from '#common/contracts/node';
import { readRowsAnswer } from '#common/nats/codec';
import { encodeLines, splitRows } from '#common/nats/lines';
import { NODE_MESSAGES } from '#common/nats/node-messages';
import { READ_BYTES } from './message-sizes';
import { ServerBatcher, type ServerBatcherLimits, type Settled } from './server-batcher';

/** A page of one row is never cut, so this bounds nothing but what the message must say. */
const PAGE_BYTES = 512 * 1024;

/** How much of what rows weighed before is believed of the next ones. */
const MEMORY = 0.9;

/**
 * What may be the fault of one read of a message and not of the others: a shard that has moved away, a snapshot that is
 * gone, or rows that are too large to come together.
 */
const ONE_READS_FAULT: ReadonlySet<ErrorCode> = new Set([
  'UNKNOWN_SHARD',
  'SNAPSHOT_GONE',
  'BAD_REQUEST',
  'BAD_MESSAGE',
  'INTERNAL',
]);

export interface KeyRead {
  epoch: number;
  read: PageRead;
}

export class PointReadBatcher {
  private readonly batcher: ServerBatcher<KeyRead, string | null>;
  private rowBytes = 0;

  /** `call` sends a message of `count` reads and resolves to the answer's bytes. */
  constructor(
    server: string,
    limits: ServerBatcherLimits,
    private readonly timeoutMs: number,
    private readonly call: (payload: Uint8Array, count: number, timeoutMs: number) => Promise<Uint8Array>,
  ) {
    const sender = {
      send: (reads: KeyRead[]) => this.send(reads),
      mayShare: (first: KeyRead, next: KeyRead) => first.epoch === next.epoch,
    };
    this.batcher = new ServerBatcher(server, sender, limits);
  }

  /** The row, or null where there is none. @throws ShardlineError what the server answered, or as ServerBatcher.enqueue */
  read(asked: KeyRead): Promise<string | null> {
    // What a read will weigh, as far as one can know before: rows of a table tend to be of a size.
    return this.batcher.enqueue(asked, READ_BYTES + this.rowBytes);
  }

  /** A message that fails through one of its reads is asked again in halves, until that one is alone. */
  private send(reads: KeyRead[]): Promise<Settled<string | null>[]> {
    return this.sendUntil(performance.now() + this.timeoutMs, reads);
  }

  private async sendUntil(deadlineMs: number, reads: KeyRead[]): Promise<Settled<string | null>[]> {
    try {
      return await this.ask(reads, Math.max(1, Math.ceil(deadlineMs - performance.now())));
    } catch (error) {
      const isOnes = error instanceof ShardlineError && ONE_READS_FAULT.has(error.code);
      if (!isOnes || reads.length === 1) return reads.map(() => ({ ok: false, error }));
      const middle = Math.ceil(reads.length / 2);
      const first = await this.sendUntil(deadlineMs, reads.slice(0, middle));
      return [...first, ...(await this.sendUntil(deadlineMs, reads.slice(middle)))];
    }
  }

  private async ask(reads: KeyRead[], timeoutMs: number): Promise<Settled<string | null>[]> {
    const request: NodeReadRequest = {
      epoch: reads[0]?.epoch ?? 0,
      reads: reads.map(({ read }) => read),
      maxBytes: PAGE_BYTES,
    };
    const data = await this.call(encodeLines(request, []), reads.length, timeoutMs);
    const { header, text } = readRowsAnswer(NODE_MESSAGES.read.reply, data);
    const rows = splitRows(text);
    if (header.pages.length !== reads.length) {
      throw new ShardlineError('BAD_MESSAGE', `${header.pages.length} pages for ${reads.length} reads`);
    }
    this.learn(data.length / Math.max(1, rows.length));
    let next = 0;
    return header.pages.map(({ count }) => {
      const value = count === 0 ? null : (rows[next] ?? null);
      next += count;
      return { ok: true, value };
    });
  }

  private learn(rowBytes: number): void {
    this.rowBytes = Math.max(rowBytes, this.rowBytes * MEMORY);
  }
}
