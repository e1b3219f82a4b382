/**
 * Reads: no lock, nothing cleaned. A read is answered at the VATs of the moment in which it is looked at, by replicas that the
 * rings choose among those that are in sync.
 *
 * A read of one key goes through the balancer, many of them in one message. A range is answered with a plan: the VATs as one
 * vector, and for each shard whom to ask; the reader then pulls the pages straight from the replicas. A snapshot lease keeps the
 * snapshot from being purged until the reader releases it or is silent for too long.
 */
import type { RangeRead, ReadPart, SnapshotLeasesReply, SnapshotLeasesRequest } from '#common/contracts/commands';
import type { ErrorBody } from '#common/contracts/errors';
import type { Cluster } from '../cluster/cluster';
import type { StepContext } from '../kernel/step-context';
import { Patience, WakingClock } from '../detection/patience';
import type { CoreSettings } from '../detection/core-settings';
import type { Shard } from '../cluster/shard';
import { REPLACED, unavailable } from './refusals';

/** Snapshot leases of different leaders differ, so that none is released with the wrong one. */
const LEASES_PER_EPOCH = 1_000_000_000;

interface SnapshotLease {
  /** The shards read, each with its VAT, and the replica that is asked first. */
  parts: { shard: Shard; vat: number; server: string }[];
  issuedMs: number;
  expiresMs: number;
}

/** A client's read. */
export interface ReadRequest {
  batch: number;
  id: number;
  low: number;
  high: number;
}

/** A read of one key; by `id` it is known to the ring. */
interface PointRead {
  readonly request: ReadRequest;
  readonly shard: Shard;
  readonly id: number;
  /** Who has been asked. */
  tried: Set<string>;
  /** Questions that have no answer yet. */
  open: number;
  isAnswered: boolean;
}

export class Reader {
  private readonly snapshotLeases = new Map<number, SnapshotLease>();
  /** Point reads that one replica has been asked for, by when (of `clock`), the oldest first. */
  private readonly waiting = new Map<PointRead, number>();
  private readonly clock = new WakingClock();
  private readonly patience: Patience;
  private nextSnapshotLease = 1;
  private nextRead = 1;

  constructor(
    private readonly context: StepContext,
    private readonly cluster: Cluster,
    private readonly settings: CoreSettings,
    private readonly fenced: (error: ErrorBody) => void,
  ) {
    this.patience = new Patience(settings.patience);
  }

  read(request: ReadRequest): void {
    if (request.low === request.high) this.readOne(request);
    else this.readRange(request);
  }

  /** Releases snapshot leases and renews others. The answer confirms that this balancer still leads. */
  updateLeases(request: SnapshotLeasesRequest): SnapshotLeasesReply {
    const unknown = [...request.release, ...request.renew].filter((lease) => !this.isGood(lease));
    for (const lease of request.release) this.drop(lease);
    for (const id of request.renew) {
      const lease = this.snapshotLeases.get(id);
      if (lease !== undefined) lease.expiresMs = this.context.nowMs + this.settings.snapshotLeaseMs;
    }
    return { epoch: this.cluster.epoch, unknown };
  }

  /** What may have been read from a replica that has turned out to be wrong since is to be read again. */
  private isGood(id: number): boolean {
    const lease = this.snapshotLeases.get(id);
    return lease?.parts.every(({ shard }) => shard.divergedMs < lease.issuedMs) === true;
  }

  /** Asks another replica where one takes much longer than is usual, and drops the snapshot leases of readers that have gone silent. */
  tick(): void {
    this.hedge();
    for (const [id, lease] of this.snapshotLeases) if (lease.expiresMs <= this.context.nowMs) this.drop(id);
  }

  /** Drops all snapshot leases: their shards are gone. */
  clear(): void {
    this.snapshotLeases.clear();
  }

  get openSnapshotLeases(): number {
    return this.snapshotLeases.size;
  }

  private readOne(request: ReadRequest): void {
    const shard = this.cluster.shardOf(request.low);
    if (shard === undefined) this.answerOne(request, [], null);
    else {
      const read = { request, shard, id: this.nextRead++, tried: new Set<string>(), open: 0, isAnswered: false };
      this.tryOne(read);
    }
  }

  /** Asks one replica; when it fails, another one that was not asked yet. The first answer counts. */
  private tryOne(read: PointRead): void {
    const { request, shard, id, tried } = read;
    this.waiting.delete(read);
    const server = this.choose(shard, id, tried);
    if (server === undefined) {
      // Whoever has been asked before and is late may answer yet.
      if (read.open === 0) this.refuse(request, unavailable([shard.id]));
      return;
    }
    tried.add(server);
    read.open += 1;
    shard.countRead(server, 1);
    const askedMs = this.context.nowMs;
    const sentMs = this.clock.at(askedMs);
    this.waiting.set(read, sentMs);
    const page = { shard: shard.id, vat: shard.vat, low: request.low, high: request.low };
    this.context.request('readOne', { server, epoch: this.cluster.epoch, read: page }, (outcome) => {
      shard.countRead(server, -1);
      read.open -= 1;
      if (!outcome.ok && outcome.error.code === 'FENCED') this.fenced(outcome.error);
      else if (read.isAnswered) return;
      // The configuration may have been replaced: there may be another shard of this name, of other terms.
      else if (this.cluster.shards.get(shard.id) !== shard)
        this.end(read, () => {
          this.refuse(request, REPLACED);
        });
      else if (!outcome.ok) this.tryOne(read);
      else if (shard.divergedMs >= askedMs) {
        read.tried = new Set();
        this.tryOne(read);
      } else {
        this.learn(this.clock.at(this.context.nowMs) - sentMs);
        this.end(read, () => {
          this.answerOne(request, [shard.id], outcome.value);
        });
      }
    });
  }

