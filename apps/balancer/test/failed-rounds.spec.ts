/**
 * Rounds that too few replicas have stored: what the client is answered, when, and what is done so that nobody takes the round for committed
 * later. `wedges.spec.ts` and `open-rounds.spec.ts` have the whole picture, over a change of leaders.
 */
import type { OpOutcome } from '#common/contracts/node';
import { EPOCH } from './support/parts-of-the-core';
import { BUSY, failure, isEmpty, UNKNOWN, WriteBench, type Apply } from './support/write-bench';

/** Of three replicas two are needed, of two one. */
const ONE = { a: ['S0', 'S1', 'S2'] };
const TWO = { a: ['S0', 'S1'], b: ['S2', 'S3'] };

/** The servers say so to rounds that do something; empty ones stay open. */
function failing(bench: WriteBench, replies: Record<string, typeof BUSY>): void {
  bench.says = (ask) => (isEmpty(ask) ? null : replies[ask.server]);
}

/** Who was sent an empty round of the shard. */
function emptied(bench: WriteBench, shard: string): string[] {
  const sent = bench.rounds(shard).filter(isEmpty);
  return sent.map(({ server }) => server);
}

/** What the newest round that the server was sent says of earlier ones. */
function decisions(bench: WriteBench, shard: string): unknown {
  const parts = bench.rounds(shard).at(-1)?.round.parts ?? [];
  return parts.find((part) => part.shard === shard)?.epochStarts;
}

/** The round is no repetition of one that failed. */
function isFirst(bench: WriteBench, { round }: Apply): boolean {
  return round.round === bench.asked('apply')[0]?.round.round;
}

/** What a server says that has stored its part, but for the changes in this shard, where their keys exist. */
function existsIn({ round }: Apply, refusing: string): ReturnType<WriteBench['says']> {
  const outcome: OpOutcome = { refused: 'KEY_EXISTS', key: 10 };
  const value = round.parts.map(({ shard, ops }) => ({
    shard,
    outcomes: ops.map(() => (shard === refusing ? outcome : { ok: 1 })),
    digest: 'as all',
  }));
  return { ok: true, value };
}

describe('a change that certainly no replica has stored', () => {
  it('was not made, as is answered at once, and nothing else is to be done for it', () => {
    const bench = new WriteBench(TWO);
    bench.says = () => BUSY;
    const change = bench.write('a', 'b');
    expect(bench.codeFor(change)).toBe('SHARD_UNAVAILABLE');
    bench.says = () => undefined;
    bench.forget();
    bench.pass(1_000);
    expect(bench.asked('apply')).toEqual([]);
    expect(bench.codeFor(bench.write('a', 'b'))).toBeNull();
    expect([decisions(bench, 'a'), decisions(bench, 'b')]).toEqual([undefined, undefined]);
  });

  it('was not made where that is so in one of its shards, as is answered at once', () => {
    const bench = new WriteBench(TWO);
    failing(bench, { S0: BUSY, S1: BUSY, S2: UNKNOWN, S3: UNKNOWN });
    const change = bench.write('a', 'b');
    expect(bench.codeFor(change)).toBe('SHARD_UNAVAILABLE');
  });

  it('leaves the other shard with a round that it has to move past, and that it remembers as none of its own', () => {
    const bench = new WriteBench(TWO);
    failing(bench, { S0: BUSY, S1: BUSY, S2: UNKNOWN, S3: UNKNOWN });
    bench.write('a', 'b');
    const [failed] = bench.rounds('a');
    const start = { epoch: EPOCH, round: failed!.round.round + 1, vat: 5 };
    for (const shard of ['a', 'b']) expect(decisions(bench, shard)).toEqual([start]);
    for (const shard of ['a', 'b']) bench.reply(shard);
    // Whoever has stored that need not get it again.
    bench.says = () => undefined;
    for (const shard of ['a', 'b']) expect(bench.codeFor(bench.write(shard))).toBeNull();
    for (const shard of ['a', 'b']) expect(decisions(bench, shard)).toBeUndefined();
  });

  it('may have been stored at its first attempt, when one of its shards refused it', () => {
    const bench = new WriteBench(TWO);
    bench.says = (ask) => (isFirst(bench, ask) ? existsIn(ask, 'b') : BUSY);
    const change = bench.write('a', 'b');
    expect(bench.codeFor(change)).toBe('SHARD_UNAVAILABLE');
    const again = bench.rounds('a')[2]!;
    const start = { epoch: EPOCH, round: again.round.round + 1, vat: 5 };
    for (const shard of ['a', 'b']) expect(decisions(bench, shard)).toEqual([start]);
  });
});

