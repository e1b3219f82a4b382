import { ShardlineError } from '#common/contracts/errors';
import type { ApplyRequest, CatchupRequest, PingRequest } from '#common/contracts/node';
import { splitRows } from '#common/nats/lines';
import { MemoryVersionStore } from '../adapters/memory/memory-version-store';
import type { WriteTransaction } from '../ports/version-store';
import { DirectSource, openReplica, rowText, SCHEMA, shardConfig } from '../../test/support/builders';
import type { Replica } from './replica';

/** A store whose commits can be made to fail, before or after they have become durable. */
class FailingStore extends MemoryVersionStore {
  failure: 'none' | 'before' | 'after' = 'none';

  override async transact<T>(work: (transaction: WriteTransaction) => Promise<T>): Promise<T> {
    const failure = this.failure;
    this.failure = 'none';
    if (failure === 'before') throw new ShardlineError('STORE_FAILED', 'the disk is full');
    const result = await super.transact(work);
    if (failure === 'after') throw new ShardlineError('STORE_FAILED', 'the connection broke during the commit');
    return result;
  }
}

const source = new DirectSource();
let store: FailingStore;
let replica: Replica;

/** One create per round: round n uses term n. */
function creating(round: number, key: number): [ApplyRequest, string[]] {
  const part = {
    shard: 'sh',
    vat: round - 1,
    firstTerm: round,
    lastTerm: round,
    ops: [{ op: 'create' as const, onConflict: 'error' as const, keys: [key] }],
  };
  return [{ epoch: 1, rounds: [{ round, lastTerms: { sh: round }, parts: [part] }] }, [rowText(key, 'x')]];
}

async function configured(server: string, onStore: MemoryVersionStore): Promise<Replica> {
  const opened = await openReplica(server, onStore, source);
  source.replicas.set(server, opened);
  await opened.config({ epoch: 1, configId: 1, schema: SCHEMA, shards: [shardConfig('sh')], drop: [], areNew: true });
  return opened;
}

async function keysAt(of: Replica, vat: number, epoch = 1): Promise<number[]> {
  const { text } = await of.read({ epoch, reads: [{ shard: 'sh', vat, low: 0, high: 99 }], maxBytes: 100_000 });
  return splitRows(text).map((row) => (JSON.parse(row) as { id: number }).id);
}

beforeEach(async () => {
  store = new FailingStore('Server0');
  replica = await configured('Server0', store);
});

describe('a probe', () => {
  it('is answered when something has been stored, and changes nothing', async () => {
    await replica.apply(...creating(1, 5));
    const before = await replica.fence({ epoch: 1 });
    expect(await replica.probe({ epoch: 1 })).toEqual({});
    expect(await replica.fence({ epoch: 1 })).toEqual(before);
    store.failure = 'before';
    await expect(replica.probe({ epoch: 1 })).rejects.toMatchObject({ code: 'STORE_FAILED' });
  });

  it('is refused under an epoch that is over', async () => {
    await replica.fence({ epoch: 2 });
    await expect(replica.probe({ epoch: 1 })).rejects.toMatchObject({ code: 'FENCED' });
  });

  it('has its turn behind the rounds that came before', async () => {
    const done: string[] = [];
    await Promise.all([
      replica.apply(...creating(1, 5)).then(() => done.push('round')),
      replica.probe({ epoch: 1 }).then(() => done.push('probe')),
    ]);
    expect(done).toEqual(['round', 'probe']);
  });
});

