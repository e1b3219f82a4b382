import fc from 'fast-check';
import type { NewestRound } from '../contracts/node';
import { isRuledOut, roundHeldByAll, type InSyncReports, type ReplicaReport, type ShardOutlook } from './vat-decision';
import {
  acknowledgedStand,
  crashes,
  decideVats,
  everyStep,
  INITIAL_WORLD,
  step,
  type Crash,
  type LeaderHabit,
  type Step,
  type World,
} from '../testing/take-over-model';

type Decision = (reports: InSyncReports) => Map<string, ShardOutlook>;

/** The first story that ends badly, among all stories of up to `length` steps, or null. */
function findFlaw(decide: Decision, habit: LeaderHabit, length: number): string | null {
  const explore = (world: World, story: readonly Step[]): string | null => {
    for (const crash of crashes(world, habit)) {
      const mutation = acknowledgedStand(crash, decide(crash.reports));
      if (mutation !== null) return `${JSON.stringify(story)}, crash ${crash.why}: ${mutation}`;
    }
    if (story.length === length) return null;
    for (const next of everyStep(world)) {
      const mutation = explore(step(world, next, habit), [...story, next]);
      if (mutation !== null) return mutation;
    }
    return null;
  };
  return explore(INITIAL_WORLD, []);
}

/** Looks right: what every replica has reached. */
const minimumOfCurrentTerms: Decision = (reports) =>
  new Map(
    [...reports].map(([shard, replicas]) => {
      const terms = replicas.map((replica) => replica.currentTerm);
      return [shard, { vat: Math.min(...terms), nextTerm: Math.max(...terms) + 1 }];
    }),
  );

/** Looks right as well: every shard by its own newest round, without asking the others that it touched. */
const eachShardAlone: Decision = (reports) =>
  new Map([...reports].flatMap(([shard, replicas]) => [...decideVats(new Map([[shard, restrict(shard, replicas)]]))]));

function restrict(shard: string, replicas: readonly ReplicaReport[]): ReplicaReport[] {
  return replicas.map((replica) => ({
    ...replica,
    newestRound: replica.newestRound && {
      ...replica.newestRound,
      lastTerms: { [shard]: replica.newestRound.lastTerms[shard] ?? 0 },
    },
  }));
}

describe('decideVats', () => {
  const safe = ['supersedes', 'remembers'] as const;

  it.each(safe)('loses nothing and decides rounds over two shards alike, in every story of two steps: %s', (habit) => {
    expect(findFlaw(decideVats, habit, 2)).toBeNull();
  });

  it.each(safe)('does so in long random stories: %s', (habit) => {
    const choices = fc.array(fc.nat(), { minLength: 4, maxLength: 20 });
    fc.assert(
      fc.property(choices, (picks) => {
        let world = INITIAL_WORLD;
        for (const pick of picks) {
          const steps = everyStep(world);
          world = step(world, steps[pick % steps.length]!, habit);
          for (const crash of crashes(world, habit)) {
            expect(acknowledgedStand(crash, decideVats(crash.reports))).toBeNull();
          }
        }
      }),
      { numRuns: 40 },
    );
  });

  it('needs the leader to supersede a failed round in all of its shards before one goes on, or these to remember it', () => {
    expect(findFlaw(decideVats, 'forgets', 3)).toContain('was refused');
  });

  it('would be wrong without what shards remember of rounds that were given up', () => {
    const forgetful: Decision = (reports) =>
      decideVats(
        new Map([...reports].map(([shard, replicas]) => [shard, replicas.map((one) => ({ ...one, epochStarts: [] }))])),
      );
    expect(findFlaw(forgetful, 'remembers', 2)).not.toBeNull();
  });

  it('would be wrong as the minimum of the current terms', () => {
    expect(findFlaw(minimumOfCurrentTerms, 'supersedes', 1)).not.toBeNull();
  });

  it('would be wrong for each shard alone', () => {
    expect(findFlaw(eachShardAlone, 'supersedes', 1)).not.toBeNull();
  });
});

/** What is reported when only those replicas answer whose bit is set, two of each shard. */
function heardFrom(reports: InSyncReports, mask: number): InSyncReports {
  return new Map(
    [...reports].map(([shard, replicas], place) => [
      shard,
      replicas.filter((_, index) => ((mask >> (2 * place + index)) & 1) === 1),
    ]),
  );
}

