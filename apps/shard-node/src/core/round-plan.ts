/**
 * What the rounds of one message do to a replica: the checks before, the decision, the writes and the state after.
 *
 * Pure: the caller fetches the living keys and performs the writes, in one transaction, and takes the new states over
 * once that is durable.
 */
import { ShardlineError } from '#common/contracts/errors';
import type { ApplyRequest, OpOutcome, OpRecord, PartReply, RoundId, ShardPart } from '#common/contracts/node';
import {
  decideRound,
  idsOf,
  keysOf,
  rowsOf,
  termsOf,
  type Death,
  type KnownOps,
  type RoundDecision,
} from '#common/protocol/round';
import { ALIVE } from '#common/protocol/visibility';
import { outcomeText } from './op-records';
import { shardOf, type ShardState } from './replica-state';

/** One shard's part of one round, with its own rows. */
export interface PartTask {
  id: RoundId;
  lastTerms: Record<string, number>;
  part: ShardPart;
  rows: readonly string[];
  keys: readonly number[];
  ids: readonly string[];
}

/** What a part needs to know of what is stored, as it was at the VAT that the part builds on. */
export interface Known {
  /** Which of the task's keys have a version that is visible then. */
  living: ReadonlySet<number>;
  /** The outcomes of those of the task's ids that are stored in `(forgottenUpTo, vat]`. */
  ops: KnownOps;
}

/** A new version of a record that lives from `cat` on. */
export interface LivingBirth {
  key: number;
  cat: number;
  row: string;
}

/** What the store has to do for one part, all of it in one transaction with storing `state`. */
export interface PartWrite {
  /** The shard as it is afterwards. */
  state: ShardState;
  births: LivingBirth[];
  deaths: Death[];
  /** Outcomes of ops, by their ids. */
  records: OpRecord[];
}

export interface PartResult {
  reply: PartReply;
  write: PartWrite;
}

/** What the core computes with, injected so that it stays free of any platform. */
export interface Measures {
  /** A short digest of a text; equal texts give equal digests on every replica. */
  digest(text: string): string;
  /** Bytes of a text in UTF-8. */
  byteLength(text: string): number;
}

/**
 * The parts of the message as steps to be taken one after the other; no shard stands twice in a step, so that all parts
 * of a step can be decided together.
 *
 * @param rows the lines behind the message's header, round by round
 * @throws ShardlineError BAD_MESSAGE when rows and header do not fit together
 */
export function planSteps(request: ApplyRequest, rows: readonly string[]): PartTask[][] {
  const steps: PartTask[][] = [];
  const depth = new Map<string, number>();
  let next = 0;
  for (const { round, lastTerms, parts } of request.rounds) {
    for (const part of parts) {
      const count = part.ops.reduce((sum, op) => sum + rowsOf(op), 0);
      const own = rows.slice(next, next + count);
      next += count;
      const step = depth.get(part.shard) ?? 0;
      depth.set(part.shard, step + 1);
      (steps[step] ??= []).push({
        id: { epoch: request.epoch, round },
        lastTerms,
        part,
        rows: own,
        keys: keysOf(part.ops),
        ids: idsOf(part.ops),
      });
    }
  }
  if (next !== rows.length)
    throw new ShardlineError('BAD_MESSAGE', `the message holds ${rows.length} rows, and its ops name ${next}`);
  return steps;
}

/**
 * Rounds of a configuration that has been replaced may come late, or twice, and those of one that this replica has not been asked to
 * put in force early; either may have shards of the same names.
 *
 * @throws ShardlineError STALE_ROUND
 */
export function refuseOtherConfig(configId: number, { rounds }: Pick<ApplyRequest, 'rounds'>): void {
  const other = rounds.find((round) => round.configId !== undefined && round.configId !== configId);
  if (other === undefined) return;
  const why = `round ${other.round} is of the configuration ${other.configId ?? 0}, and ${configId} is in force here`;
  throw new ShardlineError('STALE_ROUND', why);
}

/**
 * Whether the part may be applied to the shard as it is.
 *
 * @throws ShardlineError UNKNOWN_SHARD, STALE_ROUND, BAD_MESSAGE
 */
