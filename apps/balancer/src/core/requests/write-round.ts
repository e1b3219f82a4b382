/**
 * One round: what is sent to which server, and what the answers mean. The round itself decides nothing about in-sync sets;
 * `Writer` does.
 */
import type { ErrorBody } from '#common/contracts/errors';
import type { OpOutcome, PartReply, RoundPart, ShardPart } from '#common/contracts/node';
import { keysOf, termsOf } from '#common/protocol/round';
import type { QueuedRequest } from './write-queue';
import { dictionary } from '../kernel/dictionary';
import type { Vote } from '../replicas/divergence';
import type { Shard } from '../cluster/shard';

/** The round's part in one shard, and what its in-sync replicas said to it. */
export interface RoundShard {
  shard: Shard;
  part: ShardPart;
  rows: string[];
  /** The requests whose ops these are, in the order of the ops, which stand behind so many notes. */
  requests: QueuedRequest[];
  notes: number;
  /** The in-sync set when the round began, with who was entering it, without those whose data is gone. */
  servers: readonly string[];
  replies: Map<string, PartReply>;
  failures: Map<string, ErrorBody>;
}

/**
 * What every request of a round came to. `excluded`: refused in one of several shards, or known in one, so that the round must be
 * run again without them. A verdict that may be due to one of these itself is none: it is decided again in the next attempt.
 */
export interface RoundVerdict {
  excluded: Map<QueuedRequest, OpOutcome>;
  outcomes: Map<QueuedRequest, OpOutcome>;
}

export class WriteRound {
  readonly shards = new Map<string, RoundShard>();
  /** Servers whose answers are waited for. */
  private unanswered = new Set<string>();

  /**
   * Reserves the terms and lays out the parts. `emptyShards` take part without any op. `refusals` are requests of the attempts
   * that the round supersedes. Their outcome is noted in all of their shards, so that a repeat gets it. It holds only once what
   * came before them is committed.
   */
  constructor(
    readonly number: number,
    readonly requests: readonly QueuedRequest[],
    shardOf: (id: string) => Shard,
    readonly startedMs: number,
    emptyShards: readonly Shard[] = [],
    readonly refusals: ReadonlyMap<QueuedRequest, OpOutcome> = new Map(),
  ) {
    for (const shard of emptyShards) this.open(shard);
    for (const [request, outcome] of refusals) this.note(request, outcome, shardOf);
    for (const request of requests) {
      for (const [id, { op, rows }] of request.parts) {
        const entry = this.shards.get(id) ?? this.open(shardOf(id));
        entry.part.ops.push(op);
        for (const row of rows) entry.rows.push(row);
        entry.requests.push(request);
      }
    }
    for (const entry of this.shards.values()) reserveTerms(entry);
  }

  /** By server: its message, and the rows that go with it. */
  parts(): Map<string, { round: RoundPart; rows: string[] }> {
    const lastTerms = dictionary<number>();
    for (const [id, entry] of this.shards) lastTerms[id] = entry.part.lastTerm;
    const byServer = new Map<string, { round: RoundPart; rows: string[] }>();
    for (const entry of this.shards.values()) {
      for (const server of entry.servers) {
        const { configId } = entry.shard.record;
        const empty = { round: this.number, configId, lastTerms, parts: [] };
        const message = byServer.get(server) ?? { round: empty, rows: [] };
        message.round.parts.push(entry.part);
        for (const row of entry.rows) message.rows.push(row);
        byServer.set(server, message);
      }
    }
    this.unanswered = new Set(byServer.keys());
    return byServer;
  }

  waitsFor(server: string): boolean {
    return this.unanswered.has(server);
  }

  /** Whether every shard of the round that lies there may go on without the server: enough other members have the round. */
  canDoWithout(server: string): boolean {
    for (const { shard, servers, replies } of this.shards.values()) {
      if (!servers.includes(server)) continue;
      const members = shard.inSync.filter((member) => replies.has(member));
      if (members.length < shard.minInSync || shard.record.disputed === true) return false;
    }
    return true;
  }

