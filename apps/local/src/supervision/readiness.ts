/** When a cluster is ready: the gateway answers, a leader answers it, and every shard that is configured can be written. */
import { pollUntil } from '#common/waiting/retry';

const POLL_MS = 50;
const ANSWER_DEADLINE_MS = 5_000;

export type Readiness = 'ready' | 'answering' | 'silent';

/** Where the gateway answers on this machine, given the `HOST` it listens on. */
export function gatewayUrl(port: number, host = '127.0.0.1'): string {
  const everywhere = host === '' || host === '0.0.0.0' || host === '::';
  const reachable = everywhere ? '127.0.0.1' : host;
  return `http://${reachable.includes(':') ? `[${reachable}]` : reachable}:${port}`;
}

/**
 * Waits until the cluster behind `baseUrl` is ready, at most `deadlineMs`.
 * `answering`: it answers, but not every shard could be written in time. `silent`: it does not answer.
 */
export async function waitUntilReady(baseUrl: string, deadlineMs: number, signal?: AbortSignal): Promise<Readiness> {
  let readiness: Readiness = 'silent';
  const look = async (): Promise<true | undefined> => {
    readiness = await readinessOf(baseUrl);
    return readiness === 'ready' ? true : undefined;
  };
  await pollUntil(look, { deadlineMs, pauseMs: POLL_MS, signal });
  return readiness;
}

async function readinessOf(baseUrl: string): Promise<Readiness> {
  if ((await get(`${baseUrl}/healthz`)) === undefined) return 'silent';
  const status = await get(`${baseUrl}/status`);
  if (status === undefined) return 'silent';
  const configured = Number((status as { N?: unknown }).N) > 0;
  return !configured || (await get(`${baseUrl}/readyz`)) !== undefined ? 'ready' : 'answering';
}

/** The answer's JSON (or `{}`) when it is a success. */
async function get(url: string): Promise<unknown> {
  try {
    const answer = await fetch(url, { signal: AbortSignal.timeout(ANSWER_DEADLINE_MS) });
    const text = await answer.text();
    if (!answer.ok) return undefined;
    return text.startsWith('{') ? JSON.parse(text) : {};
  } catch {
    return undefined; // not there yet
  }
}
