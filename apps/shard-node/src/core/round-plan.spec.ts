import { createHash } from 'node:crypto';
import type { ApplyRequest, RoundOp, ShardPart } from '#common/contracts/node';
import { growthFault } from '#common/testing/growth';
import { rowText, shardState } from '../../test/support/builders';
import type { ShardState } from './replica-state';
import {
  admitPart,
  decidePart,
  mustUndo,
  planSteps,
  refuseOtherConfig,
  type Known,
  type Measures,
  type PartTask,
} from './round-plan';

const MEASURES: Measures = {
  digest: (text) => createHash('sha1').update(text).digest('hex'),
  byteLength: (text) => Buffer.byteLength(text),
};

function create(keys: number[], spans = false): RoundOp {
  return { op: 'create', onConflict: 'error', keys, ...(spans ? { spans: true as const } : {}) };
}

function task(ops: RoundOp[], rows: string[], changed: Partial<ShardPart> = {}, round = 6): PartTask {
  const part: ShardPart = { shard: 'sh', vat: 10, firstTerm: 11, lastTerm: 19, ops, ...changed };
  const request: ApplyRequest = { epoch: 2, rounds: [{ round, lastTerms: { sh: part.lastTerm }, parts: [part] }] };
  const [only] = planSteps(request, rows).flat();
  if (only === undefined) throw new Error('no task');
  return only;
}

/** A shard whose newest round is 2/5 and ended, committed, at term 10. */
function held(changed: Partial<ShardState> = {}): ReadonlyMap<string, ShardState> {
  const newestRound = { epoch: 2, round: 5, lastTerms: { sh: 10 }, refused: false };
  return new Map([['sh', shardState('sh', { currentTerm: 10, committedVat: 8, newestRound, rows: 4, ...changed })]]);
}

describe('planSteps', () => {
  const part = (shard: string, ops: RoundOp[]): ShardPart => ({ shard, vat: 0, firstTerm: 1, lastTerm: 9, ops });

  it('hands each part its own rows and never puts a shard twice into a step', () => {
    const request: ApplyRequest = {
      epoch: 1,
      rounds: [
        { round: 1, lastTerms: {}, parts: [part('a', [create([1, 2])]), part('b', [{ op: 'delete', key: 1 }])] },
        { round: 2, lastTerms: {}, parts: [part('a', [{ op: 'update', key: 1 }])] },
      ],
    };
    const steps = planSteps(request, ['r1', 'r2', 'r3']);
    const seen = steps.map((step) => step.map(({ id, part: { shard }, rows }) => [id.round, shard, ...rows]));
    expect(seen).toEqual([
      [
        [1, 'a', 'r1', 'r2'],
        [1, 'b'],
      ],
      [[2, 'a', 'r3']],
    ]);
  });

  it.each([[['r1']], [['r1', 'r2', 'r3']]])('refuses %j as the rows of two creates', (rows) => {
    const request = { epoch: 1, rounds: [{ round: 1, lastTerms: {}, parts: [part('a', [create([1, 2])])] }] };
    expect(() => planSteps(request, rows)).toThrow(expect.objectContaining({ code: 'BAD_MESSAGE' }) as Error);
  });
});

describe('refuseOtherConfig', () => {
  it('refuses rounds of any other configuration, and takes those that name none', () => {
    const of = (configId?: number): Pick<ApplyRequest, 'rounds'> => ({
      rounds: [{ round: 1, lastTerms: {}, parts: [], ...(configId === undefined ? {} : { configId }) }],
    });
    refuseOtherConfig(2, of());
    refuseOtherConfig(2, of(2));
    for (const other of [1, 3])
      expect(() => {
        refuseOtherConfig(2, of(other));
      }).toThrow(expect.objectContaining({ code: 'STALE_ROUND' }) as Error);
  });
});

