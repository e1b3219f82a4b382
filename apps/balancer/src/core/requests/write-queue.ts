/**
 * The mutex per shard as a bounded queue, and how requests that wait become rounds.
 *
 * A request waits in the write queues of all shards that it touches. When write queues are free, everything that waits for them is taken
 * at once; requests that are tied together by a shard form one round (so a round is a connected component of "touches the
 * same shard"). Requests are looked at in the order in which they came, and one that cannot go yet blocks its shards for those
 * behind it. Nobody is overtaken on a shard, a request over several shards is never starved. Since write queues are only ever
 * taken all at once there is no deadlock.
 */
import type { OpName, RoundOp } from '#common/contracts/node';
import { Heap } from '../kernel/heap';
import { taking, type Suspension } from '../kernel/workflow';

/** What a request asks of one shard. */
export interface RequestPart {
  op: RoundOp;
  rows: string[];
}

/** A client's write, update or delete on its way through the write queues. */
export interface QueuedRequest {
  batch: number;
  id: number;
  /** By shard id. */
  parts: Map<string, RequestPart>;
  /** By what it is known again; its ops carry the same. */
  name: OpName;
  bytes: number;
  arrivedMs: number;
  /** Shares a round with requests of the same cohort only: with those that are looked through for one that cannot be stored. */
  cohort?: number;
}

/** Requests that commit together. */
export interface QueuedGroup {
  shards: Set<string>;
  requests: QueuedRequest[];
  bytes: number;
}

/** What keeps a shard's write queue shut, beside a round that holds it: `wait` while it may open soon, `refuse` while it will not. */
export type Gate = 'open' | 'wait' | 'refuse';

export interface QueueLimits {
  queueLimit: number;
  roundRequests: number;
  roundBytes: number;
}

/** A request in the queues of its shards. */
interface Waiting {
  request: QueuedRequest;
  shards: readonly string[];
  /** Grows with every request that comes. */
  order: number;
  /** It has been taken, refused, or has waited too long. Queues forget it when it comes to their head. */
  isGone: boolean;
}

export class ShardWriteQueues {
  /** By shard, in the order in which they came. */
  private readonly queues = new Map<string, Queue>();
  /** Shards with requests that wait, and whose write queue nobody holds: nothing else need be looked at. */
  private readonly open = new Set<string>();
  private readonly byArrival = new Heap<Waiting>((a, b) => a.request.arrivedMs < b.request.arrivedMs);
  private nextOrder = 0;
  private readonly lengths = new Map<string, number>();
  private readonly locked = new Set<string>();
  /** How to take note that the procedure that has locked a write queue has given it back. */
  private readonly drops = new Map<string, () => void>();
  private readonly lockers = new Map<string, (() => void)[]>();

  constructor(private readonly limits: QueueLimits) {}

  /** Queues the request; false when one of its write queues is full. */
  enqueue(request: QueuedRequest): boolean {
    const shards = [...request.parts.keys()];
    if (shards.some((shard) => this.length(shard) >= this.limits.queueLimit)) return false;
    const waiting: Waiting = { request, shards, order: this.nextOrder++, isGone: false };
    for (const shard of shards) {
      this.lengths.set(shard, this.length(shard) + 1);
      this.queueOf(shard).push(waiting);
      if (!this.locked.has(shard)) this.open.add(shard);
    }
    this.byArrival.push(waiting);
    return true;
  }

  /** Requests that wait for the shard. */
  length(shard: string): number {
    return this.lengths.get(shard) ?? 0;
  }

  isLocked(shard: string): boolean {
    return this.locked.has(shard);
  }

  /** Takes a write queue for something else than a round; whoever asks so comes before the requests that wait. */
  lock(shard: string): Suspension<undefined> {
    return (resume) => {
      const drop = taking('write queue', shard);
      const enter = (): void => {
        this.hold(shard);
        this.drops.set(shard, drop);
        resume(undefined);
      };
      if (!this.locked.has(shard)) enter();
      else this.lockers.set(shard, [...(this.lockers.get(shard) ?? []), enter]);
    };
  }

  /** Gives write queues back. */
  release(shards: Iterable<string>): void {
    for (const shard of shards) {
      this.locked.delete(shard);
      if (this.length(shard) > 0) this.open.add(shard);
      this.drops.get(shard)?.();
      this.drops.delete(shard);
      this.lockers.get(shard)?.shift()?.();
    }
  }

  /**
   * Takes what can go now and locks its write queues. `refused`: requests of which a shard's gate refuses; `expired`: requests that
   * came before `expireBeforeMs`. Looks at those that come first in a write queue that is free, at those that go, and at no others.
   */
  dequeue(
    gate: (shard: string, request: QueuedRequest) => Gate,
    expireBeforeMs: number,
  ): { groups: QueuedGroup[]; refused: QueuedRequest[]; expired: QueuedRequest[] } {
    // As after most events.
    if (this.open.size === 0) return { groups: [], refused: [], expired: this.expire(expireBeforeMs) };
    const grouping = new Grouping(this.limits);
    const refused: QueuedRequest[] = [];
    const blocked = new Set<string>();
    const next = new Heap<Waiting>((a, b) => a.order < b.order);
    for (const shard of this.open) this.offer(shard, next);
    for (let first = next.pop(); first !== undefined; first = next.pop()) {
      if (first.isGone) continue;
      const { request, shards } = first;
      const gates = shards.map((shard) => gate(shard, request));
      const mustWait = gates.includes('wait') || shards.some((shard) => blocked.has(shard) || this.locked.has(shard));
      if (gates.includes('refuse')) refused.push(request);
      else if (mustWait || !grouping.add(request, shards)) {
        for (const shard of shards) blocked.add(shard);
        continue;
      }
      this.forget(first);
      for (const shard of shards) this.offer(shard, next);
    }
    const groups = grouping.groups();
    for (const group of groups) for (const shard of group.shards) this.hold(shard);
    return { groups, refused, expired: this.expire(expireBeforeMs) };
  }