describe('a message that comes again', () => {
  it('gets the same answer, and nothing is done twice', async () => {
    await replica.apply(...creating(1, 5));
    const first = await replica.apply(...creating(2, 6));
    const before = await replica.fence({ epoch: 1 });
    expect(await replica.apply(...creating(2, 6))).toEqual(first);
    expect(await replica.fence({ epoch: 1 })).toEqual(before);
    expect(await keysAt(replica, 2)).toEqual([5, 6]);
  });

  it('is refused when it is not the newest, or comes under an epoch that is over', async () => {
    await replica.apply(...creating(1, 5));
    await replica.apply(...creating(2, 6));
    await expect(replica.apply(...creating(1, 5))).rejects.toMatchObject({ code: 'STALE_ROUND' });
    await replica.fence({ epoch: 2 });
    await expect(replica.apply(...creating(2, 6))).rejects.toMatchObject({ code: 'FENCED' });
  });

  it('is refused by a process that did not answer it, since that knows the answer no more', async () => {
    await replica.apply(...creating(1, 5));
    const restarted = await openReplica('Server0', store, source);
    await expect(restarted.apply(...creating(1, 5))).rejects.toMatchObject({ code: 'STALE_ROUND' });
  });

  it('is applied when it was not stored the first time', async () => {
    store.failure = 'before';
    await expect(replica.apply(...creating(1, 5))).rejects.toMatchObject({ code: 'STORE_FAILED' });
    await replica.apply(...creating(1, 5));
    expect(await keysAt(replica, 1)).toEqual([5]);
  });
});

describe('the fence', () => {
  const ping = (epoch: number): PingRequest => ({ epoch, configId: 1, vats: {}, marks: {} });
  const copy = { shard: 'sh', from: 0, to: 0, after: null };
  let turn = 0;

  it.each<[string, (epoch: number) => Promise<unknown>]>([
    ['apply', (epoch) => replica.apply({ epoch, rounds: [] }, [])],
    ['read', (epoch) => keysAt(replica, 0, epoch)],
    ['config', (epoch) => replica.config({ epoch, configId: 1, schema: SCHEMA, shards: [], drop: [] })],
    ['fence', (epoch) => replica.fence({ epoch })],
    ['ping', (epoch) => replica.ping(ping(epoch))],
    ['copy', (epoch) => replica.copy({ epoch, ...copy, maxBytes: 1000 })],
    ['catchup', (epoch) => replica.catchup({ epoch, ...copy, turn: (turn += 1), source: 'Server0', maxBytes: 1000 })],
    ['digest', (epoch) => replica.digest({ epoch, shard: 'sh', vat: 0 })],
  ])('of %s: refuses lower epochs, and keeps a higher one durably', async (_verb, ask) => {
    await replica.fence({ epoch: 3 });
    await expect(ask(2)).rejects.toMatchObject({ code: 'FENCED' });
    await ask(3);
    await ask(5);
    expect((await store.load()).epoch).toBe(5);
    await expect(ask(4)).rejects.toMatchObject({ code: 'FENCED' });
  });

  it('lets in nobody but whom it was first set up by under an epoch, and stores who that is', async () => {
    await replica.fence({ epoch: 3, by: 'L1' });
    await replica.fence({ epoch: 3, by: 'L1' });
    await expect(replica.fence({ epoch: 3, by: 'L2' })).rejects.toMatchObject({ code: 'FENCED' });
    expect((await store.load()).epochBy).toBe('L1');
    await replica.ping(ping(4));
    await replica.fence({ epoch: 4, by: 'L2' });
    expect((await store.load()).epochBy).toBe('L2');
    await expect(replica.fence({ epoch: 4, by: 'L1' })).rejects.toMatchObject({ code: 'FENCED' });
  });

  it('lets in a leader that does not say who it is, as those of earlier releases do, and forgets nothing for it', async () => {
    await replica.fence({ epoch: 3, by: 'L1' });
    await replica.fence({ epoch: 3 });
    await expect(replica.fence({ epoch: 3, by: 'L2' })).rejects.toMatchObject({ code: 'FENCED' });
    expect((await store.load()).epochBy).toBe('L1');
  });
});

