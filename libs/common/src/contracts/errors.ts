/**
 * Every failure that may cross a process border, as a closed union of codes.
 *
 * Exceptions never travel: an answer is either a result or `{"error": {code, message, retryable}}`. The gateway maps the
 * codes to HTTP in one table (`apps/gateway/src/http/error-status.ts`).
 */
import { z } from 'zod';
import { term } from './shapes';

export const ERROR_CODES = [
  /** The request's own fault: wrong shape, wrong type, not allowed. Nothing changed. */
  'BAD_REQUEST',
  /** No configuration yet: `/init` first. */
  'NOT_CONFIGURED',
  /** `/init` with another configuration than the one in force. */
  'ALREADY_CONFIGURED',
  /** The request was checked against a configuration that is no longer in force; fetch the new one and ask again. */
  'CONFIG_CHANGED',
  /** A key that lies in no shard. */
  'KEY_OUT_OF_RANGE',
  /** A record with this key exists. */
  'KEY_EXISTS',
  /** The same key stands twice in one request. */
  'KEY_REPEATED',
  /** No record with this key. */
  'KEY_NOT_FOUND',
  /** The name of this change was used for another one before. Nothing changed. */
  'ID_REUSED',
  /** Too few in-sync replicas answer: nothing was acknowledged, and nothing of the request will become visible. */
  'SHARD_UNAVAILABLE',
  /** A bounded queue is full: nothing was done. */
  'BUSY',
  /** Nobody leads right now. */
  'NO_LEADER',
  /** No answer in time: the outcome is not known. */
  'OUTCOME_UNKNOWN',
  /** The snapshot a read was promised has been purged meanwhile. */
  'SNAPSHOT_GONE',
  /** A replica has seen a higher epoch than the sender's: the sender no longer leads. */
  'FENCED',
  /** A replica was asked for a shard that it does not hold. */
  'UNKNOWN_SHARD',
  /** A round reached a replica that has already seen this round or terms as high: it is refused, nothing changed. */
  'STALE_ROUND',
  /** The replica's store refused or failed; its transaction was rolled back. */
  'STORE_FAILED',
  /** The message could not be read. */
  'BAD_MESSAGE',
  /** A defect in Shardline. */
  'INTERNAL',
] as const;

export type ErrorCode = (typeof ERROR_CODES)[number];

/** How a failure looks on the wire. */
export const errorBody = z.strictObject({
  code: z.enum(ERROR_CODES),
  message: z.string(),
  /** True when asking again, unchanged, is safe and may succeed. */
  retryable: z.boolean(),
  /** With FENCED: the epoch that the replica has seen. */
  epoch: term.exactOptional(),
});
export type ErrorBody = z.infer<typeof errorBody>;

/** The answer to what could not be done, on every subject. */
export const errorAnswer = z.strictObject({ error: errorBody });

/** A failure with its code, as it is thrown inside one process. */
export class ShardlineError extends Error {
  override readonly name = 'ShardlineError';

  constructor(
    readonly code: ErrorCode,
    message: string,
    readonly retryable = false,
    private readonly options: { cause?: unknown; epoch?: number } = {},
  ) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined);
  }

  /** The failure as it travels. */
  toBody(): ErrorBody {
    const { epoch } = this.options;
    const body = { code: this.code, message: this.message, retryable: this.retryable };
    return epoch === undefined ? body : { ...body, epoch };
  }

  /** The failure as it arrived. */
  static fromBody(body: ErrorBody): ShardlineError {
    const { code, message, retryable, epoch } = body;
    return new ShardlineError(code, message, retryable, epoch === undefined ? {} : { epoch });
  }

  /** Any thrown thing as a ShardlineError; what is not one already becomes `code`. */
  static from(thrown: unknown, code: ErrorCode = 'INTERNAL', retryable = false): ShardlineError {
    if (thrown instanceof ShardlineError) return thrown;
    const message = thrown instanceof Error ? thrown.message : String(thrown);
    return new ShardlineError(code, message, retryable, { cause: thrown });
  }
}
