/** What the balancer (and a catching-up shard-node) asks of a shard-node, and what comes back. */
import type { InitCommand, OnConflict } from './commands';
import type { ShardRange, TableSchema } from './schema';

/** A round's identity; never used twice. */
export interface RoundId {
  epoch: number;
  round: number;
}

/**
 * By what a replica knows an op again: the operation's id, and a digest of what it asks for. Its outcome is stored with the
 * round; when the id comes again, that outcome is given and nothing is written.
 */
export interface OpName {
  id?: string;
  print?: string;
}

/**
 * Creates of one request in one shard: the next `keys.length` lines of the message are its rows; no key stands twice.
 * `spans`: the request has rows in other shards too, so that a refusal here undoes the whole round. So does an id that is
 * known: whether the other shards know it as well only the leader sees.
 */
export interface CreateOp extends OpName {
  op: 'create';
  onConflict: OnConflict;
  keys: number[];
  spans?: true;
}
/** The next line of the message is the record's new row. */
export interface ReplaceOp extends OpName {
  op: 'update';
  key: number;
}
export interface RemoveOp extends OpName {
  op: 'delete';
  key: number;
}
/**
 * Stores what became of an op elsewhere: of a request over several shards that one of them refused, so that the round was run
 * again without it. It uses one term, and touches no key.
 */
export interface NoteOp extends OpName {
  op: 'note';
  id: string;
  outcome: OpOutcome;
}
/** What one client request asks of one shard. Ops are decided in order; each sees what those before it did. */
export type RoundOp = CreateOp | ReplaceOp | RemoveOp | NoteOp;

/**
 * What became of an op: how many rows it wrote or removed, or why it was refused (then nothing of it happened). `known`: its
 * id had been here before; this is the outcome of then, or ID_REUSED when it asks for something else now.
 */
export type OpOutcome =
  | { ok: number; known?: true; refused?: undefined }
  | { refused: 'KEY_EXISTS' | 'KEY_NOT_FOUND' | 'ID_REUSED'; key: number; known?: true };

/** The outcome of an op as it is stored: under the op's first term, until that is at or below the shard's `idsAfter`. */
export interface OpRecord {
  term: number;
  id: string;
  print?: string;
  outcome: OpOutcome;
}

/**
 * What was decided of a shard, by a take-over or when a round over several shards was given up: of all rounds of earlier epochs, and of
 * the epoch's own rounds below `round`, those that end above `vat` are not committed in it.
 */
export interface EpochStart {
  epoch: number;
  /** Absent: 0, as a take-over decides. */
  round?: number;
  vat: number;
}

/** A round's part for one shard. The ops use terms from `firstTerm` to `lastTerm`, both reserved by the leader. */
export interface ShardPart {
  shard: string;
  /** The VAT that the round builds on; the replica keeps it as its told VAT. */
  vat: number;
  /**
   * Outcomes that are stored under this term or a lower one are forgotten, though a replica may still hold them. It never goes
   * back, so that all replicas decide alike whenever they remove what is forgotten. Absent: 0.
   */
  idsAfter?: number;
  firstTerm: number;
  lastTerm: number;
  ops: RoundOp[];
  /** In place of those that the replica has; absent: they stay. Stored with the round. */
  epochStarts?: readonly EpochStart[];
}

/** One round as one server sees it. `lastTerms` names every shard that the round touches, on whatever server. */
export interface RoundPart {
  round: number;
  lastTerms: Record<string, number>;
  parts: ShardPart[];
}

/** Several rounds of one epoch for one server: one message, one database transaction. Rows behind it, round by round. */
export interface ApplyRequest {
  epoch: number;
  rounds: RoundPart[];
}
export interface PartReply {
  shard: string;
  outcomes: OpOutcome[];
  /** Over everything that the part did; equal on replicas that agree. */
  digest: string;
}
export interface ApplyReply {
  rounds: { round: number; parts: PartReply[] }[];
}

/** The newest round that reached a shard on a replica, stored in the round's own transaction. */
export interface NewestRound extends RoundId {
  /** The last term of the round in every shard that it touches, this one included. */
  lastTerms: Record<string, number>;
  /** This shard refused a request that spans several shards: the round cannot have been committed. */
  refused: boolean;
}

/** What a replica knows of one of its shards. */
export interface NodeShardState {
  shard: string;
  /** The highest term that the replica has seen, committed or not. */
  currentTerm: number;
  /** Everything up to here is known to be committed. */
  toldVat: number;
  /** Versions that died at or before this VAT may be gone. */
  purgedTo: number;
  /** The highest `idsAfter` that it was told: outcomes up to this term may be gone. Absent: 0. */
  idsAfter?: number;
  newestRound: NewestRound | null;
  /** It holds only a part of the shard, if anything: what it tells says nothing about what was acknowledged. */
  catchingUp: boolean;
  /** How far the copy has got that is under way there, so that whoever leads can have it go on; null when there is none. */
  copy: CopyProgress | null;
  /** The newest last. Absent: none. */
  epochStarts?: readonly EpochStart[];
  /** The shard's configuration as stored here. */
  low: number;
  size: number;
  configEpoch: number;
  configVersion: number;
  inSync: string[];
  replicas: string[];
  joining: string[];
  diverged: string[];
  disputed?: true;
  rows: number;
}

