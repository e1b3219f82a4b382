/** Hands what happens to the checkers, and keeps book of which copies there are. */
import type { ClusterRecord, RoundPart } from '#common/contracts/node';
import { BUCKET_KEYS } from '#common/contracts/subjects';
import type { History } from '#common/testing/history';
import type { AdminCommand, AdminResult, Answered, Result } from '../../src/core/kernel/effects';
import type { ShardState } from '../../../shard-node/src/core/replica-state';
import type { ShardRecord } from '../../src/core/cluster/shard';
import type { BalancerWatcher, SimBalancer } from './balancer';
import type { CatalogWatcher, SimCatalog } from './catalog';
import { Acknowledgements } from './checkers/acknowledgements';
import { Agreement } from './checkers/agreement';
import { Epochs } from './checkers/epochs';
import { InForce } from './checkers/in-force';
import { Progress } from './checkers/progress';
import { fewestOf, shardOn, type Seen } from './checkers/seen';
import { WholeCopies } from './checkers/whole-copies';
import type { Post } from './gateway-world';
import type { Scheduler } from './scheduler';
import type { Servers } from './servers';

/** So long after a disk is lost a leader may still have evidence from before, and a change of the set under way. */
const KNOWN_AFTER_MS = 1_500;

export class Watch implements BalancerWatcher, CatalogWatcher {
  /** Outcomes of administrators' requests. */
  readonly administration = new Map<number, Result<AdminResult>>();
  readonly seen: Seen;
  readonly progress: Progress;
  readonly copies: WholeCopies;
  private readonly inForce: InForce;
  private readonly newest = new Map<string, ShardRecord>();
  /** `shard/server` pairs whose disk was lost and that have not been copied since. */
  private readonly blank = new Set<string>();
  /** When the server's disk was lost last. */
  private readonly wipedMs = new Map<string, number>();
  /** When the newest record of each shard was first stored. */
  private readonly storedMs = new Map<string, number>();
  /** By `shard/server`: how often it has left the in-sync set. */
  private readonly departed = new Map<string, number>();
  private isRolledBack = false;
  private readonly acknowledgements: Acknowledgements;
  private readonly agreement: Agreement;
  private readonly epochs: Epochs;

  constructor(
    scheduler: Scheduler,
    servers: Servers,
    private readonly catalog: SimCatalog,
    private readonly post: Post,
    private readonly balancers: () => readonly SimBalancer[],
    private readonly history: History,
    private readonly mayDiverge: boolean,
  ) {
    const isBlank = (shard: string, server: string): boolean => this.blank.has(`${shard}/${server}`);
    const departures = (shard: string, server: string): number => this.departed.get(`${shard}/${server}`) ?? 0;
    this.inForce = new InForce((what) => {
      scheduler.violate(what);
    });
    const configId = (): number => this.inForce.configId;
    const isBucketRolledBack = (): boolean => this.isRolledBack;
    this.seen = {
      scheduler,
      servers,
      balancers,
      configId,
      newest: this.newest,
      isBucketRolledBack,
      departures,
      isBlank,
    };
    this.copies = new WholeCopies(this.seen);
    this.progress = new Progress(this.seen, this.copies);
    this.acknowledgements = new Acknowledgements(this.seen);
    this.agreement = new Agreement(this.seen, this.progress.shown);
    this.epochs = new Epochs(this.seen);
    catalog.watcher = this;
  }

  /** An administrator is about to ask for this. */
  asked(command: AdminCommand): void {
    this.inForce.ask(command);
  }

  stepped(balancer: SimBalancer): void {
    this.progress.stepped(balancer);
  }

  answered(balancer: SimBalancer, batch: number, answered: Answered): void {
    // What was stored in the bucket before it was rolled back may get to a disk only after that.
    if (this.isRolledBack) for (const shard of this.newest.keys()) this.lookUp(shard);
    const operation = this.post.operationOf(batch);
    if (operation !== undefined && answered.result.error === undefined && 'added' in answered.result) {
      this.acknowledgements.acknowledged(operation, Number(answered.result.added));
    }
    this.post.answer(balancer.name, batch, answered);
  }

  administered(request: number, outcome: Result<AdminResult>): void {
    this.administration.set(request, outcome);
  }

