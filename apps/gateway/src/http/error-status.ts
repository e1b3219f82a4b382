/** The one table from error code to HTTP status. */
import type { ErrorCode, ShardlineError } from '#common/contracts/errors';

export const STATUS_OF_CODE: Readonly<Record<ErrorCode, number>> = {
  BAD_REQUEST: 400,
  KEY_OUT_OF_RANGE: 400,
  KEY_NOT_FOUND: 404,
  NOT_CONFIGURED: 409,
  ALREADY_CONFIGURED: 409,
  KEY_EXISTS: 409,
  KEY_REPEATED: 409,
  ID_REUSED: 422,
  CONFIG_CHANGED: 503,
  SHARD_UNAVAILABLE: 503,
  BUSY: 503,
  NO_LEADER: 503,
  SNAPSHOT_GONE: 503,
  FENCED: 503,
  UNKNOWN_SHARD: 503,
  STALE_ROUND: 503,
  STORE_FAILED: 503,
  BAD_MESSAGE: 503,
  OUTCOME_UNKNOWN: 504,
  INTERNAL: 500,
};

/** What the client can do about it, where the message itself does not say. */
const ADVICE: Partial<Record<ErrorCode, string>> = {
  NOT_CONFIGURED: 'POST /init first',
  ALREADY_CONFIGURED:
    'to start over without its data, run the gateway with ALLOW_REINIT=true and POST /init again, or stop the cluster and remove its data directory',
  KEY_EXISTS: 'nothing was written; choose ?onConflict=ignore or replace, or PUT /update',
  KEY_OUT_OF_RANGE: 'GET /status shows the shards and their keys; POST /add can define more',
  KEY_NOT_FOUND: 'POST /write creates it',
  ID_REUSED: 'nothing was changed; choose another Idempotency-Key for another request',
  OUTCOME_UNKNOWN: 'it may or may not have been done; read before you ask again',
};
const ADVICE_FOR_503 = 'nothing was changed; ask again in a moment';

/** Seconds after which a client that got 503 may ask again. */
export const RETRY_AFTER_SECONDS = 1;

/** A failure of HTTP's own: no such route, a body too large. */
export class HttpFailure extends Error {
  override readonly name = 'HttpFailure';

  constructor(
    readonly status: number,
    message: string,
    readonly headers: Readonly<Record<string, string>> = {},
  ) {
    super(message);
  }
}

/** A failure as HTTP says it. */
export function httpFailureOf(error: ShardlineError): HttpFailure {
  const status = STATUS_OF_CODE[error.code];
  const advice = ADVICE[error.code] ?? (status === 503 ? ADVICE_FOR_503 : '');
  const message = withAdvice(error.message, advice === '' ? [] : advice.split('; '));
  return new HttpFailure(status, message, status === 503 ? { 'retry-after': String(RETRY_AFTER_SECONDS) } : {});
}

/** Whatever of the advice the message does not say itself stands behind it. */
function withAdvice(message: string, advice: readonly string[]): string {
  const unsaid = advice.filter((part) => !message.includes(part));
  if (unsaid.length === 0) return message;
  return `${message}${unsaid.length < advice.length ? ';' : ':'} ${unsaid.join('; ')}`;
}

/** The body of every failure. */
export function failureBody(message: string): string {
  return JSON.stringify({
    message: message.startsWith('<Error> ') ? message : `<Error> ${message}`,
    status: 'failure',
  });
}
