/**
 * Guards that only matter where several things come together, each switched off: what they guard against is made likely by the profile
 * and the faults of the worlds in which that must be noticed.
 */
import type { NodeShardState } from '#common/contracts/node';
import type { BalancerCore } from '../../src/core/balancer-core';
import type { Cluster } from '../../src/core/cluster';
import type { Shard, ShardRecord } from '../../src/core/shard';
import { wait, type Workflow } from '../../src/core/workflow';
import type { Flaws } from './simulation';
import type { Weakness } from './weaknesses';

export const GUARDS_OFF: readonly Weakness[] = [
  { point: 7, name: 'forgets at which VAT an epoch began', fromSeed: 1, withinSeeds: 400, flaws: forgetsEpochStarts },
  { point: 2, name: 'purges what a copy still needs', fromSeed: 1, withinSeeds: 400, flaws: holdsNothingForCopies },
  { point: 9, name: 'takes requests for copies that come late', fromSeed: 1, withinSeeds: 400, flaws: takesLateCopies },
  { point: 5, name: 'takes an empty table for a whole one', fromSeed: 1, withinSeeds: 400, flaws: believesEmptyTables },
  { point: 5, name: 'lets into the set who is no replica any more', fromSeed: 1, withinSeeds: 400, flaws: promotesAnybody },
  { point: 5, name: 'does not wait until members know who has left', fromSeed: 1, withinSeeds: 400, flaws: leavesUntold },
  { point: 6, name: 'believes a bucket on the word of one', fromSeed: 1, withinSeeds: 400, flaws: asksTooFew },
  { point: 7, name: 'serves from members that lost their disks', fromSeed: 1, withinSeeds: 400, flaws: suspendsNobody },
  { point: 7, name: 'uses terms that a replica has seen', fromSeed: 1, withinSeeds: 400, flaws: forgetsHighestTerm },
  { point: 8, name: 'tells rows that were purged while they were read', fromSeed: 1, withinSeeds: 400, flaws: looksOnce },
  { point: 7, name: 'does not hear which ids are forgotten', fromSeed: 1, withinSeeds: 400, flaws: hearsNoForgottenIds },
  { point: 3, name: 'goes on from memory after a failed commit', fromSeed: 1, withinSeeds: 400, flaws: reloadsNothing },
];

/** What take-overs decided is told by nobody. */
function forgetsEpochStarts(): Flaws {
  return {
    bias: {
      profile: 'rounds',
      ...{ servers: [4], shards: [2], copies: [2], isApart: true, lastsMs: [4_000], meanMs: [250] },
      faults: ['shard away', 'shard far from leader', 'leader ends'],
    },
    interceptAsk: (ask, carryOut, answer) => {
      carryOut(ask, (outcome) => {
        if (ask.do !== 'fence' || !outcome.ok) {
          answer(outcome);
          return;
        }
        const reply = outcome.value as { shards: NodeShardState[] };
        answer({ ok: true, value: { ...reply, shards: reply.shards.map((told) => ({ ...told, epochStarts: [] })) } });
      });
    },
  };
}

function holdsNothingForCopies(): Flaws {
  return {
    bias: {
      profile: 'purging',
      ...{ servers: [2], shards: [1], copies: [2], groups: [8], lastsMs: [3_200], meanMs: [1_000], shapeChanges: 0 },
      ...{ isBusy: true, clients: [2], pauseMs: 400, settings: { tombstoneHorizonMs: 40, operationHorizonMs: 2_500, copyBytesPerS: 2_000 } },
      faults: ['server loses disk'],
    },
    patchCore: (core) => {
      eachShard(core, (shard) => {
        shard.holdForCopy = () => undefined;
      });
    },
  };
}

/** Each request seems to be newer than the one before. */
function takesLateCopies(): Flaws {
  let turn = 1_000_000;
  return {
    bias: { profile: 'late messages', faults: ['server loses disk', 'server restarts'], copies: [3] },
    patchReplica: (replica) => {
      const catchup = replica.catchup.bind(replica);
      replica.catchup = (request) => catchup({ ...request, turn: turn++ });
    },
  };
}

/** Every table seems to be made for a shard that comes into being. */
function believesEmptyTables(): Flaws {
  return {
    bias: {
      profile: 'disks',
      ...{ servers: [2, 3], copies: [2], shapeChanges: 0, isStormy: true },
      faults: ['server loses disk', 'leader ends', 'server half deaf'],
    },
    patchReplica: (replica) => {
      const config = replica.config.bind(replica);
      replica.config = (request) => config({ ...request, areNew: true });
    },
  };
}

