/** Requests that are being answered, so that a stop can wait for them and close their connections behind them. */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';

export class InFlight {
  private readonly responses = new Set<ServerResponse>();
  private draining = false;

  constructor(private readonly server: Server) {
    server.prependListener('request', (_request: IncomingMessage, response: ServerResponse) => {
      this.add(response);
    });
  }

  get count(): number {
    return this.responses.size;
  }

  /** From now on every answer ends its connection, those under way included. */
  drain(): void {
    this.draining = true;
    for (const response of this.responses) response.shouldKeepAlive = false;
  }

  private add(response: ServerResponse): void {
    if (this.draining) response.shouldKeepAlive = false;
    this.responses.add(response);
    response.once('close', () => {
      this.responses.delete(response);
      // An answer whose headers were out before the stop began left its connection open.
      if (this.draining) this.server.closeIdleConnections();
    });
  }
}
