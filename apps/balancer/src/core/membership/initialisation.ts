/**
 * `/init`: a whole configuration comes into being, or nothing. One that takes the place of another is made beside it: its tables are
 * prepared on every server while the other is served. Then the cluster's record in the catalog is replaced by one compare-and-set,
 * which is the moment at which it comes into force; only after that are the data of the other dropped. Whatever fails before leaves
 * the other as it was. Should the leader go away in between, the next one finds the record of before or of after, and puts the servers
 * in order accordingly.
 */
import type { InitCommand } from '#common/contracts/commands';
import type { ErrorBody } from '#common/contracts/errors';
import type { ClusterRecord } from '#common/contracts/node';
import { BUCKET_KEYS } from '#common/contracts/subjects';
import {
  dropServer,
  newRecord,
  refused,
  removeServers,
  startServers,
  WHAT_TO_DO,
  type AdminOutcome,
  type MembershipParts,
} from './membership-parts';
import { validateInit, isSameInit } from './membership-rules';
import { missingServerNames, placeShards } from './placement';
import { configOf, Shard, type ShardRecord } from '../cluster/shard';
import { all, running, wait, type Workflow } from '../kernel/workflow';

/** Everything that is to be stored. */
interface Blueprint {
  cluster: ClusterRecord;
  shards: ShardRecord[];
}

export function* initCluster(command: InitCommand, parts: MembershipParts): Workflow<AdminOutcome> {
  const { cluster } = parts;
  const fault = validateInit(command);
  if (fault !== null) return refused('BAD_REQUEST', fault);
  const { record } = cluster;
  if (record !== null && isSameInit(record.init, command)) return { ok: true, value: { init: null } };
  if (record !== null && !command.allowReinit)
    return refused('ALREADY_CONFIGURED', 'the cluster is configured already, and not like this');
  const found = command.allowReinit ? null : yield* foundData(parts);
  if (found !== null) return refused('ALREADY_CONFIGURED', `${found}: ${WHAT_TO_DO}`);
  const placed = placeAll(command, parts);
  const added = [...placed.keys()].filter((name) => !cluster.servers.has(name));
  const kept = [...placed.keys()].filter((name) => cluster.servers.has(name));
  const missing = yield* firstSilent(kept, parts);
  if (missing !== null) return refused('SHARD_UNAVAILABLE', `${missing} does not answer: nothing was changed`);
  const { error, fresh } = yield* startServers(parts, added, command.allowReinit);
  if (error !== null) return { ok: false, error };
  const blueprint = draw(command, placed, parts);
  const failed = yield* prepare(blueprint, parts);
  if (failed !== null) {
    yield* discard(blueprint, parts);
    yield* removeServers(parts, fresh);
    return { ok: false, error: failed };
  }
  const before = record ?? { shards: [], servers: [] };
  // Should somebody else lead by now, each of them finds that out before it does anything, and no answer leaves.
  yield* switchTo(blueprint, parts);
  yield* establish(blueprint, parts);
  yield* forget(before, parts);
  return { ok: true, value: { init: null } };
}

/** Who holds data of a configuration of which the catalog knows nothing; null when nobody does. */
function* foundData({ cluster, context }: MembershipParts): Workflow<string | null> {
  if (cluster.foundData !== null) return cluster.foundData;
  const present = yield* wait(context.ask('census', {}));
  if (!present.ok) return 'it cannot be found out now which servers hold data';
  const holders = present.value.filter(({ configId }) => configId > 0).map(({ server }) => server);
  return holders.length === 0 ? null : `${holders.join(', ')} hold data of a configuration`;
}

/** A server that is to be used again and does not answer now; looked at before anything is given up for it. */
function* firstSilent(names: readonly string[], { health }: MembershipParts): Workflow<string | null> {
  const replies = yield* wait(all(names.map((name) => running(health.awaitNode(name, 0)))));
  return names.find((_, index) => replies[index] === null) ?? null;
}