describe('a failing store', () => {
  it('changes nothing when the transaction did not become durable', async () => {
    await replica.apply(...creating(1, 5));
    const before = await replica.fence({ epoch: 1 });
    store.failure = 'before';
    await expect(replica.apply(...creating(2, 6))).rejects.toMatchObject({ code: 'STORE_FAILED' });
    expect(await replica.fence({ epoch: 1 })).toEqual(before);
    await replica.apply(...creating(2, 6));
    expect(await keysAt(replica, 2)).toEqual([5, 6]);
  });

  it('knows what is stored when the transaction became durable all the same', async () => {
    store.failure = 'after';
    await expect(replica.apply(...creating(1, 5))).rejects.toMatchObject({ code: 'STORE_FAILED' });
    expect(await replica.apply(...creating(1, 5))).toMatchObject({ rounds: [{ parts: [{ outcomes: [{ ok: 1 }] }] }] });
    await replica.apply(...creating(2, 6));
    expect(await keysAt(replica, 2)).toEqual([5, 6]);
  });
});

describe('a message', () => {
  it('is applied as a whole or not at all', async () => {
    const [first, firstRows] = creating(1, 5);
    const [second, secondRows] = creating(2, 6);
    const stray = { ...second.rounds[0]!, parts: second.rounds[0]!.parts.map((part) => ({ ...part, shard: 'other' })) };
    const both = { epoch: 1, rounds: [...first.rounds, stray] };
    await expect(replica.apply(both, [...firstRows, ...secondRows])).rejects.toMatchObject({ code: 'UNKNOWN_SHARD' });
    expect((await replica.fence({ epoch: 1 })).shards).toMatchObject([{ currentTerm: 0, rows: 0 }]);
  });

  it('of several reads is answered in its order', async () => {
    for (const round of [1, 2, 3]) await replica.apply(...creating(round, round * 10));
    const at = (low: number, high: number, vat = 3): object => ({ shard: 'sh', vat, low, high });
    const reads = [at(30, 30), at(10, 20), at(11, 11), at(30, 30, 2), at(10, 10), at(30, 30)] as never;
    const { header, text } = await replica.read({ epoch: 1, reads, maxBytes: 10_000 });
    expect(header.pages.map((page) => page.count)).toEqual([1, 2, 0, 0, 1, 1]);
    const ids = splitRows(text).map((row) => (JSON.parse(row) as { id: number }).id);
    expect(ids).toEqual([30, 10, 20, 10, 30]);
  });
});

describe('purging', () => {
  it('removes in the background what died at or before the mark, and refuses older snapshots from then on', async () => {
    await replica.apply(...creating(1, 5));
    const remove = { shard: 'sh', vat: 1, firstTerm: 2, lastTerm: 2, ops: [{ op: 'delete' as const, key: 5 }] };
    await replica.apply({ epoch: 1, rounds: [{ round: 2, lastTerms: { sh: 2 }, parts: [remove] }] }, []);
    await replica.ping({ epoch: 1, configId: 1, vats: { sh: 2 }, marks: {} });
    await replica.idle();
    await replica.ping({ epoch: 1, configId: 1, vats: {}, marks: { sh: 2 } });
    await replica.idle();
    expect((await store.load()).shards.get('sh')).toMatchObject({ committedVat: 2, purgedTo: 2 });
    expect(await store.readKeys('sh', 1, [5])).toEqual(new Map());
    await expect(keysAt(replica, 1)).rejects.toMatchObject({ code: 'SNAPSHOT_GONE' });
    expect(await keysAt(replica, 2)).toEqual([]);
  });
});

