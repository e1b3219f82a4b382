/** The connection to NATS, and requests on it that always end. */
import { connect, ErrorCode, NatsError, type ConnectionOptions, type NatsConnection } from 'nats';
import { ShardlineError } from '../contracts/errors';
import { onReconnect } from './reconnects';
import { textOf } from './text';

export type { NatsConnection } from 'nats';

const GREETING_TIMEOUT_MS = 2_000;

/** Options every service uses: it reconnects for as long as it lives. */
export function connectionOptions(servers: string[], name: string): ConnectionOptions {
  return {
    servers,
    name,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 200,
    reconnectJitter: 50,
    pingInterval: 10_000,
    waitOnFirstConnect: true,
    // A server that goes away while it greets is waited for so long, and then tried again.
    timeout: GREETING_TIMEOUT_MS,
    ignoreClusterUpdates: false,
    // Else an Error with its stack is made for every request, in case it fails.
    noAsyncTraces: true,
  };
}

/** Connects; waits as long as it takes for the first server to be there. */
export function connectNats(servers: string[], name: string): Promise<NatsConnection> {
  return connect(connectionOptions(servers, name));
}

/**
 * Asks and waits for one answer.
 *
 * @throws ShardlineError `NO_LEADER` when nobody listens on the subject, `OUTCOME_UNKNOWN` when no answer came within
 * `timeoutMs`, or the connection was lost meanwhile: then as soon as it is back, and `wasLostWithConnection` says so.
 */
export async function request(
  nats: NatsConnection,
  subject: string,
  payload: Uint8Array | string,
  timeoutMs: number,
): Promise<Uint8Array> {
  let unwatch: (() => void) | undefined;
  const lost = new Promise<never>((_, reject) => {
    unwatch = onReconnect(nats, () => {
      reject(new LostWithConnection('the connection was lost'));
    });
  });
  try {
    const answer = await Promise.race([nats.request(subject, payload, { timeout: timeoutMs }), lost]);
    return answer.data;
  } catch (cause) {
    throw asRequestFailure(cause, subject, timeoutMs);
  } finally {
    unwatch?.();
  }
}

/** The request or its answer was lost with the connection, which is there again. */
export function wasLostWithConnection(error: unknown): boolean {
  return error instanceof ShardlineError && error.cause instanceof LostWithConnection;
}

class LostWithConnection extends Error {
  override readonly name = 'LostWithConnection';
}

/** Bytes as JSON. @throws ShardlineError BAD_MESSAGE */
export function parseJson<T>(data: Uint8Array): T {
  try {
    return JSON.parse(textOf(data)) as T;
  } catch (cause) {
    throw new ShardlineError('BAD_MESSAGE', `unreadable message: ${(cause as Error).message}`, false, { cause });
  }
}

/** Whether the failure says that nobody listens. */
export function isNoResponders(cause: unknown): boolean {
  return cause instanceof NatsError && cause.code === (ErrorCode.NoResponders as string);
}

/** Nobody has answered in time. */
export function isTimeout(cause: unknown): boolean {
  return cause instanceof NatsError && cause.code === (ErrorCode.Timeout as string);
}

function asRequestFailure(cause: unknown, subject: string, timeoutMs: number): ShardlineError {
  if (isNoResponders(cause)) return new ShardlineError('NO_LEADER', `no responders on ${subject}`, true, { cause });
  const why = isTimeout(cause) ? `within ${timeoutMs} ms` : String(cause);
  return new ShardlineError('OUTCOME_UNKNOWN', `no answer on ${subject}: ${why}`, false, { cause });
}
