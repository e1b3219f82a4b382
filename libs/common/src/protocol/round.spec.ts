import fc from 'fast-check';
import type { OnConflict } from '../contracts/commands';
import type { OpOutcome, RoundOp } from '../contracts/node';
import { decideRound, keysOf, rowsOf, termsOf, type RoundDecision } from './round';
import { ALIVE, isVisible, undoAbove } from './visibility';

interface Version {
  key: number;
  row: string;
  cat: number;
  dat: number;
}

const VAT = 10;
const FIRST_TERM = 14;

const keys = fc.uniqueArray(fc.nat({ max: 5 }), { maxLength: 4 });
const policy = fc.constantFrom<OnConflict>('error', 'ignore', 'replace');
const op = fc.oneof(
  fc.record({ op: fc.constant('create' as const), onConflict: policy, keys }),
  fc.record({ op: fc.constant('create' as const), onConflict: policy, keys, spans: fc.constant(true as const) }),
  fc.record({ op: fc.constant('update' as const), key: fc.nat({ max: 5 }) }),
  fc.record({ op: fc.constant('delete' as const), key: fc.nat({ max: 5 }) }),
);
const round = fc.record({
  living: fc.uniqueArray(fc.nat({ max: 5 })),
  ops: fc.array<RoundOp>(op, { maxLength: 12 }),
});

/** Rows are known by their place in the part. */
function rowsFor(ops: readonly RoundOp[]): string[] {
  return Array.from({ length: ops.reduce((sum, each) => sum + rowsOf(each), 0) }, (_, index) => `row ${index}`);
}

function lastTermOf(ops: readonly RoundOp[]): number {
  return FIRST_TERM + ops.reduce((sum, each) => sum + termsOf(each), 0) - 1;
}

/** Versions before the round: those that live, and for every other key one that has died. */
function before(living: readonly number[]): Version[] {
  return [0, 1, 2, 3, 4, 5].map((key) => ({
    key,
    row: `old ${key}`,
    cat: 1 + key,
    dat: living.includes(key) ? ALIVE : VAT,
  }));
}

/** What a replica does with a decision. */
function perform(versions: readonly Version[], decision: RoundDecision, rows: readonly string[]): Version[] {
  const after = versions.map((version) => ({ ...version }));
  for (const { key, dat } of decision.deaths) {
    const dying = after.filter((version) => version.key === key && version.dat === ALIVE);
    expect(dying).toHaveLength(1);
    for (const version of dying) version.dat = dat;
  }
  for (const { key, row, cat, dat } of decision.births) after.push({ key, row: rows[row]!, cat, dat });
  return after;
}

function visibleAt(versions: readonly Version[], vat: number): [number, string][] {
  return versions
    .filter((version) => isVisible(version, vat))
    .map((version): [number, string] => [version.key, version.row])
    .sort((a, b) => a[0] - b[0]);
}

/** The dumb twin: a table without terms, one op after the other, a copy to fall back to when one is refused. */
function simulate(
  living: readonly number[],
  ops: readonly RoundOp[],
): { outcomes: OpOutcome[]; table: [number, string][] } {
  let table = new Map(living.map((key) => [key, `old ${key}`]));
  const rows = rowsFor(ops);
  const outcomes = ops.map((each): OpOutcome => {
    const own = rows.splice(0, rowsOf(each));
    const trial = new Map(table);
    let done = 0;
    if (each.op === 'create') {
      for (const [index, key] of each.keys.entries()) {
        if (trial.has(key) && each.onConflict === 'error') return { refused: 'KEY_EXISTS', key };
        if (trial.has(key) && each.onConflict === 'ignore') continue;
        trial.set(key, own[index]!);
        done += 1;
      }
    } else if (each.op !== 'note') {
      if (!trial.has(each.key)) return { refused: 'KEY_NOT_FOUND', key: each.key };
      if (each.op === 'update') trial.set(each.key, own[0]!);
      else trial.delete(each.key);
      done = 1;
    }
    table = trial;
    return { ok: done };
  });
  return { outcomes, table: [...table].sort((a, b) => a[0] - b[0]) };
}

