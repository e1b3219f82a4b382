/** Clients that work on the same keys at the same time, over HTTP, and write down what they asked and what they were answered. */
import { setTimeout as delay } from 'node:timers/promises';
import { History, type Ending, type Entry } from '#common/testing/history';
import type { Chance } from './chance';
import { ask, type Lost, type Reply } from './gateway-client';
import { chooseRequest, endingOf, questionOf, type Request } from './requests';
import { SHARDS, shardOf, type KeyBlock } from './table';

/** How long a client thinks between two operations, at most. */
const THINK_MS = 30;
/** Before it asks again after a failure. */
const PAUSE_MS = 100;
/** How long a client repeats an operation whose outcome it does not know. */
const REPEAT_MS = 30_000;

export interface ClientsOptions {
  baseUrl: string;
  block: KeyBlock;
  count: number;
  chance: Chance;
  /** Makes operation ids and values that no other fault's clients use. */
  prefix: string;
  /** Whether the gateway knows an operation that is asked for again by its id. */
  repeats: boolean;
}

export class Clients {
  readonly history = new History();
  /** Failures that clients saw, by kind. */
  readonly errors = new Map<string, number>();
  /** Answers that must never be given, whatever happens. */
  readonly wrongAnswers: string[] = [];
  private readonly stalls = new Map<string, { lastMs: number; longestMs: number }>();
  private stopped = false;
  private tokens = 0;
  private readonly running: Promise<unknown>;

  constructor(private readonly options: ClientsOptions) {
    const nowMs = performance.now();
    for (const shard of SHARDS) this.stalls.set(shard, { lastMs: nowMs, longestMs: 0 });
    this.running = Promise.all(
      Array.from({ length: options.count }, (_, index) => this.work(`c${index}`, options.chance.fork())),
    );
  }

  /** The longest time until now in which no change of some shard was answered, in milliseconds. */
  get longestStallMs(): number {
    return Math.max(...[...this.stalls.values()].map(({ longestMs }) => longestMs));
  }

  /** Resolves when every client has its last answer. */
  async stop(): Promise<void> {
    for (const shard of SHARDS) this.answered(shard);
    this.stopped = true;
    await this.running;
  }

  private async work(client: string, chance: Chance): Promise<void> {
    while (!this.stopped) {
      const request = chooseRequest(chance, this.options.block, () => `${this.options.prefix}-${this.tokens++}`);
      const entry = this.history.call(client, request.operation);
      const usesId = this.options.repeats && request.operation.kind !== 'read' && chance.happens(0.6);
      const ending = usesId
        ? await this.insist(request, `${this.options.prefix}-op${entry.id}`, chance)
        : await this.once(request);
      this.history.answer(entry, ending);
      this.noteAnswer(entry, ending);
      await delay(ending.how === 'none' || ending.how === 'unknown' ? PAUSE_MS : chance.below(THINK_MS));
    }
  }

  private async once(request: Request, operationId?: string): Promise<Ending> {
    const reply = await ask(this.options.baseUrl, questionOf(request, operationId));
    this.count(reply);
    const ending = endingOf(request, reply);
    if (typeof ending === 'object') return ending;
    this.wrongAnswers.push(`${request.operation.kind} ${request.operation.keys.join()}: ${ending}`);
    return { how: request.operation.kind === 'read' ? 'none' : 'unknown' };
  }

  /** Asks again under the same id while it is not known what became of it: all of that is one operation. */
  private async insist(request: Request, operationId: string, chance: Chance): Promise<Ending> {
    const endMs = performance.now() + REPEAT_MS;
    let ending = await this.once(request, operationId);
    while (ending.how === 'unknown' && performance.now() < endMs) {
      await delay(PAUSE_MS);
      const again = await this.once(request, operationId);
      // "Nothing was changed" is said of the repetition, not of what went before.
      if (again.how !== 'none') ending = again;
    }
    if (chance.happens(0.1)) await this.compareWithRecord(operationId, ending);
    return ending;
  }

  /** `GET /operations/{id}` must answer what the client was answered. */
  private async compareWithRecord(operationId: string, { how }: Ending): Promise<void> {
    const expected = { done: 'committed', refused: 'refused' }[how as string];
    if (expected === undefined) return;
    const reply = await ask(this.options.baseUrl, { method: 'GET', path: `/operations/${operationId}` });
    this.count(reply);
    if (typeof reply === 'string' || reply.status === 503 || reply.status === 504) return;
    const { outcome } = JSON.parse(reply.text) as { outcome?: string };
    if (outcome !== expected) this.wrongAnswers.push(`${operationId} was ${how}, and is reported as ${reply.text}`);
  }

  private count(reply: Reply | Lost): void {
    const kind = typeof reply === 'string' ? reply : String(reply.status);
    if (kind === '200' || kind === '404' || kind === '409') return;
    this.errors.set(kind, (this.errors.get(kind) ?? 0) + 1);
    if (kind === 'no answer') this.wrongAnswers.push('a client got no answer at all');
  }

  /** A refusal is an answer of the shard's as well: it comes from a round. */
  private noteAnswer({ operation }: Entry, { how }: Ending): void {
    if (operation.kind === 'read' || (how !== 'done' && how !== 'refused')) return;
    for (const shard of new Set(operation.keys.map(shardOf))) this.answered(shard);
  }

  private answered(shard: string): void {
    const stall = this.stalls.get(shard);
    if (stall === undefined || this.stopped) return;
    const nowMs = performance.now();
    stall.longestMs = Math.max(stall.longestMs, nowMs - stall.lastMs);
    stall.lastMs = nowMs;
  }
}
