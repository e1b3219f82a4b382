/** One HTTP request to the gateway, and what can be said of its outcome. */

/** Longer than the gateway may take by its own deadlines (`HOLD_MS` and `REQUEST_TIMEOUT_MS` together). */
const NO_ANSWER_MS = 40_000;

export interface Reply {
  status: number;
  text: string;
  headers: Headers;
}

/**
 * `not sent`: nobody listened, so nothing can have happened. `broken`: the connection broke before the answer was complete.
 * `no answer`: there was none within any deadline of the gateway's own.
 */
export type Lost = 'not sent' | 'broken' | 'no answer';

export interface Question {
  method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  path: string;
  body?: unknown;
  headers?: Record<string, string>;
}

/** Asks once. */
export async function ask(baseUrl: string, { method, path, body, headers }: Question): Promise<Reply | Lost> {
  try {
    const answer = await fetch(baseUrl + path, {
      method,
      headers: { 'content-type': 'application/json', ...headers },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(NO_ANSWER_MS),
    });
    return { status: answer.status, text: await answer.text(), headers: answer.headers };
  } catch (error) {
    return lostBy(error as Error);
  }
}

function lostBy(error: Error): Lost {
  if (error.name === 'TimeoutError') return 'no answer';
  const cause = error.cause as NodeJS.ErrnoException | undefined;
  return cause?.code === 'ECONNREFUSED' ? 'not sent' : 'broken';
}

/** What `/status` shows, as far as it matters here. */
export interface ClusterView {
  leader: string;
  epoch: number;
  servers: Record<string, string[]>;
  shards: { Shard_id: string; VAT: number; inSync: string[]; replicas: { server: string; state: string }[] }[];
}

/** `/status`; undefined while nobody answers it. */
export async function statusOf(baseUrl: string): Promise<ClusterView | undefined> {
  const reply = await ask(baseUrl, { method: 'GET', path: '/status' });
  return typeof reply === 'object' && reply.status === 200 ? (JSON.parse(reply.text) as ClusterView) : undefined;
}

/** Whether the gateway says that every shard can be written. */
export async function isReady(baseUrl: string): Promise<boolean> {
  const reply = await ask(baseUrl, { method: 'GET', path: '/readyz' });
  return typeof reply === 'object' && reply.status === 200;
}
