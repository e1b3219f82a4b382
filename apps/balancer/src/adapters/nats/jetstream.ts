/** What the adapters on JetStream have in common: naming its failures, and waiting for it to come up. */
import { NatsError, type JetStreamOptions, type NatsConnection } from 'nats';
import { ShardlineError } from '#common/contracts/errors';
import { isNoResponders } from '#common/nats/connection';
import { retryUntilDeadline } from '#common/waiting/retry';

/** JetStream's number for "the last sequence of this subject is not the one you expected". */
const WRONG_LAST_SEQUENCE = 10071;
/** JetStream's number for "no message there". */
const NO_MESSAGE = 10037;
/** JetStream's number for "no such stream". */
const NO_STREAM = 10059;

const RETRY_MS = 100;

export function jetstreamOptions(timeoutMs: number): JetStreamOptions {
  return { timeout: timeoutMs };
}

/** A compare-and-set lost. */
export function isWrongSequence(thrown: unknown): boolean {
  return errorNumber(thrown) === WRONG_LAST_SEQUENCE;
}

/** The message that was asked for does not exist, but its stream does. The library's own code, 404, stands for either. */
export function isNoMessage(thrown: unknown): boolean {
  return errorNumber(thrown) === NO_MESSAGE;
}

/** The stream does not exist. */
export function isNoStream(thrown: unknown): boolean {
  return errorNumber(thrown) === NO_STREAM;
}

/**
 * A failure of JetStream as a `ShardlineError`. What JetStream refused, or never got, has not happened: `STORE_FAILED`, and asking
 * again is safe. Otherwise the outcome is not known.
 */
export function asStoreFailure(thrown: unknown, what: string): ShardlineError {
  if (thrown instanceof ShardlineError) return thrown;
  const why = thrown instanceof Error ? thrown.message : String(thrown);
  if (isNoResponders(thrown) || errorNumber(thrown) !== undefined) {
    return new ShardlineError('STORE_FAILED', `${what}: JetStream says ${why}`, true, { cause: thrown });
  }
  return new ShardlineError('OUTCOME_UNKNOWN', `${what}: no answer from JetStream (${why})`, false, { cause: thrown });
}

/**
 * Does `work` until it succeeds: a server that has just started answers before its JetStream does.
 *
 * @throws ShardlineError with the last failure, when it has not succeeded within `timeoutMs`
 */
export async function untilJetStreamIsUp<T>(work: () => Promise<T>, timeoutMs: number, what: string): Promise<T> {
  try {
    return await retryUntilDeadline(work, timeoutMs, () => RETRY_MS);
  } catch (error) {
    throw asStoreFailure(error, what);
  }
}

function errorNumber(thrown: unknown): number | undefined {
  return thrown instanceof NatsError ? thrown.api_error?.err_code : undefined;
}

export type { NatsConnection };
