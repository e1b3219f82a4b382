/**
 * Operations of one kind on their way to the leader.
 *
 * What waits is sent together: once per turn of the event loop, as long as only a few messages are out that have not been
 * answered in full, or have had their time. More load makes messages larger, not more.
 *
 * Every operation may be sent again: a read changes nothing, and a change is known by its id. So nobody leading, a leader that
 * is gone, a lost connection, or a refusal after which asking again may help, holds an operation for a while instead of
 * failing its client. An answer that comes late, to a message that has been repeated since, counts as well.
 */
import type { Msg } from 'nats';
import { ShardlineError, type ErrorCode } from '#common/contracts/errors';
import { encodeRawLines } from '#common/nats/lines';
import { ownOps, readReply, type Batch, type OpAnswer, type PendingOp, type Replies } from './batch';
import type { LeaderListener } from '../leader-watch';
import type { Asked, RequestBatcherLimits, BatcherWire } from './batcher-wire';
import { saysNobodyListens } from './reply-mux';

/** A batch that is not answered in full after this time no longer keeps others from being sent, and its answer is missed. */
const SLOT_MS = 100;
const TICK_MS = 25;
const FIRST_RETRY_MS = 25;
/** A shard or a leader that is back must not be waited for much longer than it was away. */
const MAX_RETRY_MS = 100;
/**
 * A message to a leader that is there and has not changed is sent again only after this long, since it is most likely just slow;
 * the time doubles with each attempt. It may have been lost all the same, where the leader's connection broke.
 */
const REPEAT_MS = 4_000;
/** Room for an operation's fixed part in the header of a message. */
const HEADER_BYTES_PER_OP = 100;
/** Refusals after which it is certain that this attempt did nothing. */
const NOTHING_DONE: readonly ErrorCode[] = ['SHARD_UNAVAILABLE', 'BUSY', 'NO_LEADER', 'SNAPSHOT_GONE'];
/** The request needs another look at its rows before it is sent again. */
const OUTDATED: readonly ErrorCode[] = ['CONFIG_CHANGED', 'NOT_CONFIGURED'];
/** What is true of a request whichever of its attempts hears so. */
const FINAL: readonly ErrorCode[] = ['KEY_EXISTS', 'KEY_NOT_FOUND', 'KEY_OUT_OF_RANGE', 'BAD_REQUEST', 'ID_REUSED'];

export class RequestBatcher<H extends object, T> implements LeaderListener {
  private waiting: PendingOp<H, T>[] = [];
  private held: PendingOp<H, T>[] = [];
  private readonly batches = new Set<Batch<H, T>>();
  private slotsTaken = 0;
  private ops = 0;
  private bytes = 0;
  private flushScheduled = false;
  /** Something that waits or is held has been answered after all. */
  private mustSweep = false;
  private ticker: NodeJS.Timeout | null = null;

  constructor(
    private readonly kind: string,
    private readonly subject: string,
    private readonly replies: Replies<T>,
    private readonly wire: BatcherWire,
    private readonly limits: RequestBatcherLimits,
  ) {}

  /** Operations that have not been answered. */
  get underWay(): number {
    return this.ops;
  }

