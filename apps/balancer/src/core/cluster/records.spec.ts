import type { ClusterRecord } from '#common/contracts/node';
import { BUCKET_KEYS } from '#common/contracts/subjects';
import type { CatalogValue } from '../kernel/effects';
import { readRecords } from './records';
import type { ShardRecord } from './shard';

const SCHEMA = { columns: ['id'], dtypes: ['Number' as const] };
const LEADER: CatalogValue = { key: BUCKET_KEYS.leader, value: { epoch: 9, balancer: 'L1' }, revision: 1 };

function shard(name: string, configId: number): ShardRecord {
  const stamp = { configId, configEpoch: 1, configVersion: 1 };
  const members = { inSync: ['S0'], replicas: ['S0'], joining: [], diverged: [] };
  return { shard: name, low: 0, size: 10, ...stamp, ...members };
}

const CLUSTER: ClusterRecord = {
  ...{ configId: 3, configEpoch: 1, configVersion: 2, schema: SCHEMA, shards: ['a'], servers: ['S0'] },
  ...{ init: { n: 1, schema: SCHEMA, shards: [], servers: null }, numbers: { S0: 0 }, born: [] },
};

function without(...fields: string[]): object {
  return Object.fromEntries(Object.entries(CLUSTER).filter(([field]) => !fields.includes(field)));
}

function stored(...values: [string, object][]): CatalogValue[] {
  return values.map(([key, value], index) => ({ key, value, revision: index + 2 }));
}

it('reads what was stored, and nothing beside it, wherever it stands', () => {
  const entries = [LEADER, ...stored([BUCKET_KEYS.shard('a'), shard('a', 3)], [BUCKET_KEYS.cluster, CLUSTER])];
  const { cluster, shards } = readRecords(entries);
  expect(cluster).toStrictEqual(CLUSTER);
  const underWay = { ...CLUSTER, moves: [], leaving: ['S0'] };
  expect(readRecords(stored([BUCKET_KEYS.cluster, underWay])).cluster).toStrictEqual(underWay);
  expect([...shards]).toStrictEqual([['a', shard('a', 3)]]);
});

it('knows the highest configuration that left a record, in force or not', () => {
  const highest = (...ids: number[]): number => {
    const values = ids.map((id, index): [string, object] => [BUCKET_KEYS.shard(`x${index}`), shard(`x${index}`, id)]);
    return readRecords([LEADER, ...stored(...values, [BUCKET_KEYS.cluster, CLUSTER])]).highestConfigId;
  };
  expect([highest(), highest(7, 2), highest(2, 7), highest(1)]).toEqual([3, 7, 7, 3]);
});

it('takes shards of other configurations for leftovers', () => {
  const values: [string, object][] = [2, 3, 4].map((id) => [BUCKET_KEYS.shard(`x${id}`), shard(`x${id}`, id)]);
  expect([...readRecords(stored(...values, [BUCKET_KEYS.cluster, CLUSTER])).shards.keys()]).toEqual(['x3']);
});

it.each(['configId', 'schema', 'init'] as const)('finds no configuration in a record without its %s', (field) => {
  const rest = without(field);
  const { cluster, highestConfigId } = readRecords(
    stored([BUCKET_KEYS.shard('a'), shard('a', 3)], [BUCKET_KEYS.cluster, rest]),
  );
  expect(cluster).toBeNull();
  expect(highestConfigId).toBe(3);
});

it('takes the numbers of servers from their own records where an earlier release stored them there', () => {
  const earlier = without('numbers', 'born');
  const servers: [string, object][] = [
    [`${BUCKET_KEYS.cluster}.x`, { configId: 3, server: 'S0', number: 4 }],
    [`${BUCKET_KEYS.cluster}.y`, { configId: 2, server: 'S1', number: 5 }],
  ];
  const { cluster } = readRecords(
    stored(...servers, [BUCKET_KEYS.shard('a'), shard('a', 3)], [BUCKET_KEYS.cluster, earlier]),
  );
  expect(cluster?.numbers).toStrictEqual({ S0: 4 });
  expect(cluster?.born).toMatchObject([{ shard: 'a' }]);
});