/** What is left of the configuration before: records of shards that are no more, and servers that nobody lists. */
function* forget(before: Pick<ClusterRecord, 'shards' | 'servers'>, parts: MembershipParts): Workflow {
  const { cluster, catalog, context } = parts;
  for (const shard of before.shards) if (!cluster.shards.has(shard)) yield* catalog.put(BUCKET_KEYS.shard(shard), null);
  // Should somebody else lead by now, they are not removed: an order to the launcher waits for the lease.
  for (const server of before.servers) {
    if (cluster.servers.has(server)) continue;
    yield* dropServer(parts, server);
    context.emit({
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
  const names = missingServerNames(missing, new Set(listed.keys()));
  const shards = command.shards.map((range) => range.shard);
  const placed = placeShards(shards, names, listed, settings.defaultReplicas, random);
  return new Map([...listed, ...placed]);
}

function draw(
  { n, schema, shards: ranges, servers: listed }: InitCommand,
  placed: ReadonlyMap<string, string[]>,
  { cluster }: MembershipParts,
): Blueprint {
  const configId = cluster.nextConfigId();
  const servers = [...placed.keys()];
  const shards = ranges.map((range) => newRecord(range, placed, configId, cluster.epoch));
  const record: ClusterRecord = {
    ...{ configId, configEpoch: cluster.epoch, configVersion: 1, schema, servers },
    init: { n, schema, shards: ranges, servers: listed },
    shards: ranges.map(({ shard }) => shard),
    numbers: Object.fromEntries(servers.map((server, number) => [server, number])),
    born: shards.map(configOf),
  };
  return { cluster: record, shards };
}

/** Has every server make its tables, beside those that it serves. */
function* prepare(blueprint: Blueprint, { context, cluster }: MembershipParts): Workflow<ErrorBody | null> {
  const { configId, schema, servers } = blueprint.cluster;
  const asks = servers.map((server) => {
    const shards = blueprint.shards.filter(({ replicas }) => replicas.includes(server)).map(configOf);
    const request = { epoch: cluster.epoch, configId, schema, shards, drop: [] };
    const stage = { stage: 'prepare' as const, cluster: blueprint.cluster, ...cluster.meantFor(server) };
    return context.ask('config', { server, request: { ...request, ...stage } });
  });
  const outcomes = yield* wait(all(asks));
  const failed = outcomes.find((outcome) => !outcome.ok);
  return failed?.ok === false ? failed.error : null;
}

/** What was prepared goes; where that does not work now, the next leader sees to it. */
function* discard({ cluster: record }: Blueprint, { context, cluster }: MembershipParts): Workflow {
  const { configId, schema, servers } = record;
  const request = { epoch: cluster.epoch, configId, schema, shards: [], drop: [], stage: 'discard' as const };
  yield* wait(all(servers.map((server) => context.ask('config', { server, request }))));
}

/** Nothing of the configuration before is begun any more; then the new one comes into force. */
function* switchTo({ cluster: next }: Blueprint, parts: MembershipParts): Workflow {
  const { cluster, catalog, writer, reader } = parts;
  cluster.phase = 'configuring';
  const isReplaced: ErrorBody = {
    code: 'CONFIG_CHANGED',
    message: 'the configuration is being replaced',
    retryable: true,
  };
  writer.abandon(isReplaced);
  reader.clear();
  const held = [...cluster.shards.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
  yield* writer.lockQueues(held);
  // Rounds that were under way may have put changes back into the write queues, or have left something to be done in their shards.
  writer.abandon(isReplaced);
  // What is being changed of a shard's record comes to its end first: it must not be stored over that of the next shard of this name.
  for (const shard of held) yield* wait(shard.configLock.acquire());
  yield* catalog.put(BUCKET_KEYS.cluster, next);
  cluster.clear();
  for (const shard of held) shard.configLock.release();
  cluster.foundData = null;
  writer.queues.release(held.map((shard) => shard.id));
}

/**
 * Has the servers put it in force, and begins to serve it. Until one that does not answer now has stored it, its shards acknowledge
 * nothing: it has its tables, and has not lost anything.
 */
function* establish({ cluster: record, shards }: Blueprint, parts: MembershipParts): Workflow {
  const { catalog, cluster, health, news, inSyncSets, context } = parts;
  cluster.record = record;
  news.vouch();
  // A deposed leader could create them.
  const stored = yield* wait(all(shards.map((shard) => running(catalog.put(BUCKET_KEYS.shard(shard.shard), shard)))));
  if (stored.includes(false)) return;
  for (const server of record.servers) health.admit(cluster.addServer(server, record.numbers[server] ?? 0));
  const unacknowledged = yield* news.announce();
  for (const shard of shards) cluster.addShard(new Shard(shard, true));
  cluster.phase = 'serving';
  for (const shard of cluster.shards.values()) inSyncSets.sendSoon(shard, unacknowledged);
  for (const server of record.servers) {
    const data = { cause: '/init', shards: cluster.shardsOn(server).map((shard) => shard.id) };
    context.emit({ do: 'publish', event: { kind: 'server.added', subject: server, data } });
  }
}
