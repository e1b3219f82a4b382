/** One persistent subscription for the answers to all batches; each batch gets a token of its own in the reply subject. */
import { createInbox, type Msg, type NatsConnection, type Subscription } from 'nats';

/** Gets every message that is sent to the token, until it is closed. */
export type ReplyHandler = (message: Msg) => void;

export class ReplyMux {
  private readonly prefix = createInbox();
  private readonly handlers = new Map<string, ReplyHandler>();
  private readonly subscription: Subscription;
  private lastToken = 0;

  constructor(nats: NatsConnection) {
    this.subscription = nats.subscribe(`${this.prefix}.*`, {
      callback: (error, message) => {
        // An error here is the end of the subscription, which the connection's own end shows as well.
        if (error === null) this.handlers.get(message.subject)?.(message);
      },
    });
  }

  /** A new reply subject. */
  open(handler: ReplyHandler): string {
    this.lastToken += 1;
    const subject = `${this.prefix}.${this.lastToken.toString(36)}`;
    this.handlers.set(subject, handler);
    return subject;
  }

  /** What still comes to the subject is dropped. */
  close(subject: string): void {
    this.handlers.delete(subject);
  }

  stop(): void {
    this.subscription.unsubscribe();
    this.handlers.clear();
  }
}

/** NATS says so itself, at once, when nobody listens on the subject that was asked. */
export function saysNobodyListens(message: Msg): boolean {
  return message.data.length === 0 && message.headers?.code === 503;
}