describe('a change of which nobody knows whether a replica has stored it', () => {
  it('is answered so at once where none certainly lacks it', () => {
    const bench = new WriteBench(ONE);
    failing(bench, { S0: UNKNOWN, S1: UNKNOWN, S2: UNKNOWN });
    expect(bench.codeFor(bench.write('a'))).toBe('OUTCOME_UNKNOWN');
  });

  it('waits until those that may have it have undone it: then it was not made', () => {
    const bench = new WriteBench(ONE);
    failing(bench, { S0: BUSY, S1: BUSY, S2: UNKNOWN });
    const change = bench.write('a');
    expect(bench.codeFor(change)).toBeUndefined();
    bench.reply('a', undefined, 'S2');
    bench.reply('a', BUSY);
    expect(bench.codeFor(change)).toBe('SHARD_UNAVAILABLE');
  });

  it('is not known to be undone as long as one that may have it does not say so', () => {
    const bench = new WriteBench(ONE);
    failing(bench, { S0: BUSY, S1: BUSY, S2: UNKNOWN });
    const change = bench.write('a');
    bench.reply('a', undefined, 'S0');
    bench.reply('a', UNKNOWN);
    expect(bench.codeFor(change)).toBe('OUTCOME_UNKNOWN');
  });

  it('was not made when all that count have moved past it, whatever a member holds whose data does not count by now', () => {
    const bench = new WriteBench({ a: ['S0', 'S1'] });
    bench.says = (ask) => (isEmpty(ask) ? undefined : null);
    const change = bench.write('a');
    bench.reply('a', BUSY, 'S0');
    bench.shardOf('a').suspend('S1', true);
    bench.reply('a', UNKNOWN, 'S1');
    expect(emptied(bench, 'a')).toEqual(['S0']);
    expect(bench.codeFor(change)).toBe('SHARD_UNAVAILABLE');
  });

  describe('over two shards', () => {
    let bench: WriteBench;
    let change: number;

    /** In each of the shards one replica certainly lacks it, and one may have it. */
    beforeEach(() => {
      bench = new WriteBench(TWO);
      failing(bench, { S0: BUSY, S1: UNKNOWN, S2: BUSY, S3: UNKNOWN });
      change = bench.write('a', 'b');
      expect(emptied(bench, 'a')).toEqual(['S0', 'S1']);
      expect(emptied(bench, 'b')).toEqual(['S2', 'S3']);
    });

    it('was not made as soon as it is undone in one of them', () => {
      bench.reply('b');
      expect(bench.openRounds('a')).toHaveLength(2);
      expect(bench.codeFor(change)).toBe('SHARD_UNAVAILABLE');
      bench.reply('a', UNKNOWN);
      expect(bench.codeFor(change)).toBe('SHARD_UNAVAILABLE');
    });

    it('is waited for in the other one where it cannot be undone in the first', () => {
      bench.reply('a', UNKNOWN);
      expect(bench.codeFor(change)).toBeUndefined();
      bench.reply('b');
      expect(bench.codeFor(change)).toBe('SHARD_UNAVAILABLE');
    });

    it('stays unknown where it can be undone in none of them', () => {
      for (const shard of ['b', 'a']) bench.reply(shard, UNKNOWN);
      expect(bench.codeFor(change)).toBe('OUTCOME_UNKNOWN');
    });
  });
});

describe('a shard that has to move past a failed round', () => {
  const setReachable = (bench: WriteBench, server: string, isReachable: boolean): void => {
    bench.cluster.servers.get(server)!.dead = !isReachable;
  };

  /** A round over both shards comes to nothing: certainly in `a`; and in `b`, of which S3 has died, nobody knows. */
  function withDebt(): WriteBench {
    const bench = new WriteBench(TWO);
    bench.says = (ask) => (isEmpty(ask) ? undefined : null);
    bench.write('a', 'b');
    setReachable(bench, 'S3', false);
    bench.reply('a', BUSY);
    // Nobody has shown that the set may become smaller.
    bench.node('S2').postgres = 'down';
    bench.reply('b', UNKNOWN);
    bench.node('S2').postgres = 'ok';
    return bench;
  }

  it('does so when it can be written again, and is asked for nothing before', () => {
    const bench = withDebt();
    bench.pass(1_000);
    expect(emptied(bench, 'a')).toEqual(['S0', 'S1']);
    expect(emptied(bench, 'b')).toEqual([]);
    setReachable(bench, 'S3', true);
    bench.pass(1_000);
    expect(emptied(bench, 'b')).toEqual(['S2', 'S3']);
  });

  it('is tried again a few times a second as long as too few answer', () => {
    const bench = withDebt();
    bench.says = () => BUSY;
    setReachable(bench, 'S3', true);
    bench.pass(2_000);
    const tries = emptied(bench, 'b').length / 2;
    expect(tries).toBeGreaterThan(5);
    expect(tries).toBeLessThan(12);
  });

  it('is tried once while its write queue is held, however long that takes; changes wait for that', () => {
    const bench = withDebt();
    bench.says = (ask) => (isEmpty(ask) ? null : undefined);
    setReachable(bench, 'S3', true);
    bench.pass(2_000);
    const change = bench.write('a', 'b');
    bench.pass(100);
    expect(bench.codeFor(change)).toBeUndefined();
    bench.says = () => undefined;
    bench.reply('b');
    expect(bench.codeFor(change)).toBeNull();
    bench.pass(1_000);
    expect(emptied(bench, 'b')).toEqual(['S2', 'S3']);
  });

  it('takes no other round over several shards before: what each has to remember has an end', () => {
    const bench = withDebt();
    bench.says = () => undefined;
    setReachable(bench, 'S3', true);
    expect(bench.codeFor(bench.write('a', 'b'))).toBe('SHARD_UNAVAILABLE');
    expect(bench.codeFor(bench.write('b'))).toBeNull();
    expect(bench.codeFor(bench.write('a', 'b'))).toBeNull();
  });
});

