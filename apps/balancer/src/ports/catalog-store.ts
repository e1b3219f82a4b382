/** Where the cluster's metadata lives: a bucket of JSON values, every change a compare-and-set on the value's revision. */

export interface CatalogEntry {
  key: string;
  value: unknown;
  /** Grows with every change of the key. */
  revision: number;
}

/** What became of a compare-and-set. `conflict`: somebody else changed the key; nothing was written. */
export type PutResult = { ok: true; revision: number } | { ok: false; conflict: true };

export interface CatalogStore {
  /** The key's value; null when it has none. @throws as `put` */
  get(key: string): Promise<CatalogEntry | null>;
  /** Every key that has a value. */
  load(): Promise<CatalogEntry[]>;
  /**
   * Writes if the key's revision is still `expected` (0: the key has no value). Resolves after the write is durable.
   * @throws ShardlineError when the store does not answer in time; the outcome is then not known
   */
  put(key: string, value: unknown, expected: number): Promise<PutResult>;
  /** Removes the value if the key's revision is still `expected`. @throws as `put` */
  remove(key: string, expected: number): Promise<PutResult>;
  /** Calls back with the value that somebody is about to store under the key: a hint, which can be missed. */
  watch(key: string, onChange: (value: unknown) => void): void;
}