describe('admitPart', () => {
  const remove: RoundOp = { op: 'delete', key: 1 };

  it.each<[string, PartTask, Partial<ShardState>]>([
    ['the next round', task([remove], []), {}],
    ['the first round of a higher epoch', { ...task([remove], [], {}, 1), id: { epoch: 3, round: 1 } }, {}],
    ['a round that undoes the one before', task([remove], [], { vat: 8 }), {}],
    ['a shard without any round', task([remove], []), { newestRound: null }],
  ])('admits %s', (_name, one, state) => {
    expect(admitPart(held(state), one).shard).toBe('sh');
  });

  it.each<[string, string, PartTask, Partial<ShardState>]>([
    ['STALE_ROUND', 'the newest round again', task([remove], [], {}, 5), {}],
    ['STALE_ROUND', 'an older round', task([remove], [], {}, 4), {}],
    ['STALE_ROUND', 'a round of an older epoch', { ...task([remove], []), id: { epoch: 1, round: 99 } }, {}],
    ['STALE_ROUND', 'terms that were used', task([remove], [], { firstTerm: 10 }), {}],
    ['STALE_ROUND', 'a VAT that the replica has not got to', task([remove], [], { vat: 11, firstTerm: 12 }), {}],
    [
      'STALE_ROUND',
      'a shard that is catching up',
      task([remove], []),
      { catchUp: { from: 0, to: 9, source: 'Server1', after: null } },
    ],
    ['STALE_ROUND', 'ids that are forgotten here', task([remove], [], { forgottenUpTo: 4 }), { forgottenUpTo: 5 }],
    ['UNKNOWN_SHARD', 'another shard', task([remove], [], { shard: 'other' }), {}],
    ['BAD_MESSAGE', 'a key of another shard', task([{ op: 'delete', key: 1000 }], []), {}],
    ['BAD_MESSAGE', 'more terms than were reserved', task([remove], [], { lastTerm: 10 }), {}],
  ])('answers %s to %s', (code, _name, one, state) => {
    expect(() => admitPart(held(state), one)).toThrow(expect.objectContaining({ code }) as Error);
  });

  it('knows its last key, also beside 2^53', () => {
    const edge = held({ low: 2 ** 53 - 9, size: 10 });
    const at = (key: number): PartTask => task([{ op: 'delete', key }], []);
    expect(admitPart(edge, at(2 ** 53)).shard).toBe('sh');
    expect(() => admitPart(edge, at(2 ** 53 - 10))).toThrow(expect.objectContaining({ code: 'BAD_MESSAGE' }) as Error);
  });

  it('undoes exactly when the replica holds terms above the VAT', () => {
    const [shard] = held().values();
    if (shard === undefined) throw new Error('no shard');
    expect(mustUndo(shard, task([remove], []).part)).toBe(false);
    expect(mustUndo(shard, task([remove], [], { vat: 8 }).part)).toBe(true);
  });
});

describe('decidePart', () => {
  const known = (living: number[], ops: Known['ops'] = new Map()): Known => ({ living: new Set(living), ops });
  const before = shardState('sh', { currentTerm: 10, rows: 4, maxRowBytes: 20 });

  it('writes births and deaths, and moves the state on to the end of the round', () => {
    const one = task(
      [create([1]), { op: 'update', key: 2 }, { op: 'delete', key: 3 }],
      [rowText(1, 'a'), rowText(2, 'é')],
    );
    const { reply, write } = decidePart(before, -1, known([2, 3]), one, MEASURES);
    expect(reply.outcomes).toEqual([{ ok: 1 }, { ok: 1 }, { ok: 1 }]);
    expect(write.births).toEqual([
      { key: 1, cat: 11, row: rowText(1, 'a') },
      { key: 2, cat: 13, row: rowText(2, 'é') },
    ]);
    expect(write.deaths).toEqual([
      { key: 2, dat: 12 },
      { key: 3, dat: 14 },
    ]);
    expect(write.state).toEqual({
      ...before,
      currentTerm: 19,
      committedVat: 10,
      newestRound: { epoch: 2, round: 6, lastTerms: { sh: 19 }, refused: false },
      rows: 4 - 1 + 2 - 2,
      maxRowBytes: Math.max(...[rowText(1, 'a'), rowText(2, 'é')].map((row) => Buffer.byteLength(row))),
    });
  });

  it('stores no version that is born and dies in the same round', () => {
    const one = task([create([1]), { op: 'delete', key: 1 }], [rowText(1, 'a')]);
    const { reply, write } = decidePart(before, 0, known([]), one, MEASURES);
    expect(reply.outcomes).toEqual([{ ok: 1 }, { ok: 1 }]);
    expect([write.births, write.deaths, write.state.rows]).toEqual([[], [], 4]);
  });

  it('remembers a round that was refused here, and writes nothing of it', () => {
    const one = task([create([5]), create([2], true)], [rowText(5, 'a'), rowText(2, 'b')]);
    const { reply, write } = decidePart(before, 0, known([2]), one, MEASURES);
    expect(reply.outcomes).toEqual([{ ok: 1 }, { refused: 'KEY_EXISTS', key: 2 }]);
    expect([write.births, write.deaths]).toEqual([[], []]);
    expect(write.state).toMatchObject({ currentTerm: 19, rows: 4, newestRound: { refused: true } });
  });

  it('digests what was done: the same for the same, another for any difference', () => {
    const digest = (living: number[], row: string, key = 1): string =>
      decidePart(before, 0, known(living), task([create([key])], [row]), MEASURES).reply.digest;
    const same = digest([], 'r');
    expect(digest([], 'r')).toBe(same);
    expect(digest([7], 'r')).toBe(same);
    const others = [digest([1], 'r'), digest([], 'R'), digest([], 'r', 2)];
    expect(new Set([same, ...others]).size).toBe(4);
  });

  it('stores the outcomes of ops with ids, and up to where they are forgotten', () => {
    const one = task(
      [
        { ...create([1]), id: 'a', fingerprint: 'p' },
        { op: 'delete', key: 9, id: 'b' },
      ],
      [rowText(1, 'a')],
      {
        forgottenUpTo: 4,
      },
    );
    const { reply, write } = decidePart(before, 0, known([]), one, MEASURES);
    expect(reply.outcomes).toEqual([{ ok: 1 }, { refused: 'KEY_NOT_FOUND', key: 9 }]);
    expect(write.records).toEqual([
      { term: 11, id: 'a', fingerprint: 'p', outcome: { ok: 1 } },
      { term: 12, id: 'b', outcome: { refused: 'KEY_NOT_FOUND', key: 9 } },
    ]);
    expect(write.state.forgottenUpTo).toBe(4);
  });

  it('writes nothing for an op that is known, and its digest says so', () => {
    const one = task([{ ...create([1]), id: 'a' }], [rowText(1, 'a')]);
    const first = decidePart(before, 0, known([]), one, MEASURES);
    const again = decidePart(before, 0, known([], new Map([['a', { outcome: { ok: 1 } }]])), one, MEASURES);
    expect(again.reply.outcomes).toEqual([{ ok: 1, known: true }]);
    expect([again.write.births, again.write.records]).toEqual([[], []]);
    expect(again.reply.digest).not.toBe(first.reply.digest);
  });

  it('stores no outcome of a round that was refused here', () => {
    const one = task(
      [
        { ...create([5]), id: 'a' },
        { ...create([2], true), id: 'b' },
      ],
      [rowText(5, 'a'), rowText(2, 'b')],
    );
    expect(decidePart(before, 0, known([2]), one, MEASURES).write.records).toEqual([]);
  });

  it('distinguishes what it knew already from what it decided now, where both came to the same', () => {
    const one = task([{ ...create([2]), id: 'x' }], [rowText(2, 'b')]);
    const refused = { refused: 'KEY_EXISTS' as const, key: 2 };
    const decided = decidePart(before, 0, known([2]), one, MEASURES);
    const knew = decidePart(before, 0, known([2], new Map([['x', { outcome: refused }]])), one, MEASURES);
    expect(decided.reply.outcomes).toEqual([refused]);
    expect(knew.reply.outcomes).toEqual([{ ...refused, known: true }]);
    expect(knew.reply.digest).not.toBe(decided.reply.digest);
  });

  it('does not touch the living when it refuses: neither their number nor their size', () => {
    const [before] = held({ maxRowBytes: 5 }).values();
    const one = task([create([1]), { op: 'delete', key: 3 }, create([2], true)], [rowText(1, 'a'), rowText(2, 'b')]);
    const { write } = decidePart(before!, 0, known([2, 3]), one, MEASURES);
    expect(write).toMatchObject({ births: [], deaths: [], state: { rows: 4, maxRowBytes: 5 } });
  });
});

