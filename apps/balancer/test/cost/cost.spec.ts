/** What the core's work grows with: CPU time of twice the input in proportion to that of once, so that no machine is too slow for it. */
import { Crowd } from './crowd';

const RUNS = 5;
/** Twice the shards take twice the time; what is quadratic takes four times as much. */
const NEXT_TO_LINEAR = 3;
/** One step of a take-over of many shards takes no more than this of all of it: else the lease could run out in it. */
const OF_ALL = 0.4;
/** Of four times the shards, with room for what a machine does besides; n·√n takes eight times as much. */
const FOUR_TIMES = 7;

function least(measure: () => number): number {
  return Math.min(...Array.from({ length: RUNS }, measure));
}

const nothing = (): void => undefined;

test.each<[string, (crowd: Crowd) => void]>([
  ['of which each was written by itself', nothing],
  [
    'that share a round which is known to be committed',
    (crowd) => {
      crowd.writeEverywhere(true);
    },
  ],
  [
    'that share a round of which nobody knows what became of it',
    (crowd) => {
      crowd.writeEverywhere(false);
    },
  ],
])(
  'a take-over takes time in proportion to the shards, %s',
  (_, before) => {
    const [few, many] = [256, 1_024].map((shards) => {
      const crowd = Crowd.of(shards, 12);
      const costs = Array.from({ length: RUNS }, () => {
        before(crowd);
        return crowd.takeOver();
      });
      return {
        total: Math.min(...costs.map(({ total }) => total)),
        longest: Math.min(...costs.map(({ total, longest }) => longest / total)),
      };
    });
    // What is quadratic takes sixteen times as much for four times the shards.
    expect(many!.total / few!.total).toBeLessThan(FOUR_TIMES);
    expect(many!.longest).toBeLessThan(OF_ALL);
  },
  240_000,
);

test('a take-over of many shards goes on when its first rounds come to nothing', () => {
  const crowd = Crowd.of(256, 12);
  crowd.leaveOpenRounds();
  crowd.lostRounds = 150;
  crowd.takeOver();
  expect(crowd.lostRounds).toBe(0);
}, 120_000);

test('an event of the leader costs the same, however many writes wait', () => {
  const [few, many] = [1_000, 64_000].map((waiting) => {
    const crowd = Crowd.of(16, 6);
    crowd.holdsRounds = true;
    crowd.write(waiting);
    return least(() => {
      crowd.measure();
      for (let tick = 0; tick < 300; tick += 1) crowd.tick();
      return crowd.cost.total;
    });
  });
  expect(many! / few!).toBeLessThan(NEXT_TO_LINEAR);
}, 120_000);
