/** Nest's NATS transport, but at the end what is being worked on is finished and answered first. */
import { ServerNats } from '@nestjs/microservices';
import type { NatsConnection, Subscription } from 'nats';
import type { WorkInFlight } from './work-in-flight';

/** How long that may take. */
const DRAIN_TIMEOUT_MS = 5_000;

export class DrainingNatsServer extends ServerNats {
  constructor(
    options: ConstructorParameters<typeof ServerNats>[0],
    private readonly work: WorkInFlight,
  ) {
    super(options);
  }

  /** The connection. @throws when it is not listening yet */
  get connection(): NatsConnection {
    return this.unwrap<NatsConnection>();
  }

  override async close(): Promise<void> {
    const subscriptions = this['subscriptions'] as Subscription[];
    await Promise.all(subscriptions.map((subscription) => subscription.drain()));
    await this.work.idle(DRAIN_TIMEOUT_MS);
    await super.close();
  }
}