describe('decideRound', () => {
  it('leaves at its last term what the naive twin leaves, with the same outcomes', () => {
    fc.assert(
      fc.property(round, ({ living, ops }) => {
        const decision = decideRound(new Set(living), ops, FIRST_TERM);
        const after = perform(before(living), decision, rowsFor(ops));
        const twin = simulate(living, ops);
        expect(decision.outcomes).toEqual(twin.outcomes);
        expect(visibleAt(after, lastTermOf(ops))).toEqual(twin.table);
      }),
      { numRuns: 1000 },
    );
  });

  it('changes nothing that is visible below its first term', () => {
    fc.assert(
      fc.property(round, ({ living, ops }) => {
        const versions = before(living);
        const after = perform(versions, decideRound(new Set(living), ops, FIRST_TERM), rowsFor(ops));
        for (let vat = 0; vat < FIRST_TERM; vat += 1) expect(visibleAt(after, vat)).toEqual(visibleAt(versions, vat));
      }),
    );
  });

  it('is undone without a trace by rules 2 and 3 at the VAT that it built on', () => {
    fc.assert(
      fc.property(round, ({ living, ops }) => {
        const versions = before(living);
        const after = perform(versions, decideRound(new Set(living), ops, FIRST_TERM), rowsFor(ops));
        const undone = after.map((version) => undoAbove(version, VAT)).filter((version) => version !== null);
        expect(undone).toEqual(versions);
      }),
    );
  });

  it('uses terms from the first to the last reserved one only, and no (key, cat) twice', () => {
    fc.assert(
      fc.property(round, ({ living, ops }) => {
        const { births, deaths } = decideRound(new Set(living), ops, FIRST_TERM);
        const terms = [
          ...births.flatMap(({ cat, dat }) => (dat === ALIVE ? [cat] : [cat, dat])),
          ...deaths.map((d) => d.dat),
        ];
        for (const term of terms) {
          expect(term).toBeGreaterThanOrEqual(FIRST_TERM);
          expect(term).toBeLessThanOrEqual(lastTermOf(ops));
        }
        const primaryKeys = births.map(({ key, cat }) => `${key}/${cat}`);
        expect(new Set(primaryKeys).size).toBe(primaryKeys.length);
        for (const { cat, dat } of births) expect(dat).toBeGreaterThan(cat);
      }),
    );
  });

  it('shows at every term at most one version of a key', () => {
    fc.assert(
      fc.property(round, ({ living, ops }) => {
        const after = perform(before(living), decideRound(new Set(living), ops, FIRST_TERM), rowsFor(ops));
        for (let vat = 0; vat <= lastTermOf(ops); vat += 1) {
          const shown = visibleAt(after, vat).map(([key]) => key);
          expect(new Set(shown).size).toBe(shown.length);
        }
      }),
    );
  });

  it('takes no terms from what became of the ops before: a refused op changes nothing but its own outcome', () => {
    fc.assert(
      fc.property(round, ({ living, ops }) => {
        const full = decideRound(new Set(living), ops, FIRST_TERM);
        const refusedAt = full.outcomes.findIndex((outcome) => outcome.refused !== undefined);
        fc.pre(refusedAt !== -1);
        const refusedOp = ops[refusedAt]!;
        // An op of the same size that does nothing: a create of no keys takes its terms, so only births' rows shift.
        const stand: RoundOp = { op: 'create', onConflict: termsOf(refusedOp) === 2 ? 'replace' : 'ignore', keys: [] };
        const without = decideRound(
          new Set(living),
          ops.map((each, at) => (at === refusedAt ? stand : each)),
          FIRST_TERM,
        );
        expect(without.deaths).toEqual(full.deaths);
        expect(without.births.map(({ key, cat, dat }) => [key, cat, dat])).toEqual(
          full.births.map(({ key, cat, dat }) => [key, cat, dat]),
        );
      }),
    );
  });

  it('decides the same on a replica that lists its living keys in another order', () => {
    fc.assert(
      fc.property(round, ({ living, ops }) => {
        const one = decideRound(new Set(living), ops, FIRST_TERM);
        expect(decideRound(new Set([...living].reverse()), ops, FIRST_TERM)).toEqual(one);
      }),
    );
  });

  it('needs to know of no other living keys than those that its ops name', () => {
    fc.assert(
      fc.property(round, ({ living, ops }) => {
        const named = new Set(keysOf(ops));
        const some = living.filter((key) => named.has(key));
        expect(decideRound(new Set(some), ops, FIRST_TERM)).toEqual(decideRound(new Set(living), ops, FIRST_TERM));
      }),
    );
  });

  it('is refused as a whole exactly when a request that spans shards is', () => {
    fc.assert(
      fc.property(round, ({ living, ops }) => {
        const { outcomes, refused } = decideRound(new Set(living), ops, FIRST_TERM);
        const spanning = ops.some((each, at) => 'spans' in each && outcomes[at]?.refused !== undefined);
        expect(refused).toBe(spanning);
      }),
    );
  });
});