  /** A server has answered for all of its parts, unless it has been given up. Returns true when it was the last one. */
  answered(server: string, replies: readonly PartReply[]): boolean {
    if (!this.waitsFor(server)) return false;
    const byShard = new Map(replies.map((part) => [part.shard, part]));
    for (const entry of this.shards.values()) {
      if (!entry.servers.includes(server)) continue;
      const reply = byShard.get(entry.shard.id);
      if (reply?.outcomes.length === entry.part.ops.length) entry.replies.set(server, reply);
      else entry.failures.set(server, incomplete(server, entry.shard.id));
    }
    return this.isLast(server);
  }

  /** A server has failed with all of its parts, or is given up. Returns true when it was the last one. */
  failed(server: string, error: ErrorBody): boolean {
    if (!this.waitsFor(server)) return false;
    for (const entry of this.shards.values()) {
      if (entry.servers.includes(server)) entry.failures.set(server, error);
    }
    return this.isLast(server);
  }

  /**
   * By shard: replicas that may hold what this round wrote, until the shard's VAT has passed it. Those that have left the set meanwhile
   * count, too: they may be taken back as they are, where nobody else serves. So does a suspended member: what this leader makes of it,
   * the next one need not.
   */
  mayHold(): Map<string, ReadonlySet<string>> {
    const holders = new Map<string, ReadonlySet<string>>();
    for (const [id, { servers, failures }] of this.shards) {
      const own = this.isEmpty ? [] : servers.filter((server) => !certainlyLacks(failures.get(server)));
      holders.set(id, new Set(own));
    }
    return holders;
  }

  /** What became of every request, by the replicas that agree. @throws Error when a shard has no reply */
  verdict(): RoundVerdict {
    const outcomes = this.outcomes();
    const excluded = new Map<QueuedRequest, OpOutcome>();
    /** Keys and ids whose state, as later requests of the round saw it, need not be the one that they will find. */
    const doubtful = new Set<number | string>();
    for (const request of this.requests) {
      const outcome = outcomes.get(request);
      const touched: (number | string)[] = [...request.parts.values()].flatMap(({ op }) => keysOf([op]));
      if (request.name.id !== undefined) touched.push(request.name.id);
      const isDoubtful = touched.some((one) => doubtful.has(one));
      const hasNoPart = outcome?.refused !== undefined || outcome?.known === true;
      const isExcluded = hasNoPart && request.parts.size > 1;
      if (isExcluded && !isDoubtful) excluded.set(request, outcome);
      if (isExcluded || isDoubtful) for (const one of touched) doubtful.add(one);
    }
    return { excluded, outcomes };
  }

  private isLast(server: string): boolean {
    this.unanswered.delete(server);
    return this.unanswered.size === 0;
  }

  /** No part does anything: whether it is stored somewhere makes no difference to anybody. */
  private get isEmpty(): boolean {
    return [...this.shards.values()].every(({ part }) => part.ops.length === 0);
  }

  private outcomes(): Map<QueuedRequest, OpOutcome> {
    const byRequest = new Map<QueuedRequest, OpOutcome[]>();
    for (const entry of this.shards.values()) {
      const [reply] = entry.replies.values();
      entry.requests.forEach((request, index) => {
        const outcome = reply?.outcomes[entry.notes + index];
        if (outcome === undefined)
          throw new Error(`no replica has reported the outcome of the round in ${entry.shard.id}`);
        const before = byRequest.get(request);
        if (before === undefined) byRequest.set(request, [outcome]);
        else before.push(outcome);
      });
    }
    return new Map([...byRequest].map(([request, outcomes]) => [request, combined(outcomes)]));
  }

