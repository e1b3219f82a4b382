/** What the balancer (and a catching-up shard-node) asks of a shard-node, and what comes back. */
import { z } from 'zod';
import { operationId } from './commands';
import { bucketMark, clusterRecord, clusterStamp, copyCursor, nodeShardState, shardConfig } from './node-state';
import { opOutcome, opRecord } from './rounds';
import { tableSchema } from './schema';
import { flag, key, listOf, milliseconds, names, term, terms, wholeNumber } from './shapes';

export type {
  RoundId,
  OpName,
  OpOutcome,
  RoundOp,
  OpRecord,
  EpochStart,
  ShardPart,
  RoundPart,
  ApplyRequest,
  PartReply,
  ApplyReply,
} from './rounds';
export type {
  NewestRound,
  NodeShardState,
  ShardConfig,
  ClusterStamp,
  ClusterRecord,
  ReplicaMove,
  BucketMark,
  CopyCursor,
  CopyProgress,
} from './node-state';

/** Of a page of rows, at the most. */
const pageBytes = wholeNumber(1, 8 * 1024 * 1024);

/**
 * Create what is missing of the named shards and store their configurations; drop others when asked. A shard that the
 * replica has keeps its rows. `configId` and `schema` are the cluster's; another `configId` than the stored one drops
 * every shard first.
 */
export const configRequest = z.strictObject({
  epoch: term,
  configId: term,
  schema: tableSchema,
  shards: z.array(shardConfig),
  drop: names,
  /** The shards come into being with this request: an empty table is a whole one. Else what is missing was lost, or never there. */
  areNew: flag,
  /** The cluster's record, where the replica may not have this one. An older one than the stored changes nothing. */
  cluster: clusterRecord.exactOptional(),
  mark: bucketMark.exactOptional(),
  /**
   * `prepare`: make the shards of a configuration that is not in force yet, beside what is served; it takes the place of that with the
   * first request that names its `configId` without a stage. `discard`: it never will, remove it.
   */
  stage: z.enum(['prepare', 'discard']).exactOptional(),
  /**
   * The process that is meant, as it reported when it was fenced. By `areNew` and `prepare` empty tables become whole ones: a later process may
   * have lost its disk since. Absent: nothing is made, or by a release that named none.
   */
  instance: z.string().exactOptional(),
});
export type ConfigRequest = z.infer<typeof configRequest>;
export const configReply = z.strictObject({
  /** Another one after every start of the process. */
  instance: z.string(),
  shards: z.array(nodeShardState),
});
export type ConfigReply = z.infer<typeof configReply>;

/** Make something durable, as a round does, and answer then: shows how quickly the replica stores things now. */
export const probeRequest = z.strictObject({ epoch: term });
export type ProbeRequest = z.infer<typeof probeRequest>;
export const probeReply = z.strictObject({});
export type ProbeReply = z.infer<typeof probeReply>;

/** Refuse lower epochs from now on, for reads and writes; the answer comes after that is durable. */
export const fenceRequest = z.strictObject({
  epoch: term,
  /** The process that leads under this epoch: from now on no other is let in under it. Absent: a release that sent none. */
  by: z.string().exactOptional(),
  /** The asker knows this record of the cluster. */
  known: clusterStamp.exactOptional(),
});
export type FenceRequest = z.infer<typeof fenceRequest>;
export const fenceReply = z.strictObject({
  /** Another one after every start of the process. */
  instance: z.string(),
  /** Of the configuration in force; 0 without one. */
  configId: term,
  /** The configuration that is prepared here and was not in force yet; null without one. */
  prepared: term.nullable(),
  shards: z.array(nodeShardState),
  /** The cluster's record, when it is newer than the asker's. */
  cluster: clusterRecord.nullable(),
  mark: bucketMark.nullable(),
});
export type FenceReply = z.infer<typeof fenceReply>;

/** The broadcast by which a leader finds every server that runs. */
export const censusReply = z.strictObject({
  server: z.string(),
  /** Of the configuration in force; 0 without one. */
  configId: term,
});
export type CensusReply = z.infer<typeof censusReply>;

/** Heartbeat. `vats` and `marks` by shard: committed up to here; may be purged up to here. */
export const pingRequest = z.strictObject({
  epoch: term,
  /** Whose shards `vats` and `marks` mean: another configuration may have shards of the same names. */
  configId: term,
  vats: terms,
  marks: terms,
  bucket: bucketMark.exactOptional(),
});
export type PingRequest = z.infer<typeof pingRequest>;
export const pingReply = z.strictObject({
  server: z.string(),
  /** Another one after every start of the process. */
  instance: z.string(),
  uptimeMs: milliseconds,
  postgres: z.enum(['ok', 'down']),
  /** Bytes that the file system of its data still takes; null when that is not known (a Postgres that somebody else runs). */
  diskFreeBytes: term.nullable(),
  /** How late its event loop was since the last ping, 99th percentile; null when that is not measured. */
  eventLoopDelayMs: milliseconds.nullable(),
  epoch: term,
  configId: term,
  /** Of the cluster's record that it has; null without one. */
  cluster: clusterStamp.nullable(),
  shards: z.array(nodeShardState),
});
export type PingReply = z.infer<typeof pingReply>;

/**
 * One page of the rows of one shard that are visible at `vat` with `low <= key <= high` in key order.
 * A page holds at most `maxBytes` (but at least one row when there is one).
 */
