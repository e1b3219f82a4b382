/** The writer on a bench: what each server says to a round, and when, is what the test says. */
import type { ErrorBody, ErrorCode } from '#common/contracts/errors';
import type { PartReply } from '#common/contracts/node';
import type { Ask, Result } from '../../src/core/kernel/effects';
import type { RequestPart } from '../../src/core/requests/write-queue';
import { Bench } from './bench';

export type Apply = Extract<Ask, { do: 'apply' }>;

/** Says that the round was not stored and never will be. */
export const BUSY = failure('BUSY', true);
/** Says nothing of whether the round was stored. */
export const UNKNOWN = failure('OUTCOME_UNKNOWN');

export function failure(code: ErrorCode, retryable = false): Result<never> {
  return { ok: false, error: { code, message: code.toLowerCase(), retryable } };
}

export class WriteBench extends Bench {
  /** What a server says to a round; undefined: that it has stored it, null: nothing as yet. */
  says: (ask: Apply) => Result<PartReply[]> | null | undefined = () => undefined;
  private nextRequest = 1;

  /** @param layout by shard the servers that have it */
  constructor(layout: Record<string, readonly string[]>) {
    const names = Object.values(layout).flat();
    super(new Set(names).size, Object.keys(layout));
    const shards = Object.entries(layout);
    this.cluster.addShards(shards.map(([id, servers], index) => this.newShard(id, index * 10, servers)));
    for (const shard of this.cluster.shards.values()) shard.nextTerm = shard.vat + 1;
    this.answer = (ask) => (ask.do === 'apply' ? this.says(ask) : undefined);
    this.tick = () => {
      this.writer.tick();
    };
  }

  /** Sends a change of one record in each of these shards; what is said to it stands in `answerTo`. */
  write(...shards: string[]): number {
    const id = this.nextRequest++;
    const parts = shards.map((shard): [string, RequestPart] => {
      const { low } = this.shardOf(shard).record;
      return [shard, { op: { op: 'create', onConflict: 'replace', keys: [low] }, rows: ['{}'] }];
    });
    const request = { batch: 1, id, name: {}, bytes: 1, arrivedMs: this.context.nowMs };
    this.writer.write({ ...request, parts: new Map(parts) });
    this.settle();
    return id;
  }

  answerTo(id: number): { error?: ErrorBody | undefined } | undefined {
    const answers = this.effects.flatMap((effect) => (effect.do === 'answer' ? [effect.answered.result] : []));
    return answers.find((answer) => answer.id === id);
  }
  /** The code of the error, or null when the change was made; undefined as long as nothing is said. */
  codeFor(id: number): ErrorCode | null | undefined {
    const answer = this.answerTo(id);
    return answer && (answer.error?.code ?? null);
  }

  /** What servers were sent, as far as it is about this shard. */
  rounds(shard: string): Apply[] {
    return this.asked('apply').filter(({ round }) => round.parts.some((part) => part.shard === shard));
  }
  /** Rounds that no server has said anything to as yet. */
  openRounds(shard: string, server?: string): Apply[] {
    const open = this.rounds(shard).filter((ask) => this.open.includes(ask));
    return open.filter((ask) => server === undefined || ask.server === server);
  }

  /** All that is open of the shard (at one server) is answered so. */
  reply(shard: string, outcome?: Result<PartReply[]>, server?: string): void {
    for (const ask of this.openRounds(shard, server)) this.resolve(ask, outcome);
  }

  override settle(): void {
    this.writer.flush();
    super.settle();
    this.writer.flush();
    super.settle();
  }

  override said(ask: Ask): Result<unknown> {
    if (ask.do !== 'apply') return super.said(ask);
    return { ok: true, value: ask.round.parts.map((part) => this.store(ask.server, part)) };
  }

  private store(server: string, { shard, ops, lastTerm }: Apply['round']['parts'][number]): PartReply {
    const state = this.node(server).states.get(shard);
    if (state !== undefined) state.currentTerm = lastTerm;
    return { shard, outcomes: ops.map(() => ({ ok: 1 })), digest: 'as all' };
  }
}

/** Whether the round does nothing. */
export function isEmpty({ round }: Apply): boolean {
  return round.parts.every(({ ops }) => ops.length === 0);
}
