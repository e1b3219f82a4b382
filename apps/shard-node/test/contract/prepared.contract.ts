/** What every version store must do with a configuration that is prepared beside the one in force. */
import type { ClusterRecord } from '#common/contracts/node';
import type { ShardState } from '../../src/core/replica-state';
import type { VersionStore } from '../../src/ports/version-store';
import { rowText, SCHEMA, shardConfig, shardState, UNINFORMED } from '../support/builders';
import type { StoreFactory } from './version-store.contract';

const OTHER = { columns: ['key', 'text'], dtypes: ['Number', 'String'] } as typeof SCHEMA;
const CLUSTER: ClusterRecord = {
  ...{ configId: 8, configEpoch: 3, configVersion: 2, schema: OTHER, shards: ['sh'], servers: ['Server0'] },
  ...{ init: { n: 1, schema: OTHER, shards: [], servers: null }, numbers: { Server0: 4 }, born: [shardConfig('sh')] },
};
const IDENTITY = { server: 'Server0', epoch: 3, configId: 7, schema: SCHEMA, ...UNINFORMED };

export function describePreparing(name: string, factory: StoreFactory): void {
  describe(`a configuration beside another: ${name}`, () => {
    let store: VersionStore;

    beforeEach(async () => {
      store = await factory.fresh();
      await store.load();
      await store.transact(async (transaction) => {
        transaction.saveIdentity(IDENTITY);
        for (const shard of ['sh', 'gone']) {
          const state = shardState(shard, { currentTerm: 1, rows: 1 });
          await transaction.createShard(state, SCHEMA);
          const births = [{ key: 1, cat: 1, row: rowText(1, 'one') }];
          transaction.write({ state, births, deaths: [], records: [{ term: 1, id: 'a', outcome: { ok: 1 } }] });
        }
      });
      await store.transact(async (transaction) => {
        await transaction.prepareTables(['sh', 'new'], OTHER);
      });
    });

    afterEach(async () => {
      await store.close();
    });

    const rows = async (shard: string): Promise<string> =>
      (await store.readRange({ shard, vat: 1, low: 0, high: 9 }, 1000)).text;

    async function activate(shards: readonly ShardState[]): Promise<void> {
      await store.transact(async (transaction) => {
        transaction.activatePrepared(shards, OTHER);
        transaction.saveIdentity({ ...IDENTITY, configId: 8, schema: OTHER });
      });
    }

    it('touches nothing that is served while it is prepared, nor when it is discarded', async () => {
      expect(await rows('sh')).toBe(rowText(1, 'one'));
      await store.transact(async (transaction) => {
        transaction.discardPrepared();
      });
      await store.sweep();
      store = await factory.reopen(await closed(store));
      expect([...(await store.load()).shards.keys()].sort()).toEqual(['gone', 'sh']);
      expect(await rows('sh')).toBe(rowText(1, 'one'));
    });

    it('can be prepared again after it was discarded or half made', async () => {
      await store.transact(async (transaction) => {
        transaction.discardPrepared();
        await transaction.prepareTables(['sh'], OTHER);
      });
      await activate([shardState('sh')]);
      expect(await rows('sh')).toBe('');
    });

    it('takes the place of everything, empty and under its own schema', async () => {
      await activate([shardState('sh'), shardState('new')]);
      await store.sweep();
      store = await factory.reopen(await closed(store));
      expect([...(await store.load()).shards.keys()].sort()).toEqual(['new', 'sh']);
      expect(await rows('sh')).toBe('');
      expect((await store.recordPage({ shard: 'sh', after: 0, upTo: 9 }, 1000)).records).toEqual([]);
      await store.transact(async (transaction) => {
        const births = [{ key: 2, cat: 1, row: '{"key":2,"text":"two"}' }];
        transaction.write({ state: shardState('sh', { currentTerm: 1 }), births, deaths: [], records: [] });
      });
      expect(await rows('sh')).toBe('{"key":2,"text":"two"}');
    });

    it('goes as a whole with a transaction that fails', async () => {
      const failing = store.transact(async (transaction) => {
        transaction.activatePrepared([shardState('sh')], OTHER);
        await transaction.countLiving('sh');
        throw new Error('enough');
      });
      await expect(failing).rejects.toThrow('enough');
      expect(await rows('sh')).toBe(rowText(1, 'one'));
      await activate([shardState('sh')]);
      expect(await rows('sh')).toBe('');
    });

    it('keeps the whole record of the cluster and of every shard', async () => {
      const mark = { epoch: 3, instance: 'one', revision: 44 };
      const prepared = { cluster: CLUSTER, epoch: 3, shards: [shardConfig('sh')] };
      const identity = { ...IDENTITY, cluster: { ...CLUSTER, configId: 7 }, mark, prepared };
      const members = { inSync: ['Server0'], replicas: ['Server0', 'Server1', 'Server2'] };
      const others = { joining: ['Server1'], diverged: ['Server2'] };
      await store.transact(async (transaction) => {
        transaction.saveIdentity(identity);
        transaction.saveShard(shardState('sh', { ...members, ...others }));
      });
      store = await factory.reopen(await closed(store));
      const { shards, ...stored } = await store.load();
      expect(stored).toEqual(identity);
      expect(shards.get('sh')).toMatchObject({ ...members, ...others });
    });
  });
}

async function closed(store: VersionStore): Promise<VersionStore> {
  await store.close();
  return store;
}
