/**
 * Range reads on their way to the client.
 *
 * A small answer is held back until the leader has confirmed that it still led, then sent in one piece. A large one is
 * confirmed before its first byte and while it flows; it is brought to a well-formed end only after a last confirmation,
 * else the connection is broken off. Pages are pulled only as the client's socket takes them.
 */
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import type { FastifyReply } from 'fastify';
import type { RangeRead } from '#common/contracts/commands';
import { ShardlineError } from '#common/contracts/errors';
import type { Logger } from '#common/logging/logger';
import { doublingPause, retryUntilDeadline } from '#common/waiting/retry';
import type { PageReader } from '../../bus/ranges/page-reader';
import type { SnapshotLeases } from '../../bus/ranges/snapshot-leases';
import { READ_ANSWER } from '../../core/answers';
import { JSON_TYPE, sendJsonText } from '../replies';
import type { ReadResult } from './record-requests.service';

/** Up to here an answer is held back and sent whole. */
const SMALL_ANSWER_BYTES = 1024 * 1024;

/** Deadlines of range reads, in milliseconds. */
export interface RangeTimes {
  /** For how long a read is started over when its snapshot was lost before the first byte. */
  holdMs: number;
  /** How long a client may take nothing. */
  stalledClientMs: number;
}

type Attempt = 'answered' | 'snapshot lost';

/** Before an attempt is made again; it doubles up to the second. */
const pause = doublingPause(25, 400);

export class RangeResponder {
  constructor(
    private readonly pages: PageReader,
    private readonly snapshotLeases: SnapshotLeases,
    private readonly times: RangeTimes,
    private readonly logger: Logger,
  ) {}

  /** Answers the client with what `ask` finds. @throws ShardlineError while nothing has been sent */
  async respond(reply: FastifyReply, ask: () => Promise<ReadResult>): Promise<void> {
    let lost: ShardlineError | null = null;
    const attempt = async (): Promise<void> => {
      const outcome = await ask();
      if (outcome.plan === undefined) {
        sendJsonText(reply, outcome.text);
        return;
      }
      lost = await this.attempt(reply, outcome);
      if (lost !== null) throw lost;
    };
    await retryUntilDeadline(attempt, this.times.holdMs, (thrown, failures) =>
      thrown === lost ? pause(failures) : null,
    );
  }

  /** Null when the client has been answered; why not, when it can be tried again. @throws ShardlineError when it cannot */
  private async attempt(reply: FastifyReply, read: RangeRead): Promise<ShardlineError | null> {
    const { plan } = read;
    let lost = false;
    const stopRenewing = this.snapshotLeases.keep(plan, () => {
      lost = true;
    });
    const answer = new RangeAnswer(
      reply,
      read,
      this.pages,
      this.snapshotLeases,
      this.times.stalledClientMs,
      () => lost,
    );
    try {
      return (await answer.send()) === 'answered' ? null : snapshotGone();
    } catch (thrown) {
      const error = ShardlineError.from(thrown);
      if (!answer.isReleased) this.snapshotLeases.release(plan);
      if (answer.begun) this.breakOff(reply, error);
      else if (error.retryable) return error;
      else throw error;
      return null;
    } finally {
      stopRenewing();
    }
  }

  /** An answer that stops in the middle must not look complete. */
  private breakOff(reply: FastifyReply, error: ShardlineError): void {
    if (!reply.raw.destroyed) this.logger.warn({ code: error.code, why: error.message }, 'a range read was aborted');
    reply.raw.destroy();
  }
}

/** One attempt at one range read. */
class RangeAnswer {
  /** Bytes are on their way: no other answer is possible. */
  begun = false;
  isReleased = false;

  constructor(
    private readonly reply: FastifyReply,
    private readonly read: RangeRead,
    private readonly reader: PageReader,
    private readonly snapshotLeases: SnapshotLeases,
    private readonly stalledClientMs: number,
    private readonly isLost: () => boolean,
  ) {}

  async send(): Promise<Attempt> {
    const pages = this.reader.pages(this.read.plan);
    const held: Buffer[] = [];
    for (let heldBytes = 0; heldBytes <= SMALL_ANSWER_BYTES;) {
      const { value: page, done } = await pages.next();
      if (done === true) return this.sendWhole(held);
      this.throwIfLost();
      held.push(page);
      heldBytes += page.length;
    }
    await this.stream(held, pages);
    return 'answered';
  }

  private async sendWhole(pages: readonly Buffer[]): Promise<Attempt> {
    if (!(await this.finish())) return 'snapshot lost';
    const parts: Buffer[] = [Buffer.from(READ_ANSWER.head(this.read.shards))];
    pages.forEach((page, index) => {
      if (index > 0) parts.push(Buffer.from(READ_ANSWER.separator));
      parts.push(page);
    });
    parts.push(Buffer.from(READ_ANSWER.tail));
    sendJsonText(this.reply, Buffer.concat(parts));
    return 'answered';
  }

  private async stream(held: Buffer[], rest: AsyncGenerator<Buffer>): Promise<void> {
    if (!(await this.snapshotLeases.confirm(this.read.plan))) throw snapshotGone();
    this.throwIfLost();
    const { raw } = this.reply;
    this.begun = true;
    this.reply.hijack();
    raw.writeHead(200, { 'content-type': JSON_TYPE });
    if (this.reply.request.method === 'HEAD') {
      this.snapshotLeases.release(this.read.plan);
      this.isReleased = true;
      raw.end();
      return;
    }
    let before: string = READ_ANSWER.head(this.read.shards);
    for (let page = held.shift(); page !== undefined; page = held.shift()) {
      await this.sendPage(raw, before, page);
      before = READ_ANSWER.separator;
    }
    for await (const page of rest) await this.sendPage(raw, before, page);
    if (!(await this.finish())) throw snapshotGone();
    raw.end(READ_ANSWER.tail);
  }

  /** Nothing to confirm where no replica was asked: the plan itself is the leader's answer. */
  private async finish(): Promise<boolean> {
    this.isReleased = true;
    if (this.read.plan.parts.length > 0) return this.snapshotLeases.finish(this.read.plan);
    this.snapshotLeases.release(this.read.plan);
    return true;
  }

  private async sendPage(raw: ServerResponse, before: string, page: Buffer): Promise<void> {
    this.throwIfLost();
    raw.cork();
    raw.write(before);
    const hasRoom = raw.write(page);
    raw.uncork();
    if (!hasRoom) await roomIn(raw, this.stalledClientMs);
  }

  private throwIfLost(): void {
    if (this.isLost()) throw snapshotGone();
    if (this.reply.raw.destroyed) throw new ShardlineError('BAD_REQUEST', 'the client disconnected');
  }
}

function snapshotGone(): ShardlineError {
  return new ShardlineError('SNAPSHOT_GONE', 'the leader no longer holds the snapshot', true);
}

/** Waits until the client has taken what was written. @throws ShardlineError when it goes or takes nothing for too long */
async function roomIn(raw: ServerResponse, deadlineMs: number): Promise<void> {
  if (!raw.writableNeedDrain || raw.destroyed) return;
  const waiting = new AbortController();
  const timer = setTimeout(() => {
    waiting.abort();
  }, deadlineMs);
  const gone = (): void => {
    waiting.abort();
  };
  raw.once('close', gone);
  try {
    await once(raw, 'drain', { signal: waiting.signal });
  } catch (cause) {
    throw new ShardlineError('BAD_REQUEST', 'the client went away or took nothing for too long', false, { cause });
  } finally {
    clearTimeout(timer);
    raw.off('close', gone);
  }
}
