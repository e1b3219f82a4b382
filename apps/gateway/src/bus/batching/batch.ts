/** A message of operations on its way, and what its answers say. */
import type { BatchReply, OpResult } from '#common/contracts/commands';
import { ShardlineError } from '#common/contracts/errors';
import { readRowsAnswer } from '#common/nats/codec';
import { splitRows } from '#common/nats/lines';
import type { Message } from '#common/nats/message';

/** What the leader answered to an operation: its result, and the rows that came with it. */
export interface OpAnswer<T> {
  result: T;
  rows: readonly string[];
}

/** One client's request from its arrival to its answer. It may travel several times; the first answer that settles it counts. */
export interface PendingOp<H, T> {
  /** What stands in the message's header for it, except for the id. */
  readonly header: H;
  /** Its rows, joined by the lines' separator; empty without rows. */
  readonly rows: string;
  readonly bytes: number;
  readonly configId: number;
  readonly admittedAtMs: number;
  /** The message that it travelled in last, while that is not known to be lost; null while it waits. */
  batch: Batch<H, T> | null;
  settled: boolean;
  /** When it may be sent again, while it is held. */
  retryAtMs: number;
  /** How often it was refused, and how often it was sent. */
  refusals: number;
  attempts: number;
  /** Why it is not answered yet. */
  lastError: ShardlineError | null;
  /** It was sent, and what became of it is not known. */
  readonly doubt: () => void;
  readonly resolve: (answer: OpAnswer<T>) => void;
  readonly reject: (error: ShardlineError) => void;
}

/** One message that was sent. It is listened for even when its operations have been sent again: what it says is true. */
export interface Batch<H, T> {
  readonly ops: (PendingOp<H, T> | null)[];
  open: number;
  readonly reply: string;
  readonly sentAtMs: number;
  /** Whom it was sent to; 0 when that is not known. */
  readonly epoch: number;
  /** It counts as in flight until its last answer, or until it has had its time: a slow shard must not hold up the others. */
  holdsSlot: boolean;
}

/** Those that have no later message than this one, and no answer. */
export function ownOps<H, T>(batch: Batch<H, T>): PendingOp<H, T>[] {
  return batch.ops.filter((op): op is PendingOp<H, T> => op?.batch === batch && !op.settled);
}

/** What one message says: of some operations, by their place in the batch, or of all that are still open. */
export type ReplyContent<T> =
  | {
      outcomes: { index: number; outcome: OpAnswer<T> | null; error: ShardlineError | null }[];
      done: boolean;
      failure: null;
    }
  | { failure: ShardlineError };

/** What answers to messages of one kind look like. */
export type Replies<T> = Message<BatchReply<T>>;

/** Reads one answer. It never throws: what cannot be read is a failure of the whole batch. */
export function readReply<T>(replies: Replies<T>, data: Uint8Array): ReplyContent<T> {
  try {
    const { header, text } = readRowsAnswer(replies, data);
    const rows = splitRows(text);
    let row = 0;
    const outcomes = header.results.map((result) => {
      if (result.error !== undefined) {
        return { index: result.id, outcome: null, error: ShardlineError.fromBody(result.error) };
      }
      const count = rowCount(result);
      row += count;
      return { index: result.id, outcome: { result: result, rows: rows.slice(row - count, row) }, error: null };
    });
    return { outcomes, done: header.done === true, failure: null };
  } catch (thrown) {
    return { failure: ShardlineError.from(thrown, 'BAD_MESSAGE') };
  }
}

function rowCount(result: OpResult<unknown>): number {
  const { count } = result as { count?: number };
  return count ?? 0;
}