  private end(read: PointRead, answer: () => void): void {
    this.waiting.delete(read);
    read.isAnswered = true;
    answer();
  }

  /** What came too late is not learned as usual. */
  private learn(tookMs: number): void {
    const { nowMs } = this.context;
    if (tookMs <= this.patience.limitMs(0, nowMs)) this.patience.learn(tookMs, nowMs);
  }

  /** Dean and Barroso, The Tail at Scale (2013): hedged requests. */
  private hedge(): void {
    const { nowMs } = this.context;
    this.clock.tick(nowMs);
    const limitMs = this.patience.limitMs(0, nowMs);
    for (const [read, sentMs] of this.waiting) {
      if (this.clock.at(nowMs) - sentMs <= limitMs) return;
      this.tryOne(read);
    }
  }

  private readRange(request: ReadRequest): void {
    const shards = this.cluster.shardsIn(request.low, request.high);
    const read = this.nextRead++;
    const parts: ReadPart[] = [];
    for (const shard of shards) {
      const first = this.choose(shard, read, new Set());
      if (first === undefined) {
        this.refuse(request, unavailable([shard.id]));
        return;
      }
      const others = shard.ring.successors(read).filter((server) => server !== first && this.canServe(shard, server));
      others.sort((a, b) => this.suspicionOf(a) - this.suspicionOf(b));
      parts.push({
        shard: shard.id,
        vat: shard.vat,
        low: Math.max(request.low, shard.record.low),
        high: Math.min(request.high, shard.high),
        servers: [first, ...others],
      });
    }
    const lease = this.issue(shards, parts);
    const plan = { snapshotLease: lease, epoch: this.cluster.epoch, ttlMs: this.settings.snapshotLeaseMs, parts };
    const answer: RangeRead & { id: number } = { id: request.id, shards: shards.map((shard) => shard.id), plan };
    this.context.emit({ do: 'answer', batch: request.batch, answered: { result: answer } });
  }

  private issue(shards: readonly Shard[], parts: readonly ReadPart[]): number {
    const id = this.cluster.epoch * LEASES_PER_EPOCH + this.nextSnapshotLease++;
    const held = shards.map((shard, index) => ({ shard, vat: shard.vat, server: parts[index]?.servers[0] ?? '' }));
    for (const { shard, vat, server } of held) {
      shard.hold(vat);
      shard.countRead(server, 1);
    }
    const { nowMs } = this.context;
    this.snapshotLeases.set(id, { parts: held, issuedMs: nowMs, expiresMs: nowMs + this.settings.snapshotLeaseMs });
    return id;
  }

  private drop(id: number): void {
    const lease = this.snapshotLeases.get(id);
    this.snapshotLeases.delete(id);
    for (const { shard, vat, server } of lease?.parts ?? []) {
      shard.release(vat);
      shard.countRead(server, -1);
    }
  }

  /** The replica that the ring chooses among those that can serve; those that are not suspect come first. */
  private choose(shard: Shard, read: number, tried: ReadonlySet<string>): string | undefined {
    if (!shard.resolved) return undefined;
    const possible = (server: string): boolean => !tried.has(server) && this.canServe(shard, server);
    const healthy = (server: string): boolean => possible(server) && this.cluster.health(server) === 'healthy';
    const { loadEpsilon } = this.settings;
    return (
      shard.ring.pick(read, shard.reads, loadEpsilon, healthy) ??
      shard.ring.pick(read, shard.reads, loadEpsilon, possible)
    );
  }

  /** Suspects come last; those alike keep their order. */
  private suspicionOf(server: string): 0 | 1 {
    return this.cluster.health(server) === 'healthy' ? 0 : 1;
  }

  private canServe(shard: Shard, server: string): boolean {
    return (
      shard.inSync.includes(server) &&
      shard.replicas.get(server)?.suspended === false &&
      this.cluster.isReachable(server)
    );
  }

  private answerOne(request: ReadRequest, shards: string[], row: string | null): void {
    const result = { id: request.id, shards, count: row === null ? 0 : 1 };
    this.context.emit({ do: 'answer', batch: request.batch, answered: row === null ? { result } : { result, row } });
  }

  private refuse(request: ReadRequest, error: ErrorBody): void {
    this.context.emit({ do: 'answer', batch: request.batch, answered: { result: { id: request.id, error } } });
  }
}
