/** What a take-over does, counted and not timed: messages by kind and by server, steps, and function calls within the core. */
import type { Effect } from '../../src/core/kernel/effects';
import { COPIES, Crowd, type Cost } from './crowd';
import { Calls } from './meters';

const SERVERS = 12;

/** The lease of the leader before has to run out, and a tick comes every 100 ms. */
const TICKS = 40;

/** A cluster before its take-over: `written` by its clients in one round over all shards, or by each shard by itself. */
type Before = 'nothing written' | 'a round known to be committed' | 'a round that nobody knows about';
const BEFORE: readonly Before[] = [
  'nothing written',
  'a round known to be committed',
  'a round that nobody knows about',
];

function crowdOf(shards: number, before: Before): Crowd {
  const crowd = Crowd.of(shards, SERVERS);
  if (before !== 'nothing written') crowd.writeEverywhere(before === 'a round known to be committed');
  return crowd;
}

/** A take-over with its function calls counted. */
function countedTakeOver(crowd: Crowd): Cost {
  const calls = new Calls();
  crowd.meter = calls;
  try {
    return crowd.takeOver();
  } finally {
    calls.end();
  }
}

/** So many of each kind at most: what is not named must not be there at all. */
function mostOf(shards: number): Partial<Record<Effect['do'], number>> {
  const rounds = shards * COPIES;
  return {
    // Each key is written once under the new epoch: the shards, the cluster and the lease; the leader's key is read besides.
    store: shards + 4,
    readKey: 6,
    ...{ load: 1, listNodes: 1, census: 1 },
    // Once each: fenced, and sent the cluster's record at the end. Heartbeats come with time, whatever the shards.
    ...{ fence: SERVERS, config: SERVERS, ping: 2 * SERVERS },
    // One empty round of each shard for each of its replicas.
    ...{ apply: rounds, roundDone: shards },
    pause: 8 + shards / 16,
    ...{ log: 2 + 2 * SERVERS, publish: 2, serve: 1 },
  };
}

test.each(BEFORE)('a take-over sends each server so much for each shard, and no more: %s', (before) => {
  for (const shards of [64, 256]) {
    const { steps, effects, messages } = crowdOf(shards, before).takeOver();
    const most = mostOf(shards);
    const tooMany = [...effects].filter(([kind, count]) => count > (most[kind] ?? 0));
    expect(tooMany).toEqual([]);
    // Beyond one round of each of its shards: a fence, the news and heartbeats.
    const rounds = (shards * COPIES) / SERVERS;
    expect([...messages].filter(([, count]) => count > rounds + 4)).toEqual([]);
    // One step for each answer.
    const answers = [...effects].reduce((sum, [, count]) => sum + count, 0);
    expect(steps).toBeLessThanOrEqual(answers + TICKS);
  }
});

test('shards that share a round of which nobody knows are decided by one round for all', () => {
  const { effects } = crowdOf(256, 'a round that nobody knows about').takeOver();
  expect(effects.get('apply')).toBe(SERVERS);
});

/** Calls of functions of the core for each shard. They were 530 when this was written, and 87,000 in the longest step. */
const CALLS_PER_SHARD = 620;
const CALLS_PER_STEP = 100_000;
const FOUR_TIMES = 5;
/** As many as there are groups of shards that are decided at once, a message for each replica. */
const EFFECTS_PER_STEP = 32 * COPIES + SERVERS;

// A round that is known to be committed ties its shards to each other no more than none does.
test.each<Before>(['nothing written', 'a round that nobody knows about'])(
  'what a take-over does in all grows with its shards alone, and no step does much: %s',
  (before) => {
    const [few, many] = [256, 1_024].map((shards) => countedTakeOver(crowdOf(shards, before)));
    expect(many!.total).toBeLessThan(1_024 * CALLS_PER_SHARD);
    // Four times the shards; what is quadratic takes sixteen times as much.
    expect(many!.total / few!.total).toBeLessThan(FOUR_TIMES);
    expect(many!.longest).toBeLessThan(CALLS_PER_STEP);
    expect(many!.mostEffects).toBeLessThanOrEqual(EFFECTS_PER_STEP);
  },
  120_000,
);
