/** Rounds beside other things that happen to their shard: who has to have them, and what they wait for. */
import { spawn, wait } from '../src/core/kernel/workflow';
import { UNKNOWN, WriteBench, type Apply } from './support/write-bench';

/** Two of three replicas are needed. */
const THREE = { a: ['S0', 'S1', 'S2'] };

/** A server has done something else than the others. */
function different({ round }: Apply): ReturnType<WriteBench['says']> {
  const value = round.parts.map(({ shard, ops }) => ({
    shard,
    outcomes: ops.map(() => ({ ok: 1 })),
    digest: 'something else',
  }));
  return { ok: true, value };
}

it('a round that all have is committed at once, whatever is being changed of who belongs to the shard', () => {
  const bench = new WriteBench(THREE);
  spawn(wait(bench.shardOf('a').configLock.acquire()));
  expect(bench.codeFor(bench.write('a'))).toBeNull();
});

it('a round that all have but one that has left the set meanwhile is committed at once, too', () => {
  const bench = new WriteBench(THREE);
  bench.says = ({ server }) => (server === 'S2' ? null : undefined);
  const change = bench.write('a');
  bench.begin(bench.inSyncSets.demote(bench.shardOf('a'), ['S2'], 'a test'));
  spawn(wait(bench.shardOf('a').configLock.acquire()));
  bench.reply('a', UNKNOWN);
  expect(bench.codeFor(change)).toBeNull();
});

it('a round that all but one have is committed when that has left the set, and the others know it', () => {
  const bench = new WriteBench(THREE);
  bench.says = ({ server }) => (server === 'S2' ? UNKNOWN : undefined);
  bench.answer = (ask) => (ask.do === 'apply' ? bench.says(ask) : ask.do === 'config' ? null : undefined);
  const change = bench.write('a');
  expect(bench.shardOf('a').inSync).toEqual(['S0', 'S1']);
  for (const ask of [...bench.open]) {
    expect(bench.codeFor(change)).toBeUndefined();
    bench.resolve(ask);
  }
  expect(bench.codeFor(change)).toBeNull();
});

it('a round waits, when a member leaves meanwhile that has it, until the others know that', () => {
  const bench = new WriteBench(THREE);
  bench.says = ({ server }) => (server === 'S0' ? null : undefined);
  bench.answer = (ask) => (ask.do === 'apply' ? bench.says(ask) : ask.do === 'config' ? null : undefined);
  const change = bench.write('a');
  bench.begin(bench.inSyncSets.demote(bench.shardOf('a'), ['S2'], 'a test'));
  bench.reply('a');
  const sent = bench.open.filter((ask) => ask.do === 'config');
  expect(sent.map(({ server }) => server)).toEqual(['S0', 'S1']);
  for (const ask of sent) {
    expect(bench.codeFor(change)).toBeUndefined();
    bench.resolve(ask);
  }
  expect(bench.codeFor(change)).toBeNull();
});

it('a round is not committed where one did something else and the others are too few without it', () => {
  const bench = new WriteBench(THREE);
  const shard = bench.shardOf('a');
  shard.setRecord({ ...shard.record, inSync: ['S0', 'S1'] });
  bench.says = (ask) => (ask.server === 'S1' ? different(ask) : undefined);
  const { vat } = shard;
  expect(bench.codeFor(bench.write('a'))).toBe('OUTCOME_UNKNOWN');
  expect(shard.vat).toBe(vat);
  expect(shard.inSync).toEqual(['S0', 'S1']);
  expect(shard.isSuspended('S1')).toBe(true);
  expect(bench.codeFor(bench.write('a'))).toBe('SHARD_UNAVAILABLE');
});

it('a round is not committed without a newcomer that did something else', () => {
  const bench = new WriteBench(THREE);
  const shard = bench.shardOf('a');
  shard.setRecord({ ...shard.record, inSync: ['S0', 'S1'] });
  shard.entering.add('S2');
  bench.says = (ask) => (ask.server === 'S2' ? different(ask) : undefined);
  expect(bench.codeFor(bench.write('a'))).toBe('OUTCOME_UNKNOWN');
});
