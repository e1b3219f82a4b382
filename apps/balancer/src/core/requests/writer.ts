/**
 * Writes: from the write queues through rounds to the acknowledgement.
 *
 * A round goes to every in-sync replica of its shards. It is acknowledged when all of them have it in a committed
 * transaction; a replica that has failed is first taken out of the in-sync set, durably, and only then do the others
 * suffice. The bump of the VATs is the commit.
 */
import type { ErrorBody } from '#common/contracts/errors';
import type { OpOutcome } from '#common/contracts/node';
import { ChangesUnderWay } from './changes-under-way';
import type { Cluster } from '../cluster/cluster';
import type { StepContext } from '../kernel/step-context';
import { sidesOf, type Divergence, type Sides } from '../replicas/divergence';
import { GivenUpRounds } from './given-up-rounds';
import type { InSyncSets } from '../replicas/in-sync-sets';
import { OwedAnswers } from '../detection/owed-answers';
import type { Patience } from '../detection/patience';
import { NOBODY_KNOWS, refusalOf, unavailable } from './refusals';
import type { CoreSettings } from '../detection/core-settings';
import { ShardWriteQueues, type Gate, type QueuedRequest } from './write-queue';
import type { Shard } from '../cluster/shard';
import { all, spawn, running, wait, type Suspension, type Workflow } from '../kernel/workflow';
import { certainlyLacks, disputedKeys, votesOf, WriteRound, type RoundShard } from './write-round';

/** How often shards that owe a newer round are looked at. */
const SETTLE_PAUSE_MS = 200;

export class Writer {
  readonly queues: ShardWriteQueues;
  readonly underWay = new ChangesUnderWay();
  private readonly givenUp = new GivenUpRounds();
  private readonly owed: OwedAnswers;
  private nextSettleMs = 0;
  private nextRound = 1;
  private nextCohort = 1;
  /** Requests are checked when they come, and none outlives the configuration that they came for. */
  private readonly shardOf = (id: string): Shard => this.cluster.shardNamed(id);

  constructor(
    private readonly context: StepContext,
    private readonly cluster: Cluster,
    private readonly inSyncSets: InSyncSets,
    private readonly divergence: Divergence,
    private readonly settings: CoreSettings,
    private readonly patience: Patience,
    private readonly fenced: (error: ErrorBody) => void,
  ) {
    this.queues = new ShardWriteQueues(settings);
    this.owed = new OwedAnswers(patience);
  }

  /** Queues a request whose shards all exist. */
  write(request: QueuedRequest): void {
    this.underWay.begin(request.name.id);
    this.queue(request);
  }

  private queue(request: QueuedRequest): void {
    if (!this.queues.enqueue(request)) {
      this.refuse(request, { code: 'BUSY', message: 'too many requests wait for this shard', retryable: true });
    }
  }

  /** Starts every round that can start now. */
  flush(): void {
    const taken = this.queues.dequeue(
      (shard, request) => this.gate(shard, request),
      this.context.nowMs - this.settings.queueWaitMs,
    );
    for (const request of taken.refused) this.refuse(request, unavailable([...request.parts.keys()]));
    for (const request of taken.expired) this.refuse(request, unavailable([...request.parts.keys()]));
    for (const group of taken.groups) this.begin(group.requests);
  }

  /** Waits until no round holds the shard, and keeps rounds from it until `queues.release`. */
  *lockQueue(shard: Shard): Workflow {
    yield* wait(this.queues.lock(shard.id));
  }

  /** The same for several shards, in the order of their names. */
  *lockQueues(shards: readonly Shard[]): Workflow {
    const ordered = [...shards].sort((a, b) => (a.id < b.id ? -1 : 1));
    for (const shard of ordered) yield* this.lockQueue(shard);
  }

  /** Answers everything that waits with an error: the configuration it was meant for is gone. */
  abandon(error: ErrorBody): void {
    for (const request of this.queues.drain()) this.refuse(request, error);
    this.givenUp.clear();
  }

