/**
 * Take-over: what a balancer does before it leads.
 *
 * It raises the epoch by compare-and-set, starts the shard-nodes that do not run, and fences every one of them. A shard can be
 * decided when its whole in-sync set has reported what it holds (or, after a time of grace, enough of it; the others are made
 * stale first). Rounds over several shards are decided for all of their shards at once. What was decided is then stored
 * on the replicas by an empty round, and only after that is the shard served.
 */
import { highestOf } from '#common/protocol/extremes';
import { compareConfigs } from '#common/protocol/in-sync-set';
import type { ErrorBody } from '#common/contracts/errors';
import { BUCKET_KEYS } from '#common/contracts/subjects';
import type { EpochStart, FenceReply, NewestRound, NodeShardState } from '#common/contracts/node';
import {
  decider,
  newestStarts,
  roundHeldByAll,
  type ReplicaReport,
  type ShardOutlook,
} from '#common/protocol/vat-decision';
import type { Catalog } from '../cluster/catalog';
import type { Cluster } from '../cluster/cluster';
import type { StepContext } from '../kernel/step-context';
import type { Foundation } from './foundation';
import type { Health } from '../healing/health';
import type { InSyncSets } from '../replicas/in-sync-sets';
import type { Lease } from './leadership';
import { isWhole } from '../replicas/roll-call';
import { sharingRounds } from './round-groups';
import type { CoreSettings } from '../detection/core-settings';
import { configOf, type Shard, type ShardRecord } from '../cluster/shard';
import { first, pooled, spawn, Signal, wait, type Workflow } from '../kernel/workflow';
import type { Writer } from '../requests/writer';

const POLL_MS = 50;
const RESTART_PAUSE_MS = 1000;

/** So many groups of shards are decided at once: what one event leads to stays small, however many shards there are. */
const GROUPS_AT_ONCE = 32;
/** A group of more shards is resolved in several steps. */
const SHARDS_AT_ONCE = 64;

/** What becomes of a shard, and by whose word. */
interface Decision extends ShardOutlook {
  shard: Shard;
  starts: readonly EpochStart[];
  votes: readonly ReplicaReport[];
  found: NewestRound | null;
}

export class TakeOver {
  /** Shards that are not resolved yet. */
  private readonly open = new Set<Shard>();
  /** Shards of which a replica had a newer record than the catalog; it is stored there before the shard is decided. */
  private readonly adopted = new Set<string>();
  /** How often that has happened. */
  private adoptions = 0;
  private readonly progress = new Signal();
  /** By shard that is decided: the votes that decided it. */
  private readonly decidedBy = new Map<string, readonly ReplicaReport[]>();

  constructor(
    private readonly context: StepContext,
    private readonly cluster: Cluster,
    private readonly foundation: Foundation,
    private readonly catalog: Catalog,
    private readonly inSyncSets: InSyncSets,
    private readonly health: Health,
    private readonly writer: Writer,
    private readonly settings: CoreSettings,
    private readonly fenced: (error: ErrorBody) => void,
  ) {}

  /**
   * Takes over from what is stored, under an epoch that this balancer has taken. Ends when every shard is served, or after the
   * time of grace with those that are; the rest follows.
   */
  *lead(lease: Pick<Lease, 'epoch' | 'history'>): Workflow {
    this.cluster.begin(lease.epoch);
    const deadlineMs = this.context.nowMs + this.settings.nodeStartMs;
    if (!(yield* this.foundation.lay(lease))) return;
    for (const shard of this.cluster.inKeyOrder()) this.open.add(shard);
    for (const server of this.cluster.servers.keys()) spawn(this.bring(server));
    spawn(this.resolveAll(deadlineMs));
    while (this.context.nowMs < deadlineMs && this.open.size > 0) yield* this.untilSomethingHappens();
    if (this.cluster.phase === 'takingOver') this.cluster.phase = 'serving';
  }

  /** Servers that have not reported yet what they hold, so that nobody leads yet. */
  awaited(): string[] {
    const { awaited } = this.foundation;
    return awaited.length > 0
      ? awaited
      : [...this.cluster.servers.keys()].filter((name) => !this.cluster.reports.has(name));
  }

