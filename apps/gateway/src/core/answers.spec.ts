import type { ClusterStatus, ShardStatus } from '#common/contracts/commands';
import { addAnswer, rmAnswer, statusAnswer } from './answers';

test.each([
  [['Server4', 'Server58127'], 'Add Server:4 and Server:58127'],
  [['Server4'], 'Add Server:4'],
  [['Server4', 'node_7', 'alpha'], 'Add Server:4, node_:7 and alpha'],
])('adding %j is answered with %s', (added, message) => {
  expect(addAnswer({ n: 5, added })).toEqual({ N: 5, message, status: 'successful' });
});

test('removing names the servers left and those that went', () => {
  expect(rmAnswer({ n: 2, removed: ['Server4'] })).toEqual({
    message: { N: 2, servers: ['Server4'] },
    status: 'successful',
  });
});

const ring = { slots: 512, virtualServers: 9, hash: 'published', loadEpsilon: 0 };
const shard: ShardStatus = {
  shard: 'sh1',
  low: 0,
  size: 4096,
  vat: 7,
  replicas: [
    { server: 'Server0', state: 'in-sync', proven: { vat: 6, ageMs: 1500 } },
    { server: 'Server1', state: 'stale', proven: null },
  ],
  inSync: ['Server0'],
  minInSync: 1,
  configVersion: 3,
  writable: true,
  readable: true,
  rows: 5,
  ring: [{ from: 0, to: 511, server: 'Server0' }],
};

test('before /init the status has no servers and no schema', () => {
  const empty: ClusterStatus = { configId: 0, leader: 'b', epoch: 1, schema: null, shards: [], servers: [], ring };
  expect(statusAnswer(empty, String)).toMatchObject({ N: 0, schema: null, shards: [], servers: {}, status: 'success' });
});

test('the status has the published fields at top level, and all that is known of a shard', () => {
  const status: ClusterStatus = {
    configId: 1,
    leader: 'b',
    epoch: 2,
    schema: { columns: ['Roll', 'Name'], dtypes: ['Number', 'String'] },
    shards: [shard],
    servers: [
      {
        server: 'Server0',
        number: 0,
        health: 'healthy',
        causes: [],
        heartbeatAgeMs: 1,
        missed: 0,
        vitals: { postgres: 'ok', diskFreeBytes: 5, eventLoopDelayMs: 1, answerMs: 2 },
        shards: ['sh1'],
      },
    ],
    ring,
  };
  const { inSync, minInSync, configVersion, writable, readable, rows } = shard;
  expect(statusAnswer(status, (ageMs) => `${ageMs} ms ago`)).toMatchObject({
    N: 1,
    schema: status.schema,
    servers: { Server0: ['sh1'] },
    leader: 'b',
    epoch: 2,
    shards: [
      {
        Stud_id_low: 0,
        Roll_low: 0,
        Shard_id: 'sh1',
        Shard_size: 4096,
        VAT: 7,
        replicas: [
          {
            server: 'Server0',
            state: 'in-sync',
            lastProvenIdentical: { at: '1500 ms ago', VAT: 6 },
          },
          { server: 'Server1', state: 'stale', lastProvenIdentical: null },
        ],
        ...{ inSync, minInSync, configVersion, writable, readable, rows },
        ring: [{ from: 0, to: 511, server: 'Server0' }],
      },
    ],
  });
});
