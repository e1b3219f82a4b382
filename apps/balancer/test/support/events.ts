/** Events of a cluster, as they come. */
import type { CloudEvent } from '#common/contracts/events';
import { connect, type NatsConnection } from 'nats';

const PREFIX = 'io.shardline.';

export class EventWatch {
  readonly seen: CloudEvent[] = [];
  private readonly waiters = new Set<() => void>();

  private constructor(private readonly nats: NatsConnection) {}

  static async open(natsUrl: string): Promise<EventWatch> {
    const nats = await connect({ servers: natsUrl });
    const watch = new EventWatch(nats);
    nats.subscribe('shardline.event.>', {
      callback: (_error, message) => {
        watch.seen.push(message.json<CloudEvent>());
        for (const wake of watch.waiters) wake();
      },
    });
    await nats.flush();
    return watch;
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
    await this.nats.close();
  }

  private seenSoFar(): string {
    return this.seen.map(({ type, subject }) => `${type.slice(PREFIX.length)} ${subject}`).join(', ');
  }
}
