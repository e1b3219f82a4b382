/**
 * Up to which term a shard has forgotten the outcomes of ops: the `forgottenUpTo` that the leader sends with every round.
 *
 * Replicas remove outcomes at different times, so this is what they go by when they decide whether an id is known. It never
 * goes back, over take-overs neither: no leader sends less than any replica has reported, since what lies below may be gone
 * there.
 */
import { VatHistory } from './vat-history';

/** So many terms of a shard are remembered at the very most, however short the time in which they were used. */
const TERMS_LIMIT = 2_000_000;

export class ForgottenIds {
  private mark = 0;
  private holders = 0;
  private readonly history = new VatHistory();

  get upTo(): number {
    return this.mark;
  }

  /** A replica reports that it got this much from some leader. */
  reported(forgottenUpTo: number): void {
    this.mark = Math.max(this.mark, forgottenUpTo);
  }

  /** Time goes on: forgets what is older than the horizon, unless somebody compares replicas just now. */
  age(nowMs: number, vat: number, horizonMs: number): void {
    this.history.sample(nowMs, vat, horizonMs);
    if (this.holders > 0) return;
    this.mark = Math.max(this.mark, this.history.aged(nowMs, horizonMs), vat - TERMS_LIMIT);
  }

  /** Keeps the mark where it is until `release`, so that replicas that are compared remember the same. Returns the mark. */
  hold(): number {
    this.holders += 1;
    return this.mark;
  }

  release(): void {
    this.holders -= 1;
  }
}