/** The first round that is ruled out by what some replicas report, and was acknowledged or would be committed by what all report. */
function findWronglyRuledOut({ reports, world }: Crash): string | null {
  const decided = decideVats(reports);
  const reported = [...reports.values()].flat().flatMap(({ newestRound }) => newestRound ?? []);
  const rounds = [...new Map(reported.map((round) => [round.round, round])).values()];
  for (let mask = 0; mask < 16; mask += 1) {
    for (const round of rounds.filter((one) => isRuledOut(one, heardFrom(reports, mask)))) {
      const isAcknowledged = world.acknowledged.some(({ number }) => number === round.round);
      const isCommitted = [...reports].some(([shard, replicas]) => {
        const isNewest = roundHeldByAll(replicas)?.round === round.round;
        return isNewest && (decided.get(shard)?.vat ?? 0) >= (round.lastTerms[shard] ?? Infinity);
      });
      if (isAcknowledged || isCommitted) return `round ${round.round}, of which ${mask.toString(2)} tell`;
    }
  }
  return null;
}

function replica(
  committedVat: number,
  currentTerm: number,
  round: number,
  lastTerms: Record<string, number>,
  refused = false,
) {
  return { committedVat, currentTerm, newestRound: { epoch: 1, round, lastTerms, refused } };
}
/** A replica whose newest round, of epoch 4, is known to be committed. */
function later(vat: number, epochStarts: ReplicaReport['epochStarts'] & object): ReplicaReport {
  return {
    committedVat: vat,
    currentTerm: vat,
    newestRound: { epoch: 4, round: 9, lastTerms: { B: vat }, refused: false },
    epochStarts,
  };
}
/** The same, but for the epoch of its newest round. */
function ofEpoch<R extends { newestRound: NewestRound }>(epoch: number, report: R): R {
  return { ...report, newestRound: { ...report.newestRound, epoch } };
}
const EMPTY: ReplicaReport = { committedVat: 0, currentTerm: 0, newestRound: null };

describe('decideVats on examples', () => {
  const both = { A: 7, B: 4 };

  it.each<[string, Record<string, ReplicaReport[]>, Record<string, number>]>([
    ['nothing written yet', { A: [EMPTY, EMPTY] }, { A: 0 }],
    ['a round that all have', { A: [replica(5, 7, 2, { A: 7 }), replica(5, 7, 2, { A: 7 })] }, { A: 7 }],
    ['a round that one has not', { A: [replica(5, 7, 2, { A: 7 }), replica(3, 5, 1, { A: 5 })] }, { A: 5 }],
    [
      'two rounds that end in the same term (a leader’s that was fenced, and its successor’s)',
      { A: [replica(5, 7, 2, { A: 7 }), { ...replica(5, 7, 3, { A: 7 }) }] },
      { A: 5 },
    ],
    [
      'a round over two shards that all of both have',
      { A: [replica(5, 7, 2, both), replica(5, 7, 2, both)], B: [replica(1, 4, 2, both)] },
      { A: 7, B: 4 },
    ],
    [
      'a round over two shards that one replica of the other lacks',
      { A: [replica(5, 7, 2, both), replica(5, 7, 2, both)], B: [replica(1, 4, 2, both), replica(1, 1, 1, { B: 1 })] },
      { A: 5, B: 1 },
    ],
    [
      'a round over two shards that the other one refused',
      { A: [replica(5, 7, 2, both)], B: [replica(1, 4, 2, both, true)] },
      { A: 5, B: 1 },
    ],
    [
      'a round over two shards whose commit the other one knows by its next round',
      { A: [replica(5, 7, 2, both)], B: [replica(4, 6, 3, { B: 6 }), replica(1, 4, 2, both)] },
      { A: 7, B: 4 },
    ],
    [
      'a round that never got to the other shard, which has gone on under a later leader',
      { A: [replica(5, 7, 2, both)], B: [later(9, [{ epoch: 2, vat: 3 }]), later(9, [])] },
      { A: 5, B: 9 },
    ],
    [
      'a round that the other shard, which has gone on under a later leader, was found to have',
      { A: [replica(5, 7, 2, both)], B: [later(9, []), later(9, [{ epoch: 2, vat: 4 }])] },
      { A: 7, B: 9 },
    ],
    [
      'the same, two leaders later',
      {
        A: [replica(5, 7, 2, both)],
        B: [
          later(9, [
            { epoch: 2, vat: 3 },
            { epoch: 4, vat: 6 },
          ]),
        ],
      },
      { A: 5, B: 9 },
    ],
    [
      'a round that was given up, of which the other shard, which has gone on, remembers that it is not committed',
      {
        A: [replica(5, 7, 2, both)],
        B: [{ ...replica(9, 9, 5, { B: 9 }), epochStarts: [{ epoch: 1, round: 3, vat: 1 }] }],
      },
      { A: 5, B: 9 },
    ],
    [
      'a round that came after the one that the other shard remembers to have been given up',
      {
        A: [replica(5, 7, 2, both)],
        B: [{ ...replica(9, 9, 5, { B: 9 }), epochStarts: [{ epoch: 1, round: 2, vat: 1 }] }],
      },
      { A: 7, B: 9 },
    ],
    [
      'a round that all had before more was copied to them, and known to be committed',
      { A: [replica(9, 9, 2, { A: 7 }), replica(8, 9, 2, { A: 7 })] },
      { A: 9 },
    ],
    [
      'a round of this epoch, with a lower number than one that was given up under an earlier one',
      { A: [{ ...ofEpoch(2, replica(5, 7, 3, { A: 7 })), epochStarts: [{ epoch: 1, round: 9, vat: 5 }] }] },
      { A: 7 },
    ],
    ['a round over a shard of which nobody reports', { A: [replica(5, 7, 2, both)] }, { A: 5 }],
  ])('%s', (_, reports, vats) => {
    const outlooks = decideVats(new Map(Object.entries(reports)));
    expect(Object.fromEntries([...outlooks].map(([shard, { vat }]) => [shard, vat]))).toEqual(vats);
    for (const [shard, { nextTerm }] of outlooks) {
      for (const { currentTerm } of reports[shard] ?? []) expect(nextTerm).toBeGreaterThan(currentTerm);
    }
  });

  it('uses no term again that is known to be committed, not even where the replicas know of no such term', () => {
    const behind = { ...EMPTY, committedVat: 9, currentTerm: 5 };
    expect(decideVats(new Map([['A', [behind, EMPTY]]])).get('A')).toEqual({ vat: 9, nextTerm: 10 });
  });

  it('takes rounds of two epochs as two rounds', () => {
    const a = replica(5, 7, 2, { A: 7 });
    const b = ofEpoch(2, a);
    expect(roundHeldByAll([a, b])).toBeNull();
    expect(roundHeldByAll([a, a])).toEqual(a.newestRound);
    expect(roundHeldByAll([a, EMPTY])).toBeNull();
    expect(roundHeldByAll([])).toBeNull();
  });
});

