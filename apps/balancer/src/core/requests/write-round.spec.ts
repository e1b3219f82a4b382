import type { OpOutcome, PartReply, RoundOp } from '#common/contracts/node';
import { growthFault } from '#common/testing/growth';
import { Shard } from '../cluster/shard';
import type { QueuedRequest } from './write-queue';
import { disputedKeys, WriteRound } from './write-round';

const SERVER = 'S0';
const shards = new Map<string, Shard>();

beforeEach(() => {
  shards.clear();
  for (const [index, shard] of ['a', 'b'].entries()) {
    const stamp = { configId: 1, configEpoch: 1, configVersion: 1 };
    const members = { inSync: [SERVER], replicas: [SERVER], joining: [] };
    shards.set(shard, new Shard({ shard, low: index * 10, size: 10, ...stamp, ...members }, true));
  }
});

function shardOf(id: string): Shard {
  const shard = shards.get(id);
  if (shard === undefined) throw new Error(`no shard ${id}`);
  return shard;
}

/** A request that creates a key in each of these shards. */
function request(id: number, name: string, keys: Record<string, number>): QueuedRequest {
  const spans = Object.keys(keys).length > 1 ? { spans: true as const } : {};
  const parts = Object.entries(keys).map(([shard, key]): [string, { op: RoundOp; rows: string[] }] => [
    shard,
    { op: { op: 'create', onConflict: 'error', keys: [key], id: name, ...spans }, rows: ['{}'] },
  ]);
  return { batch: 1, id, parts: new Map(parts), name: { id: name }, bytes: 1, arrivedMs: 0 };
}

function roundOf(requests: QueuedRequest[], refusals: ReadonlyMap<QueuedRequest, OpOutcome> = new Map()): WriteRound {
  const round = new WriteRound(1, requests, shardOf, 0, [...shards.values()], refusals);
  round.parts();
  return round;
}

function verdictOf(round: WriteRound, outcomes: Record<string, OpOutcome[]>): ReturnType<WriteRound['verdict']> {
  const replies = Object.entries(outcomes).map(([shard, list]): PartReply => ({ shard, outcomes: list, digest: '' }));
  round.answered(SERVER, replies);
  return round.verdict();
}

const OK: OpOutcome = { ok: 1 };
const KNOWN: OpOutcome = { ok: 1, known: true };
const TAKEN: OpOutcome = { refused: 'KEY_EXISTS', key: 1 };

test('what came of a round is not known before every shard has answered', () => {
  const round = roundOf([request(1, 'x', { a: 1, b: 11 })]);
  expect(() => verdictOf(round, { a: [OK] })).toThrow('no replica has reported the outcome of the round in b');
});

describe('what came of a request over two shards', () => {
  it.each<[string, OpOutcome, OpOutcome, OpOutcome, boolean]>([
    ['new in both', OK, OK, { ok: 2 }, false],
    [
      'known in both: the first outcome, and nothing of it is in this round',
      KNOWN,
      KNOWN,
      { ok: 2, known: true },
      true,
    ],
    ['refused in one', OK, TAKEN, TAKEN, true],
    [
      'refused at its first time',
      { ...TAKEN, known: true },
      { ...TAKEN, known: true },
      { ...TAKEN, known: true },
      true,
    ],
    ['known in one alone', OK, KNOWN, { refused: 'ID_REUSED', key: 0, known: true }, true],
    ['known in one, refused in the other', KNOWN, TAKEN, { refused: 'ID_REUSED', key: 0, known: true }, true],
  ])('%s', (_, a, b, outcome, isExcluded) => {
    const one = request(1, 'x', { a: 1, b: 11 });
    const { outcomes, excluded } = verdictOf(roundOf([one]), { a: [a], b: [b] });
    expect(outcomes.get(one)).toEqual(outcome);
    expect(excluded.has(one)).toBe(isExcluded);
  });

  it('is doubtful when its id is that of one that is to be left out', () => {
    const [first, again] = [request(1, 'x', { a: 1, b: 11 }), request(2, 'x', { a: 2, b: 12 })];
    const known: OpOutcome = { ...TAKEN, known: true };
    const { excluded } = verdictOf(roundOf([first, again]), { a: [OK, KNOWN], b: [TAKEN, known] });
    expect([...excluded.keys()]).toEqual([first]);
  });
});

