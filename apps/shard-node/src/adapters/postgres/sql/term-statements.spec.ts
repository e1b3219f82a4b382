import { emptyShard } from '../../../core/replica-state';
import { roundValues } from './term-statements';

const CONFIG = {
  low: 0,
  size: 10,
  configEpoch: 1,
  configVersion: 1,
  inSync: [],
  replicas: [],
  joining: [],
  diverged: [],
};

it('makes the terms of a round a text once, however many of its shards are stored', () => {
  let texts = 0;
  const lastTerms = {
    ...{ a: 7, b: 9 },
    toJSON: (): object => {
      texts += 1;
      return { a: 7, b: 9 };
    },
  } as unknown as Record<string, number>;
  const newestRound = { epoch: 1, round: 3, lastTerms, refused: false };
  const values = ['a', 'b'].map((shard) => roundValues({ ...emptyShard({ shard, ...CONFIG }), newestRound }, 1));
  for (const of of values) expect(of).toContain('{"a":7,"b":9}');
  expect(texts).toBe(1);
});
