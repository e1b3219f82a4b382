/**
 * The mutex per shard as a bounded queue, and how requests that wait become rounds.
 *
 * A request waits in the lanes of all shards that it touches. When lanes are free, everything that waits for them is taken
 * at once; requests that are tied together by a shard form one round (so a round is a connected component of "touches the
 * same shard"). Requests are looked at in the order in which they came, and one that cannot go yet blocks its shards for those
 * behind it: nobody is overtaken on a shard, a request over several shards is never starved, and since lanes are only ever
 * taken all at once there is no deadlock.
 */
import type { OpName, RoundOp } from '#common/contracts/node';
import { taking, type Suspension } from './workflow';

/** What a request asks of one shard. */
export interface RequestPart {
  op: RoundOp;
  rows: string[];
}

/** A client's write, update or delete on its way through the lanes. */
export interface LaneRequest {
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
export interface LaneGroup {
  shards: Set<string>;
  requests: LaneRequest[];
  bytes: number;
}

/** What keeps a shard's lane shut, beside a round that holds it: `wait` while it may open soon, `refuse` while it will not. */
export type Gate = 'open' | 'wait' | 'refuse';

export interface LaneLimits {
  laneLimit: number;
  roundRequests: number;
  roundBytes: number;
}

export class ShardLanes {
  private waiting: LaneRequest[] = [];
  private readonly lengths = new Map<string, number>();
  private readonly locked = new Set<string>();
  /** How to take note that the procedure that has locked a lane has given it back. */
  private readonly drops = new Map<string, () => void>();
  private readonly lockers = new Map<string, (() => void)[]>();

  constructor(private readonly limits: LaneLimits) {}

  /** Queues the request; false when one of its lanes is full. */
  submit(request: LaneRequest): boolean {
    for (const shard of request.parts.keys()) {
      if (this.length(shard) >= this.limits.laneLimit) return false;
    }
    for (const shard of request.parts.keys()) this.lengths.set(shard, this.length(shard) + 1);
    this.waiting.push(request);
    return true;
  }

  /** Requests that wait for the shard. */
  length(shard: string): number {
    return this.lengths.get(shard) ?? 0;
  }

  isLocked(shard: string): boolean {
    return this.locked.has(shard);
  }

  /** Takes a lane for something else than a round; whoever asks so comes before the requests that wait. */
  lock(shard: string): Suspension<undefined> {
    return (resume) => {
      const drop = taking('lane', shard);
      const enter = (): void => {
        this.locked.add(shard);
        this.drops.set(shard, drop);
        resume(undefined);
      };
      if (!this.locked.has(shard)) enter();
      else this.lockers.set(shard, [...(this.lockers.get(shard) ?? []), enter]);
    };
  }

  /** Gives lanes back. */
  release(shards: Iterable<string>): void {
    for (const shard of shards) {
      this.locked.delete(shard);
      this.drops.get(shard)?.();
      this.drops.delete(shard);
      this.lockers.get(shard)?.shift()?.();
    }
  }

  /**
   * Takes what can go now and locks its lanes. `refused`: requests of which a shard's gate refuses; `expired`: requests that
   * came before `expireBeforeMs`.
   */
  take(
    gate: (shard: string, request: LaneRequest) => Gate,
    expireBeforeMs: number,
  ): { groups: LaneGroup[]; refused: LaneRequest[]; expired: LaneRequest[] } {
    const grouping = new Grouping(this.limits);
    const blocked = new Set<string>(this.locked);
    const refused: LaneRequest[] = [];
    const expired: LaneRequest[] = [];
    const staying: LaneRequest[] = [];
    for (const request of this.waiting) {
      const shards = [...request.parts.keys()];
      const gates = shards.map((shard) => gate(shard, request));
      if (gates.includes('refuse')) refused.push(request);
      else if (gates.includes('wait') || shards.some((shard) => blocked.has(shard)) || !grouping.add(request, shards)) {
        if (request.arrivedMs < expireBeforeMs) expired.push(request);
        else {
          staying.push(request);
          for (const shard of shards) blocked.add(shard);
        }
      }
    }
    const groups = grouping.groups();
    for (const group of groups) {
      for (const shard of group.shards) this.locked.add(shard);
      this.forget(group.requests);
    }
    this.forget(refused);
    this.forget(expired);
    this.waiting = staying;
    return { groups, refused, expired };
  }

  /** Whether `take` could find anything to do. */
  get isEmpty(): boolean {
    return this.waiting.length === 0;
  }

  /** Empties all lanes. */
  drain(): LaneRequest[] {
    const drained = this.waiting;
    this.waiting = [];
    this.lengths.clear();
    return drained;
  }

  private forget(requests: readonly LaneRequest[]): void {
    for (const request of requests) {
      for (const shard of request.parts.keys()) this.lengths.set(shard, this.length(shard) - 1);
    }
  }
}

/** Connected components, grown request by request. */
class Grouping {
  private readonly byShard = new Map<string, LaneGroup>();

  constructor(private readonly limits: LaneLimits) {}

  /** Adds the request to the group of its shards, joining groups where it must; false when that would be too large. */
  add(request: LaneRequest, shards: readonly string[]): boolean {
    const touched = new Set<LaneGroup>();
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

  groups(): LaneGroup[] {
    return [...new Set(this.byShard.values())];
  }
}

function join(target: LaneGroup, other: LaneGroup): void {
  for (const shard of other.shards) target.shards.add(shard);
  for (const request of other.requests) target.requests.push(request);
  target.bytes += other.bytes;
}