  /**
   * Gives up answers that are too late. Has shards that owe a newer round store an empty one, as soon as they can and nobody
   * else does.
   */
  tick(): void {
    const { nowMs } = this.context;
    for (const server of this.owed.giveUpLate(nowMs)) this.patience.wasLate(server, nowMs);
    for (const request of this.queues.refuseHeld((shard, request) => this.gate(shard, request)))
      this.refuse(request, unavailable([...request.parts.keys()]));
    if (this.context.nowMs < this.nextSettleMs) return;
    this.nextSettleMs = this.context.nowMs + SETTLE_PAUSE_MS;
    for (const shard of this.givenUp.debtors()) {
      if (!this.queues.isLocked(shard.id) && this.cluster.isWritable(shard)) spawn(this.settleDebt(shard));
    }
  }

  private *settleDebt(shard: Shard): Workflow {
    yield* this.lockQueue(shard);
    yield* wait(this.empty([shard]));
  }

  private gate(id: string, request: QueuedRequest): Gate {
    const shard = this.shardOf(id);
    // In two rounds at once that nobody knows what became of there would be no end of what the other shards have to remember.
    if (request.parts.size > 1 && !this.queues.isLocked(id) && this.givenUp.owes(shard)) return 'refuse';
    if (this.cluster.isWritable(shard)) return 'open';
    return shard.configLock.isHeld ? 'wait' : 'refuse';
  }

  /**
   * One empty round, the first one under a new epoch, on shards that were decided together. Their in-sync replicas undo what was not
   * committed and store what was decided. So a later take-over cannot decide otherwise. The caller holds the write queues.
   * Resolves whether enough replicas have it; the write queues are free then.
   */
  confirm(shards: readonly Shard[]): Suspension<boolean> {
    return (resume) => {
      this.empty(shards)((round) => {
        resume(isInForce(round));
      });
    };
  }

  private empty(shards: readonly Shard[]): Suspension<WriteRound> {
    return (resume) => {
      const round = new WriteRound(this.nextRound++, [], this.shardOf, this.context.nowMs, shards);
      this.send(round, () => {
        resume(round);
      });
    };
  }

  private begin(requests: readonly QueuedRequest[]): void {
    const round = new WriteRound(this.nextRound++, requests, this.shardOf, this.context.nowMs);
    this.send(round, () => undefined);
  }

  private send(round: WriteRound, ended: () => void): void {
    const parts = round.parts();
    if (parts.size === 0) spawn(this.conclude(round), ended);
    for (const [server, { round: part, rows }] of parts) {
      const fail = (error: ErrorBody): void => {
        if (round.failed(server, error)) spawn(this.conclude(round), ended);
      };
      const debt = this.owed.sent(server, round, fail, this.context.nowMs);
      this.context.request('apply', { server, epoch: this.cluster.epoch, round: part, rows }, (outcome) => {
        this.owed.settled(debt, outcome.ok, this.context.nowMs);
        if (!outcome.ok) fail(outcome.error);
        else if (round.answered(server, outcome.value)) spawn(this.conclude(round), ended);
      });
    }
  }

  /** All servers have answered, have failed or were given up. */
  private *conclude(round: WriteRound): Workflow {
    const entries = [...round.shards.values()];
    const fencing = entries.flatMap((entry) => [...entry.failures.values()]).find((error) => error.code === 'FENCED');
    if (fencing !== undefined) {
      this.fenced(fencing);
      return;
    }
    // Whoever refuses what nobody can store is as whole as before, in every shard of the round.
    if (rejectionOf(entries) !== null) {
      this.fail(round);
      return;
    }
    const kept = yield* wait(all(entries.map((entry) => running(this.settle(entry)))));
    if (kept.includes(false)) this.fail(round);
    else this.decide(round);
  }

  /** Makes sure that the replicas that have the round are the in-sync set; false when they are too few. */
  private *settle(entry: RoundShard): Workflow<boolean> {
    const { shard } = entry;
    const sides = sidesOf(votesOf(entry), entry.servers.length);
    if (sides === null) {
      yield* this.divergence.dispute(shard);
      return false;
    }
    if (sides.diverged.length > 0) yield* this.quarantine(entry, sides);
    const failed = [...entry.failures.keys()].filter((server) => shard.writers.includes(server));
    // Whoever has left the set meanwhile: the others must have acknowledged that, which may be under way.
    if (failed.length === 0 && shard.unacknowledged.size === 0) return isKept(entry);
    const cause = [...entry.failures].map(([server, error]) => `${server}: ${error.message}`).join('; ');
    yield* this.inSyncSets.demote(shard, failed, cause);
    return isKept(entry);
  }

