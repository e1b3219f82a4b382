import { GivenUpRounds } from './given-up-rounds';
import { Shard } from '../cluster/shard';

const EPOCH = 3;

function shardAt(shard: string, vat: number): Shard {
  const of = { low: 0, size: 10, configEpoch: 1, configVersion: 1, inSync: ['S0'], replicas: ['S0'], joining: [] };
  const one = new Shard({ shard, configId: 1, ...of }, true);
  one.vat = vat;
  return one;
}

describe('a round over several shards that came to nothing', () => {
  it('is remembered by each of its shards as none of its own, up to its VAT', () => {
    const [a, b] = [shardAt('a', 7), shardAt('b', 4)];
    new GivenUpRounds().add(12, [a, b], EPOCH);
    expect(a.epochStarts).toEqual([{ epoch: EPOCH, round: 13, vat: 7 }]);
    expect(b.epochStarts).toEqual([{ epoch: EPOCH, round: 13, vat: 4 }]);
    expect([a, b].map(({ epochStartsAreNew }) => epochStartsAreNew)).toEqual([true, true]);
  });

  it('is owed by each shard until that has stored a newer one, and by no other', () => {
    const [a, b, c] = [shardAt('a', 7), shardAt('b', 4), shardAt('c', 1)];
    const rounds = new GivenUpRounds();
    expect(rounds.debtors()).toEqual([]);
    rounds.add(12, [a, b], EPOCH);
    rounds.add(14, [a], EPOCH);
    expect([a, b, c].map((shard) => rounds.owes(shard))).toEqual([true, true, false]);
    expect(rounds.debtors()).toEqual([a, b]);
    rounds.settle(a);
    expect([a, b].map((shard) => rounds.owes(shard))).toEqual([false, true]);
    expect(rounds.debtors()).toEqual([b]);
    rounds.clear();
    expect(rounds.owes(b)).toBe(false);
  });

  it('stays remembered beside a later one as long as any shard owes it, and no longer', () => {
    const [a, b] = [shardAt('a', 7), shardAt('b', 4)];
    const rounds = new GivenUpRounds();
    rounds.add(12, [a, b], EPOCH);
    rounds.settle(a);
    a.vat = 9;
    rounds.add(20, [a], EPOCH);
    expect(a.epochStarts).toEqual([
      { epoch: EPOCH, round: 13, vat: 7 },
      { epoch: EPOCH, round: 21, vat: 9 },
    ]);
    for (const shard of [a, b]) rounds.settle(shard);
    rounds.add(30, [a], EPOCH);
    expect(a.epochStarts).toEqual([{ epoch: EPOCH, round: 31, vat: 9 }]);
  });

  it('leaves what was decided under earlier epochs, and what the take-over decided', () => {
    const a = shardAt('a', 7);
    const decided = [
      { epoch: 1, round: 5, vat: 2 },
      { epoch: 2, vat: 3 },
      { epoch: EPOCH, vat: 6 },
    ];
    a.remember(decided);
    new GivenUpRounds().add(12, [a], EPOCH);
    expect(a.epochStarts).toEqual([...decided, { epoch: EPOCH, round: 13, vat: 7 }]);
  });
});
