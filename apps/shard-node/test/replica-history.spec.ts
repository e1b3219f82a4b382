/** Random lives of a shard: on Postgres, in memory and with the naive twin they are the same. */
import fc from 'fast-check';
import type { ApplyReply, CatchupReply, RoundOp } from '#common/contracts/node';
import { splitRows } from '#common/nats/lines';
import { rowsOf, termsOf } from '#common/protocol/round';
import { MemoryVersionStore } from '../src/adapters/memory/memory-version-store';
import type { VersionStore } from '../src/ports/version-store';
import type { Replica } from '../src/runtime/replica';
import { DirectSource, openReplica, rowText, SCHEMA, shardConfig } from './support/builders';
import { NaiveShard } from './support/naive-shard';
import { openStore, TestPostgres } from './support/test-postgres';

const EPOCH = 1;
const KEYS = 12;
const ROUND_TRIP_MS = 120_000;

type Step =
  | { kind: 'round'; ops: RoundOp[]; name: string; commitBefore: boolean }
  | { kind: 'two-rounds'; first: RoundOp[]; second: RoundOp[]; name: string }
  | { kind: 'ping' }
  | { kind: 'purge' }
  | { kind: 'forget' }
  | { kind: 'reload' }
  | { kind: 'copy' };

const key = fc.nat(KEYS - 1);
const bareOp: fc.Arbitrary<RoundOp> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record(
      {
        op: fc.constant('create' as const),
        onConflict: fc.constantFrom('error' as const, 'ignore' as const, 'replace' as const),
        keys: fc.uniqueArray(key, { minLength: 1, maxLength: 4 }),
        spans: fc.constant(true as const),
      },
      { requiredKeys: ['op', 'onConflict', 'keys'] },
    ),
  },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('update' as const), key }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('delete' as const), key }) },
);
/** Few ids, so that they come again. */
const id = fc.constantFrom('id-1', 'id-2', 'id-3', 'id-4', 'id-5', 'id-6');
const op: fc.Arbitrary<RoundOp> = fc.oneof(
  bareOp,
  fc.tuple(bareOp, id).map(([one, name]): RoundOp => ({ ...one, id: name })),
  fc.record({
    op: fc.constant('note' as const),
    id,
    outcome: fc.constant({ refused: 'KEY_EXISTS' as const, key: 99 }),
  }),
);
const ops = fc.array(op, { minLength: 1, maxLength: 5 });
const text = fc.string({ unit: 'grapheme', maxLength: 12 }).filter((value) => !value.includes('\u0000'));
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ kind: fc.constant('round' as const), ops, name: text, commitBefore: fc.boolean() }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('two-rounds' as const), first: ops, second: ops, name: text }),
  },
  ...(['ping', 'purge', 'forget', 'reload', 'copy'] as const).map((kind) => ({
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant(kind) }),
  })),
);

/** One replica with a second one that follows it by copying. */
interface Pair {
  name: string;
  store: VersionStore;
  replica: Replica;
  copy: Replica;
  /** Up to where the copy has got. */
  copied: number;
}

let postgres: TestPostgres;

beforeAll(async () => {
  postgres = await TestPostgres.start();
}, ROUND_TRIP_MS);

afterAll(async () => {
  await postgres.stop();
});

const source = new DirectSource();

async function openPair(name: string, store: VersionStore, copyStore: VersionStore): Promise<Pair> {
  return {
    name,
    store,
    replica: await openReplica(`${name}-first`, store, source),
    copy: await openReplica(`${name}-copy`, copyStore, source),
    copied: 0,
  };
}

/** Everything from the start under another configuration, which drops what the history before left behind. */
async function reset(pair: Pair, configId: number): Promise<void> {
  source.replicas.set(`${pair.name}-first`, pair.replica);
  const request = {
    epoch: EPOCH,
    configId,
    schema: SCHEMA,
    shards: [shardConfig('sh', 0, KEYS)],
    drop: [],
    areNew: true as const,
  };
  await pair.replica.config(request);
  await pair.copy.config(request);
  pair.copied = 0;
}

class History {
  private readonly naive = new NaiveShard();
  private round = 0;
  private purgedTo = 0;
  /** Grows over all histories: they have one epoch and the same processes. */
  private static turn = 0;

  constructor(private readonly pairs: Pair[]) {}

  async perform(one: Step): Promise<void> {
    switch (one.kind) {
      case 'round':
        this.naive.settle(one.commitBefore);
        return this.applyRounds([one.ops], one.name);
      case 'two-rounds':
        this.naive.settle(true);
        return this.applyRounds([one.first, one.second], one.name);
      case 'ping':
        this.naive.settle(true);
        return this.ping({});
      case 'purge':
        this.naive.settle(true);
        this.purgedTo = this.naive.vat;
        return this.ping({ sh: this.purgedTo });
      case 'forget':
        this.naive.settle(true);
        this.naive.forgottenUpTo = this.naive.vat;
        await this.applyRounds([[]], '');
        this.naive.settle(true);
        return this.ping({});
      case 'reload':
        for (const pair of this.pairs) {
          pair.replica = await openReplica(`${pair.name}-first`, pair.store, source);
          source.replicas.set(`${pair.name}-first`, pair.replica);
        }
        return;
      case 'copy':
        this.naive.settle(true);
        for (const pair of this.pairs) await this.catchUp(pair);
    }
  }

