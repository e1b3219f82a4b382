/**
 * A small model of a leader, two shards and their replicas, for checking rules of take-over: which stories there can be
 * until the leader crashes, what its replicas then report, and whether what a successor decides keeps every promise.
 *
 * Worlds are immutable, so that all stories of a length can be walked through.
 */
import type { EpochStart, NewestRound } from '../contracts/node';
import { highestOf } from '../protocol/extremes';
import { decider, type InSyncReports, type ShardOutlook } from '../protocol/vat-decision';

const MODEL_SHARDS = ['A', 'B'] as const;
type ModelShard = (typeof MODEL_SHARDS)[number];

const REPLICAS = [0, 1];

/** What a round does: the shards that it touches, and those of them that refuse a request that spans both. */
interface Kind {
  shards: readonly ModelShard[];
  refusedBy: readonly ModelShard[];
}
const KINDS: readonly Kind[] = [
  { shards: ['A'], refusedBy: [] },
  { shards: ['B'], refusedBy: [] },
  { shards: ['A', 'B'], refusedBy: [] },
  { shards: ['A', 'B'], refusedBy: ['A'] },
  { shards: ['A', 'B'], refusedBy: ['B'] },
];

interface Round extends Kind {
  number: number;
  lastTerms: Record<string, number>;
}

interface ModelReplica {
  committedVat: number;
  currentTerm: number;
  newest: NewestRound | null;
  epochStarts: readonly EpochStart[];
  /** Rounds whose rows lie here. */
  held: readonly Round[];
}

export interface World {
  replicas: Readonly<Record<ModelShard, readonly ModelReplica[]>>;
  inSync: Readonly<Record<ModelShard, readonly number[]>>;
  vat: Readonly<Record<ModelShard, number>>;
  nextTerm: Readonly<Record<ModelShard, number>>;
  nextRound: number;
  acknowledged: readonly Round[];
  /** Rounds that were answered as refused, or will be answered as having come to nothing. */
  failed: readonly Round[];
  /** Rounds that were given up, and of which nobody knows what becomes of them as long as none of their shards goes on. */
  open: readonly Round[];
  /** What each shard remembers, and stores with its next round. */
  epochStarts: Readonly<Record<ModelShard, readonly EpochStart[]>>;
}

/**
 * What the leader does with a round that failed: `supersedes` gives every shard that it touched a newer round (an empty one
 * where nothing is left to do) before any of them goes on; `remembers` continues each shard as it comes, and has it store with its
 * next round that the failed one is none of its own; `forgets` just goes on.
 */
export type LeaderHabit = 'supersedes' | 'remembers' | 'forgets';

/**
 * `round`: all in-sync replicas get it, but for one of `missedBy`, which is made stale before the round is acknowledged.
 * `giveUp`: it reaches those of the mask and is given up. `rejoin`: a stale replica is brought in sync again.
 */
export type Step =
  | { do: 'round'; kind: number; missedBy?: ModelShard }
  | { do: 'giveUp'; kind: number; mask: number }
  | { do: 'rejoin'; shard: ModelShard };

/** What a successor finds. `unfinished`: the round that was on its way. */
export interface Crash {
  why: string;
  reports: InSyncReports;
  world: World;
  unfinished: Round | null;
}

const BLANK: ModelReplica = { committedVat: 0, currentTerm: 0, newest: null, epochStarts: [], held: [] };

export const INITIAL_WORLD: World = {
  replicas: { A: REPLICAS.map(() => BLANK), B: REPLICAS.map(() => BLANK) },
  inSync: { A: REPLICAS, B: REPLICAS },
  vat: { A: 0, B: 0 },
  nextTerm: { A: 1, B: 1 },
  nextRound: 1,
  acknowledged: [],
  failed: [],
  open: [],
  epochStarts: { A: [], B: [] },
};

/** Every step that the leader can take next. */
export function everyStep(world: World): Step[] {
  const steps: Step[] = [];
  KINDS.forEach((kind, index) => {
    steps.push({ do: 'round', kind: index });
    for (const shard of kind.shards) {
      if (world.inSync[shard].length > 1) steps.push({ do: 'round', kind: index, missedBy: shard });
    }
    if (kind.shards.length > 1)
      for (const mask of [0b0101, 0b1011, 0b1111]) steps.push({ do: 'giveUp', kind: index, mask });
  });
  for (const shard of MODEL_SHARDS) {
    if (world.inSync[shard].length < REPLICAS.length) steps.push({ do: 'rejoin', shard });
  }
  return steps;
}

/** The world after the step. */
export function step(world: World, next: Step, habit: LeaderHabit): World {
  if (next.do === 'rejoin') return rejoin(world, next.shard);
  const [begun, round] = begin(world, at(KINDS, next.kind));
  if (next.do === 'giveUp') return giveUp(deliver(begun, round, next.mask), round, habit);
  const there = next.missedBy === undefined ? begun : makeStale(begun, next.missedBy);
  const done = deliver(there, round, 0b1111);
  if (round.refusedBy.length > 0) return supersede({ ...done, failed: [...done.failed, round] }, round, habit);
  return acknowledge(done, round);
}

