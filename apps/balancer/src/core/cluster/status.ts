/** The cluster as `/status` shows it: the published design's three tables, ShardT, MapT and the ring slots, and what is around them. */
import type { ClusterStatus, RingArc, ServerStatus, ShardStatus } from '#common/contracts/commands';
import { unconfigured, type Cluster } from './cluster';
import { RING_SLOTS, VIRTUAL_SERVERS } from './hash-ring';
import type { CoreSettings } from '../detection/core-settings';
import type { Shard } from './shard';

export function statusOf(
  cluster: Cluster,
  settings: Pick<CoreSettings, 'balancerId' | 'loadEpsilon'>,
  ringHash: string,
  nowMs: number,
): ClusterStatus {
  return {
    ...(cluster.foundData === null ? {} : { unconfigured: unconfigured(cluster) }),
    configId: cluster.configId,
    leader: settings.balancerId,
    epoch: cluster.epoch,
    schema: cluster.schema,
    shards: cluster.inKeyOrder().map((shard) => shardStatus(cluster, shard, nowMs)),
    servers: [...cluster.servers.keys()].map((server) => serverStatus(cluster, server, nowMs)),
    ring: { slots: RING_SLOTS, virtualServers: VIRTUAL_SERVERS, hash: ringHash, loadEpsilon: settings.loadEpsilon },
  };
}

function shardStatus(cluster: Cluster, shard: Shard, nowMs: number): ShardStatus {
  const rows = shard.inSync.map((server) => shard.replicas.get(server)?.rows ?? null);
  return {
    ...shard.range,
    vat: shard.vat,
    replicas: [...shard.replicas].map(([server, { proven }]) => ({
      server,
      state: shard.stateOf(server),
      proven: proven === null ? null : { vat: proven.vat, ageMs: Math.round(nowMs - proven.ms) },
    })),
    inSync: [...shard.inSync],
    minInSync: shard.minInSync,
    configVersion: shard.record.configVersion,
    writable: cluster.isWritable(shard),
    readable: cluster.isReadable(shard),
    rows: rows.find((known) => known !== null) ?? null,
    ring: arcsOf(shard.ring.slots()),
  };
}

function serverStatus(cluster: Cluster, name: string, nowMs: number): ServerStatus {
  const server = cluster.servers.get(name);
  const lastMs = server?.lastAnswerMs ?? null;
  return {
    server: name,
    number: server?.number ?? 0,
    health: cluster.health(name),
    heartbeatAgeMs: lastMs === null ? null : Math.round(nowMs - lastMs),
    causes: cluster.health(name) === 'suspect' ? [...cluster.detector.suspectCauses(name)] : [],
    missed: cluster.detector.missesInARow(name),
    vitals: cluster.detector.vitals(name),
    shards: cluster.shardsOn(name).map((shard) => shard.id),
  };
}

/** Owners by slot, neighbours of one owner put together. */
export function arcsOf(slots: readonly string[]): RingArc[] {
  const arcs: RingArc[] = [];
  slots.forEach((server, slot) => {
    const last = arcs.at(-1);
    if (last?.server === server) last.to = slot;
    else arcs.push({ from: slot, to: slot, server });
  });
  return arcs;
}
