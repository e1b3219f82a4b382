/** The simulated wire carries what the real one would, and nothing else. */
import type { ApplyRequest, PingReply } from '#common/contracts/node';
import { createLogger } from '#common/logging/logger';
import { MemoryVersionStore } from '../../../shard-node/src/adapters/memory/memory-version-store';
import { Replica } from '../../../shard-node/src/runtime/replica';
import { shardConfig } from '../../../shard-node/test/support/builders';
import { WiredReplica } from './wire';
import { wiredAnswer, wiredEvent } from './wired-commands';

const BAD_MESSAGE: unknown = expect.objectContaining({ code: 'BAD_MESSAGE' });
const OPTIONS = {
  ...{ server: 'S1', instance: 'S1#1', applyQueueLimit: 10, readWidth: 1, readQueueLimit: 10 },
  ...{
    pageBytes: 1_000,
    catchUpSliceMs: 100,
    probeTimeoutMs: 1_000,
    digestSliceMs: 100,
    digestPageKeys: 10,
    nowMs: () => 0,
  },
};

async function configured(): Promise<{ replica: Replica; wired: WiredReplica }> {
  const source = { fetch: () => Promise.reject(new Error('nobody to copy from')) };
  const replica = await Replica.open(new MemoryVersionStore('S1'), source, OPTIONS, createLogger('test', 'silent'));
  const wired = new WiredReplica(replica);
  const schema = { columns: ['id'], dtypes: ['Number' as const] };
  const shards = [shardConfig('sh1')];
  await wired.config({ epoch: 1, configId: 1, schema, shards, drop: [], areNew: true });
  return { replica, wired };
}

const ping = { epoch: 1, configId: 1, vats: {}, marks: {} };

test('what a round says of earlier epochs arrives and is reported', async () => {
  const { wired } = await configured();
  const epochStarts = [{ epoch: 1, vat: 0 }];
  const part = { shard: 'sh1', vat: 0, firstTerm: 1, lastTerm: 1, ops: [], epochStarts };
  await wired.apply(applyOf(part), []);
  expect((await wired.ping(ping)).shards).toMatchObject([{ shard: 'sh1', epochStarts }]);
});

test('a request with a field that its definition lacks is refused by the replica', async () => {
  const { wired } = await configured();
  await expect(wired.ping({ ...ping, unheardOf: 1 } as never)).rejects.toThrow(BAD_MESSAGE as Error);
});

test('an answer with a field that its definition lacks is refused by who asked', async () => {
  const { replica, wired } = await configured();
  const answer = await replica.ping(ping);
  replica.ping = () => Promise.resolve({ ...answer, unheardOf: 1 } as PingReply);
  await expect(wired.ping(ping)).rejects.toThrow(BAD_MESSAGE as Error);
});

test('commands to a balancer and its answers are read as the services read them', () => {
  const command = { batch: 3, id: 1, op: 'delete' as const, key: 7 };
  const event = { on: 'records' as const, configId: 1, commands: [command] };
  expect(wiredEvent(event)).toEqual(event);
  expect(() => wiredEvent({ ...event, commands: [{ ...command, key: 0.5 }] })).toThrow(BAD_MESSAGE as Error);
  expect(wiredAnswer({ result: { id: 1, shards: ['sh1'], count: 1 } as never, row: '{"id":1}' })).toEqual({
    result: { id: 1, shards: ['sh1'], count: 1 },
    row: '{"id":1}',
  });
  expect(() => wiredAnswer({ result: { id: 1, added: 1, unheardOf: 1 } as never })).toThrow(BAD_MESSAGE as Error);
});

function applyOf(part: ApplyRequest['rounds'][number]['parts'][number]): ApplyRequest {
  return { epoch: 1, rounds: [{ round: 1, lastTerms: { sh1: 1 }, parts: [part] }] };
}
