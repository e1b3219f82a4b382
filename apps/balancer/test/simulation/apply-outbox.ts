/**
 * Rounds on their way to one server, as the real transport sends them: one message at a time, and all that has come meanwhile in the
 * next, which the server stores in one transaction or not at all.
 */
import type { ErrorBody } from '#common/contracts/errors';
import type { ApplyRequest, PartReply } from '#common/contracts/node';
import type { AskTypes, Result } from '../../src/core/kernel/effects';
import type { Scheduler } from './scheduler';

export type Apply = AskTypes['apply']['ask'];
type Answer = (outcome: Result<PartReply[]>) => void;

/** Sends a message, and reports what became of it. */
export type PostApply = (
  request: ApplyRequest,
  rows: readonly string[],
  done: (outcome: Result<{ round: number; parts: PartReply[] }[]>) => void,
) => void;

interface Waiting {
  apply: Apply;
  sinceMs: number;
  answer: Answer;
}

export class ApplyOutbox {
  private queue: Waiting[] = [];
  private isUnderWay = false;

  constructor(
    private readonly scheduler: Scheduler,
    private readonly patienceMs: number,
    private readonly post: PostApply,
  ) {}

  add(apply: Apply, answer: Answer): void {
    this.queue.push({ apply, sinceMs: this.scheduler.nowMs, answer });
    this.flushSoon();
  }

  /** Answers may have led to further rounds, which are on their way then. */
  private flushSoon(): void {
    if (!this.isUnderWay) this.flush();
  }

  private flush(): void {
    const oldestMs = this.scheduler.nowMs - this.patienceMs;
    const overdue = this.queue.filter(({ sinceMs }) => sinceMs < oldestMs);
    const fresh = this.queue.filter(({ sinceMs }) => sinceMs >= oldestMs);
    const [first] = fresh;
    const batch = fresh.filter(({ apply }) => apply.epoch === first?.apply.epoch);
    this.queue = fresh.filter((one) => !batch.includes(one));
    if (first !== undefined) this.send(first.apply.epoch, batch);
    for (const { answer } of overdue) answer({ ok: false, error: BUSY });
  }

  private send(epoch: number, batch: readonly Waiting[]): void {
    this.isUnderWay = true;
    this.deliver(epoch, batch, () => {
      this.isUnderWay = false;
      this.flushSoon();
    });
  }

  /** In halves where the server refuses one of several rounds, until that one is alone. */
  private deliver(epoch: number, batch: readonly Waiting[], then: (isInTrouble: boolean) => void): void {
    const request = { epoch, rounds: batch.map(({ apply }) => apply.round) };
    const rows = batch.flatMap(({ apply }) => apply.rows);
    this.post(request, rows, (outcome) => {
      if (!outcome.ok && batch.length > 1 && ABOUT_ONE_ROUND.has(outcome.error.code)) {
        const middle = Math.ceil(batch.length / 2);
        const rest = batch.slice(middle);
        this.deliver(epoch, batch.slice(0, middle), (isInTrouble) => {
          if (!isInTrouble) this.deliver(epoch, rest, then);
          else {
            for (const { answer } of rest) answer({ ok: false, error: BUSY });
            then(true);
          }
        });
        return;
      }
      for (const { apply, answer } of batch) {
        if (!outcome.ok) answer(outcome);
        else {
          const reply = outcome.value.find(({ round }) => round === apply.round.round);
          answer(reply === undefined ? { ok: false, error: LEFT_OUT } : { ok: true, value: reply.parts });
        }
      }
      then(!outcome.ok && !ABOUT_ONE_ROUND.has(outcome.error.code));
    });
  }
}

const ABOUT_ONE_ROUND: ReadonlySet<string> = new Set(['BAD_REQUEST', 'BAD_MESSAGE', 'STALE_ROUND', 'UNKNOWN_SHARD']);
const BUSY: ErrorBody = { code: 'BUSY', message: 'the server does not keep up', retryable: true };
const LEFT_OUT: ErrorBody = { code: 'BAD_MESSAGE', message: 'left out an answer', retryable: false };
