/**
 * Which versions of a record a reader sees.
 *
 * A version carries the term of its birth (`cat`) and of its death (`dat`, `ALIVE` while it lives). The shard's VAT is its
 * highest committed term.
 */

/** The `dat` of a version that lives. Larger than any term; Postgres holds it as the largest `bigint`. */
export const ALIVE = Number.POSITIVE_INFINITY;
/** `ALIVE` as Postgres and the wire spell it. */
export const ALIVE_TEXT = '9223372036854775807';

/** The two terms of a version. */
export interface Lifetime {
  cat: number;
  dat: number;
}

/** A version is visible at VAT t exactly when `cat <= t < dat`. */
export function isVisible(version: Lifetime, vat: number): boolean {
  return version.cat <= vat && vat < version.dat;
}

/** Rule 1, `purgeDeleted`, with the low-water mark: a version that died at or before the mark can be needed by nobody. */
export function isPurgeable(version: Lifetime, mark: number): boolean {
  return version.dat <= mark;
}

/** Rule 2, `dropUnacknowledged`: a version born above the VAT was never committed. */
export function isUncommittedBirth(version: Lifetime, vat: number): boolean {
  return version.cat > vat;
}

/** Rule 3, `undoUnacknowledgedDeletes`: a death above the VAT was never committed. */
export function isUncommittedDeath(version: Lifetime, vat: number): boolean {
  return version.dat !== ALIVE && version.dat > vat;
}

/** Rules 2 and 3 on one version: null when it goes, else the version as it stays. */
export function undoAbove<V extends Lifetime>(version: V, vat: number): V | null {
  if (isUncommittedBirth(version, vat)) return null;
  return isUncommittedDeath(version, vat) ? { ...version, dat: ALIVE } : version;
}
