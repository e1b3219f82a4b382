/**
 * The lease: who of several balancers leads, and until when that is certain.
 *
 * The `leader` key of the catalog holds the leader's epoch. The leader rewrites it every third of the lease, each time by
 * compare-and-set on the revision that it wrote last; a standby that sees one revision for longer than the lease takes the
 * key, by compare-and-set on that very revision, with the next epoch. So two balancers never hold one epoch, and no
 * synchronised clocks are needed. The leader counts its lease from when it *asked* for the renewal, a standby from when it *saw*
 * the result, which is later. It waits longer by `DRIFT_MARGIN`, for clocks that run at different speeds.
 *
 * A paused process may believe in a lease that has run out, but only until it looks at a clock: whoever answers a client
 * asks `holds` first.
 */
import { BUCKET_KEYS } from '#common/contracts/subjects';
import { REIGNS_KEPT, type Reign } from '#common/protocol/bucket-history';
import type { Catalog } from '../cluster/catalog';
import type { StepContext } from '../kernel/step-context';
import type { CatalogValue, Result } from '../kernel/effects';

/** Who leads: the value of the catalog's `leader` key. */
export interface LeaderRecord {
  epoch: number;
  balancer: string;
  /** The process: a balancer that was started again is another one. */
  instance: string;
  /** How long the leader may believe that it leads after it has written this. */
  leaseMs: number;
  /** Grows by one with every claim and renewal of a process, so that each makes a new revision, and is known again. */
  renewal: number;
  /** The leader has given the lease back. */
  released?: true;
  /** Who has led so far, this leader last: by that a bucket that was rolled back is known. */
  history?: readonly Reign[];
}

/** A standby waits so much longer than the lease: the two clocks may differ by 10 % in speed. */
const DRIFT_MARGIN = 1.2;
/** The lease is renewed every third of its length, so that one lost message does no harm. */
const RENEWALS_PER_LEASE = 3;
/** A renewal that failed is tried again so much sooner. */
const HURRY = 4;

/** What is announced is stored within milliseconds; each look takes about one. */
const EAGER_LOOKS = 30;

const ROLLED_BACK = 'the bucket was rolled back to an earlier state';

type Role = 'standby' | 'claiming' | 'leader' | 'gone';

/** Why the lease could be taken. */
export type Vacancy = 'nobody has led yet' | 'the leader handed over' | 'the lease ran out';

export interface Lease {
  epoch: number;
  cause: Vacancy;
  /** As it stands in the catalog, this leader last. */
  history: readonly Reign[];
}

export class Leadership {
  private role: Role = 'standby';
  /** As a standby: the newest revision of the leader's key, and since when it is there. */
  private seen: { revision: number; sinceMs: number; record: LeaderRecord } | null = null;
  private isBusy = false;
  /** As a standby: the key is about to change; it is looked at again at once, so many times at most, until that is seen. */
  private eagerLooks = 0;
  private nextMs = Number.NEGATIVE_INFINITY;
  private validUntilMs = Number.NEGATIVE_INFINITY;
  private epoch = 0;
  private renewal = 0;
  private history: readonly Reign[] = [];

  /**
   * @param elected called once, when the lease has been taken
   * @param deposed called when another balancer has it
   */
  constructor(
    private readonly context: StepContext,
    private readonly catalog: Catalog,
    private readonly settings: { balancerId: string; instance: string; leaseMs: number },
    private readonly elected: (lease: Lease) => void,
    private readonly deposed: (why: string) => void,
  ) {}

  /** Whether it is certain at this moment that nobody else leads. */
  get holds(): boolean {
    return this.role === 'leader' && this.context.nowMs < this.validUntilMs;
  }

  /** Sees to what is due: a standby looks at the leader's key, the leader renews its lease. */
  tick(): void {
    if (this.isBusy || this.context.nowMs < this.nextMs) return;
    if (this.role === 'standby') this.look();
    else if (this.role === 'leader') this.renew();
  }

  /** Somebody writes the leader's key: worth a look before its time. */
  hint(): void {
    if (this.role !== 'standby') return;
    this.eagerLooks = EAGER_LOOKS;
    this.nextMs = this.context.nowMs;
    this.tick();
  }

  /**
   * Releases the lease; `done` is called when that is stored, or was not possible: then the lease runs out. From the call on it is
   * held no more.
   *
   * @param seenEpoch an epoch that a replica has seen: the next leader's will be higher (the catalog may have been rolled back)
   */
  release(done: () => void, seenEpoch = 0): void {
    const led = this.role === 'leader';
    this.role = 'gone';
    if (!led) {
      done();
      return;
    }
    const epoch = Math.max(this.epoch, seenEpoch);
    const record: LeaderRecord = { ...this.nextRecord(), epoch, released: true };
    this.context.request('store', this.catalog.change(BUCKET_KEYS.leader, record), done);
  }

  /** This balancer is deposed: it renews nothing any more. */
  end(): void {
    this.role = 'gone';
  }

  private look(): void {
    this.isBusy = true;
    this.context.request('readKey', { key: BUCKET_KEYS.leader }, (outcome) => {
      this.isBusy = false;
      if (this.role === 'standby') this.looked(outcome);
    });
  }