describe('a round that is run again', () => {
  it('notes in all shards what was refused in one, before its other requests', () => {
    const [refused, other] = [request(1, 'x', { a: 1, b: 11 }), request(2, 'y', { a: 1 })];
    const round = roundOf([other], new Map([[refused, TAKEN]]));
    const parts = [...round.shards.values()].map(({ part }) => part);
    const note = { op: 'note', id: 'x', outcome: TAKEN };
    expect(parts.map(({ ops }) => ops)).toEqual([[note, other.parts.get('a')?.op], [note]]);
    expect(parts.map(({ firstTerm, lastTerm }) => lastTerm - firstTerm)).toEqual([1, 0]);
    expect(verdictOf(round, { a: [TAKEN, OK], b: [TAKEN] }).outcomes.get(other)).toEqual(OK);
  });

  it('notes nothing of what was known, and nothing without a name', () => {
    const nameless = { ...request(2, 'y', { a: 1, b: 11 }), name: {} };
    const refusals = new Map<QueuedRequest, OpOutcome>([
      [request(1, 'x', { a: 1, b: 11 }), KNOWN],
      [nameless, TAKEN],
    ]);
    expect([...roundOf([], refusals).shards.values()].flatMap(({ part }) => part.ops)).toEqual([]);
  });

  it('may be held by who did not answer when it notes something, and need not be looked for when it is empty', () => {
    const timedOut = { code: 'OUTCOME_UNKNOWN' as const, message: '', retryable: false };
    const holders = (refusals: ReadonlyMap<QueuedRequest, OpOutcome>): number[] => {
      const round = roundOf([], refusals);
      round.failed(SERVER, timedOut);
      return [...round.mayHold().values()].map((servers) => servers.size);
    };
    expect(holders(new Map())).toEqual([0, 0]);
    expect(holders(new Map([[request(1, 'x', { a: 1, b: 11 }), TAKEN]]))).toEqual([1, 1]);
  });
});

it('carries up to where ids are forgotten', () => {
  shardOf('a').forgottenIds.reported(3);
  expect([...roundOf([]).shards.values()].map(({ part }) => part.forgottenUpTo)).toEqual([3, 0]);
});

it('doubts what may be due to a request that is itself in doubt', () => {
  const first = request(1, 'x', { a: 1, b: 11 });
  // It may meet the first one, which is run without; so the third may not have met it.
  const second = request(2, 'y', { a: 1, b: 12 });
  const third = request(3, 'z', { a: 2, b: 12 });
  const { excluded } = verdictOf(roundOf([first, second, third]), { a: [OK, OK, OK], b: [TAKEN, OK, TAKEN] });
  expect([...excluded.keys()]).toEqual([first]);
});

it('adds up what a request did in its shards; refused in any of them it is refused', () => {
  const one = request(1, 'x', { a: 1, b: 11 });
  const outcome = (a: OpOutcome, b: OpOutcome): OpOutcome | undefined =>
    verdictOf(roundOf([one]), { a: [a], b: [b] }).outcomes.get(one);
  expect(outcome({ ok: 2 }, { ok: 3 })).toEqual({ ok: 5 });
  expect(outcome(TAKEN, OK)).toEqual(TAKEN);
  expect(outcome(OK, TAKEN)).toEqual(TAKEN);
});

it('notes an outcome with the fingerprint of its request where it has one', () => {
  const named = request(1, 'x', { a: 1, b: 11 });
  const fingerprinted = { ...request(2, 'y', { a: 2, b: 12 }), name: { id: 'y', fingerprint: 'p' } };
  const [part] = [...roundOf([], new Map([named, fingerprinted].map((one) => [one, TAKEN]))).shards.values()];
  expect(part?.part.ops).toStrictEqual([
    { op: 'note', id: 'x', outcome: TAKEN },
    { op: 'note', id: 'y', fingerprint: 'p', outcome: TAKEN },
  ]);
});

