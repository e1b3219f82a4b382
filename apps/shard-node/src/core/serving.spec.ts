import type { ConfigRequest, EpochStart, PingRequest } from '#common/contracts/node';
import { SCHEMA, shardConfig, shardState, UNINFORMED } from '../../test/support/builders';
import { admitEpoch, type ReplicaState, type ShardState } from './replica-state';
import { admitCopy, admitSnapshot, planConfig, purgeTarget, raisedByPing } from './serving';

const CATCHING_UP = { catchUp: { from: 0, to: 20, source: 'Server1', after: null } };

function replica(changed: Partial<ShardState> = {}): ReplicaState {
  const shard = shardState('sh', { currentTerm: 20, committedVat: 18, purgedTo: 5, ...changed });
  return { server: 'Server0', epoch: 4, configId: 1, schema: SCHEMA, ...UNINFORMED, shards: new Map([['sh', shard]]) };
}

function failing(code: string): Error {
  return expect.objectContaining({ code }) as Error;
}

it('refuses lower epochs and returns which higher one is to be stored', () => {
  expect(() => admitEpoch(replica(), 3)).toThrow(failing('FENCED'));
  expect(admitEpoch(replica(), 4)).toBeNull();
  expect(admitEpoch(replica(), 5)).toBe(5);
});

describe('a snapshot', () => {
  it.each([5, 18, 20])('can be read at %i', (vat) => {
    expect(admitSnapshot(replica(), 'sh', vat).shard).toBe('sh');
  });

  it('cannot be read when versions of it may be gone, are missing yet, or elsewhere', () => {
    expect(() => admitSnapshot(replica(), 'sh', 4)).toThrow(failing('SNAPSHOT_GONE'));
    expect(() => admitSnapshot(replica(), 'sh', 21)).toThrow(failing('SNAPSHOT_GONE'));
    expect(() => admitSnapshot(replica(CATCHING_UP), 'sh', 18)).toThrow(failing('SNAPSHOT_GONE'));
    expect(() => admitSnapshot(replica(), 'other', 18)).toThrow(failing('UNKNOWN_SHARD'));
  });

  it('can be copied from the beginning, or from where no death has been purged since', () => {
    const copy = (from: number, to: number): string => admitCopy(replica(), { shard: 'sh', from, to }).shard;
    expect([copy(0, 18), copy(5, 18)]).toEqual(['sh', 'sh']);
    expect(() => copy(4, 18)).toThrow(failing('SNAPSHOT_GONE'));
    expect(() => copy(0, 4)).toThrow(failing('SNAPSHOT_GONE'));
  });
});

describe('a ping', () => {
  const ping = (vat: number, epoch = 4): PingRequest => ({
    epoch,
    configId: 1,
    vats: { sh: vat, other: 99 },
    marks: {},
  });
  const newest = (epoch: number): Partial<ShardState> => ({
    newestRound: { epoch, round: 1, lastTerms: {}, refused: false },
  });

  it('raises the committed VAT of a replica that takes part under its epoch', () => {
    expect(raisedByPing(replica(newest(4)), ping(20)).map((shard) => shard.committedVat)).toEqual([20]);
    const byConfig = { configEpoch: 4, inSync: ['Server0'] };
    expect(raisedByPing(replica(byConfig), ping(19)).map((shard) => shard.committedVat)).toEqual([19]);
  });

  it.each<[string, ReplicaState, PingRequest]>([
    ['a lower VAT', replica(newest(4)), ping(18)],
    ['a VAT that the replica has not got to', replica(newest(4)), ping(21)],
    ['a replica whose newest terms are of an older epoch', replica(newest(3)), ping(20)],
    ['a replica that is not in sync by its configuration', replica({ configEpoch: 4, inSync: ['Server1'] }), ping(20)],
    ['a VAT of another configuration’s shard of that name', replica(newest(4)), { ...ping(20), configId: 2 }],
    ['a replica that is catching up', replica({ ...newest(4), ...CATCHING_UP }), ping(20)],
  ])('changes nothing by %s', (_name, state, request) => {
    expect(raisedByPing(state, request)).toEqual([]);
  });

  it('never lets purge above what is committed, nor while the shard catches up', () => {
    const [shard] = replica().shards.values();
    if (shard === undefined) throw new Error('no shard');
    expect([purgeTarget(shard, 10), purgeTarget(shard, 30)]).toEqual([10, 18]);
    expect(purgeTarget({ ...shard, ...CATCHING_UP }, 10)).toBe(0);
  });
});

