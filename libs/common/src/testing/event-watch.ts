/** Events of a cluster, as they come. */
import { connect, type NatsConnection } from 'nats';
import type { CloudEvent } from '../contracts/events';

const PREFIX = 'io.shardline.';

export class EventWatch {
  readonly seen: CloudEvent[] = [];
  private readonly waiters = new Set<() => void>();

  private nats: NatsConnection | undefined;

  /** From now on, also after the server at this place was started again. */
  async open(natsUrl: string): Promise<void> {
    const nats = await connect({ servers: natsUrl, reconnectTimeWait: 100, maxReconnectAttempts: -1 });
    this.nats = nats;
    nats.subscribe('shardline.event.>', {
      callback: (_error, message) => {
        this.seen.push(message.json<CloudEvent>());
        for (const wake of this.waiters) wake();
      },
    });
    await nats.flush();
  }

  /** The first event of this kind and subject, past or to come, that is meant. @throws when it does not come in time */
  async until(
    kind: string,
    subject: string,
    withinMs = 60_000,
    isMeant: (event: CloudEvent) => boolean = () => true,
  ): Promise<CloudEvent> {
    const find = (): CloudEvent | undefined =>
      this.seen.find((event) => event.type === PREFIX + kind && event.subject === subject && isMeant(event));
    return await new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.waiters.delete(look);
        reject(new Error(`no ${kind} of ${subject} within ${withinMs} ms; seen: ${this.seenSoFar()}`));
      }, withinMs);
      const look = (): void => {
        const event = find();
        if (event === undefined) return;
        clearTimeout(timer);
        this.waiters.delete(look);
        resolve(event);
      };
      this.waiters.add(look);
      look();
    });
  }

  async close(): Promise<void> {
    await this.nats?.close();
  }

  private seenSoFar(): string {
    return this.seen.map(({ type, subject }) => `${type.slice(PREFIX.length)} ${subject}`).join(', ');
  }
}
