/**
 * The catalog as the leader last saw it: every change is a compare-and-set on the revision that it knows.
 *
 * Every value carries the epoch of who wrote it (`by`). That is how a change whose answer was lost is distinguished from one that somebody else
 * made: what is stored is then read and compared. Anything else than our own value under our own epoch means that another
 * balancer leads: the core steps down.
 */
import type { AskTypes, CatalogValue, Result } from '../kernel/effects';
import type { StepContext } from '../kernel/step-context';
import { BUCKET_KEYS } from '#common/contracts/subjects';
import { wait, type Workflow } from '../kernel/workflow';

const RETRY_MS = 200;

/** What came of a change that was right only for a time. */
export type Replaced = 'stored' | 'withdrawn' | 'over';

export class Catalog {
  private readonly revisions = new Map<string, number>();
  /** The newest revision of all that was seen. */
  highest = 0;
  /** The newest revision of anything but the lease. */
  newestChange = 0;
  private epoch = 0;
  private isOver = false;

  constructor(
    private readonly context: StepContext,
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

  /** A key stands at this revision; at 0 when it has no value. */
  saw(key: string, revision: number): void {
    this.revisions.set(key, revision);
    this.highest = Math.max(this.highest, revision);
    if (key !== BUCKET_KEYS.leader) this.newestChange = Math.max(this.newestChange, revision);
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
      const stored = yield* this.attempt(key, value);
      if (stored !== null) return stored;
      yield* wait(this.context.sleep(RETRY_MS));
    }
  }

  /**
   * `put` in place of `before` of something that is right only for now: while the catalog does not answer, `isRight` is asked before
   * each further attempt. When it is right no more, `before` is rewritten, so that no earlier attempt can come true later.
   */
  *replace(key: string, before: object, value: object, isRight: () => Workflow<boolean>): Workflow<Replaced> {
    for (;;) {
      const stored = yield* this.attempt(key, value);
      if (stored !== null) return stored ? 'stored' : 'over';
      yield* wait(this.context.sleep(RETRY_MS));
      if (!(yield* isRight())) return yield* this.withdraw(key, before, value);
    }
  }

  private *withdraw(key: string, before: object, value: object): Workflow<Replaced> {
    while (!this.isOver) {
      const change = this.change(key, before);
      const { highest } = this;
      const outcome = yield* wait(this.context.ask('store', change));
      if (this.isRolledBack(outcome, highest)) return 'over';
      if (outcome.ok && outcome.value !== null) {
        this.saw(key, outcome.value);
        return 'withdrawn';
      }
      if (outcome.ok) {
        if ((yield* this.isStored(key, this.change(key, value).value)) === true) return 'stored';
        const isBefore = yield* this.isStored(key, change.value);
        if (isBefore === true) return 'withdrawn';
        if (isBefore === false) this.lost(key);
      }
      yield* wait(this.context.sleep(RETRY_MS));
    }
    return 'over';
  }

  /** One compare-and-set: whether the value is stored; false after the core has stepped down, null when nobody knows. */
  private *attempt(key: string, value: object | null): Workflow<boolean | null> {
    if (this.isOver) return false;
    const change = this.change(key, value);
    if (value === null && change.expected === 0) return true;
    const { highest } = this;
    const outcome = yield* wait(this.context.ask('store', change));
    if (this.isRolledBack(outcome, highest)) return false;
    if (outcome.ok && outcome.value !== null) {
      this.saw(key, value === null ? 0 : outcome.value);
      return true;
    }
    if (!outcome.ok) return null;
    const isOurs = yield* this.isStored(key, change.value);
    if (isOurs === false) this.lost(key);
    return isOurs;
  }

  /**
   * A revision that is not above those seen before the change was asked for was given twice: the catalog was rolled back under our feet. What
   * had been stored behind that is gone, and we cannot know what.
   */
  private isRolledBack(outcome: Result<number | null>, highest: number): boolean {
    if (!outcome.ok || outcome.value === null || outcome.value > highest) return false;
    this.stepDown('the bucket was rolled back to an earlier state');
    return true;
  }

  private lost(key: string): void {
    this.stepDown(`another process changed ${key} in the bucket`);
  }

  /** Whether the key has this very value, which only we can have written; null when that cannot be found out now. */
  private *isStored(key: string, value: unknown): Workflow<boolean | null> {
    const outcome = yield* wait(this.context.ask('readKey', { key }));
    if (!outcome.ok) return null;
    const stored: CatalogValue | null = outcome.value;
    // A value that we wanted removed may have been removed by us only: others write values, and mark them as theirs.
    if (JSON.stringify(stored?.value ?? null) !== JSON.stringify(value)) return false;
    this.saw(key, stored?.revision ?? 0);
    return true;
  }
}