describe('the work on a message grows no faster than the message', () => {
  type Ops = (count: number) => RoundOp[];
  const keys = (count: number): number[] => Array.from({ length: count }, (_, index) => index);
  test.each<[string, Ops]>([
    ['one write of many rows', (count) => [create(keys(count))]],
    ['one write over rows that live', (count) => [{ op: 'create', onConflict: 'replace', keys: keys(count) }]],
    ['one write of rows that are there', (count) => [{ op: 'create', onConflict: 'ignore', keys: keys(count) }]],
    ['many writes', (count) => keys(count).map((key) => ({ ...create([key]), id: `id${key}`, fingerprint: 'p' }))],
    ['many writes of one id', (count) => keys(count).map((key) => ({ ...create([key]), id: 'id', fingerprint: 'p' }))],
    ['many updates of one row', (count) => keys(count).map(() => ({ op: 'update', key: 7 }))],
    ['many deletes', (count) => keys(count).map((key) => ({ op: 'delete', key }))],
  ])('%s', (_, opsOf) => {
    const living = new Set(keys(4_000).filter((key) => key % 2 === 0));
    const shard = shardState('sh', { currentTerm: 10, committedVat: 8, size: 100_000 });
    const work = (ops: RoundOp[]): void => {
      const rows = ops.flatMap((op) => (op.op === 'create' ? op.keys : op.op === 'update' ? [op.key] : [])).map(String);
      const planned = task(ops, rows, { lastTerm: 11 + 2 * ops.length });
      decidePart(shard, 0, { living, ops: new Map() }, planned, MEASURES);
    };
    expect(growthFault(500, opsOf, work)).toBeNull();
  });

  test('one write over many shards', () => {
    const request = (count: number): ApplyRequest => ({
      epoch: 2,
      rounds: [{ round: 6, lastTerms: {}, parts: keys(count).map((key) => ({ ...SHARD_PART, shard: `s${key}` })) }],
    });
    expect(growthFault(500, request, (asked) => void planSteps(asked, []))).toBeNull();
  });
});

const SHARD_PART: Omit<ShardPart, 'shard'> = { vat: 10, firstTerm: 11, lastTerm: 11, ops: [] };
