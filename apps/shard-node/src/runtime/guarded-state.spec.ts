import { ShardlineError } from '#common/contracts/errors';
import { MemoryVersionStore } from '../adapters/memory/memory-version-store';
import type { ReplicaState } from '../core/replica-state';
import type { WriteTransaction } from '../ports/version-store';
import { GuardedState } from './guarded-state';

/** A store of which loads are counted, and whose commits and loads can be made to fail. */
class BreakingStore extends MemoryVersionStore {
  loads = 0;
  /** What a commit ends with that has become durable all the same. */
  afterCommit: Error | null = null;
  failingLoads = 0;

  override async load(): Promise<ReplicaState> {
    this.loads += 1;
    if (this.failingLoads > 0) {
      this.failingLoads -= 1;
      throw new ShardlineError('STORE_FAILED', 'Postgres is starting');
    }
    return super.load();
  }

  override async transact<T>(work: (transaction: WriteTransaction) => Promise<T>): Promise<T> {
    const result = await super.transact(work);
    const { afterCommit } = this;
    this.afterCommit = null;
    if (afterCommit !== null) throw afterCommit;
    return result;
  }
}

let store: BreakingStore;
let guarded: GuardedState;

beforeEach(async () => {
  store = new BreakingStore('Server0');
  guarded = await GuardedState.load(store, 10);
});

/** Raises the epoch, which is stored. */
function raise(epoch: number): Promise<undefined> {
  return guarded.change(epoch, (_transaction, state) => Promise.resolve({ state, result: undefined }));
}

it('is loaded once as long as every commit says what came of it', async () => {
  await raise(1);
  await raise(2);
  await guarded.settled();
  expect(guarded.current.epoch).toBe(2);
  expect(store.loads).toBe(1);
});

it('is the one of before, and not reloaded, after a refusal', async () => {
  await raise(2);
  await expect(raise(1)).rejects.toMatchObject({ code: 'FENCED' });
  await raise(2);
  expect(store.loads).toBe(1);
});

it.each([
  ['the store says that it failed', new ShardlineError('STORE_FAILED', 'the connection broke during the commit')],
  ['something breaks that nobody thought of', new Error('cannot read properties of undefined')],
])('is what the store holds when %s after the commit', async (_name, failure) => {
  store.afterCommit = failure;
  await expect(raise(3)).rejects.toThrow(failure.message);
  expect(guarded.current.epoch).toBe(3);
  expect(store.loads).toBe(2);
});

describe('when it cannot be loaded after a commit of which nobody knows', () => {
  beforeEach(async () => {
    store.afterCommit = new ShardlineError('STORE_FAILED', 'the connection broke during the commit');
    store.failingLoads = 1;
    await expect(raise(3)).rejects.toThrow('during the commit');
    expect(guarded.current.epoch).toBe(0);
  });

  it('is loaded before a reader relies on it', async () => {
    await guarded.settled();
    expect(guarded.current.epoch).toBe(3);
  });

  it('is loaded before the next change, which would be refused by it', async () => {
    await expect(raise(2)).rejects.toMatchObject({ code: 'FENCED' });
  });

  it('lets nobody rely on it until then', async () => {
    store.failingLoads = 1;
    await expect(guarded.settled()).rejects.toMatchObject({ code: 'STORE_FAILED' });
    await expect(raise(2)).rejects.toMatchObject({ code: 'FENCED' });
  });
});
