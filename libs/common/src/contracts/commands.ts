/**
 * What the gateway sends to the leading balancer, and what comes back.
 *
 * Record commands travel as batches: the gateway puts everything that waits into one message. A batch is answered in one
 * or more messages, each carrying the outcomes that are ready; the last one says `done`. Rows travel as raw JSON text in
 * the lines behind the header (see `nats/lines.ts`): header fields that count rows refer to those lines, in order.
 */
import { z } from 'zod';
import { errorBody, type ErrorBody } from './errors';
import { shardRange, tableSchema } from './schema';
import { flag, freshName, key, milliseconds, names, term } from './shapes';

/** What a `/write` does with a key that exists. */
export const CONFLICT_POLICIES = ['error', 'ignore', 'replace'] as const;
export const onConflict = z.enum(CONFLICT_POLICIES);
export type OnConflict = z.infer<typeof onConflict>;

/** What `operation` and `fingerprint` may look like. */
export const OPERATION_PATTERN = /^[!-~]{1,128}$/;
export const FINGERPRINT_PATTERN = /^[!-~]{1,64}$/;
export const operationId = z.string().regex(OPERATION_PATTERN);
export const requestFingerprint = z.string().regex(FINGERPRINT_PATTERN);

/**
 * By what a change is known again when it comes a second time: then it gets its first outcome, and nothing is written.
 * Outcomes are kept for a bounded time (`OPERATION_HORIZON_S`).
 */
const operationName = z.strictObject({
  /** 1 to 128 visible ASCII characters, unlike those of any other change. Those that grow with time are stored faster. */
  operation: operationId.exactOptional(),
  /**
   * A short digest of what is asked for (at most 64 visible ASCII characters): a name that comes again with another fingerprint
   * is refused with ID_REUSED. Needed where the client chose the name.
   */
  fingerprint: requestFingerprint.exactOptional(),
});
export type OperationName = z.infer<typeof operationName>;
/** One client's write: all of its rows or none. Its rows are the next `keys.length` lines of the message. */
const writeOp = z.strictObject({
  ...operationName.shape,
  /** Unique within the batch. */
  id: term,
  onConflict,
  keys: z.array(key),
});
export type WriteOp = z.infer<typeof writeOp>;

/** One client's update of one record; its new row is the next line of the message. */
const updateOp = z.strictObject({
  ...operationName.shape,
  id: term,
  key,
});
export type UpdateOp = z.infer<typeof updateOp>;

/** One client's delete of one record. */
const deleteOp = z.strictObject({
  ...operationName.shape,
  id: term,
  key,
});
export type DeleteOp = z.infer<typeof deleteOp>;

/** One client's read of every record with `low <= key <= high`. */
const readOp = z.strictObject({
  id: term,
  low: key,
  high: key,
});
export type ReadOp = z.infer<typeof readOp>;

/** A message of record operations of one kind. `configId` is the configuration that the rows were checked against. */
function batchOf<Op extends z.ZodType>(op: Op) {
  return z.strictObject({ configId: term, ops: z.array(op) });
}
export const writeBatch = batchOf(writeOp);
export const updateBatch = batchOf(updateOp);
export const deleteBatch = batchOf(deleteOp);
export const readBatch = batchOf(readOp);
export type RecordBatch<Op> = z.infer<ReturnType<typeof batchOf<z.ZodType<Op>>>>;

/** The outcome of one operation of a batch. */
export type OpResult<T> = ({ id: number } & T & { error?: undefined }) | { id: number; error: ErrorBody };

/** `added`: how many rows the write put there (fewer than asked with `onConflict: ignore`). */
const writeDone = z.strictObject({
  added: term,
});
export type WriteDone = z.infer<typeof writeDone>;
/** The same of one record that was changed or removed: 1. */
export type ChangeDone = WriteDone;

/** One key was asked for: the answer carries its row, if any, in the next `count` (0 or 1) lines. */
const pointRead = z.strictObject({
  shards: names,
  count: term,
});
export type PointRead = z.infer<typeof pointRead>;

