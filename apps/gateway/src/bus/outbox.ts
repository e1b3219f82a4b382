/**
 * Operations of one kind on their way to the leader.
 *
 * What waits is sent together: once per turn of the event loop, as long as only a few messages are out that have not been
 * answered in full, or have had their time. More load makes messages larger, not more. Nobody leading, or a refusal after which asking
 * again is safe, holds an operation for a while instead of failing its client.
 */
import type { Msg } from 'nats';
import { ShardlineError } from '#common/contracts/errors';
import { encodeRawLines } from '#common/nats/lines';
import { readReply, type Outcome, type PendingOp } from './batch';
import { saysNobodyListens, type ReplyMux } from './reply-mux';

/** Bounds of an outbox. */
export interface OutboxLimits {
  /** Operations that may be under way at once, and the bytes of their rows. */
  maxOps: number;
  maxBytes: number;
  /** Operations in one message. */
  batchOps: number;
  /** Messages out that are not answered in full; one that takes long counts no more. */
  batchesInFlight: number;
  /** How long an operation waits for a leader, a shard or room. */
  holdMs: number;
  /** How long a message waits for its answers. */
  requestTimeoutMs: number;
}

/** What an outbox needs of the connection. */
export interface OutboxWire {
  publish(subject: string, data: Uint8Array, reply: string): void;
  readonly mux: ReplyMux;
  /** False while the connection is being made anew: nothing is sent then. */
  isConnected(): boolean;
  /** Bytes that fit into one message. */
  maxPayload(): number;
  observeBatch(kind: string, ops: number): void;
}

interface Batch<H, T> {
  readonly ops: (PendingOp<H, T> | null)[];
  open: number;
  readonly reply: string;
  readonly sentAtMs: number;
  /** It counts as in flight until its last answer, or until it has had its time: a slow shard must not hold up the others. */
  holdsSlot: boolean;
}

/** A batch that is not answered in full after this time no longer keeps others from being sent. */
const SLOT_MS = 100;
const TICK_MS = 25;
const FIRST_RETRY_MS = 25;
const MAX_RETRY_MS = 400;
/** Room for an operation's fixed part in the header of a message. */
const HEADER_BYTES_PER_OP = 100;
/** A read is asked again after this part of the whole time, since a leader that died answers nothing. */
const READ_ATTEMPTS = 4;

export class Outbox<H extends object, T> {
  private waiting: PendingOp<H, T>[] = [];
  private held: PendingOp<H, T>[] = [];
  private readonly batches = new Set<Batch<H, T>>();
  private slotsTaken = 0;
  private ops = 0;
  private bytes = 0;
  private flushScheduled = false;
  private ticker: NodeJS.Timeout | null = null;

  constructor(
    private readonly kind: string,
    private readonly subject: string,
    /** True when an operation without an answer may simply be sent again. */
    private readonly repeatable: boolean,
    private readonly wire: OutboxWire,
    private readonly limits: OutboxLimits,
  ) {}

  /** Operations that have not been answered. */
  get underWay(): number {
    return this.ops;
  }

  /**
   * Sends an operation and resolves with its outcome.
   *
   * @throws ShardlineError what the leader answered; BUSY when there is no room, NO_LEADER when nobody led within `holdMs`,
   * OUTCOME_UNKNOWN when no answer came in time
   */
  submit(configId: number, header: H, rows = '', keys: readonly number[] = []): Promise<Outcome<T>> {
    const bytes = HEADER_BYTES_PER_OP + (rows === '' ? 0 : Buffer.byteLength(rows)) + keyBytes(keys);
    if (bytes > this.maxBatchBytes()) {
      return Promise.reject(
        new ShardlineError('BAD_REQUEST', 'the rows are larger than one message may be: send fewer at a time'),
      );
    }
    if (this.ops >= this.limits.maxOps || this.bytes + bytes > this.limits.maxBytes) {
      return Promise.reject(new ShardlineError('BUSY', 'too many requests are under way: ask again in a moment', true));
    }
    this.ops += 1;
    this.bytes += bytes;
    return new Promise((resolve, reject) => {
      const admittedAtMs = performance.now();
      this.waiting.push({
        header,
        rows,
        bytes,
        configId,
        admittedAtMs,
        retryAtMs: 0,
        attempts: 0,
        lastError: null,
        resolve,
        reject,
      });
      this.scheduleFlush();
      this.ensureTicker();
    });
  }

