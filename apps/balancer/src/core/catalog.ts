/**
 * The catalog as the leader last saw it: every change is a compare-and-set on the revision that it knows.
 *
 * Every value carries the epoch of who wrote it (`by`). That is how a change whose answer was lost is told from one that somebody else
 * made: what is stored is then read and compared. Anything else than our own value under our own epoch means that another
 * balancer leads: the core steps down.
 */
import type { AskTypes, CatalogValue } from './effects';
import type { Desk } from './desk';
import { wait, type Workflow } from './workflow';

const RETRY_MS = 200;

export class Catalog {
  private readonly revisions = new Map<string, number>();
  private epoch = 0;
  private isOver = false;

  constructor(
    private readonly desk: Desk,
    private readonly stepDown: (why: string) => void,
  ) {}

  /** From now on values are written under this epoch. */
  lead(epoch: number): void {
    this.epoch = epoch;
  }

  /** Nothing is written any more. */
  end(): void {
    this.isOver = true;
  }

  /** A key stands at this revision. */
  saw(key: string, revision: number): void {
    if (revision === 0) this.revisions.delete(key);
    else this.revisions.set(key, revision);
  }

  /** The compare-and-set that puts the value in place of what was seen; null removes it. */
  change(key: string, value: object | null): AskTypes['store']['ask'] {
    const stamped = value === null ? null : { ...value, by: this.epoch };
    return { key, value: stamped, expected: this.revisions.get(key) ?? 0 };
  }

  /**
   * Writes a value, or removes it with null. Resolves true once it is durable; false after the core has stepped down. While the
   * catalog does not answer it is asked again: without it nothing can be changed, and who leads then is for the lease to say.
   */
  *put(key: string, value: object | null): Workflow<boolean> {
    for (;;) {
      if (this.isOver) return false;
      const change = this.change(key, value);
      if (value === null && change.expected === 0) return true;
      const outcome = yield* wait(this.desk.ask('store', change));
      if (outcome.ok && outcome.value !== null) {
        this.saw(key, value === null ? 0 : outcome.value);
        return true;
      }
      if (outcome.ok) {
        const isOurs = yield* this.isStored(key, change.value);
        if (isOurs === true) return true;
        if (isOurs === false) {
          this.stepDown(`somebody else changed ${key} in the catalog`);
          return false;
        }
      }
      yield* wait(this.desk.sleep(RETRY_MS));
    }
  }

  /** Whether the key has this very value, which only we can have written; null when that cannot be found out now. */
  private *isStored(key: string, value: unknown): Workflow<boolean | null> {
    const outcome = yield* wait(this.desk.ask('readKey', { key }));
    if (!outcome.ok) return null;
    const stored: CatalogValue | null = outcome.value;
    // A value that we wanted removed may have been removed by us only: others write values, and mark them as theirs.
    if (JSON.stringify(stored?.value ?? null) !== JSON.stringify(value)) return false;
    this.saw(key, stored?.revision ?? 0);
    return true;
  }
}
