/**
 * The scrub: replicas of a shard prove that they show the same. One shard after the other, each once in the interval, every
 * in-sync replica digests all that it shows at one VAT, while reads and writes go on.
 *
 * The shard that has waited longest comes next. A leader begins with another shard than the one before it, so that frequent
 * take-overs do not keep the last ones from ever being looked at.
 */
import type { ScrubDone } from '#common/contracts/commands';
import type { ErrorBody } from '#common/contracts/errors';
import { unconfigured, type Cluster } from '../cluster/cluster';
import type { StepContext } from '../kernel/step-context';
import { sidesOf, votesOnRows, type Divergence, type Finding } from '../replicas/divergence';
import type { CoreSettings } from '../detection/core-settings';
import type { Shard } from '../cluster/shard';
import type { WholeDigest } from '../replicas/whole-digest';
import { Mutex, spawn, wait, type Workflow } from '../kernel/workflow';
import type { Writer } from '../requests/writer';

/** How often it is asked who is right, where that is open because too few have answered. */
const DISPUTE_PAUSE_MS = 1_000;
const CAUSE = 'a scrub found that it shows other data than the others';

/** What came of one shard. */
type Scrubbed = ScrubDone['shards'][number];

export class Scrub {
  /** One shard at a time, whoever asks for it. */
  private readonly turn = new Mutex('scrub');
  /** When a shard was last looked at by this leader, to the end or not: another one comes next either way. */
  private readonly lookedAtMs = new WeakMap<Shard, number>();
  private nextMs: number | null = null;
  private nextDisputeMs = 0;
  /** When a disputed shard was last looked at. */
  private readonly disputedMs = new WeakMap<Shard, number>();
  /** An administrator has asked for all shards, and that is under way. */
  private isWholeRun = false;

  constructor(
    private readonly context: StepContext,
    private readonly cluster: Cluster,
    private readonly divergence: Divergence,
    private readonly writer: Writer,
    private readonly settings: CoreSettings,
    private readonly fenced: (error: ErrorBody) => void,
  ) {}

  /** Begins with the shard that is due, if one is. */
  tick(): void {
    if (this.cluster.phase !== 'serving') return;
    const shard = this.dueDispute() ?? this.due();
    if (shard !== undefined) spawn(this.scrub(shard));
  }

  private due(): Shard | undefined {
    const { scrubIntervalMs } = this.settings;
    if (scrubIntervalMs === 0) return undefined;
    const paceMs = scrubIntervalMs / this.cluster.shards.size;
    // Neither waits a new shard for the pace of few, nor is the first one looked at in the middle of a take-over.
    this.nextMs = Math.min(this.nextMs ?? Infinity, this.context.nowMs + paceMs);
    if (this.nextMs > this.context.nowMs || this.turn.isHeld) return undefined;
    this.nextMs = this.context.nowMs + paceMs;
    return this.mostUrgent();
  }

  /** Of the shards of which nobody leaves or enters the set before it is known who is right, the one that has waited longest. */
  private dueDispute(): Shard | undefined {
    if (this.nextDisputeMs > this.context.nowMs || this.turn.isHeld) return undefined;
    const disputed = this.cluster.inKeyOrder().filter(({ decided, record }) => decided && record.disputed === true);
    if (disputed.length === 0) return undefined;
    this.nextDisputeMs = this.context.nowMs + DISPUTE_PAUSE_MS;
    const since = (shard: Shard): number => this.disputedMs.get(shard) ?? -Infinity;
    const shard = disputed.reduce((best, one) => (since(one) < since(best) ? one : best));
    this.disputedMs.set(shard, this.context.nowMs);
    return shard;
  }

  /** All shards now, one after the other, for an administrator. */
  scrubNow(request: number): void {
    const refused = this.refusal();
    if (refused !== null) {
      this.context.emit({ do: 'answerAdmin', request, outcome: { ok: false, error: refused } });
      return;
    }
    this.isWholeRun = true;
    spawn(this.scrubAll(), (scrub) => {
      this.isWholeRun = false;
      this.context.emit({ do: 'answerAdmin', request, outcome: { ok: true, value: { scrub } } });
    });
  }

  private refusal(): ErrorBody | null {
    if (this.cluster.record === null) return unconfigured(this.cluster);
    if (!this.isWholeRun) return null;
    return { code: 'BUSY', message: 'all shards are being compared already', retryable: true };
  }

  private *scrubAll(): Workflow<ScrubDone> {
    const shards: ScrubDone['shards'] = [];
    for (const shard of [...this.cluster.inKeyOrder()]) {
      shards.push(yield* this.scrub(shard));
    }
    return { shards };
  }

