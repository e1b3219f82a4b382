import type { NewestRound } from '#common/contracts/node';
import type { ReplicaReport } from '#common/protocol/vat-decision';
import { sharingRounds } from './round-groups';
import { Shard } from '../cluster/shard';

const SHARDS = ['a', 'b', 'c', 'd'].map((shard, index) => {
  const members = { inSync: ['S0', 'S1'], replicas: ['S0', 'S1'], joining: [] };
  return new Shard({ shard, low: index * 10, size: 10, configId: 1, configEpoch: 1, configVersion: 1, ...members });
});
const KNOWN = new Map(SHARDS.map((shard) => [shard.id, shard]));

/** A round that ends in the term 5 in each of these shards. */
function round(number: number, ...shards: string[]): NewestRound {
  return { epoch: 1, round: number, lastTerms: Object.fromEntries(shards.map((shard) => [shard, 5])), refused: false };
}

function holding(newestRound: NewestRound | null, committedVat = 4): ReplicaReport {
  return { committedVat, currentTerm: 5, newestRound };
}

/** The groups by the names in them, when the replicas report this. */
function groups(reports: Record<string, ReplicaReport[]>, isOpen: (shard: Shard) => boolean = () => false): string[] {
  const found = sharingRounds(SHARDS, KNOWN, ({ id }) => reports[id] ?? [holding(null)], isOpen);
  return found.map((shards) => shards.map(({ id }) => id).join('')).sort();
}

const [both, chained] = [round(1, 'a', 'b'), round(2, 'b', 'c')];

describe('shards are decided together', () => {
  it.each<[string, Record<string, ReplicaReport[]>, string[]]>([
    ['with nobody where none reports a round', {}, ['a', 'b', 'c', 'd']],
    ['with nobody where each has a round of its own', { a: [holding(round(1, 'a'))] }, ['a', 'b', 'c', 'd']],
    ['that share one', { a: [holding(both)], b: [holding(both)] }, ['ab', 'c', 'd']],
    [
      'that share one, also with a shard of which nothing is known',
      { a: [holding(round(1, 'a', 'b', 'lost'))], b: [holding(round(1, 'a', 'b', 'lost'))] },
      ['ab', 'c', 'd'],
    ],
    [
      'but not with one that knows that the round is committed',
      { a: [holding(both)], b: [holding(both, 5)] },
      ['a', 'b', 'c', 'd'],
    ],
    ['nor is that one with the others', { a: [holding(both, 5)], b: [holding(both)] }, ['a', 'b', 'c', 'd']],
    [
      'but not for a round that one of them does not hold',
      { a: [holding(both)], b: [holding(both), holding(null)] },
      ['a', 'b', 'c', 'd'],
    ],
  ])('%s', (_, reports, expected) => {
    expect(groups(reports)).toEqual(expected);
  });

  it('as long as who does not hold the round may be no member any more', () => {
    const reports = { a: [holding(both)], b: [holding(both), holding(chained)], c: [holding(chained)] };
    expect(groups(reports, () => true)).toEqual(['abc', 'd']);
  });

  it('all at once, where a round touched all of them', () => {
    const all = holding(round(1, 'a', 'b', 'c', 'd'));
    expect(groups({ a: [all], b: [all], c: [all], d: [all] })).toEqual(['abcd']);
  });
});

it('what became of a round is looked for once, however many shards and replicas report it', () => {
  let looks = 0;
  const all = holding(round(1, 'a', 'b', 'c', 'd'));
  const reports = Object.fromEntries(SHARDS.map(({ id }) => [id, [all, all, all]]));
  groups(reports, () => (looks += 1) > 0);
  expect(looks).toBe(SHARDS.length);
});

it('what became of a round that touched one shard alone is not looked for: each of many shards may have one', () => {
  const looked: string[] = [];
  const reports = Object.fromEntries(SHARDS.map(({ id }, index) => [id, [holding(round(index, id))]]));
  groups(reports, ({ id }) => looked.push(id) > 0);
  expect(looked).toEqual([]);
});