const pageRead = z.strictObject({
  shard: z.string(),
  vat: term,
  low: key,
  high: key,
});
export type PageRead = z.infer<typeof pageRead>;
/** Several pages, for different readers. `maxBytes` bounds each page; the asker bounds their number. */
export const nodeReadRequest = z.strictObject({
  epoch: term,
  reads: z.array(pageRead),
  maxBytes: pageBytes,
});
export type NodeReadRequest = z.infer<typeof nodeReadRequest>;
/** `count` lines per page, in order. `next`: read on from this key (as the next `low`); null when nothing is left. */
export const nodeReadReply = z.strictObject({
  pages: z.array(z.strictObject({ count: term, next: key.nullable() })),
});
export type NodeReadReply = z.infer<typeof nodeReadReply>;

/**
 * One page of the versions of a shard that were born or died in `(from, to]`, in (key, cat) order behind `after`; a death
 * after `to` is sent as "alive". With `from` 0: all versions visible at `to`.
 */
export const copyRequest = z.strictObject({
  epoch: term,
  shard: z.string(),
  from: term,
  to: term,
  after: copyCursor.nullable(),
  maxBytes: pageBytes,
});
export type CopyRequest = z.infer<typeof copyRequest>;
/**
 * The text behind it are versions in the form that the store of the source writes and that of the target takes, with `cat` and `dat`. Behind the last of them come the
 * outcomes of ops in `(from, to]`.
 */
export const copyReply = z.strictObject({
  count: term,
  /** No row of the page has more bytes than this. */
  largestRowBytes: term,
  next: copyCursor.nullable(),
  records: listOf(opRecord).exactOptional(),
});
export type CopyReply = z.infer<typeof copyReply>;

/**
 * To a replica that is not in sync: fetch pages of `(from, to]` from `source` and store them, each with the cursor behind it in
 * one transaction. It goes on where a copy of the same range has got to, whatever it was fetched from. Else it begins: from 0
 * everything held so far is dropped (or with `setAside` kept out of reach, instead of what was kept before), from any other term what lies above the committed VAT is undone. After the last page the
 * replica's committed VAT and term are `to`. Failures of the source: SNAPSHOT_GONE as it says, anything else as SHARD_UNAVAILABLE.
 */
export const catchupRequest = z.strictObject({
  epoch: term,
  /** Grows with every request under one epoch. One that comes late is refused: the replica may be in sync by then. */
  turn: term,
  /** The process that has reported what it holds: a later one may have lost its disk, and with that which requests have been here. */
  instance: z.string().exactOptional(),
  /** As of a round. */
  configId: term.exactOptional(),
  shard: z.string(),
  source: z.string(),
  from: term,
  to: term,
  /** It answers when it has stored so many bytes, or earlier: after one page at the least. */
  maxBytes: term,
  setAside: flag,
  /** Nothing is copied: earlier requests for the shard will not be carried out any more, and none of them is under way when it is answered. */
  isCallOff: flag,
});
export type CatchupRequest = z.infer<typeof catchupRequest>;
/** What was stored, and where another request resumes the copy; `next` is null when it has ended. */
export const catchupReply = z.strictObject({
  rows: term,
  bytes: term,
  next: copyCursor.nullable(),
});
export type CatchupReply = z.infer<typeof catchupReply>;

/** `low <= key <= high`, to be digested in so many parts, each with as many keys as the others (the last with fewer). */
const digestRange = z
  .strictObject({
    low: key,
    high: key,
    parts: wholeNumber(2, 1024),
  })
  .refine(({ low, high }) => low <= high, 'no keys');
export type DigestRange = z.infer<typeof digestRange>;
/**
 * A digest over the versions of the shard that are visible at `vat`: key, cat and row. The asker sees to it that the shard's mark is
 * not raised meanwhile. A shard of any size takes several requests: each covers keys `after` the one named, in key order, for as long as
 * a replica works on one request. Digests are sums, so what the requests answered is added up. With the last keys come, with
 * `forgottenUpTo`, the outcomes of ops in `(forgottenUpTo, vat]`. With `within` only versions of a range of keys are covered, at once, without
 * outcomes, and shown in more detail.
 */
export const digestRequest = z.strictObject({
  epoch: term,
  shard: z.string(),
  vat: term,
  /** Left out: from the first key on. */
  after: key.exactOptional(),
  forgottenUpTo: term.exactOptional(),
  within: digestRange.exactOptional(),
});
export type DigestRequest = z.infer<typeof digestRequest>;
/** What is visible of `low <= key <= high`. */
const digestPart = z.strictObject({
  low: key,
  high: key,
  digest: z.string(),
  rows: term,
});
export type DigestPart = z.infer<typeof digestPart>;
const versionDigest = z.strictObject({
  key,
  cat: term,
  digest: z.string(),
});
export type VersionDigest = z.infer<typeof versionDigest>;
/**
 * `next`: the last key that is covered, to go on `after`; null when no more keys follow. `records`: the digest of the outcomes.
 * `parts` (with `within`): those of the range that have versions, in key order. `versions`: each of them in (key, cat) order,
 * when they are no more than the parts that were asked for.
 */
export const digestReply = z.strictObject({
  digest: z.string(),
  rows: term,
  next: key.nullable(),
  records: z.string().exactOptional(),
  parts: z.array(digestPart).exactOptional(),
  versions: z.array(versionDigest).exactOptional(),
});
export type DigestReply = z.infer<typeof digestReply>;

/** What became of the op with this id, in these shards, as far as it was committed at their VATs? */
export const operationLookup = z.strictObject({
  epoch: term,
  id: operationId,
  shards: z.array(z.strictObject({ shard: z.string(), vat: term, forgottenUpTo: term })),
});
export type OperationLookup = z.infer<typeof operationLookup>;
export const operationLookupReply = z.strictObject({
  found: z.array(z.strictObject({ shard: z.string(), term, outcome: opOutcome })),
});
export type OperationLookupReply = z.infer<typeof operationLookupReply>;
