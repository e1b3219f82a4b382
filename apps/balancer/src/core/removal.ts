/**
 * `/rm`: servers leave. Their shards are copied elsewhere first where a server is left that can take them; no shard ever
 * loses its last in-sync copy.
 */
import type { RmCommand } from '#common/contracts/commands';
import type { ErrorBody } from '#common/contracts/errors';
import type { ReplicaMove } from '#common/contracts/node';
import { BUCKET_KEYS } from '#common/contracts/subjects';
import {
  dropServer,
  noLongerLeading,
  refused,
  standing,
  type AdminOutcome,
  type MembershipParts,
} from './membership-parts';
import { faultOfRm } from './membership-rules';
import { chooseReplacement } from './placement';
import { shuffled } from './random';
import { without } from './record-changes';
import { join, movesOf, storeMoves } from './replica-moves';
import type { Shard } from './shard';
import { all, running, wait, type Workflow } from './workflow';

const POLL_MS = 50;

/** Removes the servers named and, up to `n`, others whose removal loses nothing. */
export function* removeServers(command: RmCommand, parts: MembershipParts): Workflow<AdminOutcome> {
  const { cluster } = parts;
  const fault = faultOfRm(command, standing(parts));
  if (fault !== null) return refused('BAD_REQUEST', fault);
  const chosen = choose(command, parts);
  if (typeof chosen === 'string') return refused('BAD_REQUEST', chosen);
  const moves = planMoves(chosen, parts);
  if (!(yield* begin(moves, parts))) return { ok: false, error: noLongerLeading() };
  if (!(yield* silence(chosen, parts))) return { ok: false, error: unfinished() };
  if (!(yield* untilMade(parts, moves.kept))) return { ok: false, error: unfinished() };
  for (const server of chosen) {
    const error = yield* removeServer(server, parts);
    if (error !== null) return { ok: false, error };
  }
  return { ok: true, value: { rm: { n: cluster.servers.size, removed: chosen } } };
}

/** The servers to remove, or why they cannot be. */
function choose(command: RmCommand, parts: MembershipParts): string[] | string {
  const chosen = [...command.servers];
  const fault = faultOfRemoval(chosen, parts);
  if (fault !== null) return fault;
  const others = shuffled(
    [...parts.cluster.servers.keys()].filter((name) => !chosen.includes(name)),
    parts.random,
  );
  // Those that an earlier /rm has begun to remove come first.
  const begun = new Set(movesOf(parts).map(({ from }) => from));
  others.sort((a, b) => Number(begun.has(b)) - Number(begun.has(a)));
  for (const candidate of others) {
    if (chosen.length === command.n) break;
    if (faultOfRemoval([...chosen, candidate], parts) === null) chosen.push(candidate);
  }
  if (chosen.length < command.n) return `only ${chosen.length} servers can be removed without losing data`;
  return chosen;
}

/** Every shard must keep an in-sync copy that answers, or have one to be copied from and somewhere to go. */
function faultOfRemoval(leaving: readonly string[], { cluster }: MembershipParts): string | null {
  for (const shard of cluster.inKeyOrder()) {
    if (!leaving.some((server) => shard.replicas.has(server))) continue;
    const serving = cluster.serving(shard);
    if (serving.some((server) => !leaving.includes(server))) continue;
    const takers = [...cluster.servers.keys()].filter(
      (server) => !leaving.includes(server) && cluster.isReachable(server),
    );
    if (serving.length > 0 && takers.length > 0) continue;
    return `removing ${leaving.join(', ')} would lose the last in-sync copy of ${shard.id}`;
  }
  return null;
}

/** Replicas to be made before their shards lose one. */
interface Plan {
  /** For the servers that leave now; some may have been made by an earlier `/rm`. */
  kept: ReplicaMove[];
  /** What an earlier one has begun where it cannot be brought to an end: it is given up for another one. */
  dropped: ReplicaMove[];
}

/** Which replicas are made elsewhere first, so that every shard keeps as many as it had where there are enough servers. */
function planMoves(leaving: readonly string[], parts: MembershipParts): Plan {
  const { cluster } = parts;
  const candidates = [...cluster.servers.keys()].filter(
    (server) => !leaving.includes(server) && cluster.isReachable(server),
  );
  const load = new Map(candidates.map((server) => [server, cluster.shardsOn(server).length]));
  const plan: Plan = { kept: [], dropped: [] };
  for (const shard of cluster.inKeyOrder()) {
    const own = movesOf(parts).filter((move) => move.shard === shard.id);
    const begun = own.filter(({ from = '' }) => leaving.includes(from) && shard.replicas.has(from));
    const kept = begun.filter(({ to }) => shard.stateOf(to) === 'in-sync' || candidates.includes(to));
    for (const move of begun) (kept.includes(move) ? plan.kept : plan.dropped).push(move);
    const replaced = new Set(kept.map(({ from }) => from));
    const holders = new Set([...shard.replicas.keys(), ...own.map(({ to }) => to)]);
    for (const server of leaving.filter((name) => shard.replicas.has(name) && !replaced.has(name))) {
      const to = chooseReplacement(holders, candidates, load);
      if (to === undefined) break;
      holders.add(to);
      holders.delete(server);
      load.set(to, (load.get(to) ?? 0) + 1);
      plan.kept.push({ shard: shard.id, to, from: server });
    }
  }
  return plan;
}

