/** What every version store must do; run on each of them. */
import fc from 'fast-check';
import { ShardlineError } from '#common/contracts/errors';
import { splitRows } from '#common/nats/lines';
import type { LivingBirth } from '../../src/core/round-plan';
import { blankIdentity, type ShardState } from '../../src/core/replica-state';
import type { DigestPage, RowPage, VersionPage, VersionStore, WriteTransaction } from '../../src/ports/version-store';
import { rowText, SCHEMA, shardState, UNINFORMED } from '../support/builders';

/** Opens stores; the contract closes those it opened. */
export interface StoreFactory {
  /** An empty store of `Server0`. */
  fresh(): Promise<VersionStore>;
  /** The same data as a new process finds them; `store` is closed already. */
  reopen(store: VersionStore): Promise<VersionStore>;
}

const FAR = 1_000_000;

export function describeVersionStore(name: string, factory: StoreFactory): void {
  describe(`version store: ${name}`, () => {
    let store: VersionStore;

    beforeEach(async () => {
      store = await factory.fresh();
    });

    afterEach(async () => {
      await store.close();
    });

    /** Creates the shard `sh` and writes births at their terms. */
    async function given(births: LivingBirth[], state: Partial<ShardState> = {}): Promise<void> {
      await store.load();
      await store.transact(async (transaction) => {
        transaction.saveIdentity({ server: 'Server0', epoch: 3, configId: 7, schema: SCHEMA, ...UNINFORMED });
        await transaction.createShard(shardState('sh'), SCHEMA);
        transaction.write({ state: shardState('sh', { rows: births.length }), births, deaths: [], records: [] });
        transaction.saveShard(shardState('sh', { ...state, rows: births.length }));
      });
    }

    function end(key: number, dat: number): Promise<void> {
      return store.transact(async (transaction) => {
        transaction.write({ state: shardState('sh'), births: [], deaths: [{ key, dat }], records: [] });
      });
    }

    it('is empty and not configured at first', async () => {
      expect(await store.load()).toEqual({ ...blankIdentity('Server0'), shards: new Map() });
      await expect(store.probe()).resolves.toBeUndefined();
    });

    it('gives everything back that was made durable, also to the next process', async () => {
      const newestRound = { epoch: 3, round: 4, lastTerms: { sh: 5, other: 9 }, refused: true };
      const state: Partial<ShardState> = {
        currentTerm: 5,
        committedVat: 4,
        purgedTo: 2,
        forgottenUpTo: 3,
        newestRound,
        epochStarts: [
          { epoch: 2, vat: 1 },
          { epoch: 3, round: 4, vat: 4 },
        ],
        inSync: ['Server0', 'S[1]'],
        maxRowBytes: 99,
        catchUp: { from: 1, to: 5, source: 'Server1', after: { key: -3, cat: 4 } },
        copyTurn: { epoch: 3, turn: 12 },
      };
      await given([{ key: 1, cat: 5, row: rowText(1, 'Ada') }], state);
      await store.close();
      store = await factory.reopen(store);
      expect(await store.load()).toEqual({
        ...UNINFORMED,
        server: 'Server0',
        epoch: 3,
        configId: 7,
        schema: SCHEMA,
        shards: new Map([['sh', shardState('sh', { ...state, rows: 1 })]]),
      });
      expect(await rowsAt(store, 5)).toEqual([rowText(1, 'Ada')]);
    });

    it('undoes everything when the work of a transaction fails', async () => {
      await given([{ key: 1, cat: 1, row: rowText(1, 'Ada') }]);
      const before = await store.load();
      const failing = store.transact(async (transaction) => {
        transaction.saveIdentity({ server: 'Server0', epoch: 9, configId: 9, schema: SCHEMA, ...UNINFORMED });
        transaction.write({
          state: shardState('sh', { currentTerm: 3 }),
          births: [{ key: 2, cat: 3, row: rowText(2, 'B') }],
          deaths: [{ key: 1, dat: 2 }],
          records: [],
        });
        await transaction.countLiving('sh');
        throw new ShardlineError('STALE_ROUND', 'no');
      });
      await expect(failing).rejects.toMatchObject({ code: 'STALE_ROUND' });
      expect(await store.load()).toEqual(before);
      expect(await rowsAt(store, FAR)).toEqual([rowText(1, 'Ada')]);
    });

    it('refuses to end a record that does not live, and changes nothing', async () => {
      await given([{ key: 1, cat: 1, row: rowText(1, 'Ada') }]);
      const failing = store.transact(async (transaction) => {
        transaction.write({
          state: shardState('sh', { currentTerm: 3 }),
          births: [{ key: 5, cat: 3, row: rowText(5, 'E') }],
          deaths: [{ key: 2, dat: 2 }],
          records: [],
        });
      });
      await expect(failing).rejects.toMatchObject({ code: 'STORE_FAILED' });
      await store.load();
      expect(await rowsAt(store, FAR)).toEqual([rowText(1, 'Ada')]);
    });

    it('reports which keys live at a VAT, within the transaction that writes them', async () => {
      await given([
        { key: 1, cat: 1, row: rowText(1, 'a') },
        { key: 2, cat: 4, row: rowText(2, 'b') },
      ]);
      await end(1, 5);
      await store.transact(async (transaction) => {
        expect(await livingAt(transaction, 3)).toEqual(new Set([1]));
        expect(await livingAt(transaction, 4)).toEqual(new Set([1, 2]));
        transaction.write({
          state: shardState('sh', { currentTerm: 6 }),
          births: [{ key: 3, cat: 6, row: rowText(3, 'c') }],
          deaths: [],
          records: [],
        });
        expect(await livingAt(transaction, 6)).toEqual(new Set([2, 3]));
      });
    });

    it('undoes births and deaths above a VAT and reports how many more live', async () => {
      await given([
        { key: 1, cat: 1, row: rowText(1, 'a') },
        { key: 2, cat: 2, row: rowText(2, 'b') },
        { key: 3, cat: 5, row: rowText(3, 'c') },
      ]);
      await end(1, 2);
      await end(2, 6);
      const change = await store.transact(async (transaction) => transaction.undoAbove('sh', 2));
      expect(change).toBe(0); // c is gone, b is back
      expect(await rowsAt(store, FAR)).toEqual([rowText(2, 'b')]);
      expect(await rowsAt(store, 1)).toEqual([rowText(1, 'a')]);
    });

    it('purges what died at or before the mark, no more than asked for', async () => {
      await given([1, 2, 3, 4].map((key) => ({ key, cat: key, row: rowText(key, 'x') })));
      for (const key of [1, 2, 3]) await end(key, 10 + key);
      const purge = (limit: number): Promise<number> =>
        store.transact(async (transaction) => transaction.purge('sh', 12, limit));
      expect(await purge(1)).toBe(1);
      expect(await purge(10)).toBe(1);
      expect(await purge(10)).toBe(0);
      expect(await rowsAt(store, 10)).toEqual([rowText(3, 'x'), rowText(4, 'x')]);
    });

    it('clears and drops shards', async () => {
      await given([{ key: 1, cat: 1, row: rowText(1, 'a') }]);
      await store.transact(async (transaction) => {
        transaction.clearShard('sh');
      });
      expect(await rowsAt(store, FAR)).toEqual([]);
      await store.transact(async (transaction) => {
        transaction.dropShard('sh');
        await transaction.createShard(shardState('sh', { low: 7 }), SCHEMA);
        await transaction.createShard(shardState('Sh[2]'), SCHEMA);
      });
      expect([...(await store.load()).shards.keys()].sort()).toEqual(['Sh[2]', 'sh']);
      await store.transact(async (transaction) => {
        transaction.dropShard('sh');
      });
      await expect(store.readRange({ shard: 'sh', vat: 1, low: 0, high: 1 }, 100)).rejects.toMatchObject({
        code: 'UNKNOWN_SHARD',
      });
    });

    it('reads single keys as they are at a VAT', async () => {
      await given([
        { key: 1, cat: 1, row: rowText(1, 'a') },
        { key: 2, cat: 2, row: rowText(2, 'b') },
      ]);
      await end(1, 3);
      expect(await store.readKeys('sh', 2, [2, 1, 9])).toEqual(
        new Map([
          [1, rowText(1, 'a')],
          [2, rowText(2, 'b')],
        ]),
      );
      expect(await store.readKeys('sh', 3, [1])).toEqual(new Map());
    });

    it('pages through rows of any size: all of them once, in order, no page too large', async () => {
      const sizes = fc.array(fc.oneof(fc.nat(30), fc.constant(3000)), { maxLength: 40 });
      await given([]);
      await fc.assert(
        fc.asyncProperty(sizes, fc.integer({ min: 1, max: 5000 }), fc.boolean(), async (bytes, maxBytes, measured) => {
          const rows = bytes.map((length, index) => rowText(index * 2, 'ü'.repeat(length)));
          const births = rows.map((row, index) => ({ key: index * 2, cat: 1, row }));
          const maxRowBytes = measured ? Math.max(0, ...rows.map((row) => Buffer.byteLength(row))) : 0;
          await store.transact(async (transaction) => {
            transaction.clearShard('sh');
            transaction.write({ state: shardState('sh', { maxRowBytes }), births, deaths: [], records: [] });
          });
          const pages = await readAll(store, maxBytes);
          expect(pages.flatMap((page) => splitRows(page.text))).toEqual(rows);
          for (const page of pages) expectFit(page, maxBytes);
        }),
        { numRuns: 30 },
      );
    });

    it('pages up to the largest key, and down to the smallest', async () => {
      const keys = [-(2 ** 53), 1 - 2 ** 53, 2 ** 53 - 1, 2 ** 53];
      const rows = keys.map((key) => rowText(key, 'x'));
      // Believed to be larger than they are, so that the first statement fetches no more than these four.
      const births = keys.map((key, index) => ({ key, cat: 1, row: rows[index]! }));
      await given(births, { maxRowBytes: 2000 });
      const ends = { low: -(2 ** 53), high: 2 ** 53 };
      for (const maxBytes of [8_500, 1, 250, 100_000]) {
        const pages = await readAll(store, maxBytes, ends);
        expect(pages.flatMap((page) => splitRows(page.text)).map(keyOf)).toEqual(keys);
      }
    });

    it('reads no further than the end of the range', async () => {
      await given([1, 2, 3, 4].map((key) => ({ key, cat: 1, row: rowText(key, 'x') })));
      const page = await store.readRange({ shard: 'sh', vat: 1, low: 2, high: 3 }, 10_000);
      expect(page).toEqual({ count: 2, text: `${rowText(2, 'x')},\n${rowText(3, 'x')}`, next: null });
    });

    it('serves a snapshot and a difference so that another store becomes the same', async () => {
      await given([1, 2, 3].map((key) => ({ key, cat: key, row: rowText(key, 'x') })));
      const copy = await factory.fresh();
      try {
        await copy.load();
        await copy.transact(async (transaction) => {
          transaction.saveIdentity({ server: 'Server0', epoch: 3, configId: 7, schema: SCHEMA, ...UNINFORMED });
          await transaction.createShard(shardState('sh'), SCHEMA);
        });
        await copyVersions(store, copy, 0, 3, 1);
        expect(await wholeDigest(copy, 3)).toEqual(await wholeDigest(store, 3));
        await end(2, 4);
        await store.transact(async (transaction) => {
          const births = [
            { key: 2, cat: 5, row: rowText(2, 'y') },
            { key: 9, cat: 7, row: rowText(9, 'late') },
          ];
          transaction.write({ state: shardState('sh'), births, deaths: [{ key: 3, dat: 7 }], records: [] });
        });
        await copyVersions(store, copy, 3, 6, 10_000);
        await copyVersions(store, copy, 3, 6, 1); // once more changes nothing
        for (const vat of [3, 4, 5, 6]) expect(await wholeDigest(copy, vat)).toEqual(await wholeDigest(store, vat));
        expect(await rowsAt(copy, FAR)).toEqual([rowText(1, 'x'), rowText(2, 'y'), rowText(3, 'x')]);
      } finally {
        await copy.close();
      }
    });

    it('digests what is visible, whatever else is stored', async () => {
      await given([1, 2].map((key) => ({ key, cat: key, row: rowText(key, 'x') })));
      const before = await wholeDigest(store, 2);
      expect(before.rows).toBe(2);
      await end(2, 3);
      expect(await wholeDigest(store, 2)).toEqual(before);
      const after = await wholeDigest(store, 3);
      expect(after.rows).toBe(1);
      expect(after.digest).not.toBe(before.digest);
    });

    it('digests page by page, in key order, and all pages together are the whole', async () => {
      const keys = [-7, 0, 3, 40, 41, 42, 99];
      await given(keys.map((key, index) => ({ key, cat: index + 1, row: rowText(key, 'x') })));
      await end(42, 20);
      const whole = await wholeDigest(store, 20);
      expect(whole).toMatchObject({ rows: 6, next: null });
      for (const maxKeys of [1, 2, 3, 5, 6]) {
        let [sum, rows, pages] = [0n, 0, 0];
        let after: number | null = null;
        do {
          const page = await store.digestPage({ shard: 'sh', vat: 20, after }, maxKeys);
          expect(page.rows).toBeLessThanOrEqual(maxKeys);
          if (page.next !== null) expect(page.next).toBeGreaterThan(after ?? -Infinity);
          sum += BigInt(page.digest);
          [rows, after, pages] = [rows + page.rows, page.next, pages + 1];
        } while (after !== null);
        expect([String(sum), rows, pages]).toEqual([whole.digest, 6, Math.ceil(6 / maxKeys)]);
      }
      expect(await store.digestPage({ shard: 'sh', vat: 20, after: 99 }, 5)).toEqual({
        digest: '0',
        rows: 0,
        next: null,
      });
    });

    it('digests parts of a range, which together are the range, and single versions where they are few', async () => {
      const keys = [0, 3, 40, 41, 42, 99, 100, 250];
      await given(keys.map((key, index) => ({ key, cat: index + 1, row: rowText(key, 'x') })));
      await end(42, 20);
      const whole = await wholeDigest(store, 20);
      const all = await store.digestWithin('sh', 20, { low: 0, high: 299, parts: 3 });
      expect(all).toMatchObject(whole);
      expect(all.versions).toBeUndefined();
      expect(all.parts?.map(({ low, high, rows }) => [low, high, rows])).toEqual([
        [0, 99, 5],
        [100, 199, 1],
        [200, 299, 1],
      ]);
      for (const { low, high, rows, digest } of all.parts ?? []) {
        expect(await store.digestWithin('sh', 20, { low, high, parts: 7 })).toMatchObject({ rows, digest });
      }
      const few = await store.digestWithin('sh', 20, { low: 3, high: 41, parts: 3 });
      expect(few.versions?.map(({ key, cat }) => [key, cat])).toEqual([
        [3, 2],
        [40, 3],
        [41, 4],
      ]);
      const one = await store.digestWithin('sh', 20, { low: 40, high: 40, parts: 2 });
      expect(one.versions).toEqual([{ key: 40, cat: 3, digest: one.digest }]);
      expect(few.versions).toContainEqual({ key: 40, cat: 3, digest: one.digest });
      expect(await store.digestWithin('sh', 20, { low: 43, high: 98, parts: 2 })).toEqual({
        ...{ digest: '0', rows: 0, next: null },
        ...{ parts: [], versions: [] },
      });
    });

    it('digests parts up to the ends of the keys', async () => {
      const keys = [-(2 ** 52), -5, 2 ** 52 - 2, 2 ** 52 - 1];
      await given(keys.map((key) => ({ key, cat: 1, row: rowText(key, 'x') })));
      const ends = { low: -(2 ** 52), high: 2 ** 52 - 1 };
      for (const parts of [2, 3, 256, 1000]) {
        const reply = await store.digestWithin('sh', 1, { ...ends, parts });
        expect(reply.rows).toBe(4);
        expect(reply.parts?.[0]?.low).toBe(ends.low);
        expect(reply.parts?.at(-1)?.high).toBe(ends.high);
        expect(reply.parts?.at(-1)?.rows).toBe(2);
      }
    });

    it('sets a shard aside: it is empty then and can be filled again, more than once', async () => {
      for (const name of ['a', 'b']) {
        if (name === 'a') await given([{ key: 1, cat: 1, row: rowText(1, 'a') }]);
        await store.transact(async (transaction) => {
          await transaction.setShardAside('sh', SCHEMA);
          expect(await transaction.countLiving('sh')).toBe(0);
          const births = [{ key: 2, cat: 2, row: rowText(2, name) }];
          transaction.write({ state: shardState('sh'), births, deaths: [], records: [] });
        });
        expect(await rowsAt(store, FAR)).toEqual([rowText(2, name)]);
        await end(2, 3);
        expect(await rowsAt(store, FAR)).toEqual([]);
      }
      await store.transact(async (transaction) => {
        transaction.dropShard('sh');
        await transaction.createShard(shardState('sh'), SCHEMA);
      });
      expect(await rowsAt(store, FAR)).toEqual([]);
    });
  });
}

