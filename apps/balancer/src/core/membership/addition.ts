/** `/add`: new servers, with new shards or with further replicas of shards that exist. */
import type { AddCommand } from '#common/contracts/commands';
import type { ErrorBody } from '#common/contracts/errors';
import type { ClusterRecord, ReplicaMove } from '#common/contracts/node';
import { BUCKET_KEYS } from '#common/contracts/subjects';
import {
  createTables,
  newRecord,
  noLongerLeading,
  refused,
  standing,
  removeServers,
  startServers,
  untilInSync,
  type AdminOutcome,
  type MembershipParts,
} from './membership-parts';
import { validateAdd } from './membership-rules';
import { unusedServerName } from './placement';
import { forgetMade, join, leavingOf, movesOf } from './replica-moves';
import { configOf, Shard } from '../cluster/shard';
import type { Workflow } from '../kernel/workflow';

/** New servers with their shards, by the names that they really have. */
type Newcomers = ReadonlyMap<string, string[]>;

export function* addServers(command: AddCommand, parts: MembershipParts): Workflow<AdminOutcome> {
  const { cluster, context } = parts;
  const going = Object.keys(command.servers).find((name) => leavingOf(parts).includes(name));
  if (going !== undefined) return refused('BAD_REQUEST', `server ${going} is being removed: add it when it is gone`);
  const fault = validateAdd(command, standing(parts));
  if (fault !== null) return refused('BAD_REQUEST', fault);
  const newcomers = named(command.servers, parts);
  const names = [...newcomers.keys()];
  const { error, fresh } = yield* startServers(parts, names, false);
  if (error !== null) return { ok: false, error };
  const failed = yield* introduce(command, newcomers, cluster.inForce, parts);
  if (failed !== null) {
    // Nothing names them: not even the next leader would use them.
    if (cluster.phase !== 'steppedDown') yield* removeServers(parts, fresh);
    return { ok: false, error: failed };
  }
  yield* join(parts, movesOf(parts));
  yield* forgetMade(parts);
  if (cluster.phase === 'steppedDown') return { ok: false, error: noLongerLeading() };
  for (const [server, shards] of newcomers) {
    context.emit({ do: 'publish', event: { kind: 'server.added', subject: server, data: { cause: '/add', shards } } });
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

/**
 * The servers become members, and the new shards come into being on them; with one value, so that all of it comes to pass or nothing.
 * Replicas of shards that exist are to be made from then on, whoever leads.
 */
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
  // Should somebody else lead by now, the last change is refused as well.
  for (const shard of shards) yield* catalog.put(BUCKET_KEYS.shard(shard.shard), shard);
  const first = cluster.nextServerNumber();
  const numbers = new Map(names.map((server, index) => [server, first + index]));
  const next = cluster.changed(record, {
    shards: [...record.shards, ...shards.map(({ shard }) => shard)],
    servers: [...record.servers, ...names],
    numbers: { ...record.numbers, ...Object.fromEntries(numbers) },
    born: [...record.born, ...shards.map(configOf)],
    moves: [...movesOf(parts), ...replicasToMake(newcomers, record)],
  });
  if (!(yield* catalog.put(BUCKET_KEYS.cluster, next))) return noLongerLeading();
  cluster.record = next;
  for (const [server, number] of numbers) health.admit(cluster.addServer(server, number));
  // Should the catalog be rolled back now, they are the ones who know of the new shards.
  yield* news.announce();
  for (const shard of shards) cluster.addShard(new Shard(shard, true));
  return null;
}

/** Shards that existed before get replicas on the new servers, to be copied. */
function replicasToMake(newcomers: Newcomers, before: ClusterRecord): ReplicaMove[] {
  return [...newcomers].flatMap(([to, held]) =>
    held.filter((shard) => before.shards.includes(shard)).map((shard) => ({ shard, to })),
  );
}
