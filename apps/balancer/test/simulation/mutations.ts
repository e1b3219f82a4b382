/** Rules of the protocol, each broken on purpose: the simulation must notice every one of them. */
import type { ErrorBody } from '#common/contracts/errors';
import type { OpOutcome } from '#common/contracts/node';
import type { ReplicaReport } from '#common/protocol/vat-decision';
import type { ReplicaState } from '../../../shard-node/src/core/replica-state';
import type { WriteTransaction } from '../../../shard-node/src/ports/version-store';
import type { Ask, AskTypes, CatalogValue } from '../../src/core/kernel/effects';
import type { BalancerCore } from '../../src/core/balancer-core';
import type { Catalog } from '../../src/core/cluster/catalog';
import type { Cluster } from '../../src/core/cluster/cluster';
import type { StepContext } from '../../src/core/kernel/step-context';
import type { GivenUpRounds } from '../../src/core/requests/given-up-rounds';
import type { QueuedRequest, ShardWriteQueues } from '../../src/core/requests/write-queue';
import type { RecordStorage } from '../../src/core/replicas/record-storage';
import type { Shard } from '../../src/core/cluster/shard';
import { wait, type Suspension, type Workflow } from '../../src/core/kernel/workflow';
import { WriteRound } from '../../src/core/requests/write-round';
import { GUARDS_OFF } from './guards-off';
import type { Mutations } from './simulation';
import type { Mutation } from './mutation';

/**
 * Each is found in one of so many seeds as `withinSeeds` allows several times over; where that is rare the first seeds are left out that
 * found nothing when this was written. The points: 1 reads, 2 purging, 3 rounds, 4 all or nothing, 5 in-sync sets, 6 the bucket, 7 take-over, 8 the lease, 9 copies, 10 digests.
 */
export const MUTATIONS: readonly Mutation[] = [
  { point: 1, name: 'cleans up when it reads', fromSeed: 1, withinSeeds: 400, mutations: readsCleanUp },
  { point: 2, name: 'purges without a low-water mark', fromSeed: 1, withinSeeds: 400, mutations: purgesAtOnce },
  { point: 3, name: 'uses epochs and rounds twice', fromSeed: 1, withinSeeds: 100, mutations: usesEpochsTwice },
  {
    point: 3,
    name: 'does not know a repeated change again',
    fromSeed: 1,
    withinSeeds: 400,
    mutations: knowsNothingAgain,
  },
  { point: 4, name: 'supersedes no refused round', fromSeed: 1, withinSeeds: 200, mutations: supersedesNothing },
  {
    point: 4,
    name: 'remembers no round that was given up',
    fromSeed: 1,
    withinSeeds: 1_000,
    mutations: remembersNoFailure,
  },
  {
    point: 5,
    name: 'acknowledges without a replica that fails',
    fromSeed: 1,
    withinSeeds: 40,
    mutations: acknowledgesEarly,
  },
  {
    point: 5,
    name: 'takes replicas out of the set in memory only',
    fromSeed: 1,
    withinSeeds: 100,
    mutations: forgetsConfigurations,
  },
  { point: 5, name: 'is content with one replica', fromSeed: 1, withinSeeds: 400, mutations: needsOne },
  { point: 6, name: 'believes an old bucket', fromSeed: 1, withinSeeds: 200, mutations: believesBucket },
  { point: 7, name: 'fences nobody', fromSeed: 301, withinSeeds: 600, mutations: fencesNobody },
  {
    point: 7,
    name: 'takes the highest term for committed',
    fromSeed: 1,
    withinSeeds: 600,
    mutations: believesHighestTerm,
  },
  {
    point: 7,
    name: 'takes the lowest newest term for committed',
    fromSeed: 1,
    withinSeeds: 1_000,
    mutations: believesLowestTerm,
  },
  { point: 7, name: 'does not store what it decided', fromSeed: 1, withinSeeds: 200, mutations: storesNoDecision },
  { point: 7, name: 'leaves a deposed leader its revisions', fromSeed: 1, withinSeeds: 60, mutations: claimsNothing },
  { point: 8, name: 'does not look at its lease', fromSeed: 1, withinSeeds: 200, mutations: forgetsLease },
  { point: 9, name: 'leaves out the last difference', fromSeed: 1, withinSeeds: 100, mutations: losesLastDifference },
  { point: 9, name: 'catches up from the newest term', fromSeed: 1, withinSeeds: 400, mutations: copiesFromNewestTerm },
  { point: 10, name: 'looks at no digest', fromSeed: 1, withinSeeds: 100, mutations: ignoresDigests },
  ...GUARDS_OFF,
];

