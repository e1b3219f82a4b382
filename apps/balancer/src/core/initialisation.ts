/**
 * `/init`: a whole configuration comes into being, or nothing. One that takes the place of another drops its data first, for good:
 * whatever can be checked is checked before that.
 */
import type { InitCommand } from '#common/contracts/commands';
import type { ErrorBody } from '#common/contracts/errors';
import { BUCKET_KEYS } from '#common/contracts/subjects';
import type { ClusterRecord, ServerRecord } from './cluster';
import {
  createTables,
  dropServer,
  newRecord,
  noLongerLeading,
  refused,
  startServers,
  type AdminOutcome,
  type MembershipParts,
} from './membership-parts';
import { faultOfInit, isSameInit } from './membership-rules';
import { missingServerNames, placeShards } from './placement';
import { Shard, type ShardRecord } from './shard';
import { all, running, wait, type Workflow } from './workflow';

/** Everything that is to be stored. */
interface Blueprint {
  cluster: ClusterRecord;
  servers: ServerRecord[];
  shards: ShardRecord[];
}

export function* initCluster(command: InitCommand, parts: MembershipParts): Workflow<AdminOutcome> {
  const { cluster } = parts;
  const fault = faultOfInit(command);
  if (fault !== null) return refused('BAD_REQUEST', fault);
  const { record } = cluster;
  if (record !== null && isSameInit(record.init, command)) return { ok: true, value: { init: null } };
  if (record !== null && !command.allowReinit)
    return refused('ALREADY_CONFIGURED', 'the cluster is configured already, and not like this');
  const placed = placeAll(command, parts);
  const dropped = record === null ? [] : record.servers.filter((name) => !placed.has(name));
  const fresh = [...placed.keys()].filter((name) => !cluster.servers.has(name));
  const kept = [...placed.keys()].filter((name) => cluster.servers.has(name));
  const missing = yield* firstSilent(kept, parts);
  if (missing !== null) return refused('SHARD_UNAVAILABLE', `${missing} does not answer: nothing was changed`);
  const before = record?.shards ?? [];
  const started = yield* startServers(parts, fresh);
  if (started !== null) return { ok: false, error: started };
  const error = yield* replace(command, placed, parts);
  if (error !== null) {
    yield* wait(all(fresh.map((server) => parts.desk.ask('removeNode', { server }))));
    return { ok: false, error };
  }
  yield* forget(before, dropped, parts);
  return { ok: true, value: { init: null } };
}

/** A server that is to be used again and does not answer now; looked at before anything is given up for it. */
function* firstSilent(names: readonly string[], { health }: MembershipParts): Workflow<string | null> {
  const replies = yield* wait(all(names.map((name) => running(health.awaitNode(name, 0)))));
  return names.find((_, index) => replies[index] === null) ?? null;
}

/** What is left of the configuration before: records of shards that are no more, and servers that nobody lists. */
function* forget(shards: readonly string[], servers: readonly string[], parts: MembershipParts): Workflow {
  const { cluster, catalog, desk } = parts;
  for (const shard of shards) {
    if (!cluster.shards.has(shard)) yield* catalog.put(BUCKET_KEYS.shard(shard), null);
  }
  for (const server of servers) {
    yield* dropServer(parts, server);
    desk.emit({
      do: 'publish',
      event: { kind: 'server.removed', subject: server, data: { cause: '/init', shards: [] } },
    });
  }
}

/** Where every shard goes: as listed, and where nothing is listed as the balancer likes it. */
function placeAll(command: InitCommand, { settings, random }: MembershipParts): Map<string, string[]> {
  const listed = new Map(Object.entries(command.servers ?? {}));
  const wanted = command.n ?? (command.servers === null ? settings.defaultReplicas : 0);
  const missing = Math.max(0, wanted - listed.size);
  if (missing === 0) return listed;
  const names = missingServerNames(missing, new Set(listed.keys()));
  const shards = command.shards.map((range) => range.shard);
  const placed = placeShards(shards, names, listed, settings.defaultReplicas, random);
  return new Map([...listed, ...placed]);
}

/** Takes what was there out of force, with its data, and puts the new configuration in its place. */
function* replace(
  command: InitCommand,
  placed: ReadonlyMap<string, string[]>,
  parts: MembershipParts,
): Workflow<ErrorBody | null> {
  const { cluster, catalog, writer, reader } = parts;
  cluster.phase = 'configuring';
  writer.abandon({ code: 'CONFIG_CHANGED', message: 'the configuration is being replaced', retryable: true });
  reader.clear();
  const held = [...cluster.shards.values()];
  for (const shard of held) yield* writer.lockLane(shard);
  const stored = cluster.record === null || (yield* catalog.put(BUCKET_KEYS.cluster, null));
  cluster.clear();
  writer.lanes.release(held.map((shard) => shard.id));
  if (!stored) return noLongerLeading();
  const error = yield* establish(blueprint(command, placed, parts), parts);
  cluster.phase = error === null ? 'serving' : 'unconfigured';
  return error;
}

function blueprint(
  { n, schema, shards: ranges, servers: listed }: InitCommand,
  placed: ReadonlyMap<string, string[]>,
  { cluster }: MembershipParts,
): Blueprint {
  const configId = cluster.nextConfigId();
  const names = [...placed.keys()];
  const init = { n, schema, shards: ranges, servers: listed };
  return {
    cluster: { configId, schema, init, shards: ranges.map(({ shard }) => shard), servers: names },
    servers: names.map((server, number) => ({ configId, server, number })),
    shards: ranges.map((range) => newRecord(range, placed, configId, cluster.epoch)),
  };
}

/** Tables first, then the records, the cluster's last: before that is stored, the configuration does not exist. */
function* establish(
  { cluster: record, servers, shards }: Blueprint,
  parts: MembershipParts,
): Workflow<ErrorBody | null> {
  const { catalog, cluster, health, desk } = parts;
  const failed = yield* createTables(parts, record.servers, shards, record.schema, record.configId);
  if (failed !== null) return failed;
  for (const shard of shards) {
    if (!(yield* catalog.put(BUCKET_KEYS.shard(shard.shard), shard))) return noLongerLeading();
  }
  for (const server of servers) {
    if (!(yield* catalog.put(BUCKET_KEYS.server(server.server), server))) return noLongerLeading();
  }
  if (!(yield* catalog.put(BUCKET_KEYS.cluster, record))) return noLongerLeading();
  cluster.record = record;
  for (const { server, number } of servers) health.admit(cluster.addServer(server, number));
  for (const shard of shards) cluster.addShard(new Shard(shard, true));
  for (const server of record.servers) {
    const data = { cause: '/init', shards: cluster.shardsOn(server).map((shard) => shard.id) };
    desk.emit({ do: 'publish', event: { kind: 'server.added', subject: server, data } });
  }
  return null;
}
