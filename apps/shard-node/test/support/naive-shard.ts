/**
 * The naive twin of a shard: whole copies of the table, one for every VAT there ever was. It knows nothing of versions, of
 * undoing or of purging.
 */
import type { OpOutcome, RoundOp } from '#common/contracts/node';
import { rowsOf, termsOf } from '#common/protocol/round';

type Table = ReadonlyMap<number, string>;

/** What became of a named op, and the term from which on that is known. */
interface Memory {
  term: number;
  outcome: OpOutcome;
}

export class NaiveShard {
  /** The table as it was committed at each VAT. */
  private readonly committed = new Map<number, Table>([[0, new Map()]]);
  private attempt: { lastTerm: number; table: Table; memories: ReadonlyMap<string, Memory> } | null = null;
  private memories: ReadonlyMap<string, Memory> = new Map();
  /** Nobody remembers ops up to this term. */
  forgottenUpTo = 0;
  vat = 0;
  /** The highest term ever used. */
  term = 0;

  /** Decides what was attempted last: it is committed, or it never happened. */
  settle(commit: boolean): void {
    if (commit && this.attempt !== null) {
      this.vat = this.attempt.lastTerm;
      this.committed.set(this.vat, this.attempt.table);
      this.memories = this.attempt.memories;
    }
    this.attempt = null;
  }

  /** Attempts a round on top of what is committed. */
  apply(ops: readonly RoundOp[], rows: readonly string[]): { outcomes: OpOutcome[]; refused: boolean } {
    const before = this.at(this.vat);
    let table = new Map(before);
    let next = 0;
    const memories = new Map([...this.memories].filter(([, { term }]) => term > this.forgottenUpTo));
    const outcomes = ops.map((op): OpOutcome => {
      const own = rows.slice(next, next + rowsOf(op));
      next += rowsOf(op);
      const term = this.term + 1;
      this.term += termsOf(op);
      const first = memories.get(op.id ?? '');
      if (first !== undefined) return { ...first.outcome, known: true };
      const draft = new Map(table);
      const outcome = perform(draft, op, own);
      if (outcome.refused === undefined) table = draft;
      if (op.id !== undefined) memories.set(op.id, { term, outcome });
      return outcome;
    });
    const hasNoPart = (outcome: OpOutcome | undefined): boolean => outcome?.known ?? outcome?.refused !== undefined;
    const refused = ops.some((op, index) => op.op === 'create' && op.spans && hasNoPart(outcomes[index]));
    // A refused round is never committed.
    this.attempt = refused ? null : { lastTerm: this.term, table, memories };
    return { outcomes, refused };
  }

  /** Every VAT there was. */
  vats(): number[] {
    return [...this.committed.keys()];
  }

  rowsAt(vat: number, low: number, high: number): string[] {
    const keys = [...this.at(vat).keys()].filter((key) => key >= low && key <= high);
    return keys.sort((a, b) => a - b).map((key) => this.at(vat).get(key) ?? '');
  }

  private at(vat: number): Table {
    return this.committed.get(vat) ?? new Map();
  }
}

function perform(table: Map<number, string>, op: RoundOp, rows: readonly string[]): OpOutcome {
  if (op.op === 'note') return op.outcome;
  if (op.op !== 'create') {
    if (!table.has(op.key)) return { refused: 'KEY_NOT_FOUND', key: op.key };
    if (op.op === 'delete') table.delete(op.key);
    else table.set(op.key, rows[0] ?? '');
    return { ok: 1 };
  }
  let written = 0;
  for (const [index, key] of op.keys.entries()) {
    const lives = table.has(key);
    if (lives && op.onConflict === 'error') return { refused: 'KEY_EXISTS', key };
    if (lives && op.onConflict === 'ignore') continue;
    table.set(key, rows[index] ?? '');
    written += 1;
  }
  return { ok: written };
}