describe('a shard of which no member has its data', () => {
  it('confirms nothing to a new leader, and its write queue is free again', () => {
    const bench = new WriteBench(TWO);
    for (const server of ['S0', 'S1']) bench.shardOf('a').suspend(server, true);
    const shard = bench.shardOf('a');
    bench.begin(bench.writer.lockQueue(shard));
    let isConfirmed: boolean | null = null;
    bench.writer.confirm([shard])((is) => {
      isConfirmed = is;
    });
    bench.settle();
    expect(isConfirmed).toBe(false);
    expect(bench.writer.queues.isLocked('a')).toBe(false);
  });
});

describe('what replicas refuse', () => {
  const refuse = (bench: WriteBench, replies: Record<string, ReturnType<WriteBench['says']>>): void => {
    bench.says = ({ server }: Apply) => replies[server];
  };

  it('for a higher epoch, shows that another one leads: no client is answered, and nobody leaves the set', () => {
    const bench = new WriteBench(ONE);
    refuse(bench, { S2: failure('FENCED') });
    const change = bench.write('a');
    expect(bench.over).toEqual(['fenced']);
    expect(bench.codeFor(change)).toBeUndefined();
    expect(bench.stored.size).toBe(0);
  });

  it.each(['BAD_REQUEST', 'BAD_MESSAGE'] as const)('all of them, as %s, is the change’s own fault', (code) => {
    const bench = new WriteBench(ONE);
    bench.says = () => failure(code);
    expect(bench.codeFor(bench.write('a'))).toBe('BAD_REQUEST');
    expect(bench.shardOf('a').inSync).toEqual(['S0', 'S1', 'S2']);
  });

  it('and others have stored, is the fault of those that refuse it', () => {
    const bench = new WriteBench(ONE);
    refuse(bench, { S1: failure('BAD_REQUEST') });
    expect(bench.codeFor(bench.write('a'))).toBeNull();
    expect(bench.shardOf('a').inSync).toEqual(['S0', 'S2']);
  });

  it.each([
    ['not read by one', { S0: failure('BAD_MESSAGE'), S1: BUSY, S2: BUSY }],
    ['not stored by any', { S0: failure('STORE_FAILED', true), S1: BUSY, S2: BUSY }],
  ])('for reasons that pass, as %s, may be asked again', (_, replies) => {
    const bench = new WriteBench(ONE);
    refuse(bench, replies);
    expect(bench.codeFor(bench.write('a'))).toBe('SHARD_UNAVAILABLE');
  });

  it('of a part that does nothing, says nothing of the changes in other shards', () => {
    const bench = new WriteBench({ a: ['S0', 'S1'], b: ['S1'] });
    bench.begin(bench.writer.lockQueue(bench.shardOf('a')));
    // Both wait for the write queue, and share a round. It is run again without the first one, with a part in `b` that does nothing.
    const [refused, other] = [bench.write('a', 'b'), bench.write('a')];
    bench.says = (ask) =>
      isFirst(bench, ask) ? existsIn(ask, 'b') : ask.server === 'S1' ? failure('BAD_REQUEST') : null;
    bench.writer.queues.release(['a']);
    bench.settle();
    bench.reply('a', undefined, 'S0');
    for (const change of [refused, other]) expect(bench.codeFor(change)).toBe('SHARD_UNAVAILABLE');
  });
});

it('names no more than ten shards to the client', () => {
  const names = Array.from({ length: 12 }, (_, index) => String.fromCharCode(97 + index));
  const bench = new WriteBench(Object.fromEntries(names.map((name) => [name, ['S0']])));
  bench.says = () => BUSY;
  const { error } = bench.answerTo(bench.write(...names))!;
  expect(error?.message).toBe('too few in-sync replicas of a, b, c, d, e, f, g, h, i, j and 2 more answer now');
});
