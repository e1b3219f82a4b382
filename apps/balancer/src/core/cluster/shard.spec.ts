import { Shard, type ShardRecord } from './shard';

const HORIZON_MS = 0;

function shardOf(changed: Partial<ShardRecord> = {}): Shard {
  const stamp = { configId: 1, configEpoch: 1, configVersion: 1 };
  const members = { inSync: ['S0', 'S1'], replicas: ['S0', 'S1', 'S2'], joining: [] };
  return new Shard({ shard: 'a', low: 0, size: 10, ...stamp, ...members, ...changed }, true);
}

it('has no ring before it has its place in the cluster', () => {
  expect(() => shardOf().ring).toThrow('a has no ring');
});

it('counts the reads on their way by server, for the ring to spread them', () => {
  const shard = shardOf();
  for (const change of [1, 1, 1, -1] as const) shard.countRead('S0', change);
  shard.countRead('S1', 1);
  expect([...shard.reads]).toEqual([
    ['S0', 2],
    ['S1', 1],
  ]);
});

describe('what is kept from being purged', () => {
  it('is kept as long as one of several readers of the same VAT still reads', () => {
    const shard = shardOf();
    shard.vat = 3;
    shard.hold(3);
    shard.hold(3);
    shard.vat = 9;
    shard.sample(0, HORIZON_MS);
    expect(shard.purgeMark(1, HORIZON_MS)).toBe(3);
    shard.release(3);
    expect(shard.purgeMark(1, HORIZON_MS)).toBe(3);
    shard.release(3);
    expect(shard.purgeMark(1, HORIZON_MS)).toBe(9);
  });

  it('is kept for a copy until its time is up, or it is over', () => {
    const shard = shardOf();
    shard.vat = 9;
    shard.sample(0, HORIZON_MS);
    shard.holdForCopy('S2', 4, 100);
    expect([99, 100].map((nowMs) => shard.purgeMark(nowMs, HORIZON_MS))).toEqual([4, 9]);
    shard.holdForCopy('S2', 4, Infinity);
    expect(shard.purgeMark(1_000, HORIZON_MS)).toBe(4);
    shard.releaseCopy('S2');
    expect(shard.purgeMark(1_000, HORIZON_MS)).toBe(9);
  });
});

it('does not take a comparison at an earlier VAT, whose answer is late, for news of a replica', () => {
  const shard = shardOf();
  const provenAt = (vat: number): unknown => {
    shard.prove('S0', { ms: 1, vat });
    return shard.replicas.get('S0')?.proven?.vat;
  };
  expect([5, 3, 5, 6].map(provenAt)).toEqual([5, 5, 5, 6]);
});

it('shows a replica as in sync, as being copied, or as stale', () => {
  const shard = shardOf();
  const states = (): string[] => ['S0', 'S1', 'S2', 'S3'].map((server) => shard.stateOf(server));
  shard.replicas.get('S0')!.suspended = true;
  expect(states()).toEqual(['stale', 'in-sync', 'stale', 'stale']);
  for (const server of ['S0', 'S2']) shard.replicas.get(server)!.syncing = true;
  expect(states()).toEqual(['syncing', 'in-sync', 'syncing', 'stale']);
});

it('needs a replica that diverged and has left for rounds while it enters again, and none that diverged and has not left', () => {
  const shard = shardOf({ diverged: ['S1', 'S2'] });
  shard.entering.add('S2');
  expect(shard.voters).toEqual(['S0', 'S2']);
  expect(shard.writers).toEqual(['S0', 'S1', 'S2']);
});