/** A replica that fails is taken to have done what another one did. */
function acknowledgesEarly(): Mutations {
  const replies = new Map<string, AskTypes['apply']['answer']>();
  return {
    interceptAsk: (ask, carryOut, answer) => {
      if (ask.do !== 'apply') {
        carryOut(ask, answer);
        return;
      }
      const nameOf = (shard: string): string => `${ask.epoch}/${ask.round.round}/${shard}`;
      carryOut(ask, (outcome) => {
        const known = ask.round.parts.map(({ shard }) =>
          replies.get(nameOf(shard))?.find((part) => part.shard === shard),
        );
        if (outcome.ok) {
          const parts = outcome.value as AskTypes['apply']['answer'];
          for (const part of parts) replies.set(nameOf(part.shard), [part]);
          answer(outcome);
        } else answer(known.includes(undefined) ? outcome : { ok: true, value: known });
      });
    },
  };
}

/** What is copied while the write queue is held comes without its rows. */
function losesLastDifference(): Mutations {
  let isEntering = false;
  return {
    patchCore: (core) => {
      const { recovery, writer } = insides(core);
      const copy = recovery.copy.bind(recovery);
      recovery.copy = function* (plan, to) {
        isEntering = writer.queues.isLocked(plan.shard.id) && plan.from > 0;
        return yield* copy(plan, to);
      };
    },
    wrapSource: (_server, source) => ({
      fetch: async (from, request) => {
        const page = await source.fetch(from, request);
        return isEntering && request.from > 0 ? { count: 0, text: '', largestRowBytes: 0, next: null } : page;
      },
    }),
  };
}

function believesHighestTerm(): Mutations {
  return changeFenceReply((state) => ({ ...state, committedVat: state.currentTerm }));
}

type ShardReport = AskTypes['fence']['answer']['shards'][number];

function changeFenceReply(change: (state: ShardReport) => ShardReport): Mutations {
  return {
    interceptAsk: (ask, carryOut, answer) => {
      carryOut(ask, (outcome) => {
        if (ask.do !== 'fence' || !outcome.ok) {
          answer(outcome);
          return;
        }
        const reply = outcome.value as AskTypes['fence']['answer'];
        answer({ ok: true, value: { ...reply, shards: reply.shards.map(change) } });
      });
    },
  };
}

/** Every request carries the highest epoch that there is, whoever sends it. */
function fencesNobody(): Mutations {
  let highest = 0;
  return {
    interceptAsk: (ask, carryOut, answer) => {
      if (ask.do === 'fence') highest = Math.max(highest, ask.request.epoch);
      carryOut(withEpoch(ask, highest), answer);
    },
  };
}

function withEpoch(ask: Ask, epoch: number): Ask {
  if (ask.do === 'apply' || ask.do === 'readOne') return { ...ask, epoch: Math.max(ask.epoch, epoch) };
  if (!('request' in ask)) return ask;
  return { ...ask, request: { ...ask.request, epoch: Math.max(ask.request.epoch, epoch) } } as Ask;
}

