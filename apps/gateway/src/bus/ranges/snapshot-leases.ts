/**
 * Snapshot leases of range reads: the leader holds a snapshot for each, and confirms at the end that it still leads.
 *
 * Rows travel straight from the replicas, so only the leader's word that it still leads, given after the rows have
 * arrived, makes them an answer. Many reads share one question.
 */
import type { NatsConnection } from 'nats';
import type { RangeRead, SnapshotLeasesReply, SnapshotLeasesRequest } from '#common/contracts/commands';
import { ShardlineError } from '#common/contracts/errors';
import { SUBJECTS } from '#common/contracts/subjects';
import { requestJson } from '#common/nats/codec';
import { COMMAND_MESSAGES } from '#common/nats/command-messages';
import { retryQuestion } from '../retry-question';

type Plan = RangeRead['plan'];

interface Question {
  kind: 'release' | 'renew';
  plan: Plan;
  resolve: (confirmed: boolean) => void;
  reject: (error: unknown) => void;
}

/** A read that goes on for long; its lease is renewed until it is released. */
interface KeptRead {
  plan: Plan;
  renewAtMs: number;
  onLost: () => void;
}

const ANSWER_TIMEOUT_MS = 2_000;
const MAX_LEASES_PER_QUESTION = 1_000;
/** Renewed this many times within a lease's life, so that one lost message does no harm. */
const RENEWALS_PER_LIFE = 4;
const RENEW_TICK_MS = 250;

export class SnapshotLeases {
  private waiting: Question[] = [];
  private asking = false;
  private readonly kept = new Set<KeptRead>();
  private ticker: NodeJS.Timeout | null = null;

  constructor(
    private readonly nats: NatsConnection,
    private readonly holdMs: number,
  ) {}

  /**
   * The read is over: releases its snapshot. Resolves with whether its rows may be served.
   *
   * @throws ShardlineError NO_LEADER when nobody could be asked within `holdMs`
   */
  finish(plan: Plan): Promise<boolean> {
    return this.ask('release', plan);
  }

  /** The same for a read that goes on. @throws ShardlineError as `finish` */
  confirm(plan: Plan): Promise<boolean> {
    return this.ask('renew', plan);
  }

  /** Releases the snapshot of a read that is not served; when that fails the lease runs out by itself. */
  release(plan: Plan): void {
    this.ask('release', plan).catch(() => undefined);
  }

  /** Renews the snapshot lease until the returned function is called; calls `onLost` once when the snapshot is lost. */
  keep(plan: Plan, onLost: () => void): () => void {
    const read: KeptRead = { plan, renewAtMs: performance.now() + plan.ttlMs / RENEWALS_PER_LIFE, onLost };
    this.kept.add(read);
    this.ticker ??= setInterval(() => {
      this.renew(performance.now());
    }, RENEW_TICK_MS);
    return () => {
      this.kept.delete(read);
      if (this.kept.size > 0 || this.ticker === null) return;
      clearInterval(this.ticker);
      this.ticker = null;
    };
  }

  private renew(nowMs: number): void {
    for (const read of this.kept) {
      if (nowMs < read.renewAtMs) continue;
      read.renewAtMs = nowMs + read.plan.ttlMs / RENEWALS_PER_LIFE;
      // A renewal that found nobody says nothing; the next one, or the confirmation at the end, will.
      this.ask('renew', read.plan).then(
        (confirmed) => {
          if (!confirmed && this.kept.delete(read)) read.onLost();
        },
        () => undefined,
      );
    }
  }

  private ask(kind: Question['kind'], plan: Plan): Promise<boolean> {
    return new Promise((resolve, reject) => {
      this.waiting.push({ kind, plan, resolve, reject });
      if (this.asking) return;
      this.asking = true;
      setImmediate(() => void this.askAll());
    });
  }

  /** Asks for everything that waits, until nothing does; one question at a time, so that they grow under load. */
  private async askAll(): Promise<void> {
    while (this.waiting.length > 0) {
      const questions = this.waiting.slice(0, MAX_LEASES_PER_QUESTION);
      this.waiting = this.waiting.slice(MAX_LEASES_PER_QUESTION);
      await this.askTogether(questions);
    }
    this.asking = false;
  }

  private async askTogether(questions: readonly Question[]): Promise<void> {
    const leases = (kind: Question['kind']): number[] =>
      questions.filter((question) => question.kind === kind).map((question) => question.plan.snapshotLease);
    const asked: SnapshotLeasesRequest = { release: leases('release'), renew: leases('renew') };
    try {
      const reply = await retryQuestion(this.holdMs, () => this.askOnce(asked));
      const unknown = new Set(reply.unknown);
      for (const { plan, resolve } of questions) {
        // Another epoch counts its snapshot leases from the start: that it knows the number means nothing.
        resolve(reply.epoch === plan.epoch && !unknown.has(plan.snapshotLease));
      }
    } catch (thrown) {
      for (const question of questions) question.reject(thrown);
    }
  }

  /** Asking twice is safe: at worst a lease that was released is unknown, and its read is made again. */
  private async askOnce(asked: SnapshotLeasesRequest): Promise<SnapshotLeasesReply> {
    try {
      const { reply } = COMMAND_MESSAGES.snapshotLeases;
      return await requestJson(this.nats, SUBJECTS.cmd.snapshotLeases, asked, ANSWER_TIMEOUT_MS, reply);
    } catch (thrown) {
      const error = ShardlineError.from(thrown);
      if (error.code !== 'OUTCOME_UNKNOWN') throw error;
      throw new ShardlineError('NO_LEADER', 'the leader does not answer', true, { cause: error });
    }
  }
}