  /**
   * Everything was kept by enough replicas: commit, or run again without the requests that one of their shards refused, or that
   * have been here before. These get their answer with the others: what they were refused for may be what another request of
   * the same round did.
   */
  private decide(round: WriteRound): void {
    const { excluded, outcomes } = round.verdict();
    if (excluded.size > 0) {
      const others = round.requests.filter((request) => !excluded.has(request));
      this.runAgain(round, others, new Map([...round.refusals, ...excluded]));
      return;
    }
    let rows = 0;
    for (const { shard, part, rows: shardRows } of round.shards.values()) {
      shard.vat = part.lastTerm;
      shard.announcedUnavailable = false;
      this.givenUp.settle(shard);
      if (part.epochStarts === shard.epochStarts) shard.epochStartsAreNew = false;
      rows += shardRows.length;
    }
    for (const request of round.requests) this.answer(request, outcomes.get(request) ?? { ok: 0 });
    for (const [request, outcome] of round.refusals) this.answer(request, outcome);
    this.queues.release(round.shards.keys());
    const tookMs = this.context.nowMs - round.startedMs;
    this.context.emit({ do: 'roundDone', requests: round.requests.length, rows, shards: round.shards.size, tookMs });
  }

  /**
   * As a new round with new terms: what the first attempt left is undone by it, since it builds on the same VAT. Shards that
   * have nothing left to do take part with an empty one. None of them may go on while another still holds the failed round
   * as its newest, or a take-over would take it for committed there (see `protocol/vat-decision.ts`).
   */
  private runAgain(
    failed: WriteRound,
    requests: readonly QueuedRequest[],
    refusals: ReadonlyMap<QueuedRequest, OpOutcome>,
  ): void {
    const needed = new Set(requests.flatMap((request) => [...request.parts.keys()]));
    const idle = [...failed.shards.values()].map((entry) => entry.shard).filter((shard) => !needed.has(shard.id));
    const again = new WriteRound(this.nextRound++, requests, this.shardOf, this.context.nowMs, idle, refusals);
    this.send(again, () => undefined);
  }

  /**
   * Too few replicas have it. Where it touches several shards each of them remembers that it is not committed, since none may wait
   * for another one. That may lack a member that can only be replaced by a copy which needs the write queue.
   */
  private fail(round: WriteRound): void {
    const shards = [...round.shards.values()].map((entry) => entry.shard);
    const refused = [...round.refusals.keys()];
    const rejection = rejectionOf([...round.shards.values()]);
    if (rejection !== null) this.separate(round.requests, refused, rejection);
    else for (const request of refused) this.refuse(request, unavailable([...round.shards.keys()]));
    const waiting = this.answerFailed(round, rejection === null ? round.requests : []);
    const isNowhere = round.refusals.size === 0 && [...round.mayHold().values()].every((servers) => servers.size === 0);
    const isGivenUp = shards.length > 1 && !isNowhere;
    if (isGivenUp) this.givenUp.add(round.number, shards, this.cluster.epoch);
    if (isGivenUp || waiting.length > 0) this.supersede(round, waiting);
    else this.queues.release(round.shards.keys());
  }

  /**
   * An empty round on each of its shards by itself, whose write queues the failed round holds. As soon as nobody holds that any more in one of
   * them it is certainly not committed; as long as that is so in none, nobody knows.
   */
  private supersede(failed: WriteRound, waiting: readonly QueuedRequest[]): void {
    let open = failed.shards.size;
    let asking = waiting;
    for (const { shard } of failed.shards.values()) {
      spawn(this.isGoneAfter(failed, shard, waiting.length > 0), (isGone) => {
        open -= 1;
        if (!isGone && open > 0) return;
        for (const request of asking) this.refuse(request, isGone ? unavailable([shard.id]) : NOBODY_KNOWS);
        asking = [];
      });
    }
  }

  /**
   * Whether no replica of the shard holds the failed round any more, after those that may have been asked to undo it; the write queue is free
   * then.
   */
  private *isGoneAfter(failed: WriteRound, shard: Shard, isAsked: boolean): Workflow<boolean> {
    if (!isAsked && !this.cluster.isWritable(shard)) {
      this.queues.release([shard.id]);
      return false;
    }
    const round = yield* wait(this.empty([shard]));
    const replies = round.shards.get(shard.id)?.replies;
    const holders = [...(failed.mayHold().get(shard.id) ?? [])];
    return isInForce(round) || holders.every((server) => replies?.has(server) === true);
  }

