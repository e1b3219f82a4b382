/**
 * What a round does to one shard: a pure decision, the same on every replica.
 *
 * A round is a group commit: many requests, decided in order, each seeing what those before it did. The terms that an op
 * uses follow from its place in the round alone, not from what became of the ops before it. So the leader can reserve
 * them, and no replica can come to others.
 *
 * An op whose id is known gets the outcome of the first time and does nothing. What is known follows from the part alone as
 * well: outcomes stored in `(forgottenUpTo, vat]`, and those of the ops before it in the same round.
 */
import type { OpOutcome, OpRecord, RoundOp } from '../contracts/node';
import { ALIVE } from './visibility';

/** A version that the round creates. `row` is the index of its row among the rows of the part. */
export interface Birth {
  key: number;
  row: number;
  cat: number;
  /** `ALIVE`, or the term at which a later op of the same round ended it. */
  dat: number;
}

/** The end of a version that lived before the round. */
export interface Death {
  key: number;
  dat: number;
}

/** The first outcome of an op, by its id. */
export type KnownOps = ReadonlyMap<string, KnownOp>;
type KnownOp = Pick<OpRecord, 'fingerprint' | 'outcome'>;

export interface RoundDecision {
  outcomes: OpOutcome[];
  births: Birth[];
  deaths: Death[];
  /** What is to be stored of the ops' outcomes. */
  records: OpRecord[];
  /**
   * A request that spans several shards was refused here, or its id was known. Another shard may have done its part, so the
   * round as a whole cannot be committed.
   */
  refused: boolean;
}

const NOTHING_KNOWN: KnownOps = new Map();

/**
 * How many terms an op uses. A create or a delete happens at one term; an update ends the old version at one term and
 * starts the new one at the next, as does a create that may replace.
 */
export function termsOf(op: RoundOp): number {
  switch (op.op) {
    case 'update':
      return 2;
    case 'create':
      return op.onConflict === 'replace' ? 2 : 1;
    case 'delete':
    case 'note':
      return 1;
  }
}

/** How many rows an op has among the rows of its part. */
export function rowsOf(op: RoundOp): number {
  if (op.op === 'create') return op.keys.length;
  return op.op === 'update' ? 1 : 0;
}

/** Every key that the ops touch, each once. */
export function keysOf(ops: readonly RoundOp[]): number[] {
  const keys = new Set<number>();
  for (const op of ops) {
    if (op.op === 'create') for (const key of op.keys) keys.add(key);
    else if (op.op !== 'note') keys.add(op.key);
  }
  return [...keys];
}

/** Every id that the ops carry, each once. */
export function idsOf(ops: readonly RoundOp[]): string[] {
  const ids = new Set<string>();
  for (const { id } of ops) if (id !== undefined) ids.add(id);
  return [...ids];
}

/**
 * Decides a round.
 *
 * @param living the keys among `keysOf(ops)` that have a version visible at the VAT the round builds on
 * @param firstTerm the first of the terms that the leader reserved
 * @param known outcomes of those among `idsOf(ops)` that are stored in `(forgottenUpTo, vat]`
 */
export function decideRound(
  living: ReadonlySet<number>,
  ops: readonly RoundOp[],
  firstTerm: number,
  known: KnownOps = NOTHING_KNOWN,
): RoundDecision {
  const state = new RoundState(living);
  const memory = new RoundMemory(known);
  const outcomes: OpOutcome[] = [];
  let refused = false;
  let term = firstTerm;
  let row = 0;
  for (const op of ops) {
    const outcome = memory.recall(op) ?? decideOp(state, op, term, row);
    outcomes.push(outcome);
    memory.keep(op, outcome, term);
    if (isPartOfMore(op)) refused ||= outcome.refused !== undefined || outcome.known === true;
    term += termsOf(op);
    row += rowsOf(op);
  }
  return { outcomes, births: state.births, deaths: state.deaths, records: memory.records, refused };
}

