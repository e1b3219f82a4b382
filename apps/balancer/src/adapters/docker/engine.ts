/**
 * A Docker engine as the launcher uses it: every call ends by a deadline, whatever the engine or the connection does.
 *
 * dockerode alone does not give that. It has no limit of time, and when a connection is cut in the middle of an answer its promise is
 * never settled, not even by its abort signal. So the deadline is kept here, and the signal only closes the connection.
 */
import Docker from 'dockerode';
import { ShardlineError } from '#common/contracts/errors';
import { ConfigError } from '#common/config/env';

export interface EngineOptions {
  /** `unix:///path` or `tcp://host:port`. */
  host: string;
  /** How long one call may take. */
  timeoutMs: number;
}

/** What the engine answered: its HTTP status, and its message as the error's own. */
export class EngineError extends Error {
  override readonly name = 'EngineError';

  constructor(
    message: string,
    readonly status: number,
    options: ErrorOptions,
  ) {
    super(message, options);
  }
}

export class DockerEngine {
  readonly docker: Docker;
  private readonly closing = new AbortController();

  /** @throws ConfigError when the address is none */
  constructor(private readonly options: EngineOptions) {
    this.docker = new Docker(addressOf(options.host));
  }

  /**
   * Makes one call, which gets a signal that closes its connection at the deadline.
   *
   * @param what it does, for people: `create the container`
   * @throws EngineError when the engine refuses it; ShardlineError STORE_FAILED when it does not answer, is not there, or we are closed
   */
  async call<T>(what: string, make: (abortSignal: AbortSignal) => Promise<T>, moreMs = 0): Promise<T> {
    const { host, timeoutMs } = this.options;
    const limitMs = timeoutMs + moreMs;
    const deadline = new AbortController();
    const timer = setTimeout(() => {
      deadline.abort(unavailable(`the Docker engine at ${host} did not answer within ${limitMs} ms: ${what}`));
    }, limitMs);
    const signal = AbortSignal.any([deadline.signal, this.closing.signal]);
    try {
      return await Promise.race([aborted(signal), make(signal)]);
    } catch (error) {
      throw this.inWords(error, what);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Breaks off every call, those to come included. */
  close(): void {
    this.closing.abort(unavailable('the balancer ends'));
  }

  private inWords(error: unknown, what: string): Error {
    if (error instanceof ShardlineError) return error;
    const { statusCode, json, message } = error as {
      statusCode?: number;
      json?: { message?: unknown };
      message?: unknown;
    };
    const why = typeof message === 'string' ? message : String(error);
    if (statusCode !== undefined) {
      const said = json?.message;
      return new EngineError(typeof said === 'string' ? said : why, statusCode, { cause: error });
    }
    return unavailable(`the Docker engine at ${this.options.host} cannot be reached: ${why} (${what})`, error);
  }
}

/** Whether the engine said that there is no such thing. */
export function isMissing(error: unknown): boolean {
  return error instanceof EngineError && error.status === 404;
}

/** Whether it is under way already, in use, or taken. */
export function isConflict(error: unknown): boolean {
  return error instanceof EngineError && error.status === 409;
}

/** Whether all was as asked before: 304. dockerode takes that for a failure. */
export function isUnchanged(error: unknown): boolean {
  return error instanceof EngineError && error.status === 304;
}

/**
 * The address as dockerode wants it. The host is always given, for sockets as undefined: else DOCKER_HOST of our own environment, which
 * dockerode reads by itself, would override the socket.
 *
 * @throws ConfigError when it is none
 */
export function addressOf(host: string): Docker.DockerOptions {
  if (/^unix:\/\/\/./.test(host))
    return { socketPath: host.slice('unix://'.length), host: undefined, protocol: 'http' };
  if (URL.canParse(host)) {
    const { protocol, hostname, port, pathname } = new URL(host);
    const isPlain = protocol === 'tcp:' && hostname !== '' && port !== '' && ['', '/'].includes(pathname);
    if (isPlain) return { host: hostname, port: Number(port), protocol: 'http', socketPath: undefined };
  }
  const form = 'it must be unix:///path or tcp://host:port';
  throw new ConfigError(`wrong configuration: DOCKER_HOST is ${JSON.stringify(host)}: ${form}`);
}

function unavailable(message: string, cause?: unknown): ShardlineError {
  return new ShardlineError('STORE_FAILED', message, false, cause === undefined ? {} : { cause });
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const end = (): void => {
      reject(signal.reason as Error);
    };
    if (signal.aborted) end();
    else signal.addEventListener('abort', end, { once: true });
  });
}