  /** Gets one server to answer, by starting it where nobody listens, and fences it. */
  private *bring(name: string): Workflow {
    let reply = yield* this.reachSwitched(name, this.foundation.heard(name));
    while (reply === null && this.isWanted(name)) {
      yield* wait(this.context.sleep(POLL_MS));
      reply = yield* this.reachSwitched(name);
    }
    const server = this.cluster.servers.get(name);
    if (reply === null || server === undefined || this.isEpochUsed(reply)) return;
    yield* this.foundation.hear(reply);
    this.cluster.reports.add(name, reply);
    if (reply.configId === this.cluster.configId) for (const state of reply.shards) this.hear(state);
    this.adoptNewer(reply);
    this.health.admit(server);
    this.progress.raise();
  }

  /** Null as long as the configuration in force is not in force there, and when it is not wanted any more. */
  private *reachSwitched(name: string, heard?: FenceReply): Workflow<FenceReply | null> {
    const reply = yield* this.reach(name, heard);
    return reply === null ? null : yield* this.foundation.switched(name, reply);
  }

  /** Null when it is not wanted any more. */
  private *reach(name: string, heard?: FenceReply): Workflow<FenceReply | null> {
    let reply = heard ?? (yield* this.health.awaitNode(name, this.foundation.patienceFor(name)));
    while (reply === null && this.isWanted(name)) {
      const started = yield* wait(this.context.ask('startNode', { server: name }));
      if (started.ok) reply = yield* this.health.awaitNode(name, this.settings.nodeStartMs);
      if (reply === null) yield* wait(this.context.sleep(RESTART_PAUSE_MS));
    }
    return reply;
  }

  private isWanted(name: string): boolean {
    return this.cluster.servers.has(name) && this.cluster.phase !== 'steppedDown';
  }

  /**
   * Nothing but fences has been sent under our epoch yet. What a replica holds of it is another balancer's: the catalog was rolled
   * back, and gave the epoch away a second time. Then we give way, so that whoever comes next begins above it.
   */
  private isEpochUsed({ shards, mark, cluster }: FenceReply): boolean {
    const epochs = shards.flatMap(({ configEpoch, newestRound }) => [configEpoch, newestRound?.epoch ?? 0]);
    epochs.push(mark?.epoch ?? 0, cluster?.configEpoch ?? 0);
    const epoch = highestOf(epochs, 0);
    if (epoch < this.cluster.epoch) return false;
    this.fenced({ code: 'FENCED', message: `the epoch ${epoch} has been used already`, retryable: false, epoch });
    return true;
  }

  /** Members refuse rounds that ask for ids which they have forgotten: what they report of that counts from the first round on. */
  private hear({ shard: id, committedVat, forgottenUpTo = 0 }: NodeShardState): void {
    const shard = this.cluster.shards.get(id);
    if (shard === undefined) return;
    shard.heardVat = Math.max(shard.heardVat, committedVat);
    shard.forgottenIds.reported(forgottenUpTo);
  }

  /** A replica may know a later configuration than the catalog, when that has been rolled back. */
  private adoptNewer(reply: FenceReply): void {
    if (reply.configId !== this.cluster.configId) return;
    for (const state of reply.shards) {
      const shard = this.cluster.shards.get(state.shard);
      // What has been shown is not taken back.
      if (shard === undefined || shard.resolved || compareConfigs(state, shard.record) <= 0) continue;
      const record = { ...configOf(state), configId: this.cluster.configId };
      if (shard.decided) spawn(this.giveWay(record));
      else this.adopt(shard, record);
    }
  }

  private adopt(shard: Shard, record: ShardRecord): void {
    shard.setRecord(record);
    this.foundation.doubt();
    this.cluster.buildRing(shard);
    this.adopted.add(shard.id);
    this.adoptions += 1;
  }

  /** The shard was decided by what the members of an earlier record reported. Nothing was shown yet: whoever leads next decides by this one. */
  private *giveWay(record: ShardRecord): Workflow {
    const message = `a server knows a later record of ${record.shard} than the one that it was decided by`;
    if (yield* this.catalog.put(BUCKET_KEYS.shard(record.shard), record))
      this.fenced({ code: 'FENCED', message, retryable: false });
  }

  /** Decides shards as they become decidable. */
  private *resolveAll(graceUntilMs: number): Workflow {
    while (this.open.size > 0 && this.cluster.phase !== 'steppedDown') {
      yield* this.breathe();
      // An /init may have put others in their place.
      for (const shard of this.open) if (this.cluster.shards.get(shard.id) !== shard) this.open.delete(shard);
      const { adoptions } = this;
      const heard = this.cluster.reports.size;
      const groups = this.decidable(this.context.nowMs >= graceUntilMs);
      if (groups.length > 0) yield* this.breathe();
      // Who has reported meanwhile may tie them to others.
      if (this.cluster.reports.size > heard) continue;
      const works = groups.map((shards) => (): Workflow => this.resolve(shards, adoptions));
      yield* pooled(GROUPS_AT_ONCE, works);
      if (this.open.size > 0) yield* this.untilSomethingHappens();
    }
    if (this.cluster.phase === 'steppedDown') return;
    this.forgetEarlierStarts();
    this.progress.raise();
    yield* this.foundation.settle((shards) => this.inSyncSets.areProven(shards));
  }

