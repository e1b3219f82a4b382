import type { BucketMark, ClusterRecord, ConfigRequest } from '#common/contracts/node';
import { SCHEMA, shardConfig, shardState, UNINFORMED } from '../../test/support/builders';
import { identityAfter, newMark, preparedBy, fenceReport } from './cluster-knowledge';
import type { ReplicaState } from './replica-state';

function record(configId: number, configVersion = 1): ClusterRecord {
  return {
    ...{ configId, configEpoch: 1, configVersion, schema: SCHEMA, shards: ['sh'], servers: ['Server0'] },
    ...{ init: { n: 1, schema: SCHEMA, shards: [], servers: null }, numbers: { Server0: 0 }, born: [] },
  };
}

function prepared(configId: number): ReplicaState['prepared'] {
  return { cluster: record(configId), epoch: 4, shards: [shardConfig('sh')] };
}

function replica(changed: Partial<ReplicaState> = {}): ReplicaState {
  const shards = new Map([['sh', shardState('sh')]]);
  return { server: 'Server0', epoch: 4, configId: 5, schema: SCHEMA, ...UNINFORMED, shards, ...changed };
}

function request(configId: number, changed: Partial<ConfigRequest> = {}): ConfigRequest {
  const shards = [shardConfig('sh')];
  return { epoch: 4, configId, schema: SCHEMA, shards, drop: [], cluster: record(configId), ...changed };
}

function withoutRecord(configId: number): ConfigRequest {
  const asked = request(configId);
  delete asked.cluster;
  return asked;
}

function failing(code: string): Error {
  return expect.objectContaining({ code }) as Error;
}

describe('what is prepared', () => {
  it('is newer than all that the replica knows of, or the same once more', () => {
    expect(preparedBy(replica(), request(6))).toMatchObject({ cluster: { configId: 6 }, epoch: 4 });
    expect(preparedBy(replica({ prepared: prepared(6) }), request(6))).toMatchObject({ cluster: { configId: 6 } });
    expect(preparedBy(replica({ prepared: prepared(6) }), request(7))).toMatchObject({ cluster: { configId: 7 } });
  });

  it.each<[string, ReplicaState, number]>([
    ['the one in force', replica(), 5],
    ['an earlier one than that', replica(), 4],
    ['an earlier one than was prepared', replica({ prepared: prepared(7) }), 6],
    ['the one in force, though an earlier one was left prepared', replica({ prepared: prepared(3) }), 5],
  ])('is not %s', (_name, state, configId) => {
    expect(() => preparedBy(state, request(configId))).toThrow(failing('ALREADY_CONFIGURED'));
  });

  it('comes with its own record', () => {
    expect(() => preparedBy(replica(), withoutRecord(6))).toThrow(failing('BAD_REQUEST'));
    expect(() => preparedBy(replica(), request(6, { cluster: record(7) }))).toThrow(failing('BAD_REQUEST'));
  });

  it('is over when it, or a later one, comes into force', () => {
    const after = (configId: number): unknown =>
      identityAfter(replica({ prepared: prepared(7) }), request(configId)).prepared?.cluster.configId ?? null;
    expect([6, 7, 8].map(after)).toEqual([7, null, null]);
  });
});

describe('the record of the cluster', () => {
  const versionAfter = (held: ClusterRecord | null, received: ClusterRecord | undefined): number | null => {
    const rest = withoutRecord(5);
    const asked = received === undefined ? rest : { ...rest, cluster: received };
    return identityAfter(replica({ cluster: held }), asked).cluster?.configVersion ?? null;
  };

  it.each<[string, ClusterRecord | null, ClusterRecord | undefined, number | null]>([
    ['the first one', null, record(5, 2), 2],
    ['a newer one', record(5, 2), record(5, 3), 3],
    ['an older one, which comes late', record(5, 3), record(5, 2), 3],
    ['none', record(5, 3), undefined, 3],
    ['one of another configuration', record(5, 3), record(6, 9), 3],
    ["one in place of another configuration's", record(4, 9), record(5, 1), 1],
    ["none in place of another configuration's", record(4, 9), undefined, null],
  ])('given %s', (_name, held, received, kept) => {
    expect(versionAfter(held, received)).toBe(kept);
  });

  it('is sent to whoever knows none or an older one', () => {
    const sent = (known?: { configId: number; configEpoch: number; configVersion: number }): number | null =>
      fenceReport(replica({ cluster: record(5, 3) }), known === undefined ? {} : { known }).cluster?.configVersion ??
      null;
    const known = (configVersion: number): object => ({ configId: 5, configEpoch: 1, configVersion });
    expect(sent()).toBe(3);
    expect([2, 3, 4].map((version) => sent(known(version) as never))).toEqual([3, null, null]);
    expect(fenceReport(replica(), {}).cluster).toBeNull();
  });
});

it('a mark is kept when it is newer than the one before', () => {
  const mark = (revision: number, epoch = 1): BucketMark => ({ epoch, instance: 'a', revision });
  expect(newMark(null, undefined)).toBeNull();
  expect(newMark(mark(3), undefined)).toBeNull();
  expect(newMark(null, mark(3))).toEqual(mark(3));
  expect(newMark(mark(3), mark(4))).toEqual(mark(4));
  for (const received of [mark(3), mark(2)]) expect(newMark(mark(3), received)).toBeNull();
});
