/** The bucket of a story: every change a compare-and-set, answered at once; it can be rolled back to an earlier state. */
import type { CatalogValue } from '../../../src/core/kernel/effects';

export class Bucket {
  private entries = new Map<string, CatalogValue>();
  private remembered = new Map<string, CatalogValue>();
  private revision = 0;

  all(): CatalogValue[] {
    return [...this.entries.values()].map((entry) => structuredClone(entry));
  }

  get(key: string): CatalogValue | null {
    return structuredClone(this.entries.get(key) ?? null);
  }

  /** The new revision, or null when the key has been written since. */
  store(key: string, value: unknown, expected: number): number | null {
    if ((this.entries.get(key)?.revision ?? 0) !== expected) return null;
    this.revision += 1;
    if (value === null) this.entries.delete(key);
    else this.entries.set(key, { key, value: structuredClone(value), revision: this.revision });
    return this.revision;
  }

  /** As a backup does. */
  remember(): void {
    this.remembered = new Map(this.entries);
  }

  /** As one who plays the backup back: with the revisions of then. */
  rollBack(): void {
    this.entries = new Map(this.remembered);
  }
}