  /** All rounds go in one message; each but the last is a refused attempt that the next one undoes. */
  private async applyRounds(rounds: RoundOp[][], name: string): Promise<void> {
    const rows: string[] = [];
    const expected: unknown[] = [];
    const message = rounds.map((list) => {
      const own = list.flatMap((one) => rowsFor(one, name));
      this.naive.settle(false);
      const firstTerm = this.naive.term + 1;
      expected.push(this.naive.apply(list, own).outcomes);
      rows.push(...own);
      this.round += 1;
      const lastTerm = firstTerm + list.reduce((sum, one) => sum + termsOf(one), 0) - 1;
      const { vat, forgottenUpTo } = this.naive;
      const part = { shard: 'sh', vat, forgottenUpTo, firstTerm, lastTerm, ops: list };
      return { round: this.round, lastTerms: { sh: lastTerm }, parts: [part] };
    });
    const replies: ApplyReply[] = [];
    for (const { replica } of this.pairs) replies.push(await replica.apply({ epoch: EPOCH, rounds: message }, rows));
    for (const reply of replies) expect(reply).toEqual(replies[0]);
    expect(replies[0]?.rounds.map(({ parts }) => parts[0]?.outcomes)).toEqual(expected);
  }

  private async ping(marks: Record<string, number>): Promise<void> {
    for (const { replica } of this.pairs) {
      await replica.ping({ epoch: EPOCH, configId: 1, vats: { sh: this.naive.vat }, marks: {} });
      await replica.idle();
      await replica.ping({ epoch: EPOCH, configId: 1, vats: {}, marks });
      await replica.idle();
    }
  }

  private async catchUp(pair: Pair): Promise<void> {
    const to = this.naive.vat;
    const from = pair.copied < this.purgedTo ? 0 : pair.copied;
    const ask = (): Promise<CatchupReply> => {
      History.turn += 1;
      const range = { shard: 'sh', source: `${pair.name}-first`, from, to };
      return pair.copy.catchup({ epoch: EPOCH, turn: History.turn, ...range, maxBytes: 1 });
    };
    while ((await ask()).next !== null);
    pair.copied = to;
    const digest = await digests(pair.copy, to, this.naive.forgottenUpTo);
    expect(digest).toEqual(await digests(pair.replica, to, this.naive.forgottenUpTo));
    await expectSame(pair.copy, this.naive, [to]);
  }

  async check(): Promise<void> {
    const vats = this.naive.vats().filter((vat) => vat >= this.purgedTo);
    for (const { replica } of this.pairs) await expectSame(replica, this.naive, vats);
    this.naive.settle(true);
    const states = [];
    for (const { replica } of this.pairs) states.push((await replica.fence({ epoch: EPOCH })).shards);
    for (const state of states) expect(state).toEqual(states[0]);
    // A refused round leaves nothing behind; else the newest one counts, committed or not.
    const live = this.naive.rowsAt(this.naive.vat, 0, KEYS).length;
    if (states[0]?.[0]?.newestRound?.refused !== true) expect(states[0]?.[0]?.rows).toBe(live);
  }
}

function rowsFor(one: RoundOp, name: string): string[] {
  const keys = one.op === 'create' ? one.keys : [one.op === 'update' ? one.key : 0];
  return keys.slice(0, rowsOf(one)).map((value) => rowText(value, name));
}

function digests(replica: Replica, vat: number, forgottenUpTo: number): Promise<unknown> {
  return replica.digest({ epoch: EPOCH, shard: 'sh', vat, forgottenUpTo });
}

async function expectSame(replica: Replica, naive: NaiveShard, vats: number[]): Promise<void> {
  for (const vat of vats) {
    const range = { shard: 'sh', vat, low: 2, high: KEYS - 2 };
    const points = Array.from({ length: KEYS }, (_, low) => ({ shard: 'sh', vat, low, high: low }));
    const { header, text } = await replica.read({ epoch: EPOCH, reads: [range, ...points], maxBytes: 1_000_000 });
    const expected = [...naive.rowsAt(vat, range.low, range.high), ...naive.rowsAt(vat, 0, KEYS)];
    expect(splitRows(text)).toEqual(expected);
    expect(header.pages.map((page) => page.count)).toEqual([
      naive.rowsAt(vat, range.low, range.high).length,
      ...points.map(({ low }) => naive.rowsAt(vat, low, low).length),
    ]);
  }
}

it(
  'is the same on Postgres, in memory and with the naive twin',
  async () => {
    const stores = await Promise.all(
      ['postgres-first', 'postgres-copy'].map(async (name) => openStore(await postgres.freshDatabase(), name)),
    );
    const [first, copy] = stores;
    if (first === undefined || copy === undefined) throw new Error('no stores');
    const pairs = [
      await openPair('postgres', first, copy),
      await openPair('memory', new MemoryVersionStore('memory-first'), new MemoryVersionStore('memory-copy')),
    ];
    let configId = 0;
    try {
      await fc.assert(
        fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 20 }), async (steps) => {
          configId += 1;
          for (const pair of pairs) await reset(pair, configId);
          const history = new History(pairs);
          for (const one of steps) await history.perform(one);
          await history.check();
        }),
        { numRuns: 40 },
      );
    } finally {
      await Promise.all(stores.map((store) => store.close()));
    }
  },
  ROUND_TRIP_MS,
);
