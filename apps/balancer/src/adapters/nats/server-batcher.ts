/**
 * What waits to be sent to one server. While a message is under way everything that comes is collected, and the next
 * message takes it all: the busier the server, the larger its messages, instead of more of them.
 */
import { ShardlineError } from '#common/contracts/errors';

export interface ServerBatcherLimits {
  /** Messages under way at once. */
  inFlight: number;
  /** Requests in one message, and what they may weigh together. A single request may weigh more. */
  messageItems: number;
  messageBytes: number;
  /** Requests that may wait, what they may weigh together, and for how long. */
  queueItems: number;
  queueBytes: number;
  queueMs: number;
}

/** What became of one request of a message. */
export type Settled<A> = { ok: true; value: A } | { ok: false; error: unknown };

/** How requests of one kind are sent to one server. */
export interface BatchSender<Q, A> {
  /** Sends one message; resolves to what became of each request, in order. When it throws, all of them have failed. */
  send(requests: Q[]): Promise<Settled<A>[]>;
  /** Whether both may travel in one message. */
  mayShare(first: Q, next: Q): boolean;
}

interface Waiting<Q, A> {
  request: Q;
  bytes: number;
  sinceMs: number;
  resolve: (value: A) => void;
  reject: (error: unknown) => void;
}

export class ServerBatcher<Q, A> {
  private readonly queue: Waiting<Q, A>[] = [];
  private queuedBytes = 0;
  private inFlight = 0;
  private flushing = false;

  constructor(
    private readonly server: string,
    private readonly sender: BatchSender<Q, A>,
    private readonly limits: ServerBatcherLimits,
    private readonly nowMs: () => number = () => performance.now(),
  ) {}

  /**
   * Puts a request of about `bytes` into the next message that has room.
   *
   * @throws ShardlineError BUSY when too much waits already, it has waited too long, or the message before it was not answered in
   * time: nothing was sent
   */
  enqueue(request: Q, bytes: number): Promise<A> {
    const { queueItems, queueBytes } = this.limits;
    const full = this.queue.length >= queueItems || (this.queue.length > 0 && this.queuedBytes + bytes > queueBytes);
    if (full) return Promise.reject(this.busy(`${this.queue.length} requests wait for it already`));
    return new Promise((resolve, reject) => {
      this.queue.push({ request, bytes, sinceMs: this.nowMs(), resolve, reject });
      this.queuedBytes += bytes;
      this.flushSoon();
    });
  }

  /** After everything that this turn of the event loop brings, so that it travels together. */
  private flushSoon(): void {
    if (this.flushing || this.queue.length === 0 || this.inFlight >= this.limits.inFlight) return;
    this.flushing = true;
    setImmediate(() => {
      this.flushing = false;
      this.flush();
    });
  }

  private flush(): void {
    this.dropOverdue();
    while (this.inFlight < this.limits.inFlight) {
      const batch = this.takeBatch();
      if (batch.length === 0) return;
      this.inFlight += 1;
      void this.deliver(batch);
    }
  }

  /** Never rejects: every failure goes to who asked. */
  private async deliver(batch: Waiting<Q, A>[]): Promise<void> {
    try {
      const results = await this.sender.send(batch.map(({ request }) => request));
      batch.forEach(({ resolve, reject }, index) => {
        const result = results[index];
        if (result?.ok === true) resolve(result.value);
        else reject(result?.error ?? unanswered(this.server));
      });
    } catch (error) {
      for (const { reject } of batch) reject(error);
      if (error instanceof ShardlineError && error.code === 'OUTCOME_UNKNOWN') this.dropAll();
    } finally {
      this.inFlight -= 1;
      this.flushSoon();
    }
  }

  private takeBatch(): Waiting<Q, A>[] {
    const { messageItems, messageBytes } = this.limits;
    const first = this.queue[0];
    if (first === undefined) return [];
    let count = 0;
    let bytes = 0;
    for (const next of this.queue) {
      const fits = count < messageItems && bytes + next.bytes <= messageBytes;
      if (count > 0 && !(fits && this.sender.mayShare(first.request, next.request))) break;
      count += 1;
      bytes += next.bytes;
    }
    this.queuedBytes -= bytes;
    return this.queue.splice(0, count);
  }

  /** What could not be sent in time is known not to have happened, which is worth more than trying it late. */
  private dropOverdue(): void {
    const oldestMs = this.nowMs() - this.limits.queueMs;
    for (let first = this.queue[0]; first !== undefined && first.sinceMs < oldestMs; first = this.queue[0]) {
      this.queue.shift();
      this.queuedBytes -= first.bytes;
      first.reject(this.busy(`the request has waited for ${this.limits.queueMs} ms`));
    }
  }

  /** Who was silent for a whole time-out must not hold up for another one what waits behind. */
  private dropAll(): void {
    this.queuedBytes = 0;
    for (const { reject } of this.queue.splice(0)) reject(this.busy('it has not answered the message before in time'));
  }

  private busy(why: string): ShardlineError {
    return new ShardlineError('BUSY', `${this.server} does not keep up: ${why}`, true);
  }
}

function unanswered(server: string): ShardlineError {
  return new ShardlineError('BAD_MESSAGE', `${server} left out an answer`);
}
