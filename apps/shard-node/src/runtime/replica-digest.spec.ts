import { createLogger } from '#common/logging/logger';
import type { DigestReply } from '#common/contracts/node';
import { MemoryVersionStore } from '../adapters/memory/memory-version-store';
import type { DigestPage, DigestPageRange } from '../ports/version-store';
import { DirectSource, rowText, SCHEMA, shardConfig } from '../../test/support/builders';
import { Replica } from './replica';

const PAGE_KEYS = 3;

/** A store of which the size of each page is noted. */
class NotingStore extends MemoryVersionStore {
  readonly pages: number[] = [];

  override digestPage(range: DigestPageRange, maxKeys: number): Promise<DigestPage> {
    this.pages.push(maxKeys);
    return super.digestPage(range, maxKeys);
  }
}

function open(store: NotingStore, digestSliceMs: number): Promise<Replica> {
  const options = {
    ...{ server: 'Server0', instance: 'test', applyQueueLimit: 100, readWidth: 2, readQueueLimit: 100, pageBytes: 400 },
    ...{ catchUpSliceMs: 60_000, digestPageKeys: PAGE_KEYS, digestSliceMs, probeTimeoutMs: 5_000 },
    // Time stands still: a slice ends when it is 0, or never.
    nowMs: () => 0,
  };
  return Replica.open(store, new DirectSource(), options, createLogger('test', 'silent'));
}

/** A replica with the keys 1 to 7, each written by a named op at the term of its key. */
async function filled(digestSliceMs: number, store: NotingStore): Promise<Replica> {
  const replica = await open(store, digestSliceMs);
  await replica.config({ epoch: 1, configId: 1, schema: SCHEMA, shards: [shardConfig('sh')], drop: [], areNew: true });
  for (let key = 1; key <= 7; key += 1) {
    const ops = [{ op: 'create' as const, onConflict: 'error' as const, keys: [key], id: `op${key}` }];
    const part = { shard: 'sh', vat: key - 1, firstTerm: key, lastTerm: key, ops };
    const rounds = [{ round: key, lastTerms: { sh: key }, parts: [part] }];
    await replica.apply({ epoch: 1, rounds }, [rowText(key, 'x')]);
  }
  return replica;
}

const asked = { epoch: 1, shard: 'sh', vat: 7 };

it('of a whole shard is the sum of its slices, and each row is in one of them', async () => {
  const whole = await (await filled(1_000, new NotingStore('Server0'))).digest(asked);
  expect(whole).toMatchObject({ rows: 7, next: null });
  const sliced = await filled(0, new NotingStore('Server0'));
  const slices: DigestReply[] = [];
  for (let after: number | null | undefined; after !== null; after = slices.at(-1)!.next)
    slices.push(await sliced.digest(after === undefined ? asked : { ...asked, after }));
  expect(slices.map(({ rows }) => rows)).toEqual([3, 3, 1]);
  const sum = slices.reduce((total, { digest }) => total + BigInt(digest), 0n);
  expect(String(sum)).toBe(whole.digest);
});

it('reports the outcomes of ops with the last slice, when it is asked for them', async () => {
  const replica = await filled(0, new NotingStore('Server0'));
  expect(await replica.digest({ ...asked, forgottenUpTo: 0 })).not.toHaveProperty('records');
  const last = { ...asked, after: 6 };
  expect(await replica.digest(last)).not.toHaveProperty('records');
  const records = async (forgottenUpTo: number): Promise<unknown> =>
    (await replica.digest({ ...last, forgottenUpTo })).records;
  expect(typeof (await records(0))).toBe('string');
  expect(await records(3)).not.toBe(await records(0));
});

it('takes fewer keys at a time where rows are large', async () => {
  const store = new NotingStore('Server0');
  let replica = await filled(0, store);
  await replica.digest(asked);
  const { shards } = await store.load();
  const large = { ...shards.get('sh')!, maxRowBytes: 10 * 1024 * 1024 };
  await store.transact((transaction) => {
    transaction.saveShard(large);
    return Promise.resolve();
  });
  replica = await open(store, 0);
  await replica.digest(asked);
  expect(store.pages).toEqual([PAGE_KEYS, 2]);
});