  /** The connection is back: what waits may go. */
  onConnected(): void {
    this.scheduleFlush();
  }

  /** The connection is gone, and answers with it: what may be asked again will be. */
  onDisconnected(): void {
    if (!this.repeatable) return;
    for (const batch of [...this.batches])
      this.holdRest(batch, new ShardlineError('NO_LEADER', 'the connection to NATS is gone', true));
  }

  private scheduleFlush(): void {
    if (this.flushScheduled) return;
    this.flushScheduled = true;
    setImmediate(() => {
      this.flushScheduled = false;
      this.flush();
    });
  }

  private flush(): void {
    while (this.waiting.length > 0 && this.slotsTaken < this.limits.batchesInFlight && this.wire.isConnected()) {
      this.send(this.takeBatch());
    }
  }

  /** The operations in front that fit into one message and were checked against the same configuration. */
  private takeBatch(): PendingOp<H, T>[] {
    const { waiting } = this;
    const maxBytes = this.maxBatchBytes();
    const configId = waiting[0]?.configId;
    let bytes = 0;
    let count = 0;
    for (const op of waiting) {
      if (count >= this.limits.batchOps || op.configId !== configId || (count > 0 && bytes + op.bytes > maxBytes))
        break;
      bytes += op.bytes;
      count += 1;
    }
    const taken = waiting.slice(0, count);
    this.waiting = waiting.slice(count);
    return taken;
  }

  private maxBatchBytes(): number {
    return this.wire.maxPayload() - 4_096;
  }

  private send(ops: PendingOp<H, T>[]): void {
    const reply = this.wire.mux.open((message) => {
      this.onReply(batch, message);
    });
    const batch: Batch<H, T> = { ops: [...ops], open: ops.length, reply, sentAtMs: performance.now(), holdsSlot: true };
    this.batches.add(batch);
    this.slotsTaken += 1;
    const header = { configId: ops[0]?.configId ?? 0, ops: ops.map((op, id) => ({ id, ...op.header })) };
    const rows = ops.flatMap((op) => (op.rows === '' ? [] : [op.rows])).join(',\n');
    try {
      this.wire.publish(this.subject, encodeRawLines(header, rows), reply);
      this.wire.observeBatch(this.kind, ops.length);
    } catch (thrown) {
      // The connection refused the message before anything left: it is as if nobody had listened.
      this.holdRest(batch, ShardlineError.from(thrown, 'NO_LEADER', true));
    }
  }

  private onReply(batch: Batch<H, T>, message: Msg): void {
    if (saysNobodyListens(message)) {
      this.holdRest(batch, new ShardlineError('NO_LEADER', 'nobody leads the cluster right now', true));
      return;
    }
    const content = readReply<T>(message.data);
    if (content.failure !== null) {
      this.failRest(batch, content.failure);
      return;
    }
    for (const { index, outcome, error } of content.outcomes) this.settle(batch, index, outcome, error);
    if (batch.open === 0) {
      this.forget(batch);
    } else if (content.done) {
      this.failRest(batch, new ShardlineError('BAD_MESSAGE', 'the leader left an operation without an answer'));
    }
  }

  private settle(batch: Batch<H, T>, index: number, outcome: Outcome<T> | null, error: ShardlineError | null): void {
    const op = batch.ops[index];
    if (op === null || op === undefined) return;
    batch.ops[index] = null;
    batch.open -= 1;
    if (outcome !== null) {
      this.leave(op);
      op.resolve(outcome);
    } else if (error !== null) {
      this.refused(op, error);
    }
  }

  /** A refusal that is safe to ask again after is not passed on at once; one that needs another look at the rows is. */
  private refused(op: PendingOp<H, T>, error: ShardlineError): void {
    const asksForNewRows = error.code === 'CONFIG_CHANGED' || error.code === 'NOT_CONFIGURED';
    if (error.retryable && !asksForNewRows) this.hold(op, error);
    else this.fail(op, error);
  }

  private hold(op: PendingOp<H, T>, error: ShardlineError): void {
    const nowMs = performance.now();
    if (nowMs - op.admittedAtMs >= this.limits.holdMs) {
      this.fail(op, error);
      return;
    }
    op.lastError = error;
    op.retryAtMs = nowMs + Math.min(FIRST_RETRY_MS * 2 ** op.attempts, MAX_RETRY_MS);
    op.attempts += 1;
    this.held.push(op);
  }

