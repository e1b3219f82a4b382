/** One shard as the leader knows it. */
import type { SyncState } from '#common/contracts/commands';
import type { EpochStart, RoundId, ShardConfig } from '#common/contracts/node';
import type { ShardRange } from '#common/contracts/schema';
import { lowestOf } from '#common/protocol/extremes';
import { minInSync } from '#common/protocol/in-sync-set';
import { ForgottenIds } from './forgotten-ids';
import type { HashRing } from './hash-ring';
import { VatHistory } from './vat-history';
import { Mutex } from '../kernel/workflow';

/** How a shard stands in the catalog: its range, its replicas, and which of them hold every acknowledged write. */
export interface ShardRecord extends ShardConfig {
  configId: number;
}

/** A shard's configuration out of whatever else is known of it. */
export function configOf(of: ShardConfig): ShardConfig {
  const { shard, low, size, configEpoch, configVersion, inSync, replicas, joining, diverged = [] } = of;
  const config = { shard, low, size, configEpoch, configVersion, inSync, replicas, joining, diverged };
  return of.disputed === true ? { disputed: true, ...config } : config;
}

/** When a replica was last found to show the same as another one, and at which VAT. */
export interface Proof {
  ms: number;
  vat: number;
}

/** What the leader knows of a replica beyond its membership. */
export interface Replica {
  /** A copy is being made. */
  syncing: boolean;
  /**
   * The replica is a member of the in-sync set, yet its data is gone or unproven. It serves nothing and the shard takes no
   * write until it has been fully re-copied. (It cannot be taken out of the set without going below the minimum.)
   */
  suspended: boolean;
  /** Live records, as last reported. */
  rows: number | null;
  /** Versions that died at or before this VAT may be gone there. */
  purgedTo: number;
  proven: Proof | null;
  /** It diverged, and what it holds is being looked at: it is not re-copied before that is done. */
  examined: boolean;
  /** A copy has failed: the next one is not begun before this. */
  nextCopyMs: number;
}

/** What a replica that is being copied still needs, so that a copy that is broken off can be resumed. */
interface CopyHold {
  /** The VAT that must not be purged. */
  vat: number;
  untilMs: number;
}

/** The fewest in-sync replicas with which a shard of this record acknowledges: one also where all others are still being made. */
export function minimumOf({ replicas, joining }: Pick<ShardRecord, 'replicas' | 'joining'>): number {
  return Math.max(1, minInSync(replicas.length - joining.length));
}

export class Shard {
  /** Highest committed term. */
  vat = 0;
  /** The next term that was never used. */
  nextTerm = 1;
  /** What was decided of it, the newest last; and whether the next round is to carry it to the replicas. */
  epochStarts: readonly EpochStart[] = [];
  epochStartsAreNew = false;
  /** The newest round of all members, as a take-over has found them: who holds it, too, has what was committed up to it. Null: there was none. */
  lastFound: RoundId | null = null;
  /** As long as nothing is decided: the highest committed VAT that any replica reported. */
  heardVat = 0;
  /** Members that have not stored yet who has left the set: without them that is not settled, and nothing is acknowledged. */
  unacknowledged = new Set<string>();
  /** That the shard takes no writes has been published; not again before it has taken one. */
  announcedUnavailable = false;
  /** When replicas were last found to hold different things: what was copied from one of them before cannot be relied on. */
  divergedMs = -Infinity;
  /**
   * Replicas that have everything and are about to become members. While that is being stored, rounds need them as well as the
   * in-sync set. So both sets have every round, the one before and the one after, whichever a new leader may find.
   */
  readonly entering = new Set<string>();
  /**
   * Members whose data was gone and that are copied before the shard is resolved. Its first round may not do without them: the next
   * leader would find them whole, and without it.
   */
  readonly refilled = new Set<string>();
  /** Servers that may be taken back as they are, see `StrandedShards`: none of them is copied meanwhile. */
  readonly returning = new Set<string>();
  /** By server the process that a copy was asked of without an answer so far, and none answered since: see `CopyRequests`. */
  readonly copiesInDoubt = new Map<string, string>();
  /** Its name, which no record changes. */
  readonly id: string;
  /** One change of the configuration at a time. */
  readonly configLock: Mutex;
  readonly replicas = new Map<string, Replica>();
  /** Reads on their way, by server. */
  readonly reads = new Map<string, number>();
  private builtRing: HashRing | null = null;
  /** Called when the record in force may name others than before. */
  private replicasChanged = (): void => undefined;
  private buildRing: () => HashRing = () => {
    throw new Error(`${this.id} has no ring: a shard gets it with its place in the cluster`);
  };
  /** VATs that somebody still reads at, with the number of those. */
  private readonly holds = new Map<number, number>();
  /** By the server that is being filled. */
  private readonly copyHolds = new Map<string, CopyHold>();
  private readonly history = new VatHistory();
  /** Up to where outcomes of ops are forgotten. */
  readonly forgottenIds = new ForgottenIds();

  /** A take-over has decided its VAT. Unlike `resolved` it does not say that this is stored, so that it may be shown. */
  decided: boolean;

  /** @param resolved whether the VAT is known; nothing is served before. A shard that comes into being knows it. */
  constructor(
    public record: ShardRecord,
    public resolved = false,
  ) {
    this.decided = resolved;
    this.id = record.shard;
    this.configLock = new Mutex('configuration', record.shard);
    this.syncReplicas();
  }

