/**
 * What the gateway sends to the leading balancer, and what comes back.
 *
 * Record commands travel as batches: the gateway puts everything that waits into one message. A batch is answered in one
 * or more messages, each carrying the outcomes that are ready; the last one says `done`. Rows travel as raw JSON text in
 * the lines behind the header (see `nats/lines.ts`): header fields that count rows refer to those lines, in order.
 */
import type { ErrorBody } from './errors';
import type { ShardRange, TableSchema } from './schema';

/** What a `/write` does with a key that exists. */
export const CONFLICT_POLICIES = ['error', 'ignore', 'replace'] as const;
export type OnConflict = (typeof CONFLICT_POLICIES)[number];

/**
 * By what a change is known again when it comes a second time: then it gets its first outcome, and nothing is written.
 * Outcomes are kept for a bounded time (`OPERATION_HORIZON_S`).
 */
export interface OperationName {
  /** 1 to 128 visible ASCII characters, unlike those of any other change. Those that grow with time are stored faster. */
  operation?: string;
  /**
   * A short digest of what is asked for (at most 64 visible ASCII characters): a name that comes again with another print
   * is refused with ID_REUSED. Needed where the client chose the name.
   */
  print?: string;
}
/** What `operation` and `print` may look like. */
export const OPERATION_PATTERN = /^[!-~]{1,128}$/;
export const PRINT_PATTERN = /^[!-~]{1,64}$/;

/** One client's write: all of its rows or none. Its rows are the next `keys.length` lines of the message. */
export interface WriteOp extends OperationName {
  /** Unique within the batch. */
  id: number;
  onConflict: OnConflict;
  keys: number[];
}

/** One client's update of one record; its new row is the next line of the message. */
export interface UpdateOp extends OperationName {
  id: number;
  key: number;
}

/** One client's delete of one record. */
export interface DeleteOp extends OperationName {
  id: number;
  key: number;
}

/** One client's read of every record with `low <= key <= high`. */
export interface ReadOp {
  id: number;
  low: number;
  high: number;
}

/** A message of record operations of one kind. `configId` is the configuration that the rows were checked against. */
export interface RecordBatch<Op> {
  configId: number;
  ops: Op[];
}

/** The outcome of one operation of a batch. */
export type OpResult<T> = ({ id: number } & T & { error?: undefined }) | { id: number; error: ErrorBody };

/** `added`: how many rows the write put there (fewer than asked with `onConflict: ignore`). */
export interface WriteDone {
  added: number;
}
export type ChangeDone = object;

/** One key was asked for: the answer carries its row, if any, in the next `count` (0 or 1) lines. */
export interface PointRead {
  shards: string[];
  count: number;
}

/** A part of a range read: ask any of `servers` (best first) for the shard's rows that are visible at `vat`. */
export interface ReadPart {
  shard: string;
  vat: number;
  low: number;
  high: number;
  servers: string[];
}

/**
 * A range was asked for: the rows are to be pulled from the replicas, page by page, all at the one snapshot described by
 * the parts (in key order). The snapshot is held until `read-done` names the ticket or `ttlMs` have passed since it was
 * last named.
 */
export interface RangeRead {
  shards: string[];
  plan: { ticket: number; epoch: number; ttlMs: number; parts: ReadPart[] };
}

/** A message of outcomes. */
export interface BatchReply<T> {
  results: OpResult<T>[];
  /** Present on the last message of a batch. */
  done?: true;
}

/** Names tickets whose reads are over (`done`) or still going on (`keep`). The answer confirms that the leader leads. */
export interface ReadDoneRequest {
  done: number[];
  keep: number[];
}
export interface ReadDoneReply {
  epoch: number;
  /** Tickets of the request that the leader does not hold (any more): their rows must not be served. */
  unknown: number[];
}