/** A part of a range read: ask any of `servers` (best first) for the shard's rows that are visible at `vat`. */
const readPart = z.strictObject({
  shard: z.string(),
  vat: term,
  low: key,
  high: key,
  servers: names,
});
export type ReadPart = z.infer<typeof readPart>;

/**
 * A range was asked for: the rows are to be pulled from the replicas, page by page, all at the one snapshot described by
 * the parts (in key order). The snapshot is held until its lease is released, or until
 * `ttlMs` have passed since it was last renewed.
 */
const rangeRead = z.strictObject({
  shards: names,
  plan: z.strictObject({ snapshotLease: term, epoch: term, ttlMs: milliseconds, parts: z.array(readPart) }),
});
export type RangeRead = z.infer<typeof rangeRead>;

/** A message of outcomes. */
function repliesOf<Result extends z.ZodType>(result: Result) {
  return z.strictObject({
    results: z.array(result),
    /** Present on the last message of a batch. */
    done: flag,
  });
}
export type BatchReply<T> = z.infer<ReturnType<typeof repliesOf<z.ZodType<OpResult<T>>>>>;

const id = term;
const refused = z.strictObject({ id, error: errorBody });
export const changeReplies: z.ZodType<BatchReply<ChangeDone>> = repliesOf(z.union([refused, writeDone.extend({ id })]));
export const readReplies: z.ZodType<BatchReply<PointRead | RangeRead>> = repliesOf(
  z.union([refused, pointRead.extend({ id }), rangeRead.extend({ id })]),
);

/** Releases snapshot leases whose reads are over, and renews those of others. The answer confirms that the leader leads. */
export const snapshotLeasesRequest = z.strictObject({
  release: z.array(term),
  renew: z.array(term),
});
export type SnapshotLeasesRequest = z.infer<typeof snapshotLeasesRequest>;
export const snapshotLeasesReply = z.strictObject({
  epoch: term,
  /** Snapshot leases of the request that the leader does not hold (any more): their rows must not be served. */
  unknown: z.array(term),
});
export type SnapshotLeasesReply = z.infer<typeof snapshotLeasesReply>;

/** What a balancer that is about to lead waits for. */
export const takeOverNews = z.strictObject({
  /** Under which it will lead. */
  epoch: term,
  /** Servers that have not reported yet what they hold. */
  waitingFor: names,
});
export type TakeOverNews = z.infer<typeof takeOverNews>;

/** What became of the change of that name? */
export const operationRequest = z.strictObject({
  operation: operationId,
});
/**
 * `unknown`: it was never decided, is not decided yet, or was so long ago that it has been forgotten. `added` only with
 * `committed`: rows written or removed; `refusal` only with `refused`: what the client was answered (not `error`, which would
 * say that the question itself failed).
 */
export const operationStatus = z.strictObject({
  operation: z.string(),
  outcome: z.enum(['committed', 'refused', 'unknown']),
  added: term.exactOptional(),
  refusal: errorBody.exactOptional(),
});
export type OperationStatus = z.infer<typeof operationStatus>;

/** By server: the shards that it is to hold. */
const serverShards = z.record(freshName, z.array(freshName));
const freshShards = z.array(shardRange.extend({ shard: freshName }));

/** `/init`, names checked and cased already. `servers` undefined: the balancer places everything. */
export const initCommand = z.strictObject({
  n: term.nullable(),
  schema: tableSchema,
  shards: freshShards,
  servers: serverShards.nullable(),
  /** Drop another configuration and its data if there is one. */
  allowReinit: z.boolean(),
});
export type InitCommand = z.infer<typeof initCommand>;

/** `/add`. A server name with a bracket in it stands for "any unused id". */
export const addCommand = z.strictObject({
  n: term,
  newShards: freshShards,
  servers: serverShards,
});
export type AddCommand = z.infer<typeof addCommand>;
/** `added`: the names as they are now, in the order of the request. */
export const addDone = z.strictObject({
  n: term,
  added: names,
});
export type AddDone = z.infer<typeof addDone>;