/** A round without what was refused goes to the shards that still have something to do, the others go on at once. */
function supersedesNothing(): Mutations {
  return {
    patchCore: (core) => {
      const { writer, cluster, context } = insides(core);
      writer.runAgain = (failed, requests, refusals) => {
        for (const [request, outcome] of refusals) writer.answer(request, outcome);
        const again = new WriteRound(writer.nextRound++, requests, (id) => cluster.shards.get(id)!, context.nowMs);
        writer.queues.release([...failed.shards.keys()].filter((id) => !again.shards.has(id)));
        if (requests.length > 0) writer.send(again, () => undefined);
      };
    },
  };
}

/** Shards go on after a round over several of them that too few replicas have, and none of them remembers it. */
function remembersNoFailure(): Mutations {
  return {
    bias: { profile: 'rounds', faults: ['disk in doubt', 'server half deaf', 'leader ends'], lastsMs: [3_200] },
    patchCore: (core) => {
      insides(core).writer.givenUp.add = () => undefined;
    },
  };
}

/** The catalog never hears that a replica left the in-sync set. */
function forgetsConfigurations(): Mutations {
  return {
    interceptAsk: (ask, carryOut, answer) => {
      const { inSync } = (ask.do === 'store' ? (ask.value ?? {}) : {}) as { inSync?: string[] };
      const isDemotion = ask.do === 'store' && ask.expected > 0 && ask.key.startsWith('shard.') && inSync?.length === 2;
      if (isDemotion) answer({ ok: true, value: ask.expected });
      else if (ask.do === 'config')
        carryOut(
          {
            ...ask,
            request: { ...ask.request, shards: ask.request.shards.map((shard) => ({ ...shard, configVersion: 1 })) },
          },
          answer,
        );
      else carryOut(ask, answer);
    },
  };
}

/** What a replica keeps to itself. */
interface ReplicaInsides {
  guarded: {
    current: ReplicaState;
    change: <T>(
      epoch: number | null,
      work: (transaction: WriteTransaction, state: ReplicaState) => Promise<{ state: ReplicaState; result: T }>,
    ) => Promise<T>;
  };
}

/** The published rules 2 and 3 before every read. */
function readsCleanUp(): Mutations {
  return {
    patchReplica: (replica) => {
      const { guarded } = replica as unknown as ReplicaInsides;
      const read = replica.read.bind(replica);
      replica.read = async (request) => {
        await guarded.change(null, async (transaction, state) => {
          for (const { shard, vat } of request.reads)
            if (state.shards.has(shard)) await transaction.undoAbove(shard, vat);
          return { state, result: undefined };
        });
        return read(request);
      };
    },
  };
}

/** The published rule 1 behind every change: nobody is asked who may still need a version, and nobody learns that it is gone. */
function purgesAtOnce(): Mutations {
  return {
    wrapStore: (_server, store) => {
      const transact: typeof store.transact = (work) =>
        store.transact(async (transaction) => {
          const result = await work(transaction);
          const { state } = result as { state?: ReplicaState };
          for (const { shard, committedVat, catchUp } of state?.shards.values() ?? [])
            if (catchUp === null) await transaction.purge(shard, committedVat, 1_000);
          return result;
        });
      return Object.assign(Object.create(store) as typeof store, { transact });
    },
  };
}

/** A new leader goes on under the epoch of the one before. */
function usesEpochsTwice(): Mutations {
  return {
    patchCore: (core) => {
      const { leadership, takeOver } = insides(core);
      takeOver.isEpochUsed = () => false;
      const claim = leadership.claim.bind(leadership);
      leadership.claim = (revision, lastEpoch, cause) => {
        claim(revision, Math.max(0, lastEpoch - 1), cause);
      };
    },
  };
}

