/** What every version store must do with the outcomes of ops; run on each of them. */
import type { OpRecord } from '#common/contracts/node';
import type { VersionStore } from '../../src/ports/version-store';
import { SCHEMA, shardState, UNINFORMED } from '../support/builders';
import type { StoreFactory } from './version-store.contract';

/** Ids and fingerprints with everything in them that some store may spell otherwise. */
const RECORDS: OpRecord[] = [
  { term: 2, id: 'plain', outcome: { ok: 1 } },
  { term: 4, id: '"quoted\\"{},NULL', fingerprint: '{"\\}', outcome: { refused: 'KEY_EXISTS', key: -(2 ** 53) } },
  { term: 5, id: 'null', fingerprint: 'NULL', outcome: { refused: 'KEY_NOT_FOUND', key: 7 } },
  { term: 9, id: "it's", fingerprint: 'p', outcome: { ok: 12 } },
];
const IDS = RECORDS.map(({ id }) => id);

export function describeOpRecords(name: string, factory: StoreFactory): void {
  describe(`outcomes of ops in ${name}`, () => {
    let store: VersionStore;

    beforeEach(async () => {
      store = await factory.fresh();
      await store.load();
      await store.transact(async (transaction) => {
        transaction.saveIdentity({ server: 'Server0', epoch: 3, configId: 7, schema: SCHEMA, ...UNINFORMED });
        for (const shard of ['sh', 'other']) await transaction.createShard(shardState(shard), SCHEMA);
        transaction.write({ state: shardState('sh', { forgottenUpTo: 1 }), births: [], deaths: [], records: RECORDS });
        const foreign = [{ term: 4, id: 'plain', outcome: { ok: 99 } }];
        transaction.write({ state: shardState('other'), births: [], deaths: [], records: foreign });
      });
    });

    afterEach(async () => {
      await store.close();
    });

    /** What a part that builds on `vat` learns of the ids. */
    async function known(forgottenUpTo: number, vat: number, ids = IDS): Promise<[string, unknown][]> {
      return store.transact(async (transaction) => {
        const { ops } = await transaction.lookUp({ shard: 'sh', vat, keys: [], forgottenUpTo, ids });
        return ids.filter((id) => ops.has(id)).map((id) => [id, ops.get(id)]);
      });
    }

    async function all(): Promise<OpRecord[]> {
      return (await store.recordPage({ shard: 'sh', after: 0, upTo: 100 }, 100_000)).records;
    }

    it('knows ids again, as they were written, between the mark and the VAT', async () => {
      const expected = (records: OpRecord[]): unknown[] =>
        records.map((record): unknown => [record.id, expect.objectContaining(record)]);
      expect(await known(0, 9)).toEqual(expected(RECORDS));
      expect(await known(2, 8)).toEqual(expected(RECORDS.slice(1, 3)));
      expect(await known(0, 100, ['unheard'])).toEqual([]);
    });

    it('knows what the same transaction has written before', async () => {
      await store.transact(async (transaction) => {
        const records: OpRecord[] = [{ term: 11, id: 'new', outcome: { ok: 3 } }];
        transaction.write({ state: shardState('sh'), births: [], deaths: [], records });
        const { ops } = await transaction.lookUp({
          shard: 'sh',
          vat: 11,
          keys: [1],
          forgottenUpTo: 0,
          ids: ['new', 'no'],
        });
        expect([...ops].map(([id, { outcome }]) => [id, outcome])).toEqual([['new', { ok: 3 }]]);
      });
    });

    it('remembers them and the mark over a restart', async () => {
      await store.close();
      store = await factory.reopen(store);
      expect((await store.load()).shards.get('sh')?.forgottenUpTo).toBe(1);
      expect(await all()).toEqual(RECORDS);
    });

    it('undoes those above a VAT, of the one shard', async () => {
      await store.transact((transaction) => transaction.undoAbove('sh', 4));
      expect(await all()).toEqual(RECORDS.slice(0, 2));
      await store.transact((transaction) => transaction.undoAbove('sh', 0));
      expect((await store.recordPage({ shard: 'other', after: 0, upTo: 9 }, 1000)).records).toHaveLength(1);
    });

    it('forgets the oldest up to a mark, a few at a time', async () => {
      const forget = (mark: number): Promise<number> =>
        store.transact((transaction) => transaction.forget('sh', mark, 2));
      expect([await forget(5), await forget(5), await forget(5)]).toEqual([2, 1, 0]);
      expect(await all()).toEqual(RECORDS.slice(3));
    });

    it('pages through them in the order of their terms, and another store becomes the same', async () => {
      const copy = await factory.fresh();
      try {
        await copy.load();
        await copy.transact(async (transaction) => {
          transaction.saveIdentity({ server: 'Server0', epoch: 3, configId: 7, schema: SCHEMA, ...UNINFORMED });
          await transaction.createShard(shardState('sh'), SCHEMA);
        });
        for (let after: number | null = 2; after !== null;) {
          const page = await store.recordPage({ shard: 'sh', after, upTo: 8 }, 1);
          expect(page.records.length).toBeLessThanOrEqual(1);
          await copy.transact(async (transaction) => {
            transaction.putRecords('sh', page.records);
            transaction.putRecords('sh', page.records); // once more changes nothing
          });
          after = page.next;
        }
        const copied = await copy.recordPage({ shard: 'sh', after: 0, upTo: 100 }, 10_000);
        expect(copied).toEqual({ records: RECORDS.slice(1, 3), next: null });
        const digest = (of: VersionStore, after: number, upTo: number): Promise<string> =>
          of.digestRecords({ shard: 'sh', after, upTo });
        expect(await digest(copy, 2, 8)).toBe(await digest(store, 2, 8));
        expect(await digest(copy, 1, 8)).not.toBe(await digest(store, 1, 8));
        expect(await digest(copy, 2, 9)).not.toBe(await digest(store, 2, 9));
      } finally {
        await copy.close();
      }
    });

    it('finds an id in several shards', async () => {
      const ranges = (after: number): { shard: string; after: number; upTo: number }[] =>
        ['sh', 'other'].map((shard) => ({ shard, after, upTo: 9 }));
      const found = await store.findRecords('plain', ranges(0));
      expect(found.sort((a, b) => a.term - b.term)).toEqual([
        { shard: 'sh', term: 2, outcome: { ok: 1 } },
        { shard: 'other', term: 4, outcome: { ok: 99 } },
      ]);
      expect(await store.findRecords('plain', ranges(2))).toHaveLength(1);
      expect(await store.findRecords('plain', [{ shard: 'sh', after: 0, upTo: 1 }])).toEqual([]);
      expect(await store.findRecords('plain', [])).toEqual([]);
    });

    it('goes without a trace when its shard is cleared or dropped', async () => {
      await store.transact(async (transaction) => {
        transaction.clearShard('sh');
      });
      expect(await all()).toEqual([]);
      await store.transact(async (transaction) => {
        transaction.dropShard('other');
        await transaction.createShard(shardState('other'), SCHEMA);
      });
      expect(await store.findRecords('plain', [{ shard: 'other', after: 0, upTo: 9 }])).toEqual([]);
    });
  });
}