describe('a configuration', () => {
  const request = (changed: Partial<ConfigRequest> = {}): ConfigRequest => ({
    epoch: 4,
    configId: 1,
    schema: SCHEMA,
    shards: [],
    drop: [],
    ...changed,
  });

  it('creates what is missing and keeps the rows and terms of what is there', () => {
    const newer = { ...shardConfig('sh'), configEpoch: 2, configVersion: 1, inSync: ['A', 'B'] };
    const plan = planConfig(replica(), request({ shards: [newer, shardConfig('new')] }));
    expect(plan).toMatchObject({ dropAll: false, drop: [] });
    expect(plan.create.map((shard) => shard.shard)).toEqual(['new']);
    expect(plan.update).toMatchObject([{ shard: 'sh', currentTerm: 20, configEpoch: 2, inSync: ['A', 'B'] }]);
  });

  it('takes an empty shard for a whole one only while that comes into being, else its disk was lost', () => {
    const isWhole = (changed: Partial<ConfigRequest>, configVersion = 1): boolean => {
      const shards = [{ ...shardConfig('new'), configVersion }];
      return planConfig(replica(), request({ shards, ...changed })).create[0]?.catchUp === null;
    };
    expect([isWhole({ areNew: true }), isWhole({}), isWhole({ areNew: true }, 2)]).toEqual([true, false, false]);
  });

  it('never goes back: an older version changes nothing', () => {
    const state = replica({ configEpoch: 2, configVersion: 5 });
    const older = [
      { ...shardConfig('sh'), configEpoch: 1, configVersion: 9 },
      { ...shardConfig('sh'), configEpoch: 2, configVersion: 4 },
    ];
    for (const shard of older) expect(planConfig(state, request({ shards: [shard] })).update).toEqual([]);
  });

  it('takes newer decisions, and never back those that it knows', () => {
    const known = [{ epoch: 3, round: 5, vat: 7 }];
    const startsAfter = (epochStarts?: EpochStart[]): unknown => {
      const config = { ...shardConfig('sh'), configVersion: 2, ...(epochStarts === undefined ? {} : { epochStarts }) };
      return planConfig(replica({ epochStarts: known }), request({ shards: [config] })).update[0]?.epochStarts;
    };
    const newer = [...known, { epoch: 3, round: 9, vat: 7 }];
    expect(startsAfter(newer)).toEqual(newer);
    for (const older of [undefined, [], [{ epoch: 3, vat: 4 }]]) expect(startsAfter(older)).toEqual(known);
  });

  it('drops what it is asked to, and everything when it belongs to another cluster', () => {
    expect(planConfig(replica(), request({ drop: ['sh', 'gone'] })).drop).toEqual(['sh']);
    const plan = planConfig(replica(), request({ configId: 2, shards: [shardConfig('sh')] }));
    expect(plan.dropAll).toBe(true);
    expect(plan.create).toMatchObject([{ shard: 'sh', currentTerm: 0 }]);
  });

  it('recreates what it is asked to drop and to hold at once', () => {
    const plan = planConfig(replica(), request({ drop: ['sh'], shards: [shardConfig('sh')] }));
    expect(plan).toMatchObject({ drop: ['sh'], create: [{ shard: 'sh', currentTerm: 0 }], update: [] });
  });

  it('has nothing written that is stored already', () => {
    expect(planConfig(replica(), request({ shards: [shardConfig('sh')] }))).toMatchObject({ create: [], update: [] });
  });

  it.each([
    ['begins elsewhere', shardConfig('sh', 7)],
    ['has another size', shardConfig('sh', 0, 999)],
  ])('refuses a key range for a shard that is held when it %s', (_name, moved) => {
    expect(() => planConfig(replica(), request({ shards: [moved] }))).toThrow(failing('BAD_REQUEST'));
  });
});
