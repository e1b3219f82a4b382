/**
 * The catalog as the leader last saw it: every change is a compare-and-set on the revision that it knows.
 *
 * A conflict means that somebody else has written, which only another leader does: the core steps down. A change whose
 * outcome is not known is tried again; if the lost answer had been a success, the repeated try conflicts, and the balancer
 * steps down as well, which is safe: it takes over anew from what is stored.
 */
import type { Desk } from './desk';
import { wait, type Workflow } from './workflow';

const TRIES = 10;
const RETRY_MS = 200;

/** Thrown through the workflows of a leader that must not go on. */
export class SteppedDown extends Error {
  override readonly name = 'SteppedDown';
}

export class Catalog {
  private readonly revisions = new Map<string, number>();

  constructor(
    private readonly desk: Desk,
    private readonly stepDown: (why: string) => void,
  ) {}

  /** What is stored, from the load at the start. */
  adopt(entries: readonly { key: string; revision: number }[]): void {
    this.revisions.clear();
    for (const { key, revision } of entries) this.revisions.set(key, revision);
  }

  /** Writes a value, or removes it with null. Resolves true once it is durable; false after the core has stepped down. */
  *put(key: string, value: unknown): Workflow<boolean> {
    for (let attempt = 0; attempt < TRIES; attempt += 1) {
      const expected = this.revisions.get(key) ?? 0;
      if (value === null && expected === 0) return true;
      const outcome = yield* wait(this.desk.ask('store', { key, value, expected }));
      if (outcome.ok && outcome.value !== null) {
        if (value === null) this.revisions.delete(key);
        else this.revisions.set(key, outcome.value);
        return true;
      }
      if (outcome.ok) {
        this.stepDown(`somebody else changed ${key} in the catalog`);
        return false;
      }
      yield* wait(this.desk.sleep(RETRY_MS));
    }
    this.stepDown(`the catalog does not take ${key}`);
    return false;
  }
}
