/** Nest's NATS transport, but at the end what is being worked on is finished and answered first. */
import { ServerNats, type MessageHandler } from '@nestjs/microservices';
import type { NatsConnection, Subscription, SubscriptionOptions } from 'nats';
import type { WorkInFlight } from './work-in-flight';

/** How long that may take. */
const DRAIN_TIMEOUT_MS = 5_000;

export class DrainingNatsServer extends ServerNats {
  private readonly bound: Subscription[] = [];

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

  override bindEvents(client: NatsConnection): void {
    const subscribe = (subject: string, options: SubscriptionOptions): Subscription => {
      const subscription = client.subscribe(subject, options);
      this.bound.push(subscription);
      return subscription;
    };
    super.bindEvents({ subscribe });
  }

  /** Nest would try to parse the pattern as JSON for every message; ours are subjects. */
  override getHandlerByPattern(pattern: string): MessageHandler | null {
    return this.messageHandlers.get(pattern) ?? null;
  }

  override async close(): Promise<void> {
    await Promise.all(this.bound.map((subscription) => subscription.drain()));
    await this.work.idle(DRAIN_TIMEOUT_MS);
    await super.close();
  }
}