describe('isRuledOut', () => {
  it.each(['supersedes', 'remembers'] as const)('is said of no round that may be committed: %s', (habit) => {
    const explore = (world: World, length: number): void => {
      for (const crash of crashes(world, habit)) {
        const found = findWronglyRuledOut(crash);
        if (found !== null) throw new Error(`${found}, after a crash ${crash.why}`);
      }
      if (length > 0) for (const next of everyStep(world)) explore(step(world, next, habit), length - 1);
    };
    explore(INITIAL_WORLD, 2);
  });

  const both = { A: 7, B: 4 };
  const round = replica(5, 7, 2, both).newestRound;
  const ofB = (...replicas: ReplicaReport[]): InSyncReports => new Map([['B', replicas]]);

  it.each<[string, InSyncReports, boolean]>([
    ['nobody of the other shard reports', new Map(), false],
    ['the only one that reports has it', ofB(replica(1, 4, 2, both)), false],
    ['one has it, and one has not', ofB(replica(1, 4, 2, both), replica(1, 1, 1, { B: 1 })), true],
    ['the only one that reports has refused it', ofB(replica(1, 4, 2, both, true)), true],
    ['the only one that reports has nothing', ofB(EMPTY), true],
    ['it knows that more is committed', ofB(replica(4, 6, 3, { B: 6 })), false],
    ['one knows so, and one has it not', ofB(replica(4, 6, 3, { B: 6 }), replica(1, 1, 1, { B: 1 })), false],
  ])('%s', (_, reports, isSo) => {
    expect(isRuledOut(round, reports)).toBe(isSo);
  });

  it('is said of no round for what a shard reports whose members may have left it, but for what it remembers', () => {
    const doubtful = new Set(['B']);
    expect(isRuledOut(round, ofB(EMPTY), doubtful)).toBe(false);
    expect(isRuledOut(round, ofB(later(9, [{ epoch: 2, vat: 3 }])), doubtful)).toBe(true);
    expect(isRuledOut(round, ofB(later(9, [{ epoch: 2, vat: 4 }])), doubtful)).toBe(false);
  });
});