/** `/rm`. */
export const rmCommand = z.strictObject({
  n: term,
  servers: z.array(freshName),
});
export type RmCommand = z.infer<typeof rmCommand>;
export const rmDone = z.strictObject({
  n: term,
  removed: names,
});
export type RmDone = z.infer<typeof rmDone>;

/** `scrub`: the replicas of every shard that were compared with each other, and those that differ from the others. */
export const scrubDone = z.strictObject({
  shards: z.array(z.strictObject({ shard: z.string(), vat: term, compared: names, missing: names, diverged: names })),
});
export type ScrubDone = z.infer<typeof scrubDone>;

const syncState = z.enum(['in-sync', 'syncing', 'stale']);
export type SyncState = z.infer<typeof syncState>;
/** `suspect`: it may be asked, but others are asked first. `dead`: its flatline has been called. */
const serverHealth = z.enum(['starting', 'healthy', 'suspect', 'dead']);
export type ServerHealth = z.infer<typeof serverHealth>;

/** Why a server is suspect. */
export const SUSPECT_CAUSES = ['missed', 'postgres', 'disk', 'event-loop', 'slow'] as const;
const suspectCause = z.enum(SUSPECT_CAUSES);
export type SuspectCause = z.infer<typeof suspectCause>;

/** What a server reported with its last heartbeat; null where it is not known. */
const vitalSigns = z.strictObject({
  postgres: z.enum(['ok', 'down']).nullable(),
  diskFreeBytes: term.nullable(),
  eventLoopDelayMs: milliseconds.nullable(),
  /** How long the heartbeat's answer took. */
  answerMs: milliseconds.nullable(),
});
export type VitalSigns = z.infer<typeof vitalSigns>;

/** The published design's MapT, one row per replica, with what we know of it. */
const replicaStatus = z.strictObject({
  server: z.string(),
  state: syncState,
  /**
   * When all that it shows was last found to be the same as on another replica, and at which VAT; null when it has not been
   * compared under this leader.
   */
  proven: z.strictObject({ vat: term, ageMs: milliseconds }).nullable(),
});
export type ReplicaStatus = z.infer<typeof replicaStatus>;

/** Slots `from` … `to` of a ring, both included, belong to one server. */
const ringArc = z.strictObject({
  from: term,
  to: term,
  server: z.string(),
});
export type RingArc = z.infer<typeof ringArc>;

/** The published design's ShardT, one row per shard. */
const shardStatus = z.strictObject({
  ...shardRange.shape,
  vat: term,
  replicas: z.array(replicaStatus),
  inSync: names,
  minInSync: term,
  configVersion: term,
  /** False while fewer than `minInSync` replicas answer. */
  writable: z.boolean(),
  readable: z.boolean(),
  /** Live records, as last reported by an in-sync replica; null when none has reported yet. */
  rows: term.nullable(),
  /** The ring: every slot with the server that owns it, neighbours of one owner as one arc. */
  ring: z.array(ringArc),
});
export type ShardStatus = z.infer<typeof shardStatus>;

const serverStatus = z.strictObject({
  server: z.string(),
  number: term,
  health: serverHealth,
  /** Empty unless `suspect`. */
  causes: z.array(suspectCause),
  /** Milliseconds since the last answered ping; null when there was none. */
  heartbeatAgeMs: milliseconds.nullable(),
  missed: term,
  vitals: vitalSigns,
  shards: names,
});
export type ServerStatus = z.infer<typeof serverStatus>;

/** Everything there is to know about the cluster. `configId` is 0 and the lists are empty before `/init`. */
export const clusterStatus = z.strictObject({
  /** There is no configuration, though there was one: what every request is refused with. */
  unconfigured: errorBody.exactOptional(),
  configId: term,
  leader: z.string(),
  epoch: term,
  schema: tableSchema.nullable(),
  shards: z.array(shardStatus),
  servers: z.array(serverStatus),
  ring: z.strictObject({ slots: term, virtualServers: term, hash: z.string(), loadEpsilon: z.number() }),
});
export type ClusterStatus = z.infer<typeof clusterStatus>;