/** Which of the keys 1 to 3 live at the VAT. */
async function livingAt(transaction: WriteTransaction, vat: number): Promise<ReadonlySet<number>> {
  return (await transaction.lookUp({ shard: 'sh', vat, keys: [1, 2, 3], forgottenUpTo: 0, ids: [] })).living;
}

async function copyVersions(
  source: VersionStore,
  target: VersionStore,
  from: number,
  to: number,
  maxBytes: number,
): Promise<void> {
  let after: VersionPage['next'] = null;
  do {
    const page: VersionPage = await source.copyPage({ shard: 'sh', from, to }, after, maxBytes);
    if (page.count > 1) expect(Buffer.byteLength(page.text)).toBeLessThanOrEqual(maxBytes);
    await target.transact(async (transaction) => {
      const before = await transaction.countLiving('sh');
      const change = await transaction.putVersions('sh', page, from === 0);
      expect(change).toBe((await transaction.countLiving('sh')) - before);
    });
    after = page.next;
  } while (after !== null);
}

function keyOf(row: string): number {
  return (JSON.parse(row) as { id: number }).id;
}

async function readAll(store: VersionStore, maxBytes: number, ends = { low: 0, high: FAR }): Promise<RowPage[]> {
  const pages: RowPage[] = [];
  for (let low: number | null = ends.low; low !== null;) {
    const page: RowPage = await store.readRange({ shard: 'sh', vat: FAR, low, high: ends.high }, maxBytes);
    pages.push(page);
    low = page.next;
  }
  return pages;
}

function expectFit(page: { text: string; count: number }, maxBytes: number): void {
  expect(splitRows(page.text)).toHaveLength(page.count);
  if (page.count > 1) expect(Buffer.byteLength(page.text)).toBeLessThanOrEqual(maxBytes);
}

/** Of everything that is visible. */
function wholeDigest(store: VersionStore, vat: number): Promise<DigestPage> {
  return store.digestPage({ shard: 'sh', vat, after: null }, FAR);
}

async function rowsAt(store: VersionStore, vat: number): Promise<string[]> {
  const page = await store.readRange({ shard: 'sh', vat, low: -FAR, high: FAR }, 10_000_000);
  return splitRows(page.text);
}
