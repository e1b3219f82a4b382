import fc from 'fast-check';
import type { OpRecord, RoundOp } from '../contracts/node';
import { opRecord } from '../contracts/rounds';
import { decideRound, idsOf, termsOf, type KnownOps } from './round';

const FIRST_TERM = 5;

const id = fc.constantFrom('a', 'b', 'c', 'd');
const fingerprint = fc.constantFrom('p', 'q');
const name = fc.oneof(fc.record({ id }), fc.record({ id, fingerprint }), fc.constant({}));
const key = fc.nat({ max: 3 });
const bare = fc.oneof(
  fc.record({
    op: fc.constant('create' as const),
    onConflict: fc.constantFrom('error' as const, 'ignore' as const, 'replace' as const),
    keys: fc.uniqueArray(key, { maxLength: 3 }),
  }),
  fc.record({ op: fc.constant('update' as const), key }),
  fc.record({ op: fc.constant('delete' as const), key }),
);
const op: fc.Arbitrary<RoundOp> = fc.oneof(
  { weight: 5, arbitrary: fc.tuple(bare, name).map(([asked, named]) => ({ ...asked, ...named })) },
  {
    weight: 1,
    arbitrary: fc.record({
      op: fc.constant('note' as const),
      id,
      outcome: fc.record({ refused: fc.constant('KEY_EXISTS' as const), key }),
    }),
  },
);
const round = fc.record({ living: fc.uniqueArray(key), ops: fc.array(op, { maxLength: 10 }) });
const known: fc.Arbitrary<KnownOps> = fc
  .uniqueArray(fc.tuple(id, fc.record({ outcome: fc.record({ ok: fc.nat({ max: 3 }) }) })), {
    selector: ([one]) => one,
  })
  .map((entries) => new Map(entries));

/** What is known after a round: what was before, and what the round stored. */
function after(before: KnownOps, records: readonly OpRecord[]): KnownOps {
  return new Map([...before, ...records.map((record): [string, OpRecord] => [record.id, record])]);
}

function livingAfter(living: readonly number[], decision: ReturnType<typeof decideRound>): Set<number> {
  const set = new Set(living);
  for (const { key: dead } of decision.deaths) set.delete(dead);
  for (const birth of decision.births) if (birth.dat === Infinity) set.add(birth.key);
  return set;
}

describe('ops with ids', () => {
  it('that come again, in a later round and whatever lives then, get the first outcome and do nothing', () => {
    fc.assert(
      fc.property(round, known, fc.uniqueArray(key), ({ living, ops }, before, later) => {
        const named = ops.filter((each) => each.id !== undefined);
        const first = decideRound(new Set(living), named, FIRST_TERM, before);
        const again = decideRound(new Set(later), named, 100, after(before, first.records));
        expect([again.births, again.deaths, again.records]).toEqual([[], [], []]);
        expect(again.outcomes).toEqual(first.outcomes.map((outcome) => ({ ...outcome, known: true })));
      }),
      { numRuns: 500 },
    );
  });

  it('are decided together as they would be one round after the other', () => {
    fc.assert(
      fc.property(round, known, fc.nat({ max: 10 }), ({ living, ops }, before, cut) => {
        const [one, two] = [ops.slice(0, cut), ops.slice(cut)];
        const whole = decideRound(new Set(living), ops, FIRST_TERM, before);
        const first = decideRound(new Set(living), one, FIRST_TERM, before);
        const secondTerm = FIRST_TERM + one.reduce((sum, each) => sum + termsOf(each), 0);
        const second = decideRound(livingAfter(living, first), two, secondTerm, after(before, first.records));
        expect([...first.outcomes, ...second.outcomes]).toEqual(whole.outcomes);
        expect([...first.records, ...second.records]).toEqual(whole.records);
      }),
      { numRuns: 500 },
    );
  });

  it('are stored once each, under a term of their own, with what was answered', () => {
    fc.assert(
      fc.property(round, known, ({ living, ops }, before) => {
        const { outcomes, records } = decideRound(new Set(living), ops, FIRST_TERM, before);
        let term = FIRST_TERM;
        const terms = new Map(ops.map((each, at): [number, number] => [at, (term += termsOf(each)) - termsOf(each)]));
        for (const record of records) {
          const at = ops.findIndex((each) => each.id === record.id);
          expect([record.term, record.outcome]).toEqual([terms.get(at), outcomes[at]]);
        }
        const fresh = idsOf(ops).filter((each) => !before.has(each));
        expect(records.map((record) => record.id).sort()).toEqual(fresh.sort());
      }),
    );
  });

  it('change nothing where they are new: the same is done without them', () => {
    fc.assert(
      fc.property(fc.uniqueArray(key), fc.array(bare, { maxLength: 8 }), (living, ops) => {
        const named = ops.map((each, at): RoundOp => ({ ...each, id: `id${at}` }));
        const { records, ...done } = decideRound(new Set(living), named, FIRST_TERM);
        expect({ ...done, records: [] }).toEqual(decideRound(new Set(living), ops, FIRST_TERM));
        expect(records).toHaveLength(ops.length);
      }),
    );
  });

  it('need no other known ids than those that they carry', () => {
    fc.assert(
      fc.property(round, known, ({ living, ops }, before) => {
        const carried = new Map([...before].filter(([each]) => idsOf(ops).includes(each)));
        const all = decideRound(new Set(living), ops, FIRST_TERM, before);
        expect(decideRound(new Set(living), ops, FIRST_TERM, carried)).toEqual(all);
      }),
    );
  });

  it('are stored in the form that replicas send each other, with a fingerprint and without one', () => {
    const ops: RoundOp[] = [
      { op: 'delete', key: 1, id: 'a' },
      { op: 'delete', key: 2, id: 'b', fingerprint: 'AAAAAAAAAAAAAAAAAAAAAA' },
    ];
    const { records } = decideRound(new Set([1, 2]), ops, FIRST_TERM);
    expect(records).toHaveLength(2);
    for (const record of records) expect(opRecord.parse(record)).toEqual(record);
  });

  const before: KnownOps = new Map([
    ['a', { fingerprint: 'p', outcome: { ok: 1 } }],
    ['c', { outcome: { ok: 2 } }],
  ]);

  it.each<[string, RoundOp, unknown]>([
    [
      'another fingerprint',
      { op: 'delete', key: 7, id: 'a', fingerprint: 'q' },
      { refused: 'ID_REUSED', key: 7, known: true },
    ],
    ['no fingerprint', { op: 'delete', key: 7, id: 'a' }, { ok: 1, known: true }],
    ['the same fingerprint', { op: 'delete', key: 7, id: 'a', fingerprint: 'p' }, { ok: 1, known: true }],
    [
      'a fingerprint, where the first had none',
      { op: 'delete', key: 7, id: 'c', fingerprint: 'q' },
      { ok: 2, known: true },
    ],
    ['another id', { op: 'delete', key: 7, id: 'b', fingerprint: 'q' }, { refused: 'KEY_NOT_FOUND', key: 7 }],
  ])('with %s', (_, asked, outcome) => {
    const { outcomes, refused } = decideRound(new Set(), [asked], FIRST_TERM, before);
    expect([outcomes, refused]).toEqual([[outcome], false]);
  });

  it('that span shards and are known refuse the round, since another shard may have done its part', () => {
    const spanning: RoundOp = { op: 'create', onConflict: 'ignore', keys: [1], spans: true, id: 'a' };
    expect(decideRound(new Set(), [spanning], FIRST_TERM, before).refused).toBe(true);
    expect(decideRound(new Set(), [spanning], FIRST_TERM).refused).toBe(false);
  });
});