  /** Those that wait for a write queue that is held, where what comes first is refused by the gate: they need not wait for that. */
  refuseHeld(gate: (shard: string, request: QueuedRequest) => Gate): QueuedRequest[] {
    const refused: QueuedRequest[] = [];
    for (const shard of this.locked) {
      for (let first = this.queues.get(shard)?.head; first !== undefined; first = this.queues.get(shard)?.head) {
        if (gate(shard, first.request) !== 'refuse') break;
        this.forget(first);
        refused.push(first.request);
      }
    }
    return refused;
  }

  /** Requests that it keeps, those included that are gone and that a queue has not passed over yet. */
  get kept(): number {
    return [...this.queues.values()].reduce((sum, queue) => sum + queue.kept, this.byArrival.size);
  }

  /** Empties all write queues. */
  drain(): QueuedRequest[] {
    const drained: Waiting[] = [];
    for (const queue of this.queues.values()) {
      for (let first = queue.head; first !== undefined; first = queue.head) {
        this.forget(first);
        drained.push(first);
      }
    }
    this.byArrival.clear();
    return drained.sort((a, b) => a.order - b.order).map(({ request }) => request);
  }

  private expire(beforeMs: number): QueuedRequest[] {
    const expired: QueuedRequest[] = [];
    for (let oldest = this.byArrival.least; oldest !== undefined; oldest = this.byArrival.least) {
      if (!oldest.isGone && oldest.request.arrivedMs >= beforeMs) break;
      this.byArrival.pop();
      if (oldest.isGone) continue;
      this.forget(oldest);
      expired.push(oldest.request);
    }
    return expired;
  }

  private hold(shard: string): void {
    this.locked.add(shard);
    this.open.delete(shard);
  }

  private offer(shard: string, next: Heap<Waiting>): void {
    const head = this.queues.get(shard)?.head;
    if (head !== undefined) next.push(head);
  }

  private queueOf(shard: string): Queue {
    const queue = this.queues.get(shard) ?? new Queue();
    this.queues.set(shard, queue);
    return queue;
  }

  private forget(waiting: Waiting): void {
    waiting.isGone = true;
    for (const shard of waiting.shards) {
      const left = this.length(shard) - 1;
      if (left > 0) this.lengths.set(shard, left);
      else this.forgetShard(shard);
    }
  }

  /** Nothing waits for the shard any more. */
  private forgetShard(shard: string): void {
    this.lengths.delete(shard);
    this.queues.delete(shard);
    this.open.delete(shard);
  }
}

/** What waits for one shard. Its head is found in constant time on average: whatever is gone is passed over once. */
class Queue {
  private items: Waiting[] = [];
  private first = 0;

  push(waiting: Waiting): void {
    this.items.push(waiting);
  }

  /** How many it keeps. */
  get kept(): number {
    return this.items.length;
  }

  /** The first that is not gone. */
  get head(): Waiting | undefined {
    while (this.items[this.first]?.isGone === true) this.first += 1;
    if (this.first > this.items.length / 2) {
      this.items = this.items.slice(this.first);
      this.first = 0;
    }
    return this.items[this.first];
  }
}

/** Connected components, grown request by request. */
class Grouping {
  private readonly byShard = new Map<string, QueuedGroup>();

  constructor(private readonly limits: QueueLimits) {}

  /** Adds the request to the group of its shards, joining groups where it must; false when that would be too large. */
  add(request: QueuedRequest, shards: readonly string[]): boolean {
    const touched = new Set<QueuedGroup>();
    for (const shard of shards) {
      const group = this.byShard.get(shard);
      if (group !== undefined) touched.add(group);
    }
    let bytes = request.bytes;
    let requests = 1;
    for (const group of touched) {
      bytes += group.bytes;
      requests += group.requests.length;
    }
    const mayShare = [...touched].every((group) => group.requests[0]?.cohort === request.cohort);
    if (touched.size > 0 && (!mayShare || bytes > this.limits.roundBytes || requests > this.limits.roundRequests))
      return false;
    const [first, ...others] = touched;
    const target = first ?? { shards: new Set<string>(), requests: [], bytes: 0 };
    for (const other of others) join(target, other);
    target.requests.push(request);
    target.bytes += request.bytes;
    for (const shard of shards) target.shards.add(shard);
    for (const shard of target.shards) this.byShard.set(shard, target);
    return true;
  }

  groups(): QueuedGroup[] {
    return [...new Set(this.byShard.values())];
  }
}

function join(target: QueuedGroup, other: QueuedGroup): void {
  for (const shard of other.shards) target.shards.add(shard);
  for (const request of other.requests) target.requests.push(request);
  target.bytes += other.bytes;
}