  /** What is done at once stays short, however many shards there are: meanwhile the lease is renewed, and others are answered. */
  private *breathe(): Workflow {
    yield* wait(this.context.ask('pause', {}));
  }

  /** The same between the parts of what is done for all of these shards. */
  private *breatheIfMany(shards: readonly Shard[]): Workflow {
    if (shards.length > SHARDS_AT_ONCE) yield* this.breathe();
  }

  /** A server has reported what it holds, a shard is resolved, or some time has passed. */
  private *untilSomethingHappens(): Workflow {
    yield* wait(first([this.progress.next(), this.context.sleep(POLL_MS)]));
  }

  /** Every shard has a round of this epoch as its newest now: no later take-over will ask what became of earlier ones. */
  private forgetEarlierStarts(): void {
    for (const shard of this.cluster.shards.values()) {
      const own = shard.epochStarts.filter(({ epoch }) => epoch === this.cluster.epoch);
      if (own.length < shard.epochStarts.length) shard.remember(own);
    }
  }

  /**
   * Decides shards together and stores what was decided, as one round. As long as some of them have it and others not, a
   * later take-over finds them linked by it. It is stored on those replicas alone that have their data where some do not.
   * The shard takes no write before these are whole again, and the others could else come to another decision.
   *
   * @param adoptions how many records had been taken from replicas when the shards were found to be decidable, and by themselves
   */
  private *resolve(shards: readonly Shard[], adoptions: number): Workflow {
    for (const shard of shards) if (!(yield* this.storeAdopted(shard))) return;
    for (const shard of shards) {
      const silent = this.silent(shard);
      if (silent.length > 0) yield* this.inSyncSets.demote(shard, silent, 'did not answer the new leader');
    }
    if (shards.some((shard) => this.silent(shard).length > 0)) return;
    const decisions = yield* this.findDecisions(shards);
    // Meanwhile a server may have reported a later record, with other members, which hold other rounds.
    if (this.adoptions > adoptions) return;
    this.decide(decisions);
    yield* this.breatheIfMany(shards);
    // Whoever led before may have stored a configuration in the bucket alone.
    for (const shard of shards) if (!(yield* this.inSyncSets.inform(shard, this.behind(shard)))) return;
    yield* this.breatheIfMany(shards);
    yield* this.writer.lockQueues(shards);
    yield* this.breatheIfMany(shards);
    if (!(yield* wait(this.writer.confirm(shards)))) return;
    for (const shard of shards) {
      shard.resolved = true;
      shard.refilled.clear();
      this.open.delete(shard);
    }
  }

  /**
   * Stores a record that was taken from a replica. While that takes, as when the bucket is away, nobody may change the record: the change
   * would be overwritten. Returns false when somebody else leads by now.
   */
  private *storeAdopted(shard: Shard): Workflow<boolean> {
    if (!this.adopted.has(shard.id)) return true;
    yield* wait(shard.configLock.acquire());
    try {
      this.adopted.delete(shard.id);
      return yield* this.catalog.put(BUCKET_KEYS.shard(shard.id), shard.record);
    } finally {
      shard.configLock.release();
    }
  }

  /** What becomes of shards that are decided together, by what was reported up to now. Changes nothing. */
  private *findDecisions(shards: readonly Shard[]): Workflow<Decision[]> {
    const votesOf = this.votesOfNow(shards);
    const outlookOf = decider((id) => {
      const shard = this.cluster.shards.get(id);
      return shard === undefined ? [] : votesOf(shard);
    });
    const open = shards.filter(({ decided }) => !decided);
    const decisions: Decision[] = [];
    for (let at = 0; at < open.length; at += SHARDS_AT_ONCE) {
      yield* this.breatheIfMany(shards);
      for (const shard of open.slice(at, at + SHARDS_AT_ONCE)) {
        const votes = votesOf(shard);
        const { vat, nextTerm } = outlookOf(shard.id);
        const starts = [...newestStarts(votes), { epoch: this.cluster.epoch, vat }];
        decisions.push({ shard, vat, nextTerm, starts, votes, found: roundHeldByAll(votes) });
      }
    }
    return decisions;
  }

