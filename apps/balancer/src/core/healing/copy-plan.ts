/** How one replica is copied from another: from where on, and what must not be purged meanwhile. */
import type { NodeShardState } from '#common/contracts/node';
import type { Replica, Shard } from '../cluster/shard';

/** A replica that is not in sync, and whom it can be copied from. */
export interface Lagging {
  readonly shard: Shard;
  readonly target: string;
  readonly replica: Replica;
  readonly source: string;
}

/** Where one copy has got to. */
export interface CopyPlan {
  readonly shard: Shard;
  readonly target: string;
  readonly replica: Replica;
  /** The target's process, as it was when it reported what it holds. */
  readonly instance: string;
  /** Who is asked for pages. */
  source: string;
  /** Everything up to here is there already. */
  from: number;
  /** The end of a copy that an earlier attempt, perhaps of another leader, has left; null when there is none. */
  resumeTo: number | null;
  readonly resumed: boolean;
  /** Everything is copied, and by this attempt. */
  isFull: boolean;
  /** What the target holds was found to be wrong: it is kept aside when everything is copied. */
  setAside: boolean;
  readonly startedMs: number;
  /** What sources must not purge for it. */
  heldVat: number;
  /** When something last arrived. */
  progressMs: number;
  rows: number;
  bytes: number;
}

/**
 * A copy that was broken off is resumed, unless it reaches beyond what is committed, or what it began with was found to be wrong.
 *
 * @param state what the target shows of the shard; undefined when it has nothing of it
 */
export function planCopy(
  { shard, target, replica, source }: Lagging,
  state: NodeShardState | undefined,
  attempt: Pick<CopyPlan, 'startedMs' | 'progressMs' | 'instance'>,
): CopyPlan {
  const copy = state?.copy ?? null;
  const setAside = shard.isDiverged(target);
  const resumed = copy !== null && copy.to <= shard.vat && (copy.from === 0 || !setAside);
  const from = resumed ? copy.from : startingPoint(shard, target, source, state);
  const resumeTo = resumed ? copy.to : null;
  const heldVat = heldFor(from, resumeTo ?? shard.vat);
  const isFull = from === 0 && !resumed;
  return {
    shard,
    target,
    replica,
    source,
    from,
    resumeTo,
    resumed,
    isFull,
    setAside,
    heldVat,
    rows: 0,
    bytes: 0,
    ...attempt,
  };
}

/** The committed VAT, when the source still has everything that died since; else 0, for a copy of everything. */
function startingPoint(shard: Shard, target: string, source: string, state: NodeShardState | undefined): number {
  if (state === undefined || state.committedVat > shard.vat || shard.isDiverged(target)) return 0;
  const purgedTo = shard.replicas.get(source)?.purgedTo ?? 0;
  return state.committedVat >= purgedTo ? state.committedVat : 0;
}

/** What a source must not purge for a copy of `(from, to]`: for a snapshot what is visible at its end, else what died since. */
export function heldFor(from: number, to: number): number {
  return from === 0 ? to : from;
}