/** A shard's configuration, as the bucket and the replicas store it: whoever has one replica knows all of it. */
export interface ShardConfig extends ShardRange {
  configEpoch: number;
  configVersion: number;
  /** The replicas that hold every acknowledged write. */
  inSync: string[];
  replicas: string[];
  /** Replicas that have never been in sync yet: they do not count towards the number of copies. */
  joining: string[];
  /** Replicas that were found to hold something else than the others: they are copied as a whole before they count again. */
  diverged?: string[];
  /** Members hold different things, and too few of them have answered to tell who is right: all of them have a word in it. */
  disputed?: true;
  /** As in a round's part. */
  epochStarts?: readonly EpochStart[];
}

/** Which configuration of the cluster: of which `/init`, and how far it has changed since. */
export interface ClusterStamp {
  configId: number;
  configEpoch: number;
  configVersion: number;
}

/** The cluster's shape, as the bucket and every server store it. `configId` grows with every `/init` that takes effect. */
export interface ClusterRecord extends ClusterStamp {
  schema: TableSchema;
  /** The `/init` that made it, to tell the same one from another. */
  init: Pick<InitCommand, 'n' | 'schema' | 'shards' | 'servers'>;
  shards: string[];
  servers: string[];
  /** By server: the number that the ring's hash takes. */
  numbers: Record<string, number>;
  /** How every shard came into being: what is known of one of which nothing newer is heard. */
  born: ShardConfig[];
  /** Replicas that are to be made. Absent: none. */
  moves?: ReplicaMove[];
}

/** A replica that is to be made on a server, and the one whose place it takes, where it takes one's: that leaves after it. */
export interface ReplicaMove {
  shard: string;
  to: string;
  from?: string;
}

/**
 * How far a replica has heard of the bucket: up to this revision, from whoever led under this epoch. A bucket that does not know of it
 * was lost, or set back to an earlier state (see `protocol/bucket-history.ts`).
 */
export interface BucketMark {
  epoch: number;
  /** The process that led: an epoch may be given away twice. */
  instance: string;
  revision: number;
}

/**
 * Create what is missing of the named shards and store their configurations; drop others when told. A shard that the
 * replica has keeps its rows. `configId` and `schema` are the cluster's; another `configId` than the stored one drops
 * every shard first.
 */
export interface ConfigRequest {
  epoch: number;
  configId: number;
  schema: TableSchema;
  shards: ShardConfig[];
  drop: string[];
  /** The shards come into being with this request: an empty table is a whole one. Else what is missing was lost, or never there. */
  areNew?: true;
  /** The cluster's record, where the replica may not have this one. An older one than the stored changes nothing. */
  cluster?: ClusterRecord;
  mark?: BucketMark;
  /**
   * `prepare`: make the shards of a configuration that is not in force yet, beside what is served; it takes the place of that with the
   * first request that names its `configId` without a stage. `discard`: it never will, remove it.
   */
  stage?: 'prepare' | 'discard';
}
export interface ConfigReply {
  shards: NodeShardState[];
}

/** Refuse lower epochs from now on, for reads and writes; the answer comes after that is durable. */
export interface FenceRequest {
  epoch: number;
  /** The asker knows this record of the cluster. */
  known?: ClusterStamp;
}
export interface FenceReply {
  /** Of the configuration in force; 0 without one. */
  configId: number;
  /** The configuration that is prepared here and was not in force yet; null without one. */
  prepared: number | null;
  shards: NodeShardState[];
  /** The cluster's record, when it is newer than the asker's. */
  cluster: ClusterRecord | null;
  mark: BucketMark | null;
}

/** The broadcast by which a leader finds every server that runs. */
export interface CensusReply {
  server: string;
  /** Of the configuration in force; 0 without one. */
  configId: number;
}

/** Heartbeat. `vats` and `marks` by shard: committed up to here; may be purged up to here. */
export interface PingRequest {
  epoch: number;
  vats: Record<string, number>;
  marks: Record<string, number>;
  bucket?: BucketMark;
}
export interface PingReply {
  server: string;
  /** Another one after every start of the process. */
  instance: string;
  uptimeMs: number;
  postgres: 'ok' | 'down';
  /** Bytes that the file system of its data still takes; null when that is not known (a Postgres that somebody else runs). */
  diskFreeBytes: number | null;
  /** How late its event loop was since the last ping, 99th percentile; null when that is not measured. */
  eventLoopDelayMs: number | null;
  epoch: number;
  configId: number;
  /** Of the cluster's record that it has; null without one. */
  cluster: ClusterStamp | null;
  shards: NodeShardState[];
}

