/** Ports are looked at before anything is started, so that the word about a port in use is a clear one. */
import { createServer } from 'node:net';
import { pollUntil } from '#common/waiting/retry';
import { EXIT, Refusal } from '../refusal';

const RETRY_MS = 100;

/**
 * Looks again until `patienceMs` have passed: what another launcher left may still be ending.
 *
 * @throws Refusal when `port` cannot be listened on at `hosts`; `option` is the way to choose another
 */
export async function checkPort(
  { port, what, option, hosts }: { port: number; what: string; option: string; hosts: readonly string[] },
  patienceMs: number,
): Promise<void> {
  let code: string | undefined;
  const look = async (): Promise<true | undefined> => {
    code = await firstFailure(port, hosts);
    return code === 'EADDRINUSE' ? undefined : true;
  };
  await pollUntil(look, { deadlineMs: patienceMs, pauseMs: RETRY_MS });
  if (code === undefined) return;
  throw new Refusal(`port ${port} (${what}) ${reason(code, port)}; choose another with ${option}`, EXIT.unavailable);
}

async function firstFailure(port: number, hosts: readonly string[]): Promise<string | undefined> {
  for (const host of hosts) {
    const code = await tryListen(port, host);
    if (code !== undefined) return code;
  }
  return undefined;
}

function reason(code: string, port: number): string {
  if (code === 'EACCES') return 'may not be listened on by this user';
  if (code !== 'EADDRINUSE') return `cannot be listened on (${code})`;
  const airPlay = port === 5000 && process.platform === 'darwin' ? ' (on macOS often by AirPlay Receiver)' : '';
  return `is in use${airPlay}`;
}

function tryListen(port: number, host: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => {
      resolve(error.code ?? error.message);
    });
    server.listen({ port, host, exclusive: true }, () => {
      server.close(() => {
        resolve(undefined);
      });
    });
  });
}