  /**
   * Sends an operation and resolves with its answer.
   *
   * @throws ShardlineError what the leader answered; BUSY when there is no room, NO_LEADER when nobody led within `holdMs`,
   * OUTCOME_UNKNOWN when no answer came in time. Where `doubt` was called, none of them says that nothing was done
   */
  request(asked: Asked<H>): Promise<OpAnswer<T>> {
    const { header, configId, rows = '', headerBytes = 0, arrivedAtMs = performance.now(), doubt = nothing } = asked;
    const bytes = HEADER_BYTES_PER_OP + headerBytes + (rows === '' ? 0 : Buffer.byteLength(rows));
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
      this.waiting.push({
        header,
        rows,
        bytes,
        configId,
        admittedAtMs: arrivedAtMs,
        batch: null,
        settled: false,
        retryAtMs: 0,
        refusals: 0,
        attempts: 0,
        lastError: null,
        doubt,
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

  /** The connection is gone, and messages or answers with it. */
  onDisconnected(): void {
    const error = new ShardlineError('NO_LEADER', 'the connection to NATS is gone', true);
    for (const batch of this.batches) this.repeat(batch, error);
  }

  onLeader(epoch: number): void {
    const error = new ShardlineError('NO_LEADER', 'the leader has changed', true);
    for (const batch of this.batches) if (batch.epoch !== epoch) this.repeat(batch, error);
    this.retryHeld(Number.POSITIVE_INFINITY);
    this.scheduleFlush();
  }

  onNobody(askedAtMs: number): void {
    for (const batch of this.batches) if (batch.sentAtMs <= askedAtMs) this.repeat(batch, this.leaderless());
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
    this.sweep();
    while (this.waiting.length > 0 && this.slotsTaken < this.limits.batchesInFlight && this.wire.isReady()) {
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
    const batch: Batch<H, T> = {
      ops: [...ops],
      open: ops.length,
      reply,
      sentAtMs: performance.now(),
      epoch: this.wire.epoch(),
      holdsSlot: true,
    };
    this.batches.add(batch);
    this.slotsTaken += 1;
    for (const op of ops) {
      op.batch = batch;
      op.attempts += 1;
    }
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
      this.wire.foundNobody();
      this.holdRest(batch, this.leaderless());
      return;
    }
    const content = readReply(this.replies, message.data);
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

  private settle(batch: Batch<H, T>, index: number, answer: OpAnswer<T> | null, error: ShardlineError | null): void {
    const op = batch.ops[index];
    if (op === null || op === undefined) return;
    batch.ops[index] = null;
    batch.open -= 1;
    if (op.settled) return;
    if (answer !== null) {
      this.leave(op);
      op.resolve(answer);
    } else if (error !== null && (op.batch === batch || FINAL.includes(error.code))) {
      this.refused(op, error);
    }
  }

  /** A refusal after which asking again may help is not passed on at once. */
  private refused(op: PendingOp<H, T>, error: ShardlineError): void {
    const isUnknown = error.code === 'OUTCOME_UNKNOWN' || error.code === 'BAD_MESSAGE';
    if (!isUnknown && (!error.retryable || OUTDATED.includes(error.code))) {
      this.fail(op, error);
      return;
    }
    if (!NOTHING_DONE.includes(error.code)) op.doubt();
    this.hold(op, error);
  }

  private hold(op: PendingOp<H, T>, error: ShardlineError): void {
    const nowMs = performance.now();
    if (nowMs - op.admittedAtMs >= this.limits.holdMs) {
      this.fail(op, error);
      return;
    }
    op.batch = null;
    op.lastError = error;
    op.retryAtMs = nowMs + Math.min(FIRST_RETRY_MS * 2 ** op.refusals, MAX_RETRY_MS);
    op.refusals += 1;
    this.held.push(op);
  }

  private fail(op: PendingOp<H, T>, error: ShardlineError): void {
    this.leave(op);
    op.reject(error);
  }

  private leave(op: PendingOp<H, T>): void {
    op.settled = true;
    this.ops -= 1;
    this.bytes -= op.bytes;
    if (op.batch === null) this.mustSweep = true;
  }

  private sweep(): void {
    if (!this.mustSweep) return;
    this.mustSweep = false;
    this.waiting = this.waiting.filter((op) => !op.settled);
    this.held = this.held.filter((op) => !op.settled);
  }

  /** The message was not delivered to anybody. */
  private holdRest(batch: Batch<H, T>, error: ShardlineError): void {
    this.forget(batch);
    for (const op of ownOps(batch)) this.hold(op, error);
  }

  /** An unreadable or missing answer. */
  private failRest(batch: Batch<H, T>, error: ShardlineError): void {
    this.forget(batch);
    for (const op of ownOps(batch)) this.refused(op, error);
  }

  /** Whether the message was received is not known: what it carried goes again, before everything else. It stays listened for. */
  private repeat(batch: Batch<H, T>, error: ShardlineError): void {
    const ops = ownOps(batch);
    this.releaseSlot(batch);
    if (ops.length === 0) return;
    for (const op of ops) {
      op.doubt();
      op.batch = null;
      op.lastError = error;
    }
    this.waiting = [...ops, ...this.waiting];
    this.scheduleFlush();
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
    for (const batch of this.batches) if (nowMs - batch.sentAtMs >= SLOT_MS) this.look(batch, nowMs);
    this.sweep();
    this.retryHeld(nowMs);
    this.expireWaiting(nowMs);
    if (this.ops === 0 && this.ticker !== null) {
      for (const batch of this.batches) this.forget(batch);
      clearInterval(this.ticker);
      this.ticker = null;
    }
  }

  /** At a batch that is not answered in full for some time. */
  private look(batch: Batch<H, T>, nowMs: number): void {
    this.releaseSlot(batch);
    const { holdMs, requestTimeoutMs } = this.limits;
    const patienceMs = Math.max(holdMs, requestTimeoutMs);
    for (const op of ownOps(batch)) {
      if (nowMs - op.admittedAtMs < patienceMs) continue;
      op.doubt();
      this.fail(op, new ShardlineError('OUTCOME_UNKNOWN', `no answer within ${patienceMs} ms`));
    }
    if (batch.ops.every((op) => op === null || op.settled)) {
      this.forget(batch);
      return;
    }
    const [first] = ownOps(batch);
    if (first === undefined) return;
    this.wire.missAnswer();
    const isOverdue = nowMs - batch.sentAtMs >= REPEAT_MS * 2 ** (first.attempts - 1);
    if (isOverdue && nowMs - first.admittedAtMs < holdMs) this.repeat(batch, unanswered(nowMs - batch.sentAtMs));
  }

  private retryHeld(nowMs: number): void {
    if (this.held.length === 0) return;
    const due = this.held.filter((op) => op.retryAtMs <= nowMs);
    if (due.length === 0) return;
    this.held = this.held.filter((op) => op.retryAtMs > nowMs);
    this.waiting = [...this.waiting, ...due];
    this.scheduleFlush();
  }

  private expireWaiting(nowMs: number): void {
    const { holdMs } = this.limits;
    const expired = this.waiting.filter((op) => nowMs - op.admittedAtMs >= holdMs);
    for (const op of expired) this.fail(op, op.lastError ?? this.notSent());
    this.sweep();
  }

  private notSent(): ShardlineError {
    if (!this.wire.isConnected()) return new ShardlineError('NO_LEADER', 'NATS cannot be reached', true);
    return this.wire.isReady()
      ? new ShardlineError('BUSY', 'the leader is too busy to take more: ask again in a moment', true)
      : this.leaderless();
  }

  private leaderless(): ShardlineError {
    return new ShardlineError('NO_LEADER', this.wire.whyNobody(), true);
  }
}

function unanswered(ageMs: number): ShardlineError {
  return new ShardlineError('OUTCOME_UNKNOWN', `no answer within ${Math.round(ageMs)} ms`);
}

function nothing(): void {
  // A read leaves nothing to be doubted.
}