/** What became of the change of that name? */
export interface OperationRequest {
  operation: string;
}
/**
 * `unknown`: it was never decided, is not decided yet, or was so long ago that it has been forgotten. `added` only with
 * `committed`: rows written or removed; `refusal` only with `refused`: what the asker was told (not `error`, which would
 * say that the question itself failed).
 */
export interface OperationStatus {
  operation: string;
  outcome: 'committed' | 'refused' | 'unknown';
  added?: number;
  refusal?: ErrorBody;
}

/** `/init`, names checked and cased already. `servers` undefined: the balancer places everything. */
export interface InitCommand {
  n: number | null;
  schema: TableSchema;
  shards: ShardRange[];
  servers: Record<string, string[]> | null;
  /** Drop another configuration and its data if there is one. */
  allowReinit: boolean;
}

/** `/add`. A server name with a bracket in it stands for "any unused id". */
export interface AddCommand {
  n: number;
  newShards: ShardRange[];
  servers: Record<string, string[]>;
}
/** `added`: the names as they are now, in the order of the request. */
export interface AddDone {
  n: number;
  added: string[];
}

/** `/rm`. */
export interface RmCommand {
  n: number;
  servers: string[];
}
export interface RmDone {
  n: number;
  removed: string[];
}

/** `scrub`: the replicas of every shard that were compared with each other, and those that differ from the others. */
export interface ScrubDone {
  shards: { shard: string; vat: number; compared: string[]; missing: string[]; diverged: string[] }[];
}

export type ReplicaState = 'in-sync' | 'syncing' | 'stale';
/** `suspect`: it may be asked, but others are asked first. `dead`: its flatline has been called. */
export type ServerHealth = 'starting' | 'healthy' | 'suspect' | 'dead';

/** Why a server is suspect. */
export const SUSPECT_CAUSES = ['missed', 'postgres', 'disk', 'event-loop', 'slow'] as const;
export type SuspectCause = (typeof SUSPECT_CAUSES)[number];

/** What a server told with its last heartbeat; null where it is not known. */
export interface VitalSigns {
  postgres: 'ok' | 'down' | null;
  diskFreeBytes: number | null;
  eventLoopDelayMs: number | null;
  /** How long the heartbeat's answer took. */
  answerMs: number | null;
}

/** The published design's MapT, one row per replica, with what we know of it. */
export interface ReplicaStatus {
  server: string;
  state: ReplicaState;
  /**
   * When all that it shows was last found to be the same as on another replica, and at which VAT; null when it has not been
   * compared under this leader.
   */
  proven: { vat: number; ageMs: number } | null;
}

/** The published design's ShardT, one row per shard. */
export interface ShardStatus extends ShardRange {
  vat: number;
  replicas: ReplicaStatus[];
  inSync: string[];
  minInSync: number;
  configVersion: number;
  /** False while fewer than `minInSync` replicas answer. */
  writable: boolean;
  readable: boolean;
  /** Live records, as last told by an in-sync replica; null when none has told yet. */
  rows: number | null;
  /** The ring: every slot with the server that owns it, neighbours of one owner as one arc. */
  ring: RingArc[];
}

/** Slots `from` … `to` of a ring, both included, belong to one server. */
export interface RingArc {
  from: number;
  to: number;
  server: string;
}

export interface ServerStatus {
  server: string;
  number: number;
  health: ServerHealth;
  /** Empty unless `suspect`. */
  causes: SuspectCause[];
  /** Milliseconds since the last answered ping; null when there was none. */
  heartbeatAgeMs: number | null;
  missed: number;
  vitals: VitalSigns;
  shards: string[];
}

/** Everything there is to know about the cluster. `configId` is 0 and the lists are empty before `/init`. */
export interface ClusterStatus {
  /** There is no configuration, though there was one: what every request is refused with. */
  unconfigured?: ErrorBody;
  configId: number;
  leader: string;
  epoch: number;
  schema: TableSchema | null;
  shards: ShardStatus[];
  servers: ServerStatus[];
  ring: { slots: number; virtualServers: number; hash: string; loadEpsilon: number };
}
