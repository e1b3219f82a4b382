/**
 * Answers on their way back to a gateway: what is ready in one turn of the event loop goes into one message per batch.
 */
import type { BatchReply, OpResult } from '#common/contracts/commands';
import { ShardlineError } from '#common/contracts/errors';
import { encodeLines } from '#common/nats/lines';
import type { WorkInFlight } from '#common/process/work-in-flight';
import { Observable, type Subscriber } from 'rxjs';
import type { Answered } from '../core/kernel/effects';

interface Batch {
  subscriber: Subscriber<Uint8Array>;
  unanswered: number;
  results: OpResult<object>[];
  rows: string[];
}

export class BatchReplies {
  private readonly batches = new Map<number, Batch>();
  private readonly singles = new Map<number, (answered: Answered) => void>();
  private readonly touched = new Set<Batch>();
  private nextBatch = 1;
  private scheduled = false;

  /** @param work counts batches, so that a stop can wait until they are answered */
  constructor(private readonly work: WorkInFlight) {}

  /** The answers to a batch of `ops` operations, as messages; `begin` gets the batch's number once somebody listens. */
  open(ops: number, begin: (batch: number) => void): Observable<Uint8Array> {
    return new Observable((subscriber) => {
      if (ops === 0) {
        subscriber.next(encodeLines({ results: [], done: true }, []));
        subscriber.complete();
        return;
      }
      const number = this.nextBatch++;
      void this.work.track(
        new Promise<void>((resolve) => {
          subscriber.add(resolve);
        }),
      );
      this.batches.set(number, { subscriber, unanswered: ops, results: [], rows: [] });
      begin(number);
    });
  }

  /** The answer to a single operation, without a message of its own. @throws ShardlineError what is answered instead */
  one<T extends object>(begin: (batch: number) => void): Promise<T> {
    const number = this.nextBatch++;
    const answer = new Promise<T>((resolve, reject) => {
      this.singles.set(number, ({ result }) => {
        if (result.error === undefined) resolve(result as unknown as T);
        else reject(ShardlineError.fromBody(result.error));
      });
    });
    begin(number);
    return this.work.track(answer);
  }

  /** One operation's answer. */
  answer(number: number, answered: Answered): void {
    const single = this.singles.get(number);
    this.singles.delete(number);
    single?.(answered);
    const batch = this.batches.get(number);
    if (batch === undefined) return;
    batch.results.push(answered.result);
    if (answered.row !== undefined) batch.rows.push(answered.row);
    batch.unanswered -= 1;
    if (batch.unanswered === 0) this.batches.delete(number);
    this.touched.add(batch);
    if (this.scheduled) return;
    this.scheduled = true;
    setImmediate(() => {
      this.flush();
    });
  }

  private flush(): void {
    this.scheduled = false;
    for (const batch of this.touched) {
      const { subscriber, results, rows, unanswered } = batch;
      const reply: BatchReply<object> = unanswered === 0 ? { results, done: true } : { results };
      batch.results = [];
      batch.rows = [];
      subscriber.next(encodeLines(reply, rows));
      // In the same turn as the last message, so that Nest joins the two.
      if (unanswered === 0) subscriber.complete();
    }
    this.touched.clear();
  }
}
