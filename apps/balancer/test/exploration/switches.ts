/**
 * Guards against what only a few small worlds show, each switched off, and such a world: the exploration must find it there. All of them
 * came into the core since somebody had thought of the world.
 */
import type { BalancerCore } from '../../src/core/balancer-core';
import type { Catalog } from '../../src/core/cluster/catalog';
import type { ChangesUnderWay } from '../../src/core/requests/changes-under-way';
import type { Cluster } from '../../src/core/cluster/cluster';
import type { InSyncSets } from '../../src/core/replicas/in-sync-sets';
import type { RollCall } from '../../src/core/replicas/roll-call';
import type { Shard } from '../../src/core/cluster/shard';
import type { StrandedShards } from '../../src/core/healing/stranded-shards';
import type { Workflow } from '../../src/core/kernel/workflow';
import type { WorldMutations } from '../simulation/world';

export interface Switch {
  name: string;
  /** A world in which it is noticed; null while none is known. */
  world: string | null;
  mutations: () => WorldMutations;
}

export const SWITCHES: readonly Switch[] = [
  { name: 'ends servers while its lease is in doubt', world: null, mutations: isAlwaysCertain },
  {
    name: 'ends servers although a disk was lost',
    world: 'rm / S0 is empty@19 / S2 is empty unseen@59',
    mutations: provesNothing,
  },
  { name: 'changes sets on what was shown before', world: null, mutations: looksOnce },
  { name: 'says of a change under way that nothing happened', world: null, mutations: forgetsChanges },
  { name: 'copies to another process than was meant', world: null, mutations: copiesToAnybody },
  { name: 'makes tables for another process than was meant', world: null, mutations: makesTablesForAnybody },
  { name: 'sends newcomers no given-up round', world: null, mutations: teachesNobody },
  { name: 'copies whom it takes back', world: null, mutations: copiesReturning },
  { name: 'takes nobody back', world: 'alone / S0 is empty@1', mutations: takesNobodyBack },
  { name: 'takes back by the term alone', world: null, mutations: takesBackByTerm },
];

/** The parts of the core that are broken here, and that nobody else may reach. */
interface Insides {
  cluster: Cluster;
  catalog: Catalog;
  writer: { underWay: ChangesUnderWay };
  inSyncSets: Pick<InSyncSets, 'areProven'> & { rollCall: RollCall };
  stranded: Pick<StrandedShards, 'tick'> & { rollCall: RollCall; mayBeCopied: () => boolean };
}

const patched = (patch: (insides: Insides) => void): WorldMutations => ({
  patchCore: (core: BalancerCore) => {
    patch(core as unknown as Insides);
  },
});

function eachShard(change: (shard: Shard) => void): WorldMutations {
  return patched(({ cluster }) => {
    const add = cluster.addShards.bind(cluster);
    cluster.addShards = (shards) => {
      for (const shard of shards) change(shard);
      add(shards);
    };
  });
}

// A generator that waits for nothing.
function* yes(): Workflow<boolean> {
  yield* [];
  return true;
}

function isAlwaysCertain(): WorldMutations {
  return patched(({ cluster }) => {
    cluster.isCertain = () => true;
  });
}

function provesNothing(): WorldMutations {
  return patched(({ inSyncSets }) => {
    inSyncSets.areProven = yes;
  });
}

function looksOnce(): WorldMutations {
  return patched(({ catalog }) => {
    const replace = catalog.replace.bind(catalog);
    catalog.replace = (key, before, value) => replace(key, before, value, yes);
  });
}

function forgetsChanges(): WorldMutations {
  return patched(({ writer }) => {
    writer.underWay.errorFor = (_id, error) => error;
  });
}

function copiesToAnybody(): WorldMutations {
  return {
    patchReplica: (replica) => {
      const catchup = replica.catchup.bind(replica);
      const { instance } = (replica as unknown as { options: { instance: string } }).options;
      replica.catchup = (request) => catchup({ ...request, instance });
    },
  };
}

function makesTablesForAnybody(): WorldMutations {
  return {
    patchReplica: (replica) => {
      const config = replica.config.bind(replica);
      replica.config = ({ instance: _instance, ...request }) => config(request);
    },
  };
}

function teachesNobody(): WorldMutations {
  return patched(({ inSyncSets }) => {
    inSyncSets.rollCall.taught = yes;
  });
}

function copiesReturning(): WorldMutations {
  return eachShard((shard) => {
    shard.returning.add = () => shard.returning;
  });
}

function takesNobodyBack(): WorldMutations {
  return patched(({ stranded }) => {
    stranded.tick = () => undefined;
  });
}

function takesBackByTerm(): WorldMutations {
  return patched(({ stranded: { rollCall } }) => {
    rollCall.complete = (shard, servers) => rollCall.present(shard, servers);
  });
}