describe('decideRound op by op', () => {
  const create = (onConflict: OnConflict, ...ids: number[]): RoundOp => ({ op: 'create', onConflict, keys: ids });
  const update = (key: number): RoundOp => ({ op: 'update', key });
  const remove = (key: number): RoundOp => ({ op: 'delete', key });

  it.each<[string, number[], RoundOp[], Omit<RoundDecision, 'records'>]>([
    [
      'a create starts at its term',
      [],
      [create('error', 1, 2)],
      {
        outcomes: [{ ok: 2 }],
        births: [
          { key: 1, row: 0, cat: 5, dat: ALIVE },
          { key: 2, row: 1, cat: 5, dat: ALIVE },
        ],
        deaths: [],
        refused: false,
      },
    ],
    [
      'a create of which one key is taken writes none of its rows',
      [2],
      [create('error', 1, 2, 3)],
      { outcomes: [{ refused: 'KEY_EXISTS', key: 2 }], births: [], deaths: [], refused: false },
    ],
    [
      'a create that ignores writes the others',
      [1],
      [create('ignore', 1, 2)],
      { outcomes: [{ ok: 1 }], births: [{ key: 2, row: 1, cat: 5, dat: ALIVE }], deaths: [], refused: false },
    ],
    [
      'a create that replaces ends at its first term and starts at the next',
      [1],
      [create('replace', 1)],
      {
        outcomes: [{ ok: 1 }],
        births: [{ key: 1, row: 0, cat: 6, dat: ALIVE }],
        deaths: [{ key: 1, dat: 5 }],
        refused: false,
      },
    ],
    [
      'an update ends the old version at its first term and starts the new one at the next',
      [1],
      [update(1)],
      {
        outcomes: [{ ok: 1 }],
        births: [{ key: 1, row: 0, cat: 6, dat: ALIVE }],
        deaths: [{ key: 1, dat: 5 }],
        refused: false,
      },
    ],
    [
      'a delete ends at its term',
      [1],
      [remove(1)],
      { outcomes: [{ ok: 1 }], births: [], deaths: [{ key: 1, dat: 5 }], refused: false },
    ],
    [
      'absent keys are refused, and their terms and rows are passed over',
      [],
      [update(1), remove(1), create('error', 1)],
      {
        outcomes: [{ refused: 'KEY_NOT_FOUND', key: 1 }, { refused: 'KEY_NOT_FOUND', key: 1 }, { ok: 1 }],
        births: [{ key: 1, row: 1, cat: 8, dat: ALIVE }],
        deaths: [],
        refused: false,
      },
    ],
    [
      'a record may be born, changed, ended and born again in one round',
      [],
      [create('error', 1), update(1), remove(1), create('error', 1)],
      {
        outcomes: [{ ok: 1 }, { ok: 1 }, { ok: 1 }, { ok: 1 }],
        births: [
          { key: 1, row: 0, cat: 5, dat: 6 },
          { key: 1, row: 1, cat: 7, dat: 8 },
          { key: 1, row: 2, cat: 9, dat: ALIVE },
        ],
        deaths: [],
        refused: false,
      },
    ],
    [
      'a refused request over several shards refuses the round',
      [1],
      [{ op: 'create', onConflict: 'error', keys: [1], spans: true }],
      { outcomes: [{ refused: 'KEY_EXISTS', key: 1 }], births: [], deaths: [], refused: true },
    ],
    ['nothing comes of nothing', [1], [], { outcomes: [], births: [], deaths: [], refused: false }],
  ])('%s', (_, living, ops, decision) => {
    expect(decideRound(new Set(living), ops, 5)).toEqual({ ...decision, records: [] });
  });

  it.each<[RoundOp, number, number]>([
    [create('error', 1, 2), 1, 2],
    [create('ignore', 1), 1, 1],
    [create('replace', 1, 2, 3), 2, 3],
    [update(1), 2, 1],
    [remove(1), 1, 0],
  ])('%j uses %i terms and %i rows', (each, terms, rows) => {
    expect([termsOf(each), rowsOf(each)]).toEqual([terms, rows]);
  });

  it('names every key that ops touch once', () => {
    expect(keysOf([create('error', 3, 1), update(1), remove(2)])).toEqual([3, 1, 2]);
  });
});