/** Every way in which the leader can crash now: between rounds, or while a round has reached any of its replicas. */
export function* crashes(world: World, habit: LeaderHabit): Generator<Crash> {
  yield { why: 'between rounds', reports: reportsOf(world), world, unfinished: null };
  for (const silent of habit === 'remembers' ? MODEL_SHARDS : []) {
    const reports = new Map([...reportsOf(world)].filter(([shard]) => shard !== silent));
    yield { why: `with ${silent} silent`, reports, world: seenWithout(world, silent), unfinished: null };
  }
  for (const kind of KINDS) {
    const [begun, round] = begin(world, kind);
    for (const mask of masksOf(kind)) {
      const reached = deliver(begun, round, mask);
      yield { why: `with ${JSON.stringify(kind)} at ${mask}`, reports: reportsOf(reached), world, unfinished: round };
    }
    if (round.refusedBy.length === 0 || habit !== 'supersedes') continue;
    const refused = { ...deliver(begun, round, 0b1111), failed: [...begun.failed, round] };
    const [again, empty] = begin(refused, { shards: round.shards, refusedBy: [] });
    for (const mask of masksOf(kind)) {
      const reports = reportsOf(deliver(again, empty, mask));
      yield { why: `while superseding ${JSON.stringify(kind)} at ${mask}`, reports, world: refused, unfinished: empty };
    }
  }
}

/** Every set of replicas of the kind's shards; see `deliver`. */
function masksOf(kind: Kind): number[] {
  const own = kind.shards.reduce((bits, shard) => bits | (0b11 << (MODEL_SHARDS.indexOf(shard) * REPLICAS.length)), 0);
  return Array.from({ length: 16 }, (_, mask) => mask).filter((mask) => (mask & ~own) === 0);
}

/** What is wrong with the decision, or null: the checker of every rule of take-over. */
export function acknowledgedStand(crash: Crash, decided: ReadonlyMap<string, ShardOutlook>): string | null {
  const { world, unfinished } = crash;
  const shown = (round: Round): ModelShard[] => round.shards.filter((shard) => isShown(crash, decided, shard, round));
  for (const round of world.acknowledged) {
    if (shown(round).length < round.shards.length) return `round ${round.number} was acknowledged and is lost`;
    for (const shard of round.shards) {
      if (vatOf(decided, shard) < (round.lastTerms[shard] ?? 0)) return `${shard} falls below an acknowledged round`;
    }
  }
  for (const round of world.failed) {
    if (shown(round).length > 0) return `round ${round.number} was refused and is shown by ${shown(round).join()}`;
  }
  for (const round of world.open) {
    const by = shown(round).length;
    if (by > 0 && by < round.shards.length)
      return `round ${round.number} was given up and is shown by one of its shards`;
  }
  if (unfinished !== null) {
    const by = shown(unfinished).length;
    if (by > 0 && by < unfinished.shards.length) return `round ${unfinished.number} is shown by one of its two shards`;
    if (by > 0 && unfinished.refusedBy.length > 0) return `round ${unfinished.number} was refused and is shown`;
  }
  return sameEverywhere(crash, decided);
}

/** Whether any in-sync replica of the shard holds the round at or below the decided VAT. */
function isShown(crash: Crash, decided: ReadonlyMap<string, ShardOutlook>, shard: ModelShard, round: Round): boolean {
  return heldAt(crash, shard, vatOf(decided, shard)).some((rounds) => rounds.includes(round.number));
}

function sameEverywhere(crash: Crash, decided: ReadonlyMap<string, ShardOutlook>): string | null {
  for (const shard of MODEL_SHARDS.filter((one) => crash.reports.has(one))) {
    const views = heldAt(crash, shard, vatOf(decided, shard)).map((rounds) => rounds.join());
    if (new Set(views).size > 1) return `the replicas of ${shard} differ: ${views.join(' / ')}`;
    const seen = highestOf((crash.reports.get(shard) ?? []).map((report) => report.currentTerm));
    if ((decided.get(shard)?.nextTerm ?? 0) <= seen) return `${shard} would use a term twice`;
  }
  return null;
}

/** By in-sync replica: the rounds that its readers would see at the VAT. */
function heldAt(crash: Crash, shard: ModelShard, vat: number): number[][] {
  const replicas = (crash.reports.get(shard) ?? []) as readonly ReturnType<typeof report>[];
  return replicas.map(({ held }) => held.filter((round) => lastTerm(round, shard) <= vat).map((round) => round.number));
}

function vatOf(decided: ReadonlyMap<string, ShardOutlook>, shard: ModelShard): number {
  return decided.get(shard)?.vat ?? -1;
}

function lastTerm(round: Round, shard: ModelShard): number {
  return round.lastTerms[shard] ?? 0;
}

