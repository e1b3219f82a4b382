/**
 * Kinds of worlds. What shows only where several things come together would be rare if all worlds were drawn from everything that
 * there is: each profile has its own sizes, settings and mix of faults, and the seed chooses one.
 */
import type { CoreSettings } from '../../src/core/detection/core-settings';
import { COMMON_FAULTS, type FaultKind } from './fault-kinds';
import { Dice } from './scheduler';
import type { ShapeChange } from './shape-changes';

export type Settings = Omit<CoreSettings, 'balancerId' | 'instance'>;

export interface Profile {
  name: string;
  /** Of this many worlds in the sum of all weights. */
  weight: number;
  servers: readonly number[];
  shards: readonly number[];
  /** Replicas of each shard; `all`: one on every server. */
  copies: readonly (number | 'all')[];
  /** Those that may happen; each world draws from them which do. */
  faults: readonly FaultKind[];
  /** How likely a fault of `faults` happens in a world at all. */
  often: number;
  /** How long there are faults. */
  lastsMs: readonly number[];
  /** Time between two faults, on average. */
  meanMs: readonly number[];
  /** Messages are lost, late or repeated more often than in other worlds. */
  isStormy: boolean;
  /** How likely servers and shards are added and removed. */
  shapeChanges: number;
  /** Which of these happen then; those that stand here twice are twice as likely. */
  changes: readonly ShapeChange[];
  /** Time between two of them, on average. */
  changesMs: number;
  /** How likely a change covers keys of several shards, where it covers more than one. */
  settings: Partial<Settings>;
  /** How long it may take until a read looks at the rows; 0: no time. */
  readsMs: number;
  /** No two shards share a server, as far as there are enough. */
  isApart: boolean;
  /** Clients go on after the faults until all is well: a cluster heals under load. */
  isBusy: boolean;
  clients: readonly number[];
  /** A client waits so long at most until it asks for the next thing. */
  pauseMs: number;
  /**
   * After so many operations of a world its clients pause up to 30 ms longer, after twice as many 60 ms, and so on: the first operations
   * show what a fault does, hundreds more mostly the same again.
   */
  eagerOperations: number;
  /** How often the disks are looked at: what is repaired soon shows only where they are often. */
  checkMs: number;
  /** Keys of each shard that clients use. */
  groups: readonly number[];
}

const GENERAL: Profile = {
  name: 'general',
  weight: 40,
  servers: [3, 3, 3, 4, 5],
  shards: [2, 2, 3],
  copies: [2, 3, 3, 3, 'all'],
  faults: COMMON_FAULTS,
  often: 0.4,
  lastsMs: [400, 800, 1_600, 3_200],
  meanMs: [60, 120, 250, 500],
  isStormy: false,
  shapeChanges: 0.25,
  changes: ['add', 'rm'],
  changesMs: 500,
  settings: {},
  readsMs: 0,
  isApart: false,
  isBusy: false,
  clients: [1, 2, 3],
  pauseMs: 30,
  eagerOperations: 15,
  checkMs: 200,
  groups: [2, 3],
};

/** What a replica loses although its process said that it had it, or does not know whether it has it. */
const DISK_FAULTS: readonly FaultKind[] = [
  'server ends',
  'server restarts',
  'server loses disk',
  'disk full',
  'disk in doubt',
  'disk lost unseen',
  'leader ends',
  'power cut',
];

const PROFILES: readonly Profile[] = [
  GENERAL,
  {
    ...GENERAL,
    name: 'rounds',
    weight: 15,
    servers: [3, 4],
    shards: [2, 3, 4],
    copies: [2, 3],
    faults: ['server ends', 'server far from leader', 'server half deaf', 'leader ends', 'leader alone', 'two sides'],
    often: 0.6,
    lastsMs: [800, 1_600],
    meanMs: [60, 120],
    shapeChanges: 0,
    clients: [2, 3, 4],
  },
  {
    ...GENERAL,
    name: 'membership',
    weight: 10,
    servers: [3, 4, 5],
    often: 0.25,
    lastsMs: [1_600, 3_200],
    meanMs: [250, 500],
    shapeChanges: 1,
    changes: ['add', 'rm', 'rm', 'grow', 'grow'],
  },
  {
    ...GENERAL,
    name: 'anew',
    weight: 10,
    servers: [3, 3, 4],
    often: 0.25,
    faults: [
      'leader ends',
      'leader stops',
      'leader pauses',
      'leader far from bucket',
      'bucket away',
      'server ends',
      'server restarts',
      'server pauses',
      'server alone',
      'disk in doubt',
      'disk full',
      'tables come again',
    ],
    lastsMs: [2_400, 3_200],
    meanMs: [120, 250, 500],
    shapeChanges: 1,
    changes: ['init', 'init', 'init', 'add', 'rm', 'grow'],
    changesMs: 300,
  },
  {
    ...GENERAL,
    name: 'bucket',
    weight: 10,
    copies: [2, 2, 3, 4],
    servers: [3, 4],
    faults: [
      'bucket rolled back',
      'bucket lost',
      'bucket away',
      'epoch given twice',
      'last words late',
      'leader ends',
      'leader stops',
      'server ends',
      'server alone',
      'power cut',
    ],
    often: 0.6,
    lastsMs: [1_600, 3_200],
    meanMs: [120, 250],
    shapeChanges: 0.3,
  },
  {
    ...GENERAL,
    name: 'disks',
    weight: 10,
    faults: DISK_FAULTS,
    often: 0.6,
    lastsMs: [800, 1_600, 3_200],
    meanMs: [60, 120, 250],
  },
  {
    ...GENERAL,
    name: 'purging',
    weight: 10,
    servers: [3],
    copies: [2, 3],
    faults: [
      'server ends',
      'server restarts',
      'server pauses',
      'server alone',
      'server loses disk',
      'leader ends',
      'leader stops',
    ],
    settings: { tombstoneHorizonMs: 40, operationHorizonMs: 2_500 },
    lastsMs: [1_600, 3_200],
    shapeChanges: 0.1,
    clients: [2, 3, 4],
  },
  {
    ...GENERAL,
    name: 'dead servers',
    weight: 5,
    servers: [3, 4, 5],
    faults: [...COMMON_FAULTS, 'server dies for good'],
    often: 0.35,
    lastsMs: [800, 1_600],
    shapeChanges: 0.4,
  },
  {
    ...GENERAL,
    name: 'late messages',
    weight: 10,
    servers: [3],
    faults: [
      'server pauses',
      'server alone',
      'leader pauses',
      'leader ends',
      'leader far from bucket',
      'standby pauses',
      'copies come again',
    ],
    isStormy: true,
    lastsMs: [800, 1_600],
    shapeChanges: 0.1,
    clients: [2, 3],
  },
];

/** The profile of a seed's world. `only`: the name of the one that is wanted. @throws RangeError when there is none of that name */
export function profileOf(seed: number, only: string | null): Profile {
  if (only !== null) {
    const wanted = PROFILES.find(({ name }) => name === only);
    if (wanted === undefined)
      throw new RangeError(`there is no profile ${only}: ${PROFILES.map((one) => one.name).join()}`);
    return wanted;
  }
  const total = PROFILES.reduce((sum, { weight }) => sum + weight, 0);
  let place = new Dice(seed ^ 0x70726f66).between(1, total);
  for (const profile of PROFILES) {
    place -= profile.weight;
    if (place <= 0) return profile;
  }
  return GENERAL;
}
