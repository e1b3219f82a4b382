import type { ClusterRecord, ConfigRequest } from '#common/contracts/node';
import { MemoryVersionStore } from '../adapters/memory/memory-version-store';
import { DirectSource, openReplica, rowText, SCHEMA, shardConfig } from '../../test/support/builders';
import type { Replica } from './replica';

function clusterRecord(configId: number, configVersion = 1): ClusterRecord {
  return {
    ...{ configId, configEpoch: 1, configVersion, schema: SCHEMA, shards: ['sh'], servers: ['Server0'] },
    ...{
      init: { n: 1, schema: SCHEMA, shards: [], servers: null },
      numbers: { Server0: 0 },
      born: [shardConfig('sh')],
    },
  };
}

function request(configId: number, changes: Partial<ConfigRequest> = {}): ConfigRequest {
  const shards = [shardConfig('sh')];
  return { epoch: 1, configId, schema: SCHEMA, shards, drop: [], cluster: clusterRecord(configId), ...changes };
}

describe('configurations of a replica', () => {
  let replica: Replica;
  let store: MemoryVersionStore;

  beforeEach(async () => {
    store = new MemoryVersionStore('Server0');
    replica = await openReplica('Server0', store, new DirectSource());
    await replica.config(request(5, { areNew: true }));
    const part = { shard: 'sh', vat: 0, firstTerm: 1, lastTerm: 1 };
    const ops = [{ op: 'create' as const, onConflict: 'error' as const, keys: [1] }];
    const rounds = [{ round: 1, lastTerms: { sh: 1 }, parts: [{ ...part, ops }] }];
    await replica.apply({ epoch: 1, rounds }, [rowText(1, 'one')]);
  });

  const rows = async (): Promise<number> => (await store.load()).shards.get('sh')?.rows ?? -1;
  const fence = (): ReturnType<Replica['fence']> => replica.fence({ epoch: 1 });

  it('are not given up for an earlier one', async () => {
    await expect(replica.config(request(4, { areNew: true }))).rejects.toMatchObject({ code: 'ALREADY_CONFIGURED' });
    expect(await rows()).toBe(1);
  });

  it('serve on while the next is prepared, and report it without taking it for one in force', async () => {
    await replica.config(request(6, { stage: 'prepare' }));
    expect(await fence()).toMatchObject({ configId: 5, prepared: 6, cluster: { configId: 5 } });
    expect(await rows()).toBe(1);
  });

  it('change with the first request of what was prepared: all of its shards, empty and whole', async () => {
    await replica.config(request(6, { stage: 'prepare' }));
    const { shards } = await replica.config(request(6, { shards: [] }));
    expect(shards).toMatchObject([{ shard: 'sh', rows: 0, catchingUp: false, currentTerm: 0 }]);
    expect(await fence()).toMatchObject({ configId: 6, prepared: null, cluster: { configId: 6 } });
  });

  it('are known as a whole when they are in force, also to one that gets a shard first', async () => {
    await replica.config(request(6, { stage: 'prepare' }));
    const { cluster, ...ofShard } = request(6);
    await replica.config(ofShard);
    expect(await fence()).toMatchObject({ configId: 6, cluster });
  });

  it('take nothing that comes late: neither what was prepared earlier, nor an end that is meant for something else', async () => {
    await replica.config(request(7, { stage: 'prepare' }));
    await expect(replica.config(request(6, { stage: 'prepare' }))).rejects.toMatchObject({
      code: 'ALREADY_CONFIGURED',
    });
    await replica.config(request(6, { stage: 'discard', shards: [] }));
    expect(await fence()).toMatchObject({ configId: 5, prepared: 7 });
    await replica.config(request(7, { shards: [] }));
    await expect(replica.config(request(7, { stage: 'prepare' }))).rejects.toMatchObject({
      code: 'ALREADY_CONFIGURED',
    });
    expect(await fence()).toMatchObject({ configId: 7, prepared: null });
  });

  it('forget what was prepared when that is discarded', async () => {
    await replica.config(request(6, { stage: 'prepare' }));
    await replica.config(request(6, { stage: 'discard', shards: [] }));
    expect(await fence()).toMatchObject({ configId: 5, prepared: null });
    const { shards } = await replica.config(request(6));
    expect(shards).toMatchObject([{ shard: 'sh', catchingUp: true }]);
  });

  it('keep the newest record and mark, and send the record only to who knows an older one', async () => {
    const mark = { epoch: 1, instance: 'a', revision: 9 };
    await replica.config(request(5, { shards: [], cluster: clusterRecord(5, 3), mark }));
    await replica.config(request(5, { shards: [], cluster: clusterRecord(5, 2), mark: { ...mark, revision: 8 } }));
    expect(await fence()).toMatchObject({ cluster: { configVersion: 3 }, mark });
    const known = { configId: 5, configEpoch: 1, configVersion: 3 };
    expect(await replica.fence({ epoch: 1, known })).toMatchObject({ cluster: null });
    expect(await replica.fence({ epoch: 1, known: { ...known, configVersion: 2 } })).toMatchObject({
      cluster: { configVersion: 3 },
    });
  });

  it('remember a mark of a heartbeat', async () => {
    const bucket = { epoch: 1, instance: 'a', revision: 12 };
    await replica.ping({ epoch: 1, configId: 1, vats: {}, marks: {}, bucket });
    await replica.idle();
    expect((await store.load()).mark).toEqual(bucket);
  });
});