/** Reserves terms: one for each shard, never used again. */
function begin(world: World, kind: Kind): [World, Round] {
  const lastTerms: Record<string, number> = {};
  const nextTerm = { ...world.nextTerm };
  for (const shard of kind.shards) {
    lastTerms[shard] = nextTerm[shard];
    nextTerm[shard] += 1;
  }
  return [
    { ...world, nextTerm, nextRound: world.nextRound + 1 },
    { ...kind, number: world.nextRound, lastTerms },
  ];
}

/** The round reaches those in-sync replicas whose bit is set: bits 0 and 1 are those of A, 2 and 3 those of B. */
function deliver(world: World, round: Round, mask: number): World {
  const replicas = { ...world.replicas };
  for (const shard of round.shards) {
    const shift = MODEL_SHARDS.indexOf(shard) * REPLICAS.length;
    replicas[shard] = replicas[shard].map((replica, index) => {
      const reached = world.inSync[shard].includes(index) && ((mask >> (shift + index)) & 1) === 1;
      if (!reached) return replica;
      return { ...apply(replica, shard, round, world.vat[shard]), epochStarts: world.epochStarts[shard] };
    });
  }
  return { ...world, replicas };
}

/** Rules 2 and 3, then the round, unless the shard refuses it. */
function apply(replica: ModelReplica, shard: ModelShard, round: Round, vat: number): ModelReplica {
  const refused = round.refusedBy.includes(shard);
  const kept = replica.held.filter((held) => lastTerm(held, shard) <= vat);
  const newest = { epoch: 1, round: round.number, lastTerms: round.lastTerms, refused };
  return {
    ...replica,
    committedVat: vat,
    currentTerm: lastTerm(round, shard),
    newest,
    held: refused ? kept : [...kept, round],
  };
}

function acknowledge(world: World, round: Round): World {
  const vat = { ...world.vat };
  for (const shard of round.shards) vat[shard] = lastTerm(round, shard);
  const settled = world.open.filter(({ shards }) => shards.some((shard) => round.shards.includes(shard)));
  return {
    ...world,
    vat,
    acknowledged: [...world.acknowledged, round],
    failed: [...world.failed, ...settled],
    open: world.open.filter((one) => !settled.includes(one)),
  };
}

/** Too few replicas have the round. */
function giveUp(world: World, round: Round, habit: LeaderHabit): World {
  if (habit === 'remembers') return supersede({ ...world, open: [...world.open, round] }, round, habit);
  return supersede({ ...world, failed: [...world.failed, round] }, round, habit);
}

function supersede(world: World, failed: Round, habit: LeaderHabit): World {
  if (habit === 'forgets') return world;
  if (habit === 'remembers') {
    const epochStarts = { ...world.epochStarts };
    for (const shard of failed.shards)
      epochStarts[shard] = [...epochStarts[shard], { epoch: 1, round: failed.number + 1, vat: world.vat[shard] }];
    return { ...world, epochStarts };
  }
  const [begun, empty] = begin(world, { shards: failed.shards, refusedBy: [] });
  return acknowledge(deliver(begun, empty, 0b1111), empty);
}

function makeStale(world: World, shard: ModelShard): World {
  return { ...world, inSync: { ...world.inSync, [shard]: world.inSync[shard].slice(0, -1) } };
}

/** Copies what is committed; the replica still remembers the newest round that it had seen itself. */
function rejoin(world: World, shard: ModelShard): World {
  const vat = world.vat[shard];
  const source = at(world.replicas[shard], at(world.inSync[shard], 0));
  const held = source.held.filter((round) => lastTerm(round, shard) <= vat);
  const replicas = world.replicas[shard].map((replica, index) =>
    world.inSync[shard].includes(index)
      ? replica
      : { ...replica, committedVat: vat, currentTerm: vat, held, epochStarts: world.epochStarts[shard] },
  );
  return {
    ...world,
    replicas: { ...world.replicas, [shard]: replicas },
    inSync: { ...world.inSync, [shard]: REPLICAS },
  };
}

/** Decides every shard of which there are reports. */
export function decideVats(reports: InSyncReports): Map<string, ShardOutlook> {
  const outlookOf = decider((shard) => reports.get(shard) ?? []);
  return new Map([...reports.keys()].map((shard) => [shard, outlookOf(shard)]));
}

function reportsOf(world: World): InSyncReports {
  return new Map(
    MODEL_SHARDS.map((shard) => [shard, world.inSync[shard].map((index) => report(at(world.replicas[shard], index)))]),
  );
}

/** What a replica reports; `held` is for the checker only. */
function report({ committedVat, currentTerm, newest, epochStarts, held }: ModelReplica) {
  return { committedVat, currentTerm, newestRound: newest, epochStarts, held };
}

/** What can be checked of the world while all replicas of one shard are silent: rounds over it are decided for the other one alone. */
function seenWithout(world: World, silent: ModelShard): World {
  const others = (rounds: readonly Round[]): Round[] => rounds.filter(({ shards }) => !shards.includes(silent));
  return { ...world, acknowledged: others(world.acknowledged), open: [] };
}

function at<T>(items: readonly T[], index: number): T {
  const item = items[index];
  if (item === undefined) throw new RangeError(`there is no item ${index}`);
  return item;
}
