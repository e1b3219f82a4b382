/** Rounds of writes, as the balancer sends them to shard-nodes, and what becomes of them. */
import { z } from 'zod';
import { onConflict, operationId, requestFingerprint } from './commands';
import { flag, key, listOf, term, terms } from './shapes';

/** A round's identity; never used twice. */
export const roundId = z.strictObject({
  epoch: term,
  round: term,
});
export type RoundId = z.infer<typeof roundId>;

/**
 * By what a replica knows an op again: the operation's id, and a digest of what it asks for. Its outcome is stored with the
 * round; when the id comes again, that outcome is given and nothing is written.
 */
const opName = z.strictObject({
  id: operationId.exactOptional(),
  fingerprint: requestFingerprint.exactOptional(),
});
export type OpName = z.infer<typeof opName>;

/**
 * What became of an op: how many rows it wrote or removed, or why it was refused (then nothing of it happened). `known`: its
 * id had been here before; this is the outcome of then, or ID_REUSED when it asks for something else now.
 */
const outcomeShape = z.union([
  z.strictObject({ ok: term, known: flag }),
  z.strictObject({ refused: z.enum(['KEY_EXISTS', 'KEY_NOT_FOUND', 'ID_REUSED']), key, known: flag }),
]);
type OutcomeShape = z.infer<typeof outcomeShape>;
/** `refused` distinguishes one kind from the other. */
export type OpOutcome =
  (Extract<OutcomeShape, { ok: number }> & { refused?: undefined }) | Extract<OutcomeShape, { refused: string }>;
export const opOutcome: z.ZodType<OpOutcome> = outcomeShape;

/**
 * Creates of one request in one shard: the next `keys.length` lines of the message are its rows; no key stands twice.
 * `spans`: the request has rows in other shards too, so that a refusal here undoes the whole round. So does an id that is
 * known: whether the other shards know it as well only the leader sees.
 */
const createOp = z.strictObject({
  ...opName.shape,
  op: z.literal('create'),
  onConflict,
  keys: z.array(key),
  spans: flag,
});
/** The next line of the message is the record's new row. */
const replaceOp = z.strictObject({
  ...opName.shape,
  op: z.literal('update'),
  key,
});
const removeOp = z.strictObject({
  ...opName.shape,
  op: z.literal('delete'),
  key,
});
/**
 * Stores what became of an op elsewhere: of a request over several shards that one of them refused, so that the round was run
 * again without it. It uses one term, and touches no key.
 */
const noteOp = z.strictObject({
  ...opName.shape,
  op: z.literal('note'),
  id: operationId,
  outcome: opOutcome,
});
/** What one client request asks of one shard. Ops are decided in order; each sees what those before it did. */
const roundOp = z.discriminatedUnion('op', [createOp, replaceOp, removeOp, noteOp]);
export type RoundOp = z.infer<typeof roundOp>;

/** The outcome of an op as it is stored: under the op's first term, until that is at or below the shard's `forgottenUpTo`. */
export const opRecord = z.strictObject({
  term,
  id: operationId,
  fingerprint: requestFingerprint.exactOptional(),
  outcome: opOutcome,
});
export type OpRecord = z.infer<typeof opRecord>;

/**
 * What was decided of a shard, by a take-over or when a round over several shards was given up: of all rounds of earlier epochs, and of
 * the epoch's own rounds below `round`, those that end above `vat` are not committed in it.
 */
export const epochStart = z.strictObject({
  epoch: term,
  /** Absent: 0, as a take-over decides. */
  round: term.exactOptional(),
  vat: term,
});
export type EpochStart = z.infer<typeof epochStart>;

/** A round's part for one shard. The ops use terms from `firstTerm` to `lastTerm`, both reserved by the leader. */
const shardPart = z.strictObject({
  shard: z.string(),
  /** The VAT that the round builds on; the replica keeps it as its committed VAT. */
  vat: term,
  /**
   * Outcomes that are stored under this term or a lower one are forgotten, though a replica may still hold them. It never goes
   * back, so that all replicas decide alike whenever they remove what is forgotten. Absent: 0.
   */
  forgottenUpTo: term.exactOptional(),
  firstTerm: term,
  lastTerm: term,
  ops: z.array(roundOp),
  /** In place of those that the replica has; absent: they stay. Stored with the round. */
  epochStarts: listOf(epochStart).exactOptional(),
});
export type ShardPart = z.infer<typeof shardPart>;

/** One round as one server sees it. `lastTerms` names every shard that the round touches, on whatever server. */
const roundPart = z.strictObject({
  round: term,
  /** Of the configuration that the shards are of: one that is replaced may have had others under the same names. Absent: any. */
  configId: term.exactOptional(),
  lastTerms: terms,
  parts: z.array(shardPart),
});
export type RoundPart = z.infer<typeof roundPart>;

/** Several rounds of one epoch for one server: one message, one database transaction. Rows behind it, round by round. */
export const applyRequest = z.strictObject({
  epoch: term,
  rounds: z.array(roundPart),
});
export type ApplyRequest = z.infer<typeof applyRequest>;
const partReply = z.strictObject({
  shard: z.string(),
  outcomes: z.array(opOutcome),
  /** Over everything that the part did; equal on replicas that agree. */
  digest: z.string(),
});
export type PartReply = z.infer<typeof partReply>;
export const applyReply = z.strictObject({
  rounds: z.array(z.strictObject({ round: term, parts: z.array(partReply) })),
});
export type ApplyReply = z.infer<typeof applyReply>;