describe('a round over shards of different servers', () => {
  const timedOut = { code: 'OUTCOME_UNKNOWN' as const, message: '', retryable: false };

  beforeEach(() => {
    for (const [shard, replicas] of Object.entries({ a: ['S0', 'S1', 'S2'], b: ['S2', 'S3', 'S4'] })) {
      const { record } = shardOf(shard);
      shards.set(shard, new Shard({ ...record, replicas, inSync: replicas }, true));
    }
  });

  const reply = (shard: string, outcome: OpOutcome = OK): PartReply => ({ shard, outcomes: [outcome], digest: '' });

  it('takes a server at its word for the shards that lie there, and for no other', () => {
    const round = roundOf([request(1, 'x', { a: 1, b: 11 })]);
    expect(round.answered('S0', [reply('a')])).toBe(false);
    round.failed('S3', timedOut);
    const of = (shard: string): string[][] => {
      const { replies, failures } = round.shards.get(shard)!;
      return [[...replies.keys()], [...failures.keys()]];
    };
    expect([of('a'), of('b')]).toEqual([
      [['S0'], []],
      [[], ['S3']],
    ]);
  });

  it('can do without a server when enough others have it in each of the shards that lie there', () => {
    const round = roundOf([request(1, 'x', { a: 1, b: 11 })]);
    for (const server of ['S0', 'S1']) round.answered(server, [reply('a')]);
    expect([round.canDoWithout('S2'), round.canDoWithout('S3')]).toEqual([false, false]);
    round.answered('S3', [reply('b')]);
    round.answered('S4', [reply('b')]);
    expect(round.canDoWithout('S2')).toBe(true);
  });

  it('can do without a server of one shard, however little is heard of the other', () => {
    const round = roundOf([request(1, 'x', { a: 1, b: 11 })]);
    for (const server of ['S1', 'S2']) round.answered(server, [reply('a'), reply('b')]);
    expect([round.canDoWithout('S0'), round.canDoWithout('S3')]).toEqual([true, false]);
  });

  it('may be held by all that did not answer: one that has left since, or is suspended, may count again', () => {
    const round = roundOf([request(1, 'x', { a: 1, b: 11 })]);
    for (const server of ['S0', 'S1', 'S2', 'S3', 'S4']) round.failed(server, timedOut);
    const a = shardOf('a');
    a.setRecord({ ...a.record, inSync: ['S1', 'S2'] });
    a.replicas.get('S2')!.suspended = true;
    expect([...round.mayHold()].map(([shard, servers]) => [shard, ...servers])).toEqual([
      ['a', 'S0', 'S1', 'S2'],
      ['b', 'S2', 'S3', 'S4'],
    ]);
  });

  it('is disputed for the keys of which different things were reported, or for all when the difference lies deeper', () => {
    const round = roundOf([request(1, 'x', { a: 1 }), request(2, 'y', { a: 2 })]);
    const { part } = round.shards.get('a')!;
    const keys = (...second: OpOutcome[]): number[] =>
      disputedKeys({
        ...round.shards.get('a')!,
        replies: new Map(
          second.map((outcome, index) => [`S${index}`, { shard: 'a', outcomes: [OK, outcome], digest: `${index}` }]),
        ),
      });
    expect(part.ops).toHaveLength(2);
    expect([keys(OK, TAKEN), keys(OK, OK)]).toEqual([[2], [1, 2]]);
  });
});

describe('the work on a round grows no faster than the round', () => {
  const terms = (round: WriteRound): PartReply[] =>
    [...round.shards.values()].map(({ shard, part }) => ({
      shard: shard.id,
      outcomes: part.ops.map(() => ({ ok: 1 })),
      digest: 'd',
    }));
  const settle = (round: WriteRound): void => {
    round.parts();
    round.answered(SERVER, terms(round));
    round.mayHold();
    round.verdict();
  };

  test('of many requests', () => {
    const requests = (count: number): QueuedRequest[] =>
      Array.from({ length: count }, (_, index) =>
        request(index, `id${index}`, { a: index % 10, b: 10 + (index % 10) }),
      );
    expect(
      growthFault(250, requests, (list) => {
        settle(new WriteRound(1, list, shardOf, 0));
      }),
    ).toBeNull();
  });

  test('over many shards', () => {
    const many = Array.from({ length: 1_024 }, (_, index) => `s${index}`);
    for (const [index, shard] of many.entries()) {
      const stamp = { configId: 1, configEpoch: 1, configVersion: 1 };
      const members = { inSync: [SERVER], replicas: [SERVER], joining: [] };
      shards.set(shard, new Shard({ shard, low: 100 + index * 10, size: 10, ...stamp, ...members }, true));
    }
    const requests = (count: number): QueuedRequest[] => [
      request(1, 'id', Object.fromEntries(many.slice(0, count).map((shard, index) => [shard, 100 + index * 10]))),
    ];
    expect(
      growthFault(128, requests, (list) => {
        settle(new WriteRound(1, list, shardOf, 0));
      }),
    ).toBeNull();
  });
});