  private looked(outcome: Result<CatalogValue | null>): void {
    const { nowMs } = this.context;
    if (!outcome.ok) {
      // While the catalog is out of reach nobody can renew anything: the leader gets its full time again.
      this.seen = null;
      this.nextMs = nowMs + this.settings.leaseMs / (RENEWALS_PER_LEASE * HURRY);
      return;
    }
    const entry = outcome.value;
    if (entry === null) {
      this.claim(0, 0, [], 'nobody has led yet');
      return;
    }
    const record = entry.value as LeaderRecord;
    if (this.isOurs(record)) {
      // We have it: it was the answer that got lost, to this claim or to an earlier one. The next renewal, at once, is good for a while.
      this.lead(entry.revision, 'the lease ran out', Number.NEGATIVE_INFINITY);
      return;
    }
    if (this.seen?.revision !== entry.revision) {
      this.seen = { revision: entry.revision, sinceMs: nowMs, record };
      this.eagerLooks = 0;
    }
    // A balancer of the first release wrote no lease.
    const { leaseMs = this.settings.leaseMs } = record as Partial<LeaderRecord>;
    const waitMs = leaseMs * DRIFT_MARGIN;
    const { epoch, history = [] } = record;
    if (record.released === true) this.claim(entry.revision, epoch, history, 'the leader handed over');
    else if (nowMs - this.seen.sinceMs >= waitMs) this.claim(entry.revision, epoch, history, 'the lease ran out');
    else if (this.eagerLooks > 0) {
      this.eagerLooks -= 1;
      this.look();
    } else this.nextMs = Math.min(this.seen.sinceMs + waitMs, nowMs + leaseMs / RENEWALS_PER_LEASE);
  }

  /** Takes the lease if the key is still as it was seen. Should the answer be lost, the next look finds our own record. */
  private claim(revision: number, lastEpoch: number, history: readonly Reign[], cause: Vacancy): void {
    this.role = 'claiming';
    this.epoch = lastEpoch + 1;
    const { instance } = this.settings;
    this.history = [...history, { epoch: this.epoch, instance, since: 0 }].slice(-REIGNS_KEPT);
    const claimedMs = this.context.nowMs;
    this.catalog.lead(this.epoch);
    this.catalog.saw(BUCKET_KEYS.leader, revision);
    this.context.request('store', this.catalog.change(BUCKET_KEYS.leader, this.nextRecord()), (outcome) => {
      if (this.role !== 'claiming') return;
      if (!outcome.ok || outcome.value === null) {
        // Somebody else was quicker, or nobody knows; in both cases what is stored must be looked at again.
        this.role = 'standby';
        this.seen = null;
        this.nextMs = this.context.nowMs;
        return;
      }
      this.lead(outcome.value, cause, claimedMs);
    });
  }

  private lead(revision: number, cause: Vacancy, askedMs: number): void {
    this.role = 'leader';
    this.stored(revision, askedMs);
    this.history = this.history.map((reign) => (reign.epoch === this.epoch ? { ...reign, since: revision } : reign));
    // From the next renewal on, which is at once, everybody knows where this reign begins.
    this.nextMs = this.context.nowMs;
    this.elected({ epoch: this.epoch, cause, history: this.history });
  }

  private renew(): void {
    this.isBusy = true;
    const askedMs = this.context.nowMs;
    const record = this.nextRecord();
    const { highest } = this.catalog;
    this.context.request('store', this.catalog.change(BUCKET_KEYS.leader, record), (outcome) => {
      this.isBusy = false;
      if (this.role !== 'leader') return;
      if (!outcome.ok) this.nextMs = this.context.nowMs + this.settings.leaseMs / (RENEWALS_PER_LEASE * HURRY);
      else if (outcome.value === null) this.lookAgain();
      else if (outcome.value <= highest) this.deposed(ROLLED_BACK);
      else this.stored(outcome.value, askedMs);
    });
  }

  /**
   * Somebody has written the key: ourselves, in a renewal whose answer was lost, or another leader. Or the catalog was rolled back: then we
   * give way at once, before as many revisions have been given again as were lost, and nobody can notice any more.
   */
  private lookAgain(): void {
    this.isBusy = true;
    const { expected } = this.catalog.change(BUCKET_KEYS.leader, null);
    this.context.request('readKey', { key: BUCKET_KEYS.leader }, (outcome) => {
      this.isBusy = false;
      if (this.role !== 'leader') return;
      if (!outcome.ok) return;
      if (outcome.value === null) {
        this.deposed('the bucket knows of no leader any more');
        return;
      }
      const record = outcome.value.value as LeaderRecord;
      if (outcome.value.revision < expected) {
        this.deposed(ROLLED_BACK);
        return;
      }
      // How long that renewal is good for is not known any more; the next one, at once, will be.
      if (this.isOurs(record)) this.catalog.saw(BUCKET_KEYS.leader, outcome.value.revision);
      else this.deposed(`${record.balancer} leads under epoch ${record.epoch}`);
    });
  }

  private stored(revision: number, askedMs: number): void {
    this.catalog.saw(BUCKET_KEYS.leader, revision);
    this.validUntilMs = askedMs + this.settings.leaseMs;
    this.nextMs = askedMs + this.settings.leaseMs / RENEWALS_PER_LEASE;
  }

  /** Written by this very process, in its present attempt to lead. */
  private isOurs({ epoch, instance }: LeaderRecord): boolean {
    return epoch === this.epoch && instance === this.settings.instance;
  }

  private nextRecord(): LeaderRecord {
    this.renewal += 1;
    const { balancerId: balancer, instance, leaseMs } = this.settings;
    const { epoch, history, renewal } = this;
    return { epoch, balancer, instance, leaseMs, renewal, history };
  }
}
