import fc from 'fast-check';
import type { NodeShardState } from './node';
import { shareRounds, unshareRounds } from './shared-rounds';

const NAMES = Array.from({ length: 1_024 }, (_, index) => `shard${index}`);

function state(shard: string, newestRound: NodeShardState['newestRound']): NodeShardState {
  return { ...({ shard, currentTerm: 1, committedVat: 1 } as NodeShardState), newestRound };
}

test('what was shared is the same again, whichever shards share rounds', () => {
  const terms = fc.dictionary(fc.constantFrom('a', 'b', 'c'), fc.nat());
  const pick = fc.array(fc.option(fc.record({ place: fc.nat(2), refused: fc.boolean() })), { maxLength: 6 });
  fc.assert(
    fc.property(fc.tuple(terms, terms, terms), pick, (lists, picks) => {
      const shards = picks.map((one, index) =>
        state(
          `s${index}`,
          one === null ? null : { epoch: 1, round: one.place, lastTerms: lists[one.place]!, refused: one.refused },
        ),
      );
      const shared = JSON.parse(JSON.stringify(shareRounds({ epoch: 7, shards }))) as never;
      expect(unshareRounds(shared)).toEqual(JSON.parse(JSON.stringify({ epoch: 7, shards })));
    }),
  );
});

test('a round over as many shards as there may be is sent in a fraction of a message', () => {
  const lastTerms = Object.fromEntries(NAMES.map((name) => [name, 123_456_789]));
  const shards = NAMES.map((name) => state(name, { epoch: 3, round: 9, lastTerms, refused: false }));
  expect(JSON.stringify({ shards }).length).toBeGreaterThan(8 * 1024 * 1024);
  expect(JSON.stringify(shareRounds({ shards })).length).toBeLessThan(256 * 1024);
});

test('terms that are missing are an error, and not taken for none', () => {
  const shared = {
    shards: [{ ...state('a', null), newestRound: { epoch: 1, round: 1, refused: false, terms: 1 } }],
    terms: [{}],
  };
  expect(() => unshareRounds(shared)).toThrow('the terms of the newest round of a are missing');
});
