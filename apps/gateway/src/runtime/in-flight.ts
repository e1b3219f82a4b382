/** Requests that are being answered, and how a stop waits for them. */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { Server as NetServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** How long a stop leaves quiet connections open: busy clients come with their next request, whose answer closes their connection. */
const LINGER_MS = 300;

export class InFlight {
  private readonly responses = new Set<ServerResponse>();
  private draining = false;
  private lingered = false;

  constructor(private readonly server: Server) {
    server.prependListener('request', (_request: IncomingMessage, response: ServerResponse) => {
      this.watch(response);
    });
  }

  get count(): number {
    return this.responses.size;
  }

  /**
   * Takes no new connections, and ends the others behind the answers to what has been asked. Resolves when all are gone.
   *
   * The HTTP server's own `close` would cut quiet connections off at once, in the very moment in which their next request
   * may be on its way.
   */
  async drain(): Promise<void> {
    this.draining = true;
    for (const response of this.responses) response.shouldKeepAlive = false;
    const closed = new Promise<void>((resolve) => {
      NetServer.prototype.close.call(this.server, () => {
        resolve();
      });
    });
    await Promise.race([closed, sleep(LINGER_MS)]);
    this.lingered = true;
    this.server.closeIdleConnections();
    await closed;
  }

  private watch(response: ServerResponse): void {
    if (this.draining) response.shouldKeepAlive = false;
    this.responses.add(response);
    response.once('close', () => {
      this.responses.delete(response);
      // An answer whose headers were out before the stop began left its connection open.
      if (this.lingered) this.server.closeIdleConnections();
    });
  }
}
