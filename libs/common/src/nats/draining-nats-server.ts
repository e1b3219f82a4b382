/** Nest's NATS transport, but at the end what is being worked on is finished and answered first. */
import { setImmediate as nextTurn, setTimeout as after } from 'node:timers/promises';
import { ServerNats, type MessageHandler } from '@nestjs/microservices';
import type { Msg, NatsConnection, Subscription, SubscriptionOptions } from 'nats';
import type { WorkInFlight } from '../process/work-in-flight';

/** How long that may take; without a broker it takes as long. */
const DRAIN_TIMEOUT_MS = 5_000;

export class DrainingNatsServer extends ServerNats {
  private readonly bound: Subscription[] = [];
  private prepared: Promise<NatsConnection> | undefined;

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

  /** Connects already: whoever listens later does so at once. */
  async prepare(): Promise<void> {
    this.prepared = super.createNatsClient();
    await this.prepared;
  }

  override createNatsClient(): Promise<NatsConnection> {
    return this.prepared ?? super.createNatsClient();
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

  /** A message counts from its arrival on; the controller goes on counting until it is worked off. */
  override handleMessage(channel: string, message: Msg): Promise<unknown> {
    return this.work.track(super.handleMessage(channel, message));
  }

  /** Takes nothing more, finishes and answers what it has taken; within a deadline. */
  async finish(): Promise<void> {
    const late = new AbortController();
    const deadline = after(DRAIN_TIMEOUT_MS, undefined, { signal: late.signal }).catch(() => undefined);
    // Without a broker there is nothing to wait for: nobody can be answered. And who never listened owes nobody an answer.
    if (this.bound.length > 0) await Promise.race([this.drain(), deadline]);
    late.abort();
  }

  override async close(): Promise<void> {
    await this.finish();
    // Nest closes what it has listened with; one that never listened may be connected all the same.
    await super.close();
    await (await this.prepared)?.close();
  }

  private async drain(): Promise<void> {
    await Promise.all(this.bound.splice(0).map((subscription) => subscription.drain()));
    await this.work.idle(DRAIN_TIMEOUT_MS);
    // The last answers are handed to the connection in the turn after the work has ended.
    await nextTurn();
    await this.connection.flush();
  }
}