/**
 * One page of the rows of one shard that are visible at `vat` with `low <= key <= high` in key order.
 * A page holds at most `maxBytes` (but at least one row when there is one).
 */
export interface PageRead {
  shard: string;
  vat: number;
  low: number;
  high: number;
}
/** Several pages, for different readers. `maxBytes` bounds each page; the asker bounds their number. */
export interface NodeReadRequest {
  epoch: number;
  reads: PageRead[];
  maxBytes: number;
}
/** `count` lines per page, in order. `next`: read on from this key (as the next `low`); null when nothing is left. */
export interface NodeReadReply {
  pages: { count: number; next: number | null }[];
}

/**
 * Where a copy has got to: the version it read last; behind the last version, with `op`, the term of the outcome it read last.
 * To everybody but the source it is opaque.
 */
export interface CopyCursor {
  key: number;
  cat: number;
  op?: number;
}
/** A copy of `(from, to]` that is under way, as stored with its last page: `after` is the last thing that is there. */
export interface CopyProgress {
  /** The replica that its last page came from; any that still has the snapshot may send the next. */
  source: string;
  from: number;
  to: number;
  after: CopyCursor;
}

/**
 * One page of the versions of a shard that were born or died in `(from, to]`, in (key, cat) order behind `after`; a death
 * after `to` is told as "alive". With `from` 0: all versions visible at `to`.
 */
export interface CopyRequest {
  epoch: number;
  shard: string;
  from: number;
  to: number;
  after: CopyCursor | null;
  maxBytes: number;
}
/**
 * The text behind it are versions in the form that the store of the source writes and that of the target takes, with `cat` and `dat`. Behind the last of them come the
 * outcomes of ops in `(from, to]`.
 */
export interface CopyReply {
  count: number;
  /** No row of the page has more bytes than this. */
  largestRowBytes: number;
  next: CopyCursor | null;
  records?: readonly OpRecord[];
}

/**
 * To a replica that is not in sync: fetch pages of `(from, to]` from `source` and store them, each with the cursor behind it in
 * one transaction. It goes on where a copy of the same range has got to, whatever it was fetched from. Else it begins: from 0
 * everything held so far is dropped (or with `setAside` kept out of reach, instead of what was kept before), from any other term what lies above the told VAT is undone. After the last page the
 * replica's told VAT and term are `to`. Failures of the source: SNAPSHOT_GONE as it says, anything else as SHARD_UNAVAILABLE.
 */
export interface CatchupRequest {
  epoch: number;
  /** Grows with every request under one epoch. One that comes late is refused: the replica may be in sync by then. */
  turn: number;
  shard: string;
  source: string;
  from: number;
  to: number;
  /** It answers when it has stored so many bytes, or earlier: after one page at the least. */
  maxBytes: number;
  setAside?: true;
}
/** What was stored, and where the copy goes on with another request; `next` is null when it has ended. */
export interface CatchupReply {
  rows: number;
  bytes: number;
  next: CopyCursor | null;
}

/**
 * A digest over the versions of the shard that are visible at `vat`: key, cat and row. The asker sees to it that the shard's mark is
 * not raised meanwhile. A shard of any size takes several requests: each covers keys `after` the one named, in key order, for as long as
 * a replica works on one request. Digests are sums, so what the requests answered is added up. With the last keys come, with
 * `idsAfter`, the outcomes of ops in `(idsAfter, vat]`. With `within` only versions of a range of keys are covered, at once, without
 * outcomes, and told in more detail.
 */
export interface DigestRequest {
  epoch: number;
  shard: string;
  vat: number;
  /** Left out: from the first key on. */
  after?: number;
  idsAfter?: number;
  within?: DigestRange;
}
/** `low <= key <= high`, to be told in so many parts, each with as many keys as the others (the last with fewer). */
export interface DigestRange {
  low: number;
  high: number;
  parts: number;
}
/** What is visible of `low <= key <= high`. */
export interface DigestPart {
  low: number;
  high: number;
  digest: string;
  rows: number;
}
export interface VersionDigest {
  key: number;
  cat: number;
  digest: string;
}
/**
 * `next`: the last key that is covered, to go on `after`; null when no more keys follow. `records`: the digest of the outcomes.
 * `parts` (with `within`): those of the range that have versions, in key order. `versions`: each of them in (key, cat) order,
 * when they are no more than the parts that were asked for.
 */
export interface DigestReply {
  digest: string;
  rows: number;
  next: number | null;
  records?: string;
  parts?: DigestPart[];
  versions?: VersionDigest[];
}

/** What became of the op with this id, in these shards, as far as it was committed at their VATs? */
export interface OperationLookup {
  epoch: number;
  id: string;
  shards: { shard: string; vat: number; idsAfter: number }[];
}
export interface OperationLookupReply {
  found: { shard: string; term: number; outcome: OpOutcome }[];
}