/** Changes lose their names on the way to the replicas. */
function knowsNothingAgain(): Mutations {
  return {
    interceptAsk: (ask, carryOut, answer) => {
      if (ask.do !== 'apply') {
        carryOut(ask, answer);
        return;
      }
      const parts = ask.round.parts.map((part) => ({
        ...part,
        ops: part.ops.map((op) =>
          op.op === 'note' ? op : (({ id: _id, fingerprint: _fingerprint, ...rest }) => rest)(op),
        ),
      }));
      carryOut({ ...ask, round: { ...ask.round, parts } }, answer);
    },
  };
}

/** One in-sync replica is enough. */
function needsOne(): Mutations {
  return {
    patchCore: (core) => {
      const { cluster, inSyncSets } = insides(core);
      const add = cluster.addShard.bind(cluster);
      cluster.addShard = (shard) => {
        Object.defineProperty(shard, 'minInSync', { get: () => 1 });
        add(shard);
      };
      const { storage } = inSyncSets;
      const areEnough = storage.areEnough.bind(storage);
      storage.areEnough = (shard, record) => areEnough(shard, record, 1);
    },
  };
}

/** What replicas know better is not looked at. */
function believesBucket(): Mutations {
  return {
    bias: {
      profile: 'bucket',
      ...{ servers: [3], shards: [1], copies: [3], shapeChanges: 0, lastsMs: [2_400], meanMs: [120] },
      faults: ['bucket rolled back', 'leader ends', 'server restarts'],
    },
    patchCore: (core) => {
      const { takeOver } = insides(core);
      takeOver.adoptNewer = () => undefined;
      takeOver.isEpochUsed = () => false;
    },
  };
}

/** `min(currentTerm)`, which looks right. */
function believesLowestTerm(): Mutations {
  return {
    patchCore: (core) => {
      const { takeOver } = insides(core);
      const votes = takeOver.votes.bind(takeOver);
      takeOver.votes = (shard) => {
        const reports = votes(shard);
        const committedVat = Math.min(...reports.map(({ currentTerm }) => currentTerm));
        return reports.map((report) => ({ ...report, committedVat, newestRound: null }));
      };
    },
  };
}

/** A shard is served as soon as its VAT has been worked out. */
function storesNoDecision(): Mutations {
  return {
    bias: {
      profile: 'rounds',
      ...{ servers: [4], shards: [2], copies: [2], clients: [2], groups: [1], isApart: true, shapeChanges: 0 },
      ...{ lastsMs: [6_000], meanMs: [200], pauseMs: 60, eagerOperations: 60, often: 1 },
      faults: ['leader ends', 'leader half deaf', 'server half deaf'],
    },
    patchCore: (core) => {
      const { writer } = insides(core);
      writer.confirm = (shards) => (resume) => {
        writer.queues.release(shards.map(({ id }) => id));
        resume(true);
      };
    },
  };
}

/** A new leader does not rewrite the bucket's values, so that its predecessor can still change them. */
function claimsNothing(): Mutations {
  return {
    bias: {
      profile: 'bucket',
      ...{ servers: [3], shards: [1], copies: [3], clients: [2], groups: [2], shapeChanges: 0 },
      ...{ lastsMs: [4_000], meanMs: [60] },
      faults: ['last words late'],
    },
    patchCore: (core) => {
      const { foundation, catalog } = insides(core);
      foundation.rewrite = (entries) =>
        wait((resume) => {
          for (const { key, revision } of entries) catalog.saw(key, revision);
          resume(true);
        });
    },
  };
}

/** A leader answers as long as nobody has let it know that it is deposed. */
function forgetsLease(): Mutations {
  return {
    bias: {
      ...{ servers: [3], shards: [1], copies: [3], groups: [1], clients: [3], shapeChanges: 0 },
      ...{ lastsMs: [4_000], meanMs: [500] },
      faults: ['two sides', 'standby pauses'],
    },
    vouchesBlindly: true,
    patchCore: (core) => {
      const { leadership } = insides(core);
      Object.defineProperty(leadership, 'holds', { get: () => leadership.role === 'leader' });
    },
  };
}

