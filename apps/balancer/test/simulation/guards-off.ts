/**
 * Guards that only matter where several things come together, each switched off: what they guard against is made likely by the profile
 * and the faults of the worlds in which that must be noticed.
 */
import type { NodeShardState } from '#common/contracts/node';
import type { Replica } from '../../../shard-node/src/runtime/replica';
import type { BalancerCore } from '../../src/core/balancer-core';
import type { Cluster } from '../../src/core/cluster/cluster';
import type { RecordStorage } from '../../src/core/replicas/record-storage';
import type { Shard } from '../../src/core/cluster/shard';
import { wait, type Workflow } from '../../src/core/kernel/workflow';
import type { Mutations } from './simulation';
import type { Mutation } from './mutation';

export const GUARDS_OFF: readonly Mutation[] = [
  { point: 9, name: 'carries out copies that nobody waits for', fromSeed: 1, withinSeeds: 60, mutations: copiesLate },
  {
    point: 9,
    name: 'takes new tables for whole copies',
    fromSeed: 1,
    withinSeeds: 60,
    mutations: takesNewTablesForWhole,
  },
  {
    point: 9,
    name: 'makes new tables for whoever comes later',
    fromSeed: 1,
    withinSeeds: 400,
    mutations: makesTablesForAnybody,
  },
  { point: 7, name: 'lets two processes share an epoch', fromSeed: 1, withinSeeds: 20, mutations: sharesEpochs },
  {
    point: 7,
    name: 'forgets at which VAT an epoch began',
    fromSeed: 1,
    withinSeeds: 600,
    mutations: forgetsEpochStarts,
  },
  { point: 2, name: 'purges what a copy still needs', fromSeed: 1, withinSeeds: 40, mutations: holdsNothingForCopies },
  {
    point: 5,
    name: 'lets into the set who is no replica any more',
    fromSeed: 1,
    withinSeeds: 300,
    mutations: promotesAnybody,
  },
  {
    point: 5,
    name: 'does not wait until members know who has left',
    fromSeed: 1,
    withinSeeds: 100,
    mutations: leavesUnacknowledged,
  },
  { point: 6, name: 'believes a bucket on the word of one', fromSeed: 1, withinSeeds: 200, mutations: asksTooFew },
  {
    point: 8,
    name: 'shows rows that were purged while they were read',
    fromSeed: 1,
    withinSeeds: 100,
    mutations: looksOnce,
  },
  {
    point: 7,
    name: 'does not hear which ids are forgotten',
    fromSeed: 1,
    withinSeeds: 100,
    mutations: hearsNoForgottenIds,
  },
  {
    point: 3,
    name: 'goes on from memory after a failed commit',
    fromSeed: 1,
    withinSeeds: 100,
    mutations: reloadsNothing,
  },
];

/**
 * A request for a copy that comes again long after it was given up is carried out all the same: S1 has lost its disk, was copied and
 * is a member; the request drops everything, or undoes what is acknowledged above its start, and S1 is back at the VAT of then. Should
 * S0 lose its disk now, everything since is gone.
 */
function copiesLate(): Mutations {
  let turn = 0;
  return {
    bias: {
      profile: 'late messages',
      ...{ servers: [2], shards: [1], copies: [2], groups: [1], lastsMs: [4_000], meanMs: [120], shapeChanges: 0 },
      ...{ isStormy: false, checkMs: 20, settings: { tombstoneHorizonMs: 5_000 } },
      faults: ['copies come again', 'server loses disk'],
    },
    patchReplica: (replica) => {
      const catchup = replica.catchup.bind(replica);
      replica.catchup = (request) => catchup({ ...request, turn: (turn += 1) });
    },
  };
}

/**
 * A table that is recreated is taken for a whole one as long as the set has never changed, though its shard came into being long ago.
 * S0 and S1 have acknowledged a round, and S0 does not know so yet. S1 loses its disk and is back; nobody hears of S0, so that the set
 * stays as it is; S1 gets the configuration, to be copied; the leader ends. The next one hears of a round on S0 that the empty S1
 * has not, and undoes it.
 */
function takesNewTablesForWhole(): Mutations {
  return {
    bias: {
      profile: 'disks',
      ...{ servers: [2], shards: [1], copies: [2], groups: [2], clients: [1], pauseMs: 60, shapeChanges: 0 },
      ...{ lastsMs: [800], meanMs: [250] },
      faults: ['disk lost unseen'],
    },
    patchReplica: (replica) => {
      const config = replica.config.bind(replica);
      replica.config = (request) => config({ ...request, areNew: true });
    },
  };
}

/**
 * A request for new tables that comes again, when its server has lost its disk, is carried out by the process of then: the empty tables
 * are whole ones. As soon as the leader ends, the next one hears of a round that the empty replica has not, and undoes it.
 */
