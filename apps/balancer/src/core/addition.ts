/** `/add`: new servers, with new shards or with further replicas of shards that exist. */
import type { AddCommand } from '#common/contracts/commands';
import type { ErrorBody } from '#common/contracts/errors';
import type { ClusterRecord } from '#common/contracts/node';
import { BUCKET_KEYS } from '#common/contracts/subjects';
import {
  createTables,
  joined,
  newRecord,
  noLongerLeading,
  refused,
  standing,
  startServers,
  untilInSync,
  type AdminOutcome,
  type MembershipParts,
} from './membership-parts';
import { faultOfAdd } from './membership-rules';
import { unusedServerName } from './placement';
import { configOf, Shard } from './shard';
import type { Workflow } from './workflow';

/** New servers with their shards, by the names that they really have. */
type Newcomers = ReadonlyMap<string, string[]>;

export function* addServers(command: AddCommand, parts: MembershipParts): Workflow<AdminOutcome> {
  const { cluster, desk } = parts;
  const fault = faultOfAdd(command, standing(parts));
  if (fault !== null) return refused('BAD_REQUEST', fault);
  const newcomers = named(command.servers, parts);
  const names = [...newcomers.keys()];
  const { error } = yield* startServers(parts, names, false);
  if (error !== null) return { ok: false, error };
  const { record } = cluster;
  if (record === null) return { ok: false, error: noLongerLeading() };
  const failed = (yield* introduce(command, newcomers, record, parts)) ?? (yield* replicate(newcomers, record, parts));
  if (failed !== null) return { ok: false, error: failed };
  for (const [server, shards] of newcomers) {
    desk.emit({ do: 'publish', event: { kind: 'server.added', subject: server, data: { cause: '/add', shards } } });
  }
  yield* untilInSync(parts, names);
  return { ok: true, value: { add: { n: cluster.servers.size, added: names } } };
}

/** A name with a bracket in it stands for any unused id. */
function named(servers: Readonly<Record<string, string[]>>, { cluster, random }: MembershipParts): Newcomers {
  const taken = new Set([...cluster.servers.keys(), ...Object.keys(servers)]);
  const newcomers = new Map<string, string[]>();
  for (const [name, shards] of Object.entries(servers)) {
    const real = /[[\]]/.test(name) ? unusedServerName(taken, random) : name;
    taken.add(real);
    newcomers.set(real, shards);
  }
  return newcomers;
}

/** The servers become members, and the new shards come into being on them. */
function* introduce(
  command: AddCommand,
  newcomers: Newcomers,
  record: ClusterRecord,
  parts: MembershipParts,
): Workflow<ErrorBody | null> {
  const { cluster, catalog, health, news } = parts;
  const { configId, schema } = record;
  const names = [...newcomers.keys()];
  const shards = command.newShards.map((range) => newRecord(range, newcomers, configId, cluster.epoch));
  const failed = yield* createTables(parts, names, shards, schema, configId);
  if (failed !== null) return failed;
  for (const shard of shards) {
    if (!(yield* catalog.put(BUCKET_KEYS.shard(shard.shard), shard))) return noLongerLeading();
  }
  const first = cluster.nextServerNumber();
  const numbers = new Map(names.map((server, index) => [server, first + index]));
  const next = cluster.changed(record, {
    shards: [...record.shards, ...shards.map(({ shard }) => shard)],
    servers: [...record.servers, ...names],
    numbers: { ...record.numbers, ...Object.fromEntries(numbers) },
    born: [...record.born, ...shards.map(configOf)],
  });
  if (!(yield* catalog.put(BUCKET_KEYS.cluster, next))) return noLongerLeading();
  cluster.record = next;
  for (const [server, number] of numbers) health.admit(cluster.addServer(server, number));
  // Should the catalog be set back now, they are the ones who know of the new shards.
  yield* news.tellAll();
  for (const shard of shards) cluster.addShard(new Shard(shard, true));
  return null;
}

/** Shards that existed before get replicas on the new servers, to be copied. */
function* replicate(newcomers: Newcomers, before: ClusterRecord, parts: MembershipParts): Workflow<ErrorBody | null> {
  const { cluster, inSyncSets } = parts;
  for (const shard of cluster.inKeyOrder().filter(({ id }) => before.shards.includes(id))) {
    const joining = [...newcomers].filter(([, held]) => held.includes(shard.id)).map(([server]) => server);
    if (joining.length === 0) continue;
    if (!(yield* inSyncSets.reshape(shard, (record) => joined(record, joining)))) return noLongerLeading();
  }
  return null;
}