  /** Which replica answers a read. */
  get ring(): HashRing {
    this.builtRing ??= this.buildRing();
    return this.builtRing;
  }
  /** @param changed called when other servers may hold it than before */
  onOtherReplicas(changed: () => void): void {
    this.replicasChanged = changed;
  }
  /** From now on the ring is another one, built when it is needed. */
  ringFrom(build: () => HashRing): void {
    this.buildRing = build;
    this.builtRing = null;
  }
  get range(): ShardRange {
    return { shard: this.record.shard, low: this.record.low, size: this.record.size };
  }
  get inSync(): readonly string[] {
    return this.record.inSync;
  }
  /** Who must have a round: the in-sync set, and who is entering it. */
  get writers(): readonly string[] {
    return [...new Set([...this.inSync, ...this.entering])];
  }
  /** Whose word counts when it is asked what the shard holds: members whose data is gone, or was found to be wrong, have none. */
  get voters(): readonly string[] {
    return this.writers.filter((server) => !this.isSuspended(server));
  }
  /** Who gets a round. */
  get participants(): readonly string[] {
    return this.writers.filter((server) => this.isNeeded(server));
  }
  /** The voters that have been members before. */
  get members(): readonly string[] {
    return this.inSync.filter((server) => !this.isSuspended(server));
  }
  get high(): number {
    // In this order: at the edge of the keys `low + size` is no whole number any more.
    return this.record.low + (this.record.size - 1);
  }

  /** The fewest in-sync replicas with which a write is acknowledged. */
  get minInSync(): number {
    return minimumOf(this.record);
  }
  /** The term that whoever holds all that was acknowledged must have reached, as far as that is known. */
  get mustHold(): number {
    return this.decided ? this.vat : this.heardVat;
  }

  /** The replica shows the same as another one. */
  prove(server: string, proof: Proof): void {
    const replica = this.replicas.get(server);
    if (replica !== undefined && proof.vat >= (replica.proven?.vat ?? 0)) replica.proven = proof;
  }

  /** Its data are gone, or not proven: it serves nothing. */
  isSuspended(server: string): boolean {
    return this.replicas.get(server)?.suspended === true;
  }
  /** No round is committed without it, as long as it is one of the writers. */
  isNeeded(server: string): boolean {
    return !this.isSuspended(server) || this.refilled.has(server);
  }
  suspend(server: string, suspended: boolean): void {
    const replica = this.replicas.get(server);
    if (replica !== undefined) replica.suspended = suspended;
  }

  /** It holds something else than the others: nothing that it reports of itself is to be believed. */
  isDiverged(server: string): boolean {
    return this.record.diverged?.includes(server) === true;
  }

  stateOf(server: string): SyncState {
    const replica = this.replicas.get(server);
    if (this.record.inSync.includes(server) && replica?.suspended !== true) return 'in-sync';
    return replica?.syncing === true ? 'syncing' : 'stale';
  }

  /** Remembers decisions, in place of those that it had; the next round takes them to the replicas. */
  remember(epochStarts: readonly EpochStart[]): void {
    this.epochStarts = epochStarts;
    this.epochStartsAreNew = true;
  }

  /** Takes a new configuration into force. */
  setRecord(record: ShardRecord): void {
    this.record = record;
    this.syncReplicas();
    this.replicasChanged();
  }

  /** As the replicas store it. */
  config(): ShardConfig {
    return { epochStarts: this.epochStarts, ...configOf(this.record) };
  }

  countRead(server: string, change: 1 | -1): void {
    this.reads.set(server, (this.reads.get(server) ?? 0) + change);
  }

  /** Keeps versions that are visible at `vat` from being purged until `release`. */
  hold(vat: number): void {
    this.holds.set(vat, (this.holds.get(vat) ?? 0) + 1);
  }
  release(vat: number): void {
    const count = (this.holds.get(vat) ?? 0) - 1;
    if (count > 0) this.holds.set(vat, count);
    else this.holds.delete(vat);
  }

  /** Keeps what a copy to `server` needs, in place of what it needed before. Infinity: until something else is said. */
  holdForCopy(server: string, vat: number, untilMs: number): void {
    this.copyHolds.set(server, { vat, untilMs });
  }
  releaseCopy(server: string): void {
    this.copyHolds.delete(server);
  }
  isHeldForCopy(server: string, vat: number): boolean {
    return this.copyHolds.get(server)?.vat === vat;
  }

  /** Remembers the VAT of this moment. */
  sample(nowMs: number, horizonMs: number): void {
    this.history.sample(nowMs, this.vat, horizonMs);
  }

  /** The low-water mark: what died at or before it is needed by no reader and by no replica that lags within the horizon. */
  purgeMark(nowMs: number, horizonMs: number): number {
    const copied = [...this.copyHolds.values()].filter(({ untilMs }) => untilMs > nowMs).map(({ vat }) => vat);
    return lowestOf([this.history.aged(nowMs, horizonMs), this.vat, ...this.holds.keys(), ...copied]);
  }

  private syncReplicas(): void {
    for (const server of this.record.replicas) {
      if (!this.replicas.has(server)) {
        const unknown = { rows: null, purgedTo: 0, proven: null, nextCopyMs: 0 };
        this.replicas.set(server, { syncing: false, suspended: false, ...unknown, examined: false });
      }
      // Of a replica that diverged and is still a member, a new leader learns from the record, be it from the catalog or from a server.
      if (this.isDiverged(server) && this.record.inSync.includes(server)) this.suspend(server, true);
    }
    for (const server of this.replicas.keys()) {
      if (this.record.replicas.includes(server)) continue;
      this.replicas.delete(server);
      this.copyHolds.delete(server);
    }
  }
}