/** A difference begins at what the replica has seen, not at its committed VAT; no digest is compared behind it. */
function copiesFromNewestTerm(): Mutations {
  return {
    interceptAsk: (ask, carryOut, answer) => {
      carryOut(ask, (outcome) => {
        const isDigest = ask.do === 'digest' && outcome.ok;
        answer(isDigest ? { ok: true, value: { ...(outcome.value as object), digest: '0' } } : outcome);
      });
    },
    patchReplica: (replica) => {
      const { guarded } = replica as unknown as ReplicaInsides;
      const config = replica.config.bind(replica);
      replica.config = async (request) => {
        await guarded.change(null, async (transaction, state) => {
          const shards = new Map(state.shards);
          for (const { shard, inSync } of request.shards) {
            const held = shards.get(shard);
            if (held?.catchUp !== null || inSync.includes(state.server)) continue;
            const believed = { ...held, committedVat: held.currentTerm };
            shards.set(shard, believed);
            transaction.saveShard(believed);
          }
          return { state: { ...state, shards }, result: undefined };
        });
        return config(request);
      };
    },
  };
}

/** One replica now and then overlooks a record that is there. */
function overlooksRecords(): Mutations {
  let asked = 0;
  return {
    mayDiverge: true,
    wrapStore: (server, store) => {
      if (server !== 'S1') return store;
      const transact: typeof store.transact = (work) =>
        store.transact((transaction) => {
          const lookUp: WriteTransaction['lookUp'] = async (question) => {
            asked += 1;
            const known = await transaction.lookUp(question);
            return asked % 5 === 0 ? { ...known, living: new Set([...known.living].slice(1)) } : known;
          };
          return work(Object.assign(Object.create(transaction) as WriteTransaction, { lookUp }));
        });
      return Object.assign(Object.create(store) as typeof store, { transact });
    },
  };
}

/** All digests look the same. */
function ignoresDigests(): Mutations {
  return {
    ...overlooksRecords(),
    interceptAsk: (ask, carryOut, answer) => {
      carryOut(ask, (outcome) => {
        if (outcome.ok && ask.do === 'digest')
          answer({ ok: true, value: { ...(outcome.value as object), digest: '0' } });
        else if (outcome.ok && ask.do === 'apply') {
          const parts = outcome.value as AskTypes['apply']['answer'];
          answer({ ok: true, value: parts.map((part) => ({ ...part, digest: 'same' })) });
        } else answer(outcome);
      });
    },
  };
}

/** The parts of the core that are broken here, and that nobody else may reach. */
interface Insides {
  recovery: { copy: (plan: { shard: { id: string }; from: number }, to: number) => Workflow<unknown> };
  writer: {
    nextRound: number;
    queues: ShardWriteQueues;
    runAgain: (
      failed: WriteRound,
      requests: readonly QueuedRequest[],
      refusals: ReadonlyMap<QueuedRequest, OpOutcome>,
    ) => void;
    givenUp: GivenUpRounds;
    answer: (request: QueuedRequest, outcome: OpOutcome) => void;
    refuse: (request: QueuedRequest, error: ErrorBody) => void;
    send: (round: WriteRound, ended: () => void) => void;
    confirm: (shards: readonly Shard[]) => Suspension<boolean>;
  };
  takeOver: {
    adoptNewer: (reply: unknown) => void;
    isEpochUsed: (reply: unknown) => boolean;
    votes: (shard: Shard) => readonly ReplicaReport[];
  };
  foundation: { rewrite: (entries: readonly CatalogValue[]) => Workflow<boolean> };
  leadership: { role: string; claim: (revision: number, lastEpoch: number, cause: unknown) => void };
  inSyncSets: { storage: Pick<RecordStorage, 'areEnough'> };
  catalog: Catalog;
  cluster: Cluster;
  context: StepContext;
}

function insides(core: BalancerCore): Insides {
  return core as unknown as Insides;
}