describe('catching up', () => {
  let turn = 0;
  const ask = (from: number, to: number, maxBytes = 1): CatchupRequest => {
    turn += 1;
    return { epoch: 1, turn, shard: 'sh', source: 'Server0', from, to, maxBytes };
  };

  it('serves nobody until the last page, is resumed by a new process, and then follows by difference', async () => {
    for (let round = 1; round <= 9; round += 1) await replica.apply(...creating(round, round));
    const copyStore = new MemoryVersionStore('Copy');
    let copy = await configured('Copy', copyStore);
    let page = await copy.catchup(ask(0, 9));
    const copied = page.rows;
    expect(page.next).not.toBeNull();
    await expect(keysAt(copy, 0)).rejects.toMatchObject({ code: 'SNAPSHOT_GONE' });
    await expect(copy.apply(...creating(1, 50))).rejects.toMatchObject({ code: 'STALE_ROUND' });
    copy = await openReplica('Copy', copyStore, source);
    expect((await copy.fence({ epoch: 1 })).shards).toMatchObject([
      { catchingUp: true, copy: { source: 'Server0', from: 0, to: 9, after: page.next } },
    ]);
    page = await copy.catchup(ask(0, 9, 1_000_000));
    expect(page).toMatchObject({ rows: 9 - copied, next: null });
    expect(await keysAt(copy, 9)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect((await copy.fence({ epoch: 1 })).shards).toMatchObject([
      { currentTerm: 9, committedVat: 9, purgedTo: 9, rows: 9, copy: null },
    ]);

    await copy.apply(...creating(10, 77)); // reaches only this one, and is never committed
    await replica.apply(...creating(10, 10));
    await replica.apply(...creating(11, 11));
    while ((await copy.catchup(ask(9, 11))).next !== null);
    expect(await keysAt(copy, 11)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
    const digest = { epoch: 1, shard: 'sh', vat: 11 };
    expect(await copy.digest(digest)).toEqual(await replica.digest(digest));
  });

  it('keeps what it held aside when asked to, and not the half of a copy that was begun instead', async () => {
    for (let round = 1; round <= 9; round += 1) await replica.apply(...creating(round, round));
    const aside: string[] = [];
    class AsideStore extends MemoryVersionStore {
      override transact<T>(work: (transaction: WriteTransaction) => Promise<T>): Promise<T> {
        return super.transact((transaction) => {
          const setAside = transaction.setShardAside.bind(transaction);
          transaction.setShardAside = async (shard, schema) => {
            aside.push(shard);
            await setAside(shard, schema);
          };
          return work(transaction);
        });
      }
    }
    const copy = await configured('Copy', new AsideStore('Copy'));
    await copy.apply(...creating(1, 70));
    await copy.catchup({ ...ask(0, 8), setAside: true });
    while ((await copy.catchup({ ...ask(0, 9), setAside: true })).next !== null);
    expect(aside).toEqual(['sh']);
    expect(await keysAt(copy, 9)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  it('goes on from another source when the one dies that it began with', async () => {
    for (let round = 1; round <= 9; round += 1) await replica.apply(...creating(round, round));
    const second = await configured('Second', new MemoryVersionStore('Second'));
    while ((await second.catchup(ask(0, 9))).next !== null);
    const copy = await configured('Copy', new MemoryVersionStore('Copy'));
    const { rows, next } = await copy.catchup(ask(0, 9));
    source.replicas.delete('Server0');
    await expect(copy.catchup(ask(0, 9))).rejects.toMatchObject({ code: 'SHARD_UNAVAILABLE', retryable: true });
    expect((await copy.fence({ epoch: 1 })).shards).toMatchObject([{ copy: { after: next } }]);
    const rest = await copy.catchup({ ...ask(0, 9, 1_000_000), source: 'Second' });
    expect(rest).toMatchObject({ rows: 9 - rows, next: null });
    expect(await keysAt(copy, 9)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  it('refuses a request that comes late, when the replica may be in sync', async () => {
    await replica.apply(...creating(1, 5));
    const copy = await configured('Copy', new MemoryVersionStore('Copy'));
    const late = ask(0, 1);
    await copy.catchup(ask(0, 1));
    await copy.apply(...creating(2, 6));
    await expect(copy.catchup(late)).rejects.toMatchObject({ code: 'BAD_REQUEST' });
    expect(await keysAt(copy, 2)).toEqual([5, 6]);
  });

  it('leaves everything as it was when the source does not answer', async () => {
    await replica.apply(...creating(1, 5));
    await expect(replica.catchup({ ...ask(0, 9), source: 'Nobody' })).rejects.toThrow('no replica Nobody');
    expect(await keysAt(replica, 1)).toEqual([5]);
  });
});
