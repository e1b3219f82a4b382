/** What replicas store and report of themselves: the state of their shards, and the records of shards and cluster. */
import { z } from 'zod';
import { initCommand } from './commands';
import { epochStart, roundId } from './rounds';
import { shardRange, tableSchema } from './schema';
import { flag, key, listOf, names, term, terms, wholeNumber } from './shapes';

/**
 * Where a copy has got to: the version it read last; behind the last version, with `op`, the term of the outcome it read last.
 * To everybody but the source it is opaque.
 */
export const copyCursor = z.strictObject({
  key,
  cat: term,
  op: term.exactOptional(),
});
export type CopyCursor = z.infer<typeof copyCursor>;
/** A copy of `(from, to]` that is under way, as stored with its last page: `after` is the last thing that is there. */
const copyProgress = z.strictObject({
  /** The replica that its last page came from; any that still has the snapshot may send the next. */
  source: z.string(),
  from: term,
  to: term,
  after: copyCursor,
});
export type CopyProgress = z.infer<typeof copyProgress>;

/** The newest round that reached a shard on a replica, stored in the round's own transaction. */
const newestRound = z.strictObject({
  ...roundId.shape,
  /** The last term of the round in every shard that it touches, this one included. */
  lastTerms: terms,
  /** This shard refused a request that spans several shards: the round cannot have been committed. */
  refused: z.boolean(),
});
export type NewestRound = z.infer<typeof newestRound>;

/** What a replica knows of one of its shards. */
export const nodeShardState = z.strictObject({
  shard: z.string(),
  /** The highest term that the replica has seen, committed or not. */
  currentTerm: term,
  /** Everything up to here is known to be committed. */
  committedVat: term,
  /** Versions that died at or before this VAT may be gone. */
  purgedTo: term,
  /** The highest `forgottenUpTo` that it got: outcomes up to this term may be gone. Absent: 0. */
  forgottenUpTo: term.exactOptional(),
  newestRound: newestRound.nullable(),
  /** It holds only a part of the shard, if anything: what it reports says nothing about what was acknowledged. */
  catchingUp: z.boolean(),
  /** How far the copy has got that is under way there, so that whoever leads can have it go on; null when there is none. */
  copy: copyProgress.nullable(),
  /** The newest last. Absent: none. */
  epochStarts: listOf(epochStart).exactOptional(),
  /** The shard's configuration as stored here. */
  low: key,
  size: wholeNumber(1),
  configEpoch: term,
  configVersion: term,
  inSync: names,
  replicas: names,
  joining: names,
  diverged: names,
  disputed: flag,
  rows: term,
});
export type NodeShardState = z.infer<typeof nodeShardState>;

/** A shard's configuration, as the bucket and the replicas store it: whoever has one replica knows all of it. */
export const shardConfig = z.strictObject({
  ...shardRange.shape,
  configEpoch: term,
  configVersion: term,
  /** The replicas that hold every acknowledged write. */
  inSync: names,
  replicas: names,
  /** Replicas that have never been in sync yet: they do not count towards the number of copies. */
  joining: names,
  /** Replicas that were found to hold other data than the others: they are copied as a whole before they count again. */
  diverged: names.exactOptional(),
  /** Members hold different things, and too few of them have answered to know who is right: all of them have a word in it. */
  disputed: flag,
  /** As in a round's part. */
  epochStarts: listOf(epochStart).exactOptional(),
});
export type ShardConfig = z.infer<typeof shardConfig>;

/** Which configuration of the cluster: of which `/init`, and how far it has changed since. */
export const clusterStamp = z.strictObject({
  configId: term,
  configEpoch: term,
  configVersion: term,
});
export type ClusterStamp = z.infer<typeof clusterStamp>;

/** A replica that is to be made on a server, and the one whose place it takes, where it takes one's: that leaves after it. */
const replicaMove = z.strictObject({
  shard: z.string(),
  to: z.string(),
  from: z.string().exactOptional(),
});
export type ReplicaMove = z.infer<typeof replicaMove>;

/** The cluster's shape, as the bucket and every server store it. `configId` grows with every `/init` that takes effect. */
export const clusterRecord = z.strictObject({
  ...clusterStamp.shape,
  schema: tableSchema,
  /** The `/init` that made it, to distinguish the same one from another. */
  init: initCommand.pick({ n: true, schema: true, shards: true, servers: true }),
  shards: names,
  servers: names,
  /** By server: the number that the ring's hash takes. */
  numbers: terms,
  /** How every shard came into being: what is known of one of which nothing newer is heard. */
  born: z.array(shardConfig),
  /** Replicas that are to be made. Absent: none. */
  moves: z.array(replicaMove).exactOptional(),
  /** Servers that `/rm` was asked to remove: each goes as soon as nothing is lost by it. Absent: none. */
  leaving: names.exactOptional(),
});
export type ClusterRecord = z.infer<typeof clusterRecord>;

/**
 * How far a replica has heard of the bucket: up to this revision, from whoever led under this epoch. A bucket that does not know of it
 * was lost, or rolled back to an earlier state (see `protocol/bucket-history.ts`).
 */
export const bucketMark = z.strictObject({
  epoch: term,
  /** The process that led: an epoch may be given away twice. */
  instance: z.string(),
  revision: term,
});
export type BucketMark = z.infer<typeof bucketMark>;