  /** What was known before is noted already, or was nothing that a repeat should get. */
  private note(request: QueuedRequest, outcome: OpOutcome, shardOf: (id: string) => Shard): void {
    const { id, fingerprint } = request.name;
    if (id === undefined || outcome.known === true) return;
    for (const shard of request.parts.keys()) {
      const entry = this.shards.get(shard) ?? this.open(shardOf(shard));
      entry.part.ops.push({ op: 'note', id, ...(fingerprint === undefined ? {} : { fingerprint }), outcome });
      entry.notes += 1;
    }
  }

  private open(shard: Shard): RoundShard {
    const forgottenUpTo = shard.forgottenIds.upTo;
    const part: ShardPart = { shard: shard.id, vat: shard.vat, forgottenUpTo, firstTerm: 0, lastTerm: 0, ops: [] };
    if (shard.epochStartsAreNew) part.epochStarts = shard.epochStarts;
    const entry: RoundShard = {
      shard,
      part,
      rows: [],
      requests: [],
      notes: 0,
      servers: shard.participants,
      replies: new Map(),
      failures: new Map(),
    };
    this.shards.set(shard.id, entry);
    return entry;
  }
}

/** Terms are never used twice: whatever becomes of the round, the shard's next term lies above its last. */
function reserveTerms({ shard, part }: RoundShard): void {
  part.firstTerm = shard.nextTerm;
  const terms = part.ops.reduce((count, op) => count + termsOf(op), 0);
  // A round without ops uses a term as well, so that having it differs from not having it.
  part.lastTerm = part.firstTerm + Math.max(terms, 1) - 1;
  shard.nextTerm = part.lastTerm + 1;
}

/**
 * What each replica says that it did, to be compared. Where there is no majority, the one that knows more of the records that it
 * was asked to change prevails: a lost record is worse than one too many.
 */
export function votesOf({ shard, replies }: RoundShard): Vote[] {
  const votes: Vote[] = [];
  for (const server of shard.record.replicas) {
    const reply = replies.get(server);
    if (reply === undefined) continue;
    const count = (code: string): number => reply.outcomes.filter(({ refused }) => refused === code).length;
    votes.push({ server, digest: reply.digest, weight: count('KEY_EXISTS') - count('KEY_NOT_FOUND') });
  }
  return votes;
}

/** The keys of which the replicas reported different outcomes, or all of the part where they reported the same. */
export function disputedKeys({ part, replies }: RoundShard): number[] {
  const disputed = part.ops.filter((_, index) => {
    const outcomes = new Set([...replies.values()].map(({ outcomes }) => JSON.stringify(outcomes[index])));
    return outcomes.size > 1;
  });
  return keysOf(disputed.length > 0 ? disputed : part.ops);
}

/** The failure says that the round was not stored and never will be. */
export function certainlyLacks(failure: ErrorBody | undefined): boolean {
  if (failure === undefined) return false;
  if (['NO_LEADER', 'BUSY', 'STORE_FAILED'].includes(failure.code)) return failure.retryable;
  return ['UNKNOWN_SHARD', 'STALE_ROUND', 'BAD_MESSAGE', 'BAD_REQUEST'].includes(failure.code);
}

/**
 * One outcome of what a request came to in its shards, of which there is one at the least. Known in all of them it is the first outcome
 * again. Known in some only, its id has just been forgotten elsewhere, or was given to something else before: it cannot be known what
 * became of it.
 */
function combined(outcomes: readonly OpOutcome[]): OpOutcome {
  const known = outcomes.filter((outcome) => outcome.known === true).length;
  if (known > 0 && known < outcomes.length) return { refused: 'ID_REUSED', key: 0, known: true };
  return outcomes.reduce(sum);
}

function sum(a: OpOutcome, b: OpOutcome): OpOutcome {
  if (a.refused !== undefined) return a;
  if (b.refused !== undefined) return b;
  return { ...a, ok: a.ok + b.ok };
}

function incomplete(server: string, shard: string): ErrorBody {
  return { code: 'BAD_MESSAGE', message: `${server} left out its answer for ${shard}`, retryable: false };
}
