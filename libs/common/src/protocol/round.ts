/**
 * What a round does to one shard: a pure decision, the same on every replica.
 *
 * A round is a group commit: many requests, decided in order, each seeing what those before it did. The terms an op uses
 * follow from its place in the round alone, not from what became of the ops before it, so that the leader can reserve
 * them and no replica can come to others.
 */
import type { OpOutcome, RoundOp } from '../contracts/node';
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

export interface RoundDecision {
  outcomes: OpOutcome[];
  births: Birth[];
  deaths: Death[];
  /** A request that spans several shards was refused here: the round as a whole cannot be committed. */
  refused: boolean;
}

/**
 * How many terms an op uses. A create or a delete happens at one term; an update ends the old version at one term and
 * starts the new one at the next, as does a create that may replace.
 */
export function termsOf(op: RoundOp): number {
  if (op.op === 'update') return 2;
  return op.op === 'create' && op.onConflict === 'replace' ? 2 : 1;
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
    else keys.add(op.key);
  }
  return [...keys];
}

/**
 * Decides a round.
 *
 * @param living the keys among `keysOf(ops)` that have a version visible at the VAT the round builds on
 * @param firstTerm the first of the terms that the leader reserved
 */
export function decideRound(living: ReadonlySet<number>, ops: readonly RoundOp[], firstTerm: number): RoundDecision {
  const state = new RoundState(living);
  const outcomes: OpOutcome[] = [];
  let refused = false;
  let term = firstTerm;
  let row = 0;
  for (const op of ops) {
    const outcome = decideOp(state, op, term, row);
    outcomes.push(outcome);
    if (outcome.refused !== undefined && op.op === 'create' && op.spans === true) refused = true;
    term += termsOf(op);
    row += rowsOf(op);
  }
  return { outcomes, births: state.births, deaths: state.deaths, refused };
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