  /** Decides each shard once, all at one instant: storing the decision already changes what the replicas would report. */
  private decide(decisions: readonly Decision[]): void {
    for (const { shard, vat, nextTerm, starts, votes, found } of decisions) {
      shard.vat = vat;
      shard.nextTerm = nextTerm;
      // Whoever has lost its data, or is known to be wrong, may have to leave the set.
      if (shard.voters.length < shard.inSync.length) this.inSyncSets.reconsider(shard);
      shard.remember(starts);
      shard.lastFound = found;
      this.decidedBy.set(shard.id, votes);
      shard.decided = true;
    }
  }

  /** Members that had an older configuration than the one in force when they were fenced. */
  private behind(shard: Shard): string[] {
    return shard.inSync.filter((server) => {
      const state = this.cluster.reports.stateOf(shard.record, server);
      return state !== undefined && compareConfigs(state, shard.record) < 0;
    });
  }

  /**
   * Shards that can be decided now. A shard waits for those with which any of its replicas, or of theirs, shares its newest
   * round. Whatever became of that must be stored in all of them before one of them goes on. A shard of which nobody has reported
   * anything may be linked to all others; nobody waits for it beyond the time of grace.
   */
  private decidable(graceIsOver: boolean): Shard[][] {
    const open = [...this.open];
    const votes = this.votesOfNow(open);
    const silent = open.some((shard) => !shard.inSync.some((server) => this.cluster.reports.has(server)));
    if (silent && !graceIsOver) return [];
    const ready = new Set(open.filter((shard) => votes(shard).length > 0 && this.hasReported(shard, graceIsOver)));
    // Who may still answer is waited for; after that, what is missing may be missing forever.
    const isOpen = (shard: Shard): boolean => !(graceIsOver && this.isBelieved(shard, graceIsOver));
    return sharingRounds(open, this.cluster.shards, votes, isOpen).filter((shards) =>
      shards.every((shard) => ready.has(shard)),
    );
  }

  /** Members that have not reported what they hold. Who has entered the set since the shard was decided holds what was decided. */
  private silent(shard: Shard): string[] {
    return shard.decided ? [] : shard.inSync.filter((server) => !this.cluster.reports.has(server));
  }

  private hasReported(shard: Shard, graceIsOver: boolean): boolean {
    const isComplete = this.silent(shard).length === 0;
    if (!this.isBelieved(shard, graceIsOver)) return false;
    if (isComplete || !graceIsOver) return isComplete;
    const whole = shard.inSync.filter((server) =>
      isWhole(this.cluster.reports.stateOf(shard.record, server), shard.mustHold),
    );
    return whole.length >= shard.minInSync;
  }

  /** What the catalog says of the shard may be old; as long as that is possible nobody decides on the word of too few. */
  private isBelieved(shard: Shard, graceIsOver: boolean): boolean {
    const { reports, servers } = this.cluster;
    if (shard.decided || reports.isNewest(shard.record, servers.keys())) return true;
    return !this.foundation.isCatalogDoubted && (graceIsOver || this.isVouchedFor());
  }

  /** Most servers have answered, and none of them knows of anything that the catalog does not. */
  private isVouchedFor(): boolean {
    return this.cluster.reports.size > this.cluster.servers.size / 2;
  }

  /**
   * What the in-sync replicas reported that still have the whole shard, and the same as the others. For a shard that has been decided it is what it was decided
   * by. Its in-sync set may have changed since, and a shard that is decided later must come to the same conclusion.
   */
  private votes(shard: Shard): readonly ReplicaReport[] {
    const decidedBy = this.decidedBy.get(shard.id);
    if (decidedBy !== undefined) return decidedBy;
    const votes: NodeShardState[] = [];
    for (const server of shard.inSync) {
      const state = shard.isDiverged(server) ? undefined : this.cluster.reports.stateOf(shard.record, server);
      if (state?.catchingUp === false) votes.push(state);
    }
    return votes;
  }

  /** The votes of these shards as they are now, each looked up once; and of any other when it is asked for. */
  private votesOfNow(shards: readonly Shard[]): (shard: Shard) => readonly ReplicaReport[] {
    const votes = new Map(shards.map((shard) => [shard, this.votes(shard)]));
    return (shard) => votes.get(shard) ?? this.votes(shard);
  }
}
