/**
 * The one order in which procedures take locks, and the check that they do.
 *
 * A procedure takes a lock only when all that it holds stand before it in `LOCK_ORDER`; several write queues, and the configurations of several
 * shards, in the order of their names.
 * So no circle of procedures can wait for each other. Whoever is waited for (`running`) counts as holding what the one that waits
 * for it holds; a procedure that is merely begun (`spawn`) holds nothing.
 *
 * The check is an assertion. It finds the error in whichever test or simulated world takes the two locks at all, not only in one
 * in which they happen to block.
 */

/** Earlier ones are taken first. */
const LOCK_ORDER = ['administrators', 'scrub', 'copies', 'write queue', 'configuration'] as const;
export type LockKind = (typeof LOCK_ORDER)[number];

interface Lock {
  readonly kind: LockKind;
  /** Of write queues and configurations the shard; empty for the others, of which there is one. */
  readonly name: string;
}

interface Held extends Lock {
  isReleased: boolean;
}

/** What one procedure holds. */
export class Holdings {
  /**
   * In their order, since each is taken behind all that are held: whoever stands behind the last stands behind all. Those that are
   * released go when they are the last: a take-over may hold the write queues of a thousand shards, and none of them is looked for.
   */
  private readonly held: Held[] = [];

  /** @param waiting the procedure that waits for this one, if one does */
  constructor(private readonly waiting: Holdings | null = null) {}

  /** @throws Error when the procedure, or one that waits for it, holds a lock that comes later in the order, or this one */
  check(kind: LockKind, name: string): void {
    const last = this.held.at(-1);
    if (last !== undefined && !isBefore(last, { kind, name }))
      throw new Error(`${kind} ${name} is taken while ${last.kind} ${last.name} is held: against the order of locks`);
    this.waiting?.check(kind, name);
  }

  /** Takes note of a lock. Returns how to take note that it is released. */
  add(kind: LockKind, name: string): () => void {
    const lock: Held = { kind, name, isReleased: false };
    this.held.push(lock);
    return () => {
      lock.isReleased = true;
      while (this.held.at(-1)?.isReleased === true) this.held.pop();
    };
  }
}

function isBefore(held: Lock, next: Lock): boolean {
  const order = LOCK_ORDER.indexOf(held.kind) - LOCK_ORDER.indexOf(next.kind);
  return order < 0 || (order === 0 && held.name < next.name);
}