function promotesAnybody(): Flaws {
  return {
    bias: {
      profile: 'membership',
      ...{ changes: ['add', 'rm', 'rm'], changesMs: 120 },
      faults: ['server restarts', 'server loses disk', 'server ends'],
    },
    patchCore: (core) => {
      const { inSyncSets } = insides(core);
      inSyncSets.promote = function* (shard, server) {
        yield* wait(shard.configLock.acquire());
        try {
          const { record } = shard;
          const inSync = [...new Set([...record.inSync, server])];
          const joining = record.joining.filter((name) => name !== server);
          if ((yield* inSyncSets.store(shard, { ...record, inSync, joining })) !== 'stored') return false;
          yield* inSyncSets.tellAll(shard);
          return true;
        } finally {
          shard.entering.delete(server);
          shard.configLock.release();
        }
      };
    },
  };
}

function leavesUntold(): Flaws {
  return {
    bias: {
      profile: 'bucket',
      ...{ servers: [3], shards: [1], copies: [3], shapeChanges: 0, isStormy: true, lastsMs: [3_200] },
      faults: ['server ends', 'server far from leader', 'server far from leader', 'disaster'],
    },
    patchCore: (core) => {
      eachShard(core, (shard) => {
        Object.defineProperty(shard, 'untold', { get: () => new Set<string>(), set: () => undefined });
      });
    },
  };
}

function asksTooFew(): Flaws {
  return {
    bias: {
      profile: 'bucket',
      ...{ servers: [2, 3], shards: [1, 2], copies: [2], shapeChanges: 0, lastsMs: [3_200], meanMs: [250] },
      faults: ['server ends', 'server alone', 'disaster', 'disaster'],
    },
    patchCore: (core) => {
      insides(core).takeOver.answered = () => Number.POSITIVE_INFINITY;
    },
  };
}

function suspendsNobody(): Flaws {
  return {
    bias: { profile: 'disks', faults: ['server loses disk', 'leader ends', 'power cut'], shapeChanges: 0 },
    patchCore: (core) => {
      insides(core).takeOver.suspendIfLost = () => undefined;
    },
  };
}

function forgetsHighestTerm(): Flaws {
  return {
    bias: { profile: 'rounds', faults: ['server far from leader', 'server half deaf', 'leader ends'] },
    patchCore: (core) => {
      insides(core).takeOver.highestTermSeen = () => 0;
    },
  };
}

/** The replica looks at its state before it reads, and not behind that. */
function looksOnce(): Flaws {
  return {
    bias: {
      profile: 'purging',
      ...{ readsMs: 150, settings: { tombstoneHorizonMs: 20 }, lastsMs: [3_200], meanMs: [1_000] },
      ...{ servers: [2], shards: [2], copies: [2], groups: [1], clients: [6], shapeChanges: 0 },
      faults: ['gateway ends'],
    },
    patchReplica: (replica) => {
      const { read } = replica;
      const inner = replica as unknown as ReplicaInsides;
      replica.read = async (request) => {
        await inner.admit(request.epoch);
        for (const { shard, vat } of request.reads) inner.admitRead(shard, vat);
        const { current } = inner.guarded;
        const guarded = { current, settled: () => Promise.resolve(), isBeingReplaced: () => false };
        return read.call(Object.create(replica, { guarded: { value: guarded } }), request);
      };
    },
  };
}

function hearsNoForgottenIds(): Flaws {
  return {
    bias: {
      profile: 'purging',
      ...{ lastsMs: [4_000], meanMs: [1_500] },
      faults: ['leader ends', 'leader stops'],
    },
    patchCore: (core) => {
      insides(core).health.hearForgotten = () => undefined;
    },
  };
}

function reloadsNothing(): Flaws {
  return {
    bias: { profile: 'disks' },
    patchReplica: (replica) => {
      const { guarded } = replica as unknown as ReplicaInsides;
      Object.defineProperty(guarded, 'inDoubt', { get: () => false, set: () => undefined });
    },
  };
}

interface ReplicaInsides {
  guarded: { current: unknown };
  admit: (epoch: number) => Promise<void>;
  admitRead: (shard: string, vat: number) => unknown;
}

interface Insides {
  cluster: Cluster;
  inSyncSets: {
    promote: (shard: Shard, server: string) => Workflow<boolean>;
    store: (shard: Shard, record: ShardRecord) => Workflow<string>;
    tellAll: (shard: Shard) => Workflow<unknown>;
  };
  takeOver: {
    answered: (shard: Shard) => number;
    suspendIfLost: (shard: Shard, server: string) => void;
    highestTermSeen: (shard: Shard) => number;
  };
  health: { hearForgotten: (states: readonly NodeShardState[]) => void };
}

function insides(core: BalancerCore): Insides {
  return core as unknown as Insides;
}

/** Changes every shard before it is known to anybody. */
function eachShard(core: BalancerCore, change: (shard: Shard) => void): void {
  const { cluster } = insides(core);
  const add = cluster.addShards.bind(cluster);
  cluster.addShards = (shards) => {
    for (const shard of shards) change(shard);
    add(shards);
  };
}