export function admitPart(shards: ReadonlyMap<string, ShardState>, task: PartTask): ShardState {
  const { part, id } = task;
  const shard = shardOf(shards, part.shard);
  const refuse = (why: string): never => {
    throw new ShardlineError('STALE_ROUND', `round ${id.epoch}/${id.round} on shard ${part.shard}: ${why}`);
  };
  if (shard.catchUp !== null) refuse('the replica is catching up');
  if (shard.newestRound !== null && !isNewer(id, shard.newestRound)) {
    refuse(`round ${shard.newestRound.epoch}/${shard.newestRound.round} has been stored already`);
  }
  if (part.firstTerm <= shard.currentTerm)
    refuse(`term ${part.firstTerm} has been used, the newest is ${shard.currentTerm}`);
  // Below it something is missing here. (A round that builds on less than what is known to be committed here is older than that, and its
  // terms have been used. All rounds of an epoch come from one process, whose VAT never goes back.)
  if (part.vat > shard.currentTerm)
    refuse(`it builds on VAT ${part.vat}, but the replica ends at ${shard.currentTerm}`);
  const forgottenUpTo = part.forgottenUpTo ?? 0;
  // The leader does not know yet what may be gone here; others would know ids that this replica does not.
  if (forgottenUpTo < shard.forgottenUpTo)
    refuse(`it asks for ids behind term ${forgottenUpTo}, but those up to ${shard.forgottenUpTo} are forgotten`);
  checkPart(shard, task);
  return shard;
}

/** Rules 2 and 3 are due: the replica holds a round above the VAT that the new one builds on. */
export function mustUndo(shard: ShardState, part: ShardPart): boolean {
  return shard.currentTerm > part.vat;
}

/**
 * Decides a part.
 *
 * @param before the shard, as `admitPart` returned it
 * @param undone by how many versions the living ones changed when rules 2 and 3 were applied
 */
export function decidePart(
  before: ShardState,
  undone: number,
  known: Known,
  task: PartTask,
  measures: Measures,
): PartResult {
  const { part, rows, id, lastTerms } = task;
  const decision = decideRound(known.living, part.ops, part.firstTerm, known.ops);
  // A round that was refused here is never committed: its writes would only have to be undone.
  const births = decision.refused ? [] : livingBirths(decision, rows);
  const deaths = decision.refused ? [] : decision.deaths;
  const records = decision.refused ? [] : decision.records;
  const maxRowBytes = births.reduce(
    (most, birth) => Math.max(most, measures.byteLength(birth.row)),
    before.maxRowBytes,
  );
  const state: ShardState = {
    ...before,
    currentTerm: part.lastTerm,
    committedVat: part.vat,
    forgottenUpTo: part.forgottenUpTo ?? 0,
    newestRound: { epoch: id.epoch, round: id.round, lastTerms, refused: decision.refused },
    epochStarts: part.epochStarts ?? before.epochStarts,
    rows: before.rows + undone + births.length - deaths.length,
    maxRowBytes,
  };
  const digest = measures.digest(describe(decision, rows));
  return {
    reply: { shard: part.shard, outcomes: decision.outcomes, digest },
    write: { state, births, deaths, records },
  };
}

function isNewer(id: RoundId, than: RoundId): boolean {
  return id.epoch > than.epoch || (id.epoch === than.epoch && id.round > than.round);
}

function checkPart(shard: ShardState, { part, keys }: PartTask): void {
  const used = part.ops.reduce((sum, op) => sum + termsOf(op), 0);
  if (part.firstTerm + used - 1 > part.lastTerm) {
    throw new ShardlineError('BAD_MESSAGE', `the ops of shard ${part.shard} use more terms than were reserved`);
  }
  const stray = keys.find((key) => key < shard.low || key - shard.low >= shard.size);
  if (stray !== undefined)
    throw new ShardlineError('BAD_MESSAGE', `key ${stray} does not belong to shard ${part.shard}`);
}

/** A version that is born and dies in one round is visible at no VAT there can be, so nobody has to store it. */
function livingBirths(decision: RoundDecision, rows: readonly string[]): LivingBirth[] {
  const births: LivingBirth[] = [];
  for (const { key, cat, dat, row } of decision.births) {
    if (dat === ALIVE) births.push({ key, cat, row: rows[row] ?? '' });
  }
  return births;
}

/** Everything that a part did, as a text that is the same on replicas that agree. */
function describe(decision: RoundDecision, rows: readonly string[]): string {
  const lines = decision.outcomes.map(describeOutcome);
  for (const { key, cat, dat, row } of decision.births) lines.push(`+${key} ${cat} ${dat} ${rows[row] ?? ''}`);
  for (const { key, dat } of decision.deaths) lines.push(`-${key} ${dat}`);
  return lines.join('\n');
}

function describeOutcome(outcome: OpOutcome): string {
  return `${outcomeText(outcome)}${outcome.known === true ? ' known' : ''}`;
}
