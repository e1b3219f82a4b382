import { ShardlineError } from '#common/contracts/errors';
import type { PingRequest } from '#common/contracts/node';
import { MemoryVersionStore } from '../adapters/memory/memory-version-store';
import type { ReplicaState, ShardState } from '../core/replica-state';
import type { WriteTransaction } from '../ports/version-store';
import { DirectSource, openReplica, rowText, SCHEMA, shardConfig } from '../../test/support/builders';
import type { Replica } from './replica';

/** A store that notes what is saved, can be slow, out of reach, or leave open what came of a commit. */
class WatchedStore extends MemoryVersionStore {
  transactions = 0;
  marks = 0;
  readonly saved: ShardState[] = [];
  isDown = false;
  breaksOnce = false;
  failingLoads = 0;
  gate: Promise<void> = Promise.resolve();

  override probe(): Promise<void> {
    return this.isDown ? Promise.reject(new ShardlineError('STORE_FAILED', 'no connection')) : super.probe();
  }

  override async load(): Promise<ReplicaState> {
    this.failingLoads -= 1;
    if (this.failingLoads >= 0) throw new ShardlineError('STORE_FAILED', 'no connection');
    return super.load();
  }

  override async transact<T>(work: (transaction: WriteTransaction) => Promise<T>): Promise<T> {
    this.transactions += 1;
    await this.gate;
    if (this.isDown) throw new ShardlineError('STORE_FAILED', 'no connection');
    // In memory a round's write saves the whole state; the statement of Postgres does not.
    let isWriting = false;
    const result = await super.transact((transaction) => {
      const [saveShard, saveMark] = [transaction.saveShard.bind(transaction), transaction.saveMark.bind(transaction)];
      transaction.saveShard = (shard) => {
        if (!isWriting) this.saved.push(shard);
        saveShard(shard);
      };
      const write = transaction.write.bind(transaction);
      transaction.write = (part) => {
        isWriting = true;
        write(part);
        isWriting = false;
      };
      transaction.saveMark = (mark) => {
        this.marks += 1;
        saveMark(mark);
      };
      return work(transaction);
    });
    if (this.breaksOnce) {
      this.breaksOnce = false;
      throw new ShardlineError('STORE_FAILED', 'the connection broke during the commit');
    }
    return result;
  }
}

let store: WatchedStore;
let replica: Replica;
const MARK = { epoch: 1, instance: 'a', revision: 12 };

beforeEach(async () => {
  store = new WatchedStore('Server0');
  replica = await openReplica('Server0', store, new DirectSource());
  await replica.config({ epoch: 1, configId: 1, schema: SCHEMA, shards: [shardConfig('sh')], drop: [], areNew: true });
  store.saved.length = 0;
});

function ping(changed: Partial<PingRequest> = {}): PingRequest {
  return { epoch: 1, configId: 1, vats: {}, marks: {}, ...changed };
}

function write(round: number, epochStarts?: ShardState['epochStarts']): Promise<unknown> {
  const ops = [{ op: 'create' as const, onConflict: 'error' as const, keys: [round] }];
  const part = { shard: 'sh', vat: round - 1, firstTerm: round, lastTerm: round, ops };
  const carried = epochStarts === undefined ? part : { ...part, epochStarts };
  return replica.apply({ epoch: 1, rounds: [{ round, lastTerms: { sh: round }, parts: [carried] }] }, [
    rowText(round, 'x'),
  ]);
}

describe('a heartbeat', () => {
  it('has nothing written that is known already', async () => {
    await replica.ping(ping({ bucket: MARK }));
    await replica.idle();
    const { transactions } = store;
    await replica.ping(ping({ bucket: MARK }));
    await replica.idle();
    expect(store.transactions).toBe(transactions);
  });

  it('has the mark of the bucket written when it is newer, and not each time that a VAT is', async () => {
    for (const round of [1, 2]) {
      await write(round);
      await replica.ping(ping({ vats: { sh: round }, bucket: MARK }));
      await replica.idle();
    }
    expect((await store.load()).shards.get('sh')?.committedVat).toBe(2);
    expect(store.marks).toBe(1);
  });

  it('queues one write at a time for what it brings, however long the disk takes', async () => {
    await write(1);
    const { transactions } = store;
    let go: () => void = () => undefined;
    store.gate = new Promise((resolve) => {
      go = resolve;
    });
    for (let count = 0; count < 20; count += 1) await replica.ping(ping({ vats: { sh: 1 } }));
    go();
    await replica.idle();
    expect(store.transactions).toBe(transactions + 1);
    expect((await store.load()).shards.get('sh')?.committedVat).toBe(1);
  });

  it('has nothing purged by what it brings of another configuration’s shard of that name', async () => {
    for (const round of [1, 2]) await write(round);
    await replica.ping(ping({ vats: { sh: 2 } }));
    await replica.ping(ping({ configId: 2, marks: { sh: 2 } }));
    await replica.idle();
    expect((await store.load()).shards.get('sh')?.purgedTo).toBe(0);
    await replica.ping(ping({ marks: { sh: 2 } }));
    await replica.idle();
    expect((await store.load()).shards.get('sh')?.purgedTo).toBe(2);
  });

  it('reports what is stored, once a commit has left open what that is', async () => {
    store.breaksOnce = true;
    store.failingLoads = 1;
    await expect(write(1)).rejects.toMatchObject({ code: 'STORE_FAILED' });
    expect((await replica.ping(ping())).shards).toMatchObject([{ currentTerm: 1 }]);
  });
});

describe('without Postgres a heartbeat', () => {
  beforeEach(() => {
    store.isDown = true;
  });

  it('is answered under the epoch that is known, and says so', async () => {
    expect(await replica.ping(ping())).toMatchObject({ postgres: 'down', epoch: 1 });
  });

  it('of a leader that leads no more is refused all the same', async () => {
    await expect(replica.ping(ping({ epoch: 0 }))).rejects.toMatchObject({ code: 'FENCED' });
  });

  it('of a new leader is not answered, since its epoch cannot be stored', async () => {
    await expect(replica.ping(ping({ epoch: 2 }))).rejects.toMatchObject({ code: 'STORE_FAILED' });
  });
});

it('stores with a round what a take-over decided, where it carries that', async () => {
  await write(1);
  expect(store.saved).toEqual([]);
  await write(2, [{ epoch: 1, vat: 1 }]);
  expect(store.saved).toMatchObject([{ shard: 'sh', currentTerm: 2, epochStarts: [{ epoch: 1, vat: 1 }] }]);
});