/** Whether the request has other parts, in other shards, which are done only if this one is. */
function isPartOfMore(op: RoundOp): boolean {
  switch (op.op) {
    case 'create':
      return op.spans === true;
    case 'update':
    case 'delete':
    case 'note':
      return false;
  }
}

/** Whether an op asks for what the first one of its id did, as far as both say. */
function asksForSame(fingerprint: string | undefined, before: string | undefined): boolean {
  return fingerprint === undefined || before === undefined || fingerprint === before;
}

/** Which ops have been here before. */
class RoundMemory {
  readonly records: OpRecord[] = [];
  /** By id the first op that carried it. One without an id is no other's first. */
  private readonly firsts: Map<string | undefined, KnownOp>;

  constructor(before: KnownOps) {
    this.firsts = new Map(before);
  }

  /** The op's outcome when its id is known. */
  recall(op: RoundOp): OpOutcome | null {
    const first = this.firsts.get(op.id);
    if (first === undefined) return null;
    if (asksForSame(op.fingerprint, first.fingerprint)) return { ...first.outcome, known: true };
    return { refused: 'ID_REUSED', key: keysOf([op])[0] ?? 0, known: true };
  }

  keep({ id, fingerprint }: RoundOp, outcome: OpOutcome, term: number): void {
    if (id === undefined || outcome.known === true) return;
    const record: OpRecord = { term, id, ...(fingerprint === undefined ? {} : { fingerprint }), outcome };
    this.records.push(record);
    this.firsts.set(id, record);
  }
}

function decideOp(state: RoundState, op: RoundOp, term: number, row: number): OpOutcome {
  switch (op.op) {
    case 'create':
      return decideCreate(state, op.keys, op.onConflict, term, row);
    case 'update':
      if (!state.lives(op.key)) return { refused: 'KEY_NOT_FOUND', key: op.key };
      state.end(op.key, term);
      state.begin(op.key, row, term + 1);
      return { ok: 1 };
    case 'delete':
      if (!state.lives(op.key)) return { refused: 'KEY_NOT_FOUND', key: op.key };
      state.end(op.key, term);
      return { ok: 1 };
    case 'note':
      return op.outcome;
  }
}

/** All rows of the request or none: the refusal is found before anything is written. */
function decideCreate(
  state: RoundState,
  keys: readonly number[],
  onConflict: 'error' | 'ignore' | 'replace',
  term: number,
  row: number,
): OpOutcome {
  if (onConflict === 'error') {
    const taken = keys.find((key) => state.lives(key));
    if (taken !== undefined) return { refused: 'KEY_EXISTS', key: taken };
  }
  let written = 0;
  keys.forEach((key, index) => {
    if (state.lives(key)) {
      if (onConflict === 'ignore') return;
      state.end(key, term);
    }
    state.begin(key, row + index, onConflict === 'replace' ? term + 1 : term);
    written += 1;
  });
  return { ok: written };
}

/** What lives while the round is being decided, and what the round has done so far. */
class RoundState {
  readonly births: Birth[] = [];
  readonly deaths: Death[] = [];
  /** Keys that lived before the round and still do; and the living births of this round by key. */
  private readonly ended = new Set<number>();
  private readonly born = new Map<number, Birth>();

  constructor(private readonly before: ReadonlySet<number>) {}

  lives(key: number): boolean {
    return this.born.has(key) || (this.before.has(key) && !this.ended.has(key));
  }

  begin(key: number, row: number, cat: number): void {
    const birth: Birth = { key, row, cat, dat: ALIVE };
    this.births.push(birth);
    this.born.set(key, birth);
  }

  end(key: number, dat: number): void {
    const birth = this.born.get(key);
    if (birth !== undefined) {
      birth.dat = dat;
      this.born.delete(key);
      return;
    }
    this.ended.add(key);
    this.deaths.push({ key, dat });
  }
}