  /**
   * What is said of a round that too few replicas have. When in some shard no replica can hold it, it is not committed and
   * never will be. That may soon be so when one of them certainly lacks it: then those that may hold it are made to undo
   * it first. Otherwise nobody knows.
   *
   * @returns the requests that wait for that
   */
  private answerFailed(round: WriteRound, requests: readonly QueuedRequest[]): readonly QueuedRequest[] {
    const entries = [...round.shards.values()];
    const isGone = [...round.mayHold().values()].some((servers) => servers.size === 0);
    const isLacking = entries.some(({ failures }) => [...failures.values()].some(certainlyLacks));
    if (!isGone && isLacking) return requests;
    const error = isGone ? unavailable(entries.map(({ shard }) => shard.id)) : NOBODY_KNOWS;
    for (const request of requests) this.refuse(request, error);
    return [];
  }

  /**
   * One of the requests cannot be stored by any replica. It is looked for by halves, so that it fails alone and few rounds are
   * needed for that. Those that were `refused` before are asked again: what they were refused for did not come to pass.
   */
  private separate(requests: readonly QueuedRequest[], refused: readonly QueuedRequest[], rejection: ErrorBody): void {
    const middle = Math.ceil(requests.length / 2);
    const halves = requests.length > 1 ? [requests.slice(0, middle), requests.slice(middle)] : [];
    for (const cohort of [...halves, refused]) {
      const number = this.nextCohort++;
      for (const request of cohort) {
        request.cohort = number;
        this.queue(request);
      }
    }
    if (halves.length === 0) for (const request of requests) this.refuse(request, rejection);
  }

  private answer(request: QueuedRequest, outcome: OpOutcome): void {
    if (outcome.refused !== undefined) this.refuse(request, refusalOf(outcome));
    else {
      this.underWay.end(request.name.id);
      const answered = { result: { id: request.id, added: outcome.ok } };
      this.context.emit({ do: 'answer', batch: request.batch, answered });
    }
  }

  private refuse({ batch, id, name }: QueuedRequest, why: ErrorBody): void {
    const error = this.underWay.fail(name.id, why);
    this.context.emit({ do: 'answer', batch, answered: { result: { id, error } } });
  }

  /** Replicas that did something else with the round than the others are out before it is decided. */
  private *quarantine(entry: RoundShard, sides: Sides): Workflow {
    const { shard, part } = entry;
    const roundKeys = disputedKeys(entry);
    for (const server of sides.diverged) {
      entry.replies.delete(server);
      entry.failures.set(server, {
        code: 'INTERNAL',
        message: 'stored the round differently from the others',
        retryable: false,
      });
    }
    const cause = 'it stored a round differently from the others';
    yield* this.divergence.quarantine({ ...sides, shard, vat: part.vat, cause, roundKeys });
  }
}

/** Nothing has come to pass in its shards but what it came to. */
function isInForce({ shards }: WriteRound): boolean {
  return [...shards.values()].every(({ shard, part }) => shard.vat === part.lastTerm);
}

/** When no replica of some shard has its rows, and one that answered says that nobody can store them: what it says. */
function rejectionOf(entries: readonly RoundShard[]): ErrorBody | null {
  for (const { replies, failures, requests } of entries) {
    const errors = replies.size > 0 || requests.length === 0 ? [] : [...failures.values()];
    const isUnreadable = errors.every(({ code }) => code === 'BAD_MESSAGE');
    const rejected = errors.find(({ code }) => code === 'BAD_REQUEST' || isUnreadable);
    if (rejected === undefined) continue;
    return { code: 'BAD_REQUEST', message: `the replicas cannot store this: ${rejected.message}`, retryable: false };
  }
  return null;
}

/**
 * Whether the in-sync set has it, and all of it knows who belongs to it. A round without requests may lack members that have to be
 * fully re-copied anyway.
 */
function isKept({ shard, replies, requests }: RoundShard): boolean {
  const hasIt = (server: string): boolean => {
    if (requests.length > 0 && shard.isSuspended(server)) return false;
    return replies.has(server) || !shard.isNeeded(server);
  };
  return replies.size > 0 && shard.unacknowledged.size === 0 && shard.writers.every(hasIt);
}