  private mostUrgent(): Shard | undefined {
    const shards = this.cluster.inKeyOrder();
    const first = this.cluster.epoch % shards.length;
    const order = [...shards.slice(first), ...shards.slice(0, first)];
    const since = (shard: Shard): number => this.lookedAtMs.get(shard) ?? -Infinity;
    return order.reduce<Shard | undefined>(
      (best, shard) => (best === undefined || since(shard) < since(best) ? shard : best),
      undefined,
    );
  }

  private *scrub(shard: Shard): Workflow<Scrubbed> {
    yield* wait(this.turn.acquire());
    try {
      const done = yield* this.compare(shard);
      this.lookedAtMs.set(shard, this.context.nowMs);
      return done;
    } finally {
      this.turn.release();
    }
  }

  /** Digests at the VAT of now, on everybody who serves. */
  private *compare(shard: Shard): Workflow<Scrubbed> {
    const { vat } = shard;
    const done: Scrubbed = { shard: shard.id, vat, compared: [], missing: [...shard.record.replicas], diverged: [] };
    // A new leader's first round may wait for a member that only leaves with the dispute.
    const mayCompare = shard.resolved || (shard.decided && shard.record.disputed === true);
    if (!mayCompare || !this.isCurrent(shard)) return done;
    const asked = this.cluster.serving(shard);
    if (asked.length < 2) return done;
    const comparedSinceMs = this.context.nowMs;
    shard.hold(vat);
    try {
      const replies = yield* this.digests(shard, vat, asked);
      const voters = shard.members;
      const sides = sidesOf(votesOnRows(shard, replies), voters.length);
      done.compared = [...replies.keys()];
      done.missing = shard.record.replicas.filter((server) => !replies.has(server));
      if (sides === null) {
        yield* this.divergence.dispute(shard);
        return done;
      }
      if (replies.size < 2) return done;
      const isProof = sides.hasMajority || sides.diverged.length === 0;
      if (isProof && sides.agreeing.length > 1) this.prove(shard, vat, sides.agreeing);
      const unheard = voters.filter((server) => !replies.has(server));
      if (sides.diverged.length > 0) {
        const since = unheard.length === 0 ? { comparedSinceMs } : {};
        done.diverged = yield* this.quarantine({ ...sides, ...since, shard, vat });
      } else if (sides.hasMajority) yield* this.divergence.agreed(shard, comparedSinceMs, unheard);
      return done;
    } finally {
      shard.release(vat);
    }
  }

  private *digests(shard: Shard, vat: number, servers: readonly string[]): Workflow<Map<string, WholeDigest>> {
    const { replies, failures } = yield* this.divergence.digests(shard, vat, servers);
    for (const error of failures.values()) if (error.code === 'FENCED') this.fenced(error);
    if (failures.size > 0) this.announceUnproven(shard, vat, failures);
    return replies;
  }

  private announceUnproven(shard: Shard, vat: number, failures: ReadonlyMap<string, ErrorBody>): void {
    const cause = [...failures].map(([server, error]) => `${server}: ${error.message}`).join('; ');
    const data = { cause, vat, missing: [...failures.keys()] };
    this.context.emit({ do: 'publish', event: { kind: 'shard.unproven', subject: shard.id, data } });
  }

  /** With the write queue held: no round is under way that a replica which stops counting would have to answer. */
  private *quarantine(sides: Omit<Finding, 'cause'>): Workflow<string[]> {
    const { shard } = sides;
    yield* this.writer.lockQueue(shard);
    try {
      if (!this.isCurrent(shard)) return [];
      // Who has left the set meanwhile is compared with the others before it comes back.
      const serving = this.cluster.serving(shard);
      const diverged = sides.diverged.filter((server) => serving.includes(server));
      const agreeing = sides.agreeing.filter((server) => serving.includes(server));
      if (diverged.length === 0 || agreeing.length === 0) return [];
      yield* this.divergence.quarantine({ ...sides, agreeing, diverged, cause: CAUSE });
      return diverged;
    } finally {
      this.writer.queues.release([shard.id]);
    }
  }

  private prove(shard: Shard, vat: number, servers: readonly string[]): void {
    for (const server of servers) shard.prove(server, { ms: this.context.nowMs, vat });
  }

  private isCurrent(shard: Shard): boolean {
    return this.cluster.phase === 'serving' && this.cluster.shards.get(shard.id) === shard;
  }
}
