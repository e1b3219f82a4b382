/** Whether the connection to NATS has come back just now. Then the others may not have yet. */
import { Events } from 'nats';
import type { NatsConnection } from '#common/nats/connection';

/** Everybody tries again every fifth of a second; a busy machine needs a little longer. */
const SETTLE_MS = 2_000;

export class ReconnectWatch {
  private backAtMs = Number.NEGATIVE_INFINITY;

  constructor(nats: NatsConnection) {
    void this.follow(nats);
  }

  /** While this is so, "nobody listens" may mean "not yet again". */
  isSettling(): boolean {
    return performance.now() - this.backAtMs < SETTLE_MS;
  }

  /** Ends with the connection. */
  private async follow(nats: NatsConnection): Promise<void> {
    for await (const { type } of nats.status()) {
      if (type === Events.Disconnect) this.backAtMs = Number.POSITIVE_INFINITY;
      if (type === Events.Reconnect) this.backAtMs = performance.now();
    }
  }
}