/** Stores what is to be made, and begins to make it. What is given up leaves its shard again. */
function* begin({ kept, dropped }: Plan, parts: MembershipParts): Workflow<boolean> {
  const before = movesOf(parts);
  const others = before.filter((move) => !kept.includes(move) && !dropped.includes(move));
  const isNew = dropped.length > 0 || kept.some((move) => !before.includes(move));
  if (isNew && !(yield* storeMoves(parts, [...others, ...kept]))) return false;
  for (const { shard: id, to } of dropped) {
    const shard = parts.cluster.shards.get(id);
    if (shard?.replicas.has(to) !== true) continue;
    if (!(yield* parts.inSyncSets.reshape(shard, (record) => without(record, to)))) return false;
  }
  return yield* join(parts, kept);
}

/**
 * Where members hold different things, nothing is copied as long as it takes the word of one that is silent to tell who is right. Who is
 * silent and is to go has none any more.
 */
function* silence(leaving: readonly string[], { cluster, inSyncSets }: MembershipParts): Workflow<boolean> {
  for (const name of leaving.filter((server) => !cluster.isReachable(server))) {
    for (const shard of cluster.shardsOn(name).filter(({ record }) => record.disputed === true)) {
      if (!(yield* inSyncSets.reshape(shard, (record) => without(record, name)))) return false;
    }
  }
  return true;
}

/** Waits, within a bound, until the replicas are in sync. */
function* untilMade(parts: MembershipParts, moves: readonly ReplicaMove[]): Workflow<boolean> {
  const { cluster, desk, settings, recovery } = parts;
  const deadlineMs = desk.nowMs + settings.adminWaitMs;
  const isMade = ({ shard, to }: ReplicaMove): boolean => cluster.shards.get(shard)?.stateOf(to) === 'in-sync';
  while (!moves.every(isMade)) {
    if (desk.nowMs >= deadlineMs || cluster.phase === 'steppedDown') return false;
    recovery.startAll();
    yield* wait(desk.sleep(POLL_MS));
  }
  return true;
}

function* removeServer(name: string, parts: MembershipParts): Workflow<ErrorBody | null> {
  const { cluster, catalog, news, inSyncSets, desk } = parts;
  const server = cluster.servers.get(name);
  if (server === undefined) return null;
  const held = shardsOf(name, parts);
  for (const shard of held) {
    // A round may be under way: it is kept by those who are members when it ends, as after a demotion.
    const done = yield* inSyncSets.reshape(shard, (old) => without(old, name));
    if (!done) return cluster.phase === 'steppedDown' ? noLongerLeading() : unfinished();
  }
  // Who has not stored yet that it left may take it for a member still.
  if (!(yield* untilTold(parts))) return unfinished();
  if (!(yield* isNeedless(name, held, parts))) return unfinished();
  const { record } = cluster;
  if (record === null) return noLongerLeading();
  server.leaving = true;
  const moves = movesOf(parts).filter(({ to, from }) => to !== name && from !== name);
  const next = cluster.changed(record, { servers: record.servers.filter((other) => other !== name), moves });
  if (!(yield* catalog.put(BUCKET_KEYS.cluster, next))) return noLongerLeading();
  cluster.record = next;
  cluster.removeServer(name);
  // Before its data go: a catalog that is set back still names it.
  yield* news.tellAll();
  yield* dropServer(parts, name);
  const data = { cause: '/rm', shards: held.map((shard) => shard.id) };
  desk.emit({ do: 'publish', event: { kind: 'server.removed', subject: name, data } });
  return null;
}

/** Waits, within a bound, until the members of all shards have stored who has left. */
function* untilTold({ cluster, desk, settings }: MembershipParts): Workflow<boolean> {
  const deadlineMs = desk.nowMs + settings.adminWaitMs;
  const isTold = (): boolean => cluster.inKeyOrder().every((shard) => shard.untold.size === 0);
  while (!isTold()) {
    if (desk.nowMs >= deadlineMs || cluster.phase === 'steppedDown') return false;
    yield* wait(desk.sleep(POLL_MS));
  }
  return true;
}

/** Shards that the server holds, or is to hold: one of these replicas may just be coming into being. */
function shardsOf(name: string, parts: MembershipParts): Shard[] {
  const promised = movesOf(parts).filter(({ to }) => to === name);
  const isMeant = ({ id }: Shard): boolean => promised.some(({ shard }) => shard === id);
  return parts.cluster.inKeyOrder().filter((shard) => shard.replicas.has(name) || isMeant(shard));
}

/**
 * Before its data go: those who remain have shown that they are whole when it left, but may have lost a disk since. That counts for
 * everything that it holds something of, also of what an earlier `/rm` that was not carried out took it out of.
 */
function* isNeedless(name: string, held: readonly Shard[], parts: MembershipParts): Workflow<boolean> {
  const { cluster, inSyncSets } = parts;
  const { holds = null } = cluster.servers.get(name) ?? {};
  const shards = cluster.inKeyOrder().filter((shard) => holds === null || held.includes(shard) || holds.has(shard.id));
  const proven = yield* wait(all(shards.map((shard) => running(inSyncSets.isProven(shard)))));
  return proven.every((isProven) => isProven);
}

function unfinished(): ErrorBody {
  const message =
    'the copies that must be made first take longer; they go on, and the same /rm asked again finds them and ends it';
  return { code: 'OUTCOME_UNKNOWN', message, retryable: false };
}