  applied(
    balancer: string,
    epoch: number,
    server: string,
    rounds: readonly RoundPart[],
    rows: readonly string[],
  ): void {
    this.epochs.applied(balancer, epoch, server);
    this.acknowledgements.applied(epoch, server, rounds, rows);
  }

  read(epoch: number, server: string): void {
    this.epochs.read(epoch, server);
  }

  said(kind: string, subject: string): void {
    const [shard = '', server = ''] = subject.split('/');
    // What is on the disks here is what was written, unless a test sees to something else.
    if (kind === 'shard.diverged' && !this.mayDiverge)
      this.seen.scheduler.violate(`I4: ${subject} is said to hold something else than the others`);
    if (kind === 'shard.insync' && this.isNews(shard, server)) this.refill(shard, server);
  }

  stored(key: string, value: unknown, isReused: boolean): void {
    this.progress.stored(key, value, isReused);
    if (key === BUCKET_KEYS.cluster && value !== null) this.shaped(value as ClusterRecord);
    if (key.startsWith('shard.') && value !== null) this.configured(value as ShardRecord);
  }

  rollBack(): void {
    this.isRolledBack = true;
    this.progress.bucketRolledBack();
    for (const shard of this.newest.keys()) this.lookUp(shard);
  }

  /** Looks at the disks, and at what the balancers believe of them. */
  check(): void {
    this.progress.check();
    this.copies.check();
    for (const balancer of this.balancers()) if (balancer.isAlive) this.agreement.check(balancer);
  }

  /** A fault has destroyed the last whole copy of something: from here on nothing is promised. */
  get isVoid(): boolean {
    return this.copies.isVoid;
  }

  /**
   * A disk may go when for each of its shards another in-sync replica has everything. Of a disk that is whole this is asked even when
   * the set is without it: a set that should not have left it out must not be what makes the world void.
   */
  mayWipe(server: string): boolean {
    return [...this.newest.values()].every(
      ({ shard, inSync }) =>
        (!inSync.includes(server) && !this.copies.isWhole(shard, server)) ||
        inSync.some((other) => other !== server && this.copies.isWhole(shard, other)),
    );
  }

  /**
   * A disk may go, by the disks alone, when of each shard that it has a whole copy of there is another one somewhere.
   *
   * @param ending a server that is just being removed, and holds nothing any more; null: there is none
   */
  isSpare(server: string, ending: string | null = null): boolean {
    return [...this.newest.keys()].every((shard) => {
      const whole = this.copies.of(shard);
      return !whole.includes(server) || whole.some((other) => other !== server && other !== ending);
    });
  }

  /** A fault takes the server's disk. */
  wipe(server: string, fault: () => void): void {
    this.copies.destroy(fault);
    this.wipedMs.set(server, this.seen.scheduler.nowMs);
    for (const { shard, replicas } of this.newest.values()) {
      if (replicas.includes(server)) this.blank.add(`${shard}/${server}`);
    }
  }

  /** Some replica has lost its disk and has not been copied since. */
  get hasBlanks(): boolean {
    return this.blank.size > 0;
  }

  /** The cluster's record was stored: shards may have come into being with it, or all rows may be gone. */
  private shaped(record: ClusterRecord): void {
    const { isAnother, born } = this.inForce.stored(record);
    if (isAnother) {
      this.history.clear('/init');
      this.newest.clear();
      this.blank.clear();
      this.departed.clear();
      this.copies.reset();
      this.progress.reset();
      this.acknowledgements.reset();
    }
    for (const shard of born) this.newest.set(shard.shard, shard);
  }

  /** What the bucket alone knew is gone with it: the newest configuration is that which it or some disk still has. */
  private lookUp(shard: string): void {
    const { configId } = this.inForce;
    const kept = this.catalog.shards().filter((record) => record.shard === shard && record.configId === configId);
    for (const server of this.seen.servers.all) {
      const held = shardOn(server, shard, configId)?.state;
      const before = this.newest.get(shard);
      if (held !== undefined && before !== undefined) kept.push({ ...before, ...configOf(held) });
    }
    const [newest] = kept.sort((a, b) => (isOlder(a, b) ? 1 : -1));
    if (newest !== undefined) this.newest.set(shard, newest);
  }

