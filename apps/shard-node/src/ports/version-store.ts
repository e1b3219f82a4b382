/** Where a replica keeps its versions and what it knows of itself. Two adapters: Postgres, and memory for tests. */
import type {
  BucketMark,
  CopyCursor,
  DigestRange,
  DigestReply,
  OperationLookupReply,
  OpRecord,
} from '#common/contracts/node';
import type { TableSchema } from '#common/contracts/schema';
import type { NodeIdentity, ReplicaState, ShardState } from '../core/replica-state';
import type { Known, PartWrite } from '../core/round-plan';

/** Rows as JSON texts joined by `,\n`, none of them with a raw line feed in it. */
export interface RowsText {
  count: number;
  text: string;
}

/** A page of rows in key order. `next`: the key to read on from; null when nothing is left. */
export interface RowPage extends RowsText {
  next: number | null;
}

/**
 * A page of versions in (key, cat) order. Its text is the store's own: another store of the same kind takes it as it is.
 */
export interface VersionPage extends RowsText {
  /** No row in it comes out of the store with more bytes than this. */
  largestRowBytes: number;
  next: CopyCursor | null;
  records?: readonly OpRecord[];
}

/** A page of outcomes in the order of their terms. `next`: the term to read on behind; null when nothing is left. */
export interface RecordPage {
  records: OpRecord[];
  next: number | null;
}

/** What a part has to know before it can be decided: of `keys` and of `ids`, at `vat`. */
export interface PartQuestion {
  shard: string;
  vat: number;
  keys: readonly number[];
  /** Outcomes under this term or a lower one do not count. */
  forgottenUpTo: number;
  ids: readonly string[];
}

/** Where an outcome was found. */
export type FoundRecord = OperationLookupReply['found'][number];

/** Outcomes that are stored under terms in `(after, upTo]`. */
export interface RecordRange {
  shard: string;
  after: number;
  upTo: number;
}

/** Which versions of a shard: those born or died in `(from, to]`; with `from` 0 those visible at `to`. */
export interface VersionRange {
  shard: string;
  from: number;
  to: number;
}

/** Versions of one shard visible at one VAT, of keys behind `after`; null: of all keys. */
export interface DigestPageRange {
  shard: string;
  vat: number;
  after: number | null;
}

/** `next`: the last key of the page; null when nothing is left behind it. */
export interface DigestPage {
  digest: string;
  rows: number;
  next: number | null;
}

/** Rows of one shard visible at one VAT, `low <= key <= high`. */
export interface RowRange {
  shard: string;
  vat: number;
  low: number;
  high: number;
}

/**
 * One durable change, all or nothing. The methods see what the transaction has done before; those that return nothing
 * may be performed as late as the commit.
 */
export interface WriteTransaction {
  lookUp(question: PartQuestion): Promise<Known>;
  /** Rules 2 and 3: undoes births, deaths and outcomes above `vat`. Answers by how many the living versions changed. */
  undoAbove(shard: string, vat: number): Promise<number>;
  /** Births, deaths of living versions, outcomes, and of the shard's state what a round changes: the rest must be as it is stored. */
  write(write: PartWrite): void;
  saveShard(state: ShardState): void;
  saveIdentity(identity: NodeIdentity): void;
  /** `saveIdentity` of a stored identity that has got another mark. */
  saveMark(mark: BucketMark): void;
  /** The transaction may still be lost in a crash, as a whole, until a later one is durable: that is made so without waiting. */
  mayBeLost(): void;
  /** Creates the shard's empty table as well. */
  createShard(state: ShardState, schema: TableSchema): Promise<void>;
  dropShard(shard: string): void;
  /** Makes empty tables of these shards beside those that are served, out of the reach of every other method. */
  prepareTables(shards: readonly string[], schema: TableSchema): Promise<void>;
  /** What `prepareTables` made goes, as far as there is anything. */
  discardPrepared(): void;
  /** What was prepared takes the place of everything that there is: these shards with their prepared tables, and nothing else. */
  activatePrepared(shards: readonly ShardState[], schema: TableSchema): void;
  /** Removes every version and outcome of the shard. */
  clearShard(shard: string): void;
  /** As `clearShard`, but what was there is kept where no verb reaches it, instead of what was kept there before. */
  setShardAside(shard: string, schema: TableSchema): Promise<void>;
  /**
   * Stores versions as `copyPage` returned them. Of a snapshot none may be there yet; of a difference, one that is there already gets
   * the death that comes with it. Answers by how many the living versions changed.
   */
  putVersions(shard: string, versions: RowsText, isSnapshot: boolean): Promise<number>;
  /** Stores outcomes as `recordPage` returned them; what is there already stays. */
  putRecords(shard: string, records: readonly OpRecord[]): void;
  /** Versions that live. */
  countLiving(shard: string): Promise<number>;
  /** Rule 1: removes up to `limit` versions that died at or before `mark`; answers how many it removed. */
  purge(shard: string, mark: number, limit: number): Promise<number>;
  /** Removes up to `limit` outcomes under terms up to `forgottenUpTo`; answers how many it removed. */
  forget(shard: string, forgottenUpTo: number, limit: number): Promise<number>;
}

export interface VersionStore {
  /** Everything but the rows, as last made durable. */
  load(): Promise<ReplicaState>;
  /**
   * Performs `work`, then makes everything durable at once; when `work` or the store fails, nothing of it has happened. The
   * caller runs one transaction at a time.
   *
   * @throws ShardlineError BAD_REQUEST when the store refuses what it is to keep, STORE_FAILED, or what `work` threw. STORE_FAILED
   * that is retryable: nothing happened, and it may go another time. Otherwise the caller loads again: whether the transaction
   * became durable may be unknown.
   */
  transact<T>(work: (transaction: WriteTransaction) => Promise<T>): Promise<T>;
  /** At most `maxBytes` of rows, but at least one row when there is one. @throws ShardlineError STORE_FAILED */
  readRange(range: RowRange, maxBytes: number): Promise<RowPage>;
  /** Rows by key, as far as they are visible. @throws ShardlineError STORE_FAILED */
  readKeys(shard: string, vat: number, keys: readonly number[]): Promise<ReadonlyMap<number, string>>;
  /** At most `maxBytes`, but at least one version when there is one. A death after `to` is sent as "alive". */
  copyPage(range: VersionRange, after: CopyCursor | null, maxBytes: number): Promise<VersionPage>;
  /** At most about `maxBytes`, but at least one outcome when there is one. @throws ShardlineError STORE_FAILED */
  recordPage(range: RecordRange, maxBytes: number): Promise<RecordPage>;
  /** The outcomes that are stored under the id in these ranges. @throws ShardlineError STORE_FAILED */
  findRecords(id: string, ranges: readonly RecordRange[]): Promise<FoundRecord[]>;
  /** Over everything that is stored of these outcomes. @throws ShardlineError STORE_FAILED */
  digestRecords(range: RecordRange): Promise<string>;
  /** Over key, cat and row of versions that are visible at `vat`: of `maxKeys` keys at the most, in key order. */
  digestPage(range: DigestPageRange, maxKeys: number): Promise<DigestPage>;
  /** The same of every version `within` a range of keys. */
  digestWithin(shard: string, vat: number, within: DigestRange): Promise<DigestReply>;
  /** Frees the room of what transactions have discarded, or have put something else in the place of; may be asked at any time. */
  sweep(): Promise<void>;
  /** Resolves when the store answers. @throws ShardlineError STORE_FAILED */
  probe(): Promise<void>;
  close(): Promise<void>;
}