function makesTablesForAnybody(): Mutations {
  return {
    bias: {
      profile: 'anew',
      ...{ servers: [3], shards: [2], copies: [2], groups: [2], clients: [3], pauseMs: 10, eagerOperations: 60 },
      ...{ shapeChanges: 1, changes: ['init'], changesMs: 250 },
      ...{ lastsMs: [1_600], meanMs: [120] },
      faults: ['tables come again'],
    },
    patchReplica: (replica) => {
      const config = replica.config.bind(replica);
      replica.config = ({ instance: _instance, ...request }) => config(request);
    },
  };
}

/**
 * Replicas do not remember whose an epoch is. L1 has the epoch, has fenced S0 and S1, and its first rounds are late; it tries again and
 * again. The bucket is rolled back to before its claim: L2 gets the same epoch, finds nothing but fences of it, and acknowledges rounds.
 * Then those of L1 arrive, with higher numbers and terms, and undo them.
 */
function sharesEpochs(): Mutations {
  return {
    bias: {
      profile: 'bucket',
      ...{ servers: [2], shards: [1], copies: [2], clients: [1], pauseMs: 400, shapeChanges: 0 },
      ...{ lastsMs: [6_000], meanMs: [250] },
      faults: ['epoch given twice'],
    },
    patchReplica: (replica) => {
      const fence = replica.fence.bind(replica);
      replica.fence = ({ by: _by, ...request }) => fence(request);
    },
  };
}

/** What take-overs decided is reported by nobody. */
function forgetsEpochStarts(): Mutations {
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
        answer({ ok: true, value: { ...reply, shards: reply.shards.map((state) => ({ ...state, epochStarts: [] })) } });
      });
    },
  };
}

function holdsNothingForCopies(): Mutations {
  return {
    bias: {
      profile: 'purging',
      ...{ servers: [2], shards: [1], copies: [2], groups: [8], lastsMs: [3_200], meanMs: [1_000], shapeChanges: 0 },
      ...{
        isBusy: true,
        clients: [2],
        pauseMs: 400,
        settings: { tombstoneHorizonMs: 40, operationHorizonMs: 2_500, copyBytesPerS: 2_000 },
      },
      faults: ['server loses disk'],
    },
    patchCore: (core) => {
      eachShard(core, (shard) => {
        shard.holdForCopy = () => undefined;
      });
    },
  };
}

function promotesAnybody(): Mutations {
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
          if ((yield* inSyncSets.storage.store(shard, { ...record, inSync, joining })) !== 'stored') return false;
          yield* inSyncSets.sendToAll(shard);
          return true;
        } finally {
          shard.entering.delete(server);
          shard.configLock.release();
        }
      };
    },
  };
}

/**
 * S0 ends and leaves the set, which no configuration shows S1 and S2; rounds are acknowledged. The bucket is rolled back to before, the
 * leader ends, and S2 is away for long: S0 and S1 are two of three, both know of the old set alone, and undo what S0 lacks.
 */
function leavesUnacknowledged(): Mutations {
  return {
    bias: {
      profile: 'bucket',
      ...{ servers: [3], shards: [1], copies: [3], shapeChanges: 0, lastsMs: [2_400], meanMs: [250], pauseMs: 60 },
      faults: ['disaster unannounced'],
    },
    patchCore: (core) => {
      eachShard(core, (shard) => {
        Object.defineProperty(shard, 'unacknowledged', { get: () => new Set<string>(), set: () => undefined });
      });
    },
  };
}

function asksTooFew(): Mutations {
  return {
    bias: {
      profile: 'bucket',
      ...{ servers: [4], shards: [1], copies: [2], shapeChanges: 0, lastsMs: [4_000], meanMs: [250] },
      faults: ['server ends', 'server ends', 'server restarts', 'disaster'],
    },
    patchCore: (core) => {
      insides(core).cluster.reports.isNewest = () => true;
    },
  };
}

/** The replica looks at its state before it reads, and not behind that. */
function looksOnce(): Mutations {
  return {
    bias: {
      profile: 'purging',
      ...{ servers: [2], shards: [1], copies: [2], groups: [3], clients: [4], pauseMs: 10, shapeChanges: 0 },
      ...{ lastsMs: [2_000], meanMs: [1_000], readsMs: 180 },
      settings: { tombstoneHorizonMs: 1, heartbeatIntervalMs: 20 },
      // A read must meet the purge in between: that takes many of both.
      eagerOperations: Number.POSITIVE_INFINITY,
      faults: ['gateway ends'],
    },
    patchReplica: (replica) => {
      const read = Reflect.get<Replica, 'read'>(replica, 'read');
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

function hearsNoForgottenIds(): Mutations {
  return {
    bias: {
      profile: 'purging',
      ...{ lastsMs: [4_000], meanMs: [1_500] },
      faults: ['leader ends', 'leader stops'],
    },
    patchCore: (core) => {
      eachShard(core, ({ forgottenIds }) => {
        forgottenIds.reported = () => undefined;
      });
    },
  };
}

function reloadsNothing(): Mutations {
  return {
    bias: { profile: 'disks', faults: ['disk in doubt', 'leader ends'] },
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
    storage: Pick<RecordStorage, 'store'>;
    sendToAll: (shard: Shard) => Workflow<unknown>;
  };
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