  private fail(op: PendingOp<H, T>, error: ShardlineError): void {
    this.leave(op);
    op.reject(error);
  }

  private leave(op: PendingOp<H, T>): void {
    this.ops -= 1;
    this.bytes -= op.bytes;
  }

  private holdRest(batch: Batch<H, T>, error: ShardlineError): void {
    this.forget(batch);
    for (const op of batch.ops) if (op !== null) this.hold(op, error);
  }

  /** An unreadable or missing answer: a read is asked again, what a change did is not known. */
  private failRest(batch: Batch<H, T>, error: ShardlineError): void {
    this.forget(batch);
    for (const op of batch.ops) {
      if (op === null) continue;
      if (error.code !== 'BAD_MESSAGE') this.refused(op, error);
      else if (this.repeatable) this.hold(op, error);
      else this.fail(op, outcomeUnknown(error.message));
    }
  }

  private forget(batch: Batch<H, T>): void {
    this.wire.mux.close(batch.reply);
    this.batches.delete(batch);
    this.releaseSlot(batch);
  }

  private releaseSlot(batch: Batch<H, T>): void {
    if (!batch.holdsSlot) return;
    batch.holdsSlot = false;
    this.slotsTaken -= 1;
    if (this.waiting.length > 0) this.scheduleFlush();
  }

  /** One timer for everything that waits, running only while something does. */
  private ensureTicker(): void {
    if (this.ticker !== null) return;
    this.ticker = setInterval(() => {
      this.tick(performance.now());
    }, TICK_MS);
  }

  private tick(nowMs: number): void {
    this.expireBatches(nowMs);
    this.retryHeld(nowMs);
    this.expireWaiting(nowMs);
    if (this.ops === 0 && this.ticker !== null) {
      clearInterval(this.ticker);
      this.ticker = null;
    }
  }

  private expireBatches(nowMs: number): void {
    const { requestTimeoutMs } = this.limits;
    const timeoutMs = this.repeatable ? requestTimeoutMs / READ_ATTEMPTS : requestTimeoutMs;
    for (const batch of [...this.batches]) {
      const ageMs = nowMs - batch.sentAtMs;
      if (ageMs >= SLOT_MS) this.releaseSlot(batch);
      if (ageMs >= timeoutMs) this.expire(batch, nowMs);
    }
  }

  private expire(batch: Batch<H, T>, nowMs: number): void {
    this.forget(batch);
    for (const op of batch.ops) {
      if (op === null) continue;
      if (this.repeatable && nowMs - op.admittedAtMs < this.limits.requestTimeoutMs) this.waiting.push(op);
      else this.fail(op, outcomeUnknown(`no answer within ${this.limits.requestTimeoutMs} ms`));
    }
    this.scheduleFlush();
  }

  private retryHeld(nowMs: number): void {
    if (this.held.length === 0) return;
    const due = this.held.filter((op) => op.retryAtMs <= nowMs);
    if (due.length === 0) return;
    this.held = this.held.filter((op) => op.retryAtMs > nowMs);
    this.waiting.push(...due);
    this.scheduleFlush();
  }

  /** What waits has not been sent, so that it can be refused without doubt. */
  private expireWaiting(nowMs: number): void {
    const { holdMs, requestTimeoutMs } = this.limits;
    const patienceMs = this.repeatable ? Math.max(holdMs, requestTimeoutMs) : holdMs;
    const expired = this.waiting.filter((op) => nowMs - op.admittedAtMs >= patienceMs);
    if (expired.length === 0) return;
    this.waiting = this.waiting.filter((op) => nowMs - op.admittedAtMs < patienceMs);
    for (const op of expired) this.fail(op, op.lastError ?? this.notSent());
  }

  private notSent(): ShardlineError {
    return this.wire.isConnected()
      ? new ShardlineError('BUSY', 'the leader is too busy to take more: ask again in a moment', true)
      : new ShardlineError('NO_LEADER', 'NATS cannot be reached', true);
  }
}

function keyBytes(keys: readonly number[]): number {
  return keys.length < 2 ? 0 : JSON.stringify(keys).length;
}

function outcomeUnknown(why: string): ShardlineError {
  return new ShardlineError('OUTCOME_UNKNOWN', why);
}
