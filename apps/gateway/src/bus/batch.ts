/** A message of operations on its way, and what its answers say. */
import type { BatchReply, OpResult } from '#common/contracts/commands';
import { ShardlineError, type ErrorBody } from '#common/contracts/errors';
import { parseJson } from '#common/nats/connection';
import { decodeLines } from '#common/nats/lines';

/** What became of an operation: its result, and the rows that came with it. */
export interface Outcome<T> {
  result: T;
  rows: readonly string[];
}

/** One client's operation from its arrival to its answer. */
export interface PendingOp<H, T> {
  /** What stands in the message's header for it, except for the id. */
  readonly header: H;
  /** Its rows, joined by the lines' separator; empty without rows. */
  readonly rows: string;
  readonly bytes: number;
  readonly configId: number;
  readonly admittedAtMs: number;
  /** When it may be sent again, while it is held. */
  retryAtMs: number;
  attempts: number;
  /** Why it is held. */
  lastError: ShardlineError | null;
  readonly resolve: (outcome: Outcome<T>) => void;
  readonly reject: (error: ShardlineError) => void;
}

/** What one message says: of some operations, by their place in the batch, or of all that are still open. */
export type ReplyContent<T> =
  | {
      outcomes: { index: number; outcome: Outcome<T> | null; error: ShardlineError | null }[];
      done: boolean;
      failure: null;
    }
  | { failure: ShardlineError };

/** Reads one answer. It never throws: what cannot be read is a failure of the whole batch. */
export function readReply<T>(data: Uint8Array): ReplyContent<T> {
  try {
    // 123 is `{`: an error instead of lines.
    if (data[0] === 123) return { failure: wholeFailure(data) };
    const { header, rows } = decodeLines<BatchReply<T>>(data);
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

function wholeFailure(data: Uint8Array): ShardlineError {
  const { error } = parseJson<{ error?: ErrorBody }>(data);
  return error === undefined
    ? new ShardlineError('BAD_MESSAGE', 'the leader answered without results')
    : ShardlineError.fromBody(error);
}

function rowCount(result: OpResult<unknown>): number {
  const { count } = result as { count?: number };
  return count ?? 0;
}