  private configured(next: ShardRecord): void {
    const { shard, inSync, replicas } = next;
    const before = this.newest.get(shard);
    // Left over, or not yet a shard: the cluster's record names those that there are.
    if (next.configId !== this.inForce.configId || before === undefined) return;
    // A leader that finds a bucket that was rolled back rewrites what is there before it knows better.
    if (isOlder(next, before)) return;
    const strangers = inSync.filter((server) => !replicas.includes(server));
    if (strangers.length > 0)
      this.seen.scheduler.violate(`I1: ${strangers.join()} counts as in sync on ${shard}, of which it is no replica`);
    this.newest.set(shard, next);
    // A new leader stores what it found once more.
    if (isOlder(before, next)) this.storedMs.set(shard, this.seen.scheduler.nowMs);
    for (const server of before.inSync) {
      const pair = `${shard}/${server}`;
      if (!inSync.includes(server)) this.departed.set(pair, (this.departed.get(pair) ?? 0) + 1);
    }
    for (const pair of this.blank) {
      const [blankShard = '', server = ''] = pair.split('/');
      if (blankShard === shard && !replicas.includes(server)) this.blank.delete(pair);
    }
    const entered = inSync.filter((server) => !before.inSync.includes(server));
    this.builtOn(next, before);
    for (const server of entered) this.refill(shard, server);
    if (inSync.length < before.inSync.length) this.judgeSmaller(next);
  }

  /**
   * Among the members is a copy of what some leader took for acknowledged, and has not shown to clients yet: it shows that, and nothing
   * older. What the present leader has decided is what such a copy must hold.
   */
  private builtOn({ shard, configEpoch, configId, inSync }: ShardRecord, before: ShardRecord): void {
    if (!inSync.some((server) => this.copies.isAhead(shard, server))) return;
    const isLeader = ({ cluster }: SimBalancer): boolean =>
      cluster.epoch === configEpoch && cluster.configId === configId;
    const state = this.balancers().find(isLeader)?.cluster.shards.get(shard);
    if (state?.decided === true) this.copies.shown(shard, state.vat, before.inSync);
  }

  /** Who is left when members leave must be enough that have everything; of one that has just lost its disk nobody can know. */
  private judgeSmaller(record: ShardRecord): void {
    const { shard, inSync } = record;
    const whole = inSync.filter(
      (server) => this.copies.isWhole(shard, server) || this.sinceWipedMs(server) < KNOWN_AFTER_MS,
    );
    if (whole.length >= Math.min(fewestOf(record), inSync.length) && whole.length > 0) return;
    this.seen.scheduler.violate(
      `I1: of the in-sync set of ${shard} ${inSync.join()} is left, of which only ${whole.join() || 'nobody'} is whole`,
    );
  }

  private sinceWipedMs(server: string): number {
    return this.seen.scheduler.nowMs - (this.wipedMs.get(server) ?? Number.NEGATIVE_INFINITY);
  }

  /** A leader that stood still may speak of a member that has left since, or of a disk that was lost after it had entered. */
  private isNews(shard: string, server: string): boolean {
    const isMember = this.newest.get(shard)?.inSync.includes(server) === true;
    return isMember && (this.wipedMs.get(server) ?? 0) <= (this.storedMs.get(shard) ?? 0);
  }

  /** A lost disk is said to have everything again. It must, unless it was lost once more meanwhile. */
  private refill(shard: string, server: string): void {
    const pair = `${shard}/${server}`;
    if (!this.blank.has(pair)) return;
    if (this.copies.isWhole(shard, server)) this.blank.delete(pair);
    else if (this.sinceWipedMs(server) > KNOWN_AFTER_MS && !this.isVoid)
      this.seen.scheduler.violate(`I1: ${pair} enters the in-sync set and has not got what was acknowledged`);
  }
}

/** As a disk has it. */
function configOf({ configEpoch, configVersion, inSync, replicas, joining }: ShardState): Partial<ShardRecord> {
  return { configEpoch, configVersion, inSync: [...inSync], replicas: [...replicas], joining: [...joining] };
}

function isOlder(a: ShardRecord, b: ShardRecord): boolean {
  if (a.configEpoch !== b.configEpoch) return a.configEpoch < b.configEpoch;
  return a.configVersion < b.configVersion;
}
