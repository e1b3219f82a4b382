import { ShardlineError } from '#common/contracts/errors';
import type { CatchupRequest, CopyCursor } from '#common/contracts/node';
import { MemoryVersionStore } from '../adapters/memory/memory-version-store';
import type { CopySource } from '../ports/copy-source';
import type { VersionPage, WriteTransaction } from '../ports/version-store';
import { openReplica, rowText, SCHEMA, shardConfig } from '../../test/support/builders';
import type { Replica } from './replica';

const ROWS = ['x', 'x'.repeat(500), 'xx'].map((name, key) => rowText(key, name));

/** Gives one row a page, when it is let. */
class PagedSource implements CopySource {
  asked = 0;
  nowMs = 0;
  /** How long a page takes. */
  pageMs = 0;
  failure: Error | null = null;
  private gate: Promise<void> = Promise.resolve();
  private open: () => void = () => undefined;

  /** From now on pages wait for `go`. */
  hold(): void {
    this.gate = new Promise((resolve) => {
      this.open = resolve;
    });
  }
  go(): void {
    this.open();
  }

  async fetch(_server: string, { after }: { after: CopyCursor | null }): Promise<VersionPage> {
    this.asked += 1;
    await this.gate;
    this.nowMs += this.pageMs;
    if (this.failure !== null) throw this.failure;
    const key = after === null ? 0 : after.key + 1;
    const row = ROWS[key]!;
    const next = key + 1 < ROWS.length ? { key, cat: 1 } : null;
    return { text: await lineOf(key, row), count: 1, largestRowBytes: Buffer.byteLength(row), next };
  }
}

/** As a store sends a version to another one. */
async function lineOf(key: number, row: string): Promise<string> {
  const store = new MemoryVersionStore('Source');
  const source = await openReplica('Source', store, new PagedSource());
  await source.config({ epoch: 1, configId: 1, schema: SCHEMA, shards: [shardConfig('sh')], drop: [], areNew: true });
  const ops = [{ op: 'create' as const, onConflict: 'error' as const, keys: [key] }];
  const part = { shard: 'sh', vat: 0, firstTerm: 1, lastTerm: 1, ops };
  await source.apply({ epoch: 1, rounds: [{ round: 1, lastTerms: { sh: 1 }, parts: [part] }] }, [row]);
  return (await store.copyPage({ shard: 'sh', from: 0, to: 1 }, null, 100_000)).text;
}

/** Notes of each transaction whether it might be lost, and what was put aside. */
class NotingStore extends MemoryVersionStore {
  readonly aside: string[] = [];
  readonly lasting: boolean[] = [];

  override async transact<T>(work: (transaction: WriteTransaction) => Promise<T>): Promise<T> {
    const result = await super.transact((transaction) => {
      const setAside = transaction.setShardAside.bind(transaction);
      transaction.setShardAside = (shard, schema) => {
        this.aside.push(shard);
        return setAside(shard, schema);
      };
      return work(transaction);
    });
    this.lasting.push(!this.newestMayBeLost);
    return result;
  }
}

let source: PagedSource;
let store: NotingStore;
let copy: Replica;
let turn = 0;

beforeEach(async () => {
  source = new PagedSource();
  store = new NotingStore('Copy');
  copy = await openReplica('Copy', store, source, 400, () => source.nowMs);
  const members = { inSync: ['Server0'], replicas: ['Server0', 'Copy'], joining: ['Copy'] };
  const shards = [{ ...shardConfig('sh'), ...members }];
  await copy.config({ epoch: 1, configId: 1, schema: SCHEMA, shards, drop: [] });
  store.lasting.length = 0;
});

function ask(changed: Partial<CatchupRequest> = {}): CatchupRequest {
  turn += 1;
  return { epoch: 1, turn, shard: 'sh', source: 'Server0', from: 0, to: 1, maxBytes: 1_000_000, ...changed };
}

it('makes the last page durable before the shard serves anybody, and only that', async () => {
  expect(await copy.catchup(ask())).toMatchObject({ rows: 3, next: null });
  expect(store.lasting).toEqual([false, false, true]);
});

it('remembers how large the largest row is, in whichever page it came', async () => {
  await copy.catchup(ask());
  expect((await store.load()).shards.get('sh')?.maxRowBytes).toBe(Buffer.byteLength(ROWS[1]!));
});

it('puts nothing aside that it was not asked to put aside', async () => {
  await copy.catchup(ask());
  await copy.catchup(ask());
  expect(store.aside).toEqual([]);
  await copy.catchup(ask({ setAside: true }));
  expect(store.aside).toEqual(['sh']);
});

it('does one request for a shard at a time: a later one has to wait, and the earlier one ends with its page', async () => {
  source.hold();
  const first = copy.catchup(ask());
  await expect(copy.catchup(ask())).rejects.toMatchObject({ code: 'BUSY', retryable: true });
  source.go();
  expect(await first).toMatchObject({ rows: 1, next: { key: 0 } });
  expect(source.asked).toBe(1);
  expect(await copy.catchup(ask())).toMatchObject({ rows: 2, next: null });
});

describe('a request that has been here is not carried out later', () => {
  const LATE = { code: 'BAD_REQUEST', message: expect.stringMatching(/comes late/) as string };

  it('though its source failed it before it stored a page', async () => {
    const request = ask();
    source.failure = new ShardlineError('STORE_FAILED', 'said by the source');
    await expect(copy.catchup(request)).rejects.toMatchObject({ code: 'SHARD_UNAVAILABLE' });
    source.failure = null;
    await expect(copy.catchup(request)).rejects.toMatchObject(LATE);
    expect(await copy.catchup(ask())).toMatchObject({ rows: 3, next: null });
  });

  it('when a later one says so, and that is answered when none is under way', async () => {
    const request = ask();
    const other = ask();
    source.hold();
    const first = copy.catchup(request);
    await expect(copy.catchup(ask({ isCallOff: true }))).rejects.toMatchObject({ code: 'BUSY' });
    source.go();
    await first;
    expect(await copy.catchup(ask({ isCallOff: true }))).toEqual({ rows: 0, bytes: 0, next: null });
    await expect(copy.catchup(other)).rejects.toMatchObject(LATE);
    expect(source.asked).toBe(1);
  });
});

it('ends with the page in which its time is over, and the next request goes on from there', async () => {
  source.pageMs = 30_000;
  expect(await copy.catchup(ask())).toMatchObject({ rows: 2, next: { key: 1 } });
  expect(await copy.catchup(ask())).toMatchObject({ rows: 1, next: null });
});

it.each([
  ['FENCED' as const, 'FENCED'],
  ['SNAPSHOT_GONE' as const, 'SNAPSHOT_GONE'],
  ['SHARD_UNAVAILABLE' as const, 'SHARD_UNAVAILABLE'],
  ['STORE_FAILED' as const, 'SHARD_UNAVAILABLE'],
])('reports that the source said %s as %s', async (code, reported) => {
  source.failure = new ShardlineError(code, 'said by the source');
  await expect(copy.catchup(ask())).rejects.toMatchObject({ code: reported });
});
