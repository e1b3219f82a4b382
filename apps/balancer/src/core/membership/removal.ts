/**
 * `/rm`: servers leave. Their shards are copied elsewhere first where a server is left that can take them; no shard ever
 * loses its last in-sync copy.
 */
import type { RmCommand } from '#common/contracts/commands';
import type { ErrorBody } from '#common/contracts/errors';
import type { ClusterRecord, ReplicaMove } from '#common/contracts/node';
import { BUCKET_KEYS } from '#common/contracts/subjects';
import type { ServerState } from '../cluster/cluster';
import { dropServer, refused, standing, type AdminOutcome, type MembershipParts } from './membership-parts';
import { validateRm } from './membership-rules';
import { chooseReplacement } from './placement';
import { shuffled } from '../kernel/random';
import { without } from '../replicas/record-changes';
import { join, leavingOf, movesOf, storeMoves } from './replica-moves';
import type { Shard, ShardRecord } from '../cluster/shard';
import { wait, type Workflow } from '../kernel/workflow';

const POLL_MS = 50;

/**
 * Removes the servers named and, up to `n`, others whose removal loses nothing. Who is to go is stored before anything is done: what
 * takes longer than an administrator waits, `finishRemovals` brings to an end.
 */
export function* removeServers(command: RmCommand, parts: MembershipParts): Workflow<AdminOutcome> {
  const { cluster, context, settings } = parts;
  const fault = validateRm(command, standing(parts));
  if (fault !== null) return refused('BAD_REQUEST', fault);
  const chosen = choose(command, parts);
  if (typeof chosen === 'string') return refused('BAD_REQUEST', chosen);
  yield* begin(planMoves(chosen, parts), chosen, parts);
  const untilMs = context.nowMs + settings.adminWaitMs;
  yield* silence(chosen, parts);
  const isMade = yield* untilMade(parts, chosen, untilMs);
  for (const server of isMade ? chosen : []) yield* removeServer(server, parts, untilMs);
  const left = chosen.filter((server) => cluster.servers.has(server));
  if (left.length === 0) return { ok: true, value: { rm: { n: cluster.servers.size, removed: chosen } } };
  return { ok: false, error: unfinished(left) };
}

/**
 * Removes servers that an earlier `/rm`, perhaps of another leader, has promised to remove, as soon as that loses nothing. Waits for
 * nothing but answers; what cannot be done now is tried again. The caller has the administrators' turn.
 *
 * @param plansAnew copies whose servers do not run are made elsewhere, as when the `/rm` is asked again
 */
export function* finishRemovals(parts: MembershipParts, plansAgain: boolean): Workflow {
  const leaving = leavingOf(parts);
  if (validateRemoval(leaving, parts) !== null) return;
  if (plansAgain) yield* begin(planMoves(leaving, parts), leaving, parts);
  else yield* join(parts, movesFor(leaving, parts));
  yield* silence(leaving, parts);
  for (const server of leaving) {
    if (movesFor([server], parts).every((move) => isMade(move, parts)))
      yield* removeServer(server, parts, parts.context.nowMs);
  }
}

/** The servers to remove, or why they cannot be. */
function choose(command: RmCommand, parts: MembershipParts): string[] | string {
  const begun = leavingOf(parts);
  const chosen = [...command.servers];
  const fault = validateRemoval([...begun, ...chosen], parts);
  if (fault !== null) return fault;
  const others = shuffled(
    [...parts.cluster.servers.keys()].filter((name) => !chosen.includes(name)),
    parts.random,
  );
  // Those that an earlier /rm has begun to remove come first.
  others.sort((a, b) => Number(begun.includes(b)) - Number(begun.includes(a)));
  for (const candidate of others) {
    if (chosen.length === command.n) break;
    if (validateRemoval([...begun, ...chosen, candidate], parts) === null) chosen.push(candidate);
  }
  if (chosen.length < command.n) return `only ${chosen.length} servers can be removed without losing data`;
  return chosen;
}

/** Every shard must keep an in-sync copy that answers, or have one to be copied from and somewhere to go. */
function validateRemoval(leaving: readonly string[], { cluster }: MembershipParts): string | null {
  for (const shard of cluster.inKeyOrder()) {
    if (!leaving.some((server) => shard.replicas.has(server))) continue;
    // Whoever serves it and stays is one of them.
    const takers = [...cluster.servers.keys()].filter(
      (server) => !leaving.includes(server) && cluster.isReachable(server),
    );
    if (cluster.serving(shard).length > 0 && takers.length > 0) continue;
    return `removing ${leaving.join(', ')} would lose the last in-sync copy of ${shard.id}`;
  }
  return null;
}

/** Replicas to be made before their shards lose one. */
interface Plan {
  /** For the servers that leave now; some may have been made by an earlier `/rm`. */
  kept: ReplicaMove[];
  /** What an earlier one has begun where it cannot be brought to an end, with the shard: it is given up for another one. */
  dropped: Map<ReplicaMove, Shard>;
}

/**
 * Which replicas are made elsewhere first, so that every shard keeps as many as it had where there are enough servers. Those that leave
 * by an earlier `/rm` get none, unless the server that was to take theirs leaves now, before it has.
 */
function planMoves(leaving: readonly string[], parts: MembershipParts): Plan {
  const { cluster } = parts;
  const going = [...leavingOf(parts), ...leaving];
  const candidates = [...cluster.servers.keys()].filter(
    (server) => !going.includes(server) && cluster.isReachable(server),
  );
  const load = new Map(candidates.map((server) => [server, cluster.shardsOn(server).length]));
  const plan: Plan = { kept: [], dropped: new Map() };
  for (const shard of cluster.inKeyOrder()) {
    const own = movesOf(parts).filter((move) => move.shard === shard.id);
    const isLost = ({ to }: ReplicaMove): boolean => leaving.includes(to) && !shard.replicas.has(to);
    const begun = own.filter((move) => {
      return shard.replicas.has(move.from ?? '') && (leaving.includes(move.from ?? '') || isLost(move));
    });
    const kept = begun.filter(({ to }) => shard.stateOf(to) === 'in-sync' || candidates.includes(to));
    for (const move of begun) {
      if (kept.includes(move)) plan.kept.push(move);
      else plan.dropped.set(move, shard);
    }
    const replaced = new Set(kept.map(({ from }) => from));
    const holders = new Set([...shard.replicas.keys(), ...own.map(({ to }) => to)]);
    const losing = new Set([...leaving, ...begun.map(({ from = '' }) => from)]);
    for (const server of [...losing].filter((name) => shard.replicas.has(name) && !replaced.has(name))) {
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

/**
 * Stores what is to be made, and who is to go, and begins to make it. What is given up leaves its shard before: until it has, it is known
 * by its move, and nothing else is made in its place.
 */
function* begin({ kept, dropped }: Plan, leaving: readonly string[], parts: MembershipParts): Workflow {
  for (const [{ to }, shard] of dropped) {
    if (!(yield* parts.inSyncSets.reshape(shard, (record) => without(record, to)))) return;
  }
  const before = movesOf(parts);
  const others = before.filter((move) => !kept.includes(move) && !dropped.has(move));
  const going = [...new Set([...leavingOf(parts), ...leaving])];
  const isNew = dropped.size > 0 || kept.some((move) => !before.includes(move));
  const isPromised = going.length === leavingOf(parts).length;
  // Who no longer leads cannot store what follows either.
  if (isNew || !isPromised) yield* storeMoves(parts, [...others, ...kept], going);
  yield* join(parts, kept);
}

/** Replicas that are to be made before these servers leave the shards that they hold. */
function movesFor(leaving: readonly string[], parts: MembershipParts): ReplicaMove[] {
  return movesOf(parts).filter(({ shard, from = '' }) => {
    return leaving.includes(from) && parts.cluster.shards.get(shard)?.replicas.has(from) === true;
  });
}

function isMade({ shard, to }: ReplicaMove, { cluster }: MembershipParts): boolean {
  return cluster.shards.get(shard)?.stateOf(to) === 'in-sync';
}

/**
 * Where members hold different things, nothing is copied as long as it takes the word of one that is silent to know who is right. Who is
 * silent and is to go has none any more.
 */
function* silence(leaving: readonly string[], { cluster, inSyncSets }: MembershipParts): Workflow {
  for (const name of leaving.filter((server) => !cluster.isReachable(server))) {
    const disputed = cluster.shardsOn(name).filter(({ record }) => record.disputed === true);
    for (const shard of disputed) yield* inSyncSets.reshape(shard, (record) => without(record, name));
  }
}

/** Waits, within a bound, until the replicas that are made before these servers go are in sync. */
function* untilMade(parts: MembershipParts, leaving: readonly string[], untilMs: number): Workflow<boolean> {
  const { context, recovery } = parts;
  while (!movesFor(leaving, parts).every((move) => isMade(move, parts))) {
    if (context.nowMs >= untilMs) return false;
    recovery.startAll();
    yield* wait(context.sleep(POLL_MS));
  }
  return true;
}

/** Where it has to stay for now nothing is done, or not everything. */
function* removeServer(name: string, parts: MembershipParts, untilMs: number): Workflow {
  const { cluster, catalog, news, inSyncSets, context } = parts;
  const server = cluster.serverNamed(name);
  const held = shardsOf(name, parts);
  for (const shard of held) {
    // While members hold different things it stays: it answers (see `silence`), and may be one of those that are right.
    const leave = (old: ShardRecord): ShardRecord => (old.disputed === true ? old : without(old, name));
    // A round may be under way: it is kept by those who are members when it ends, as after a demotion.
    if (!(yield* inSyncSets.reshape(shard, leave))) return;
  }
  // Who has not stored yet that it left may take it for a member still.
  if (!(yield* untilAcknowledged(parts, untilMs))) return;
  if (!(yield* isNeedless(server, held, parts))) return;
  if (!(yield* isOut(server, parts))) return;
  const before = cluster.inForce;
  const next = cluster.changed(before, withoutServer(before, name));
  if (next.leaving?.length === 0) delete next.leaving;
  if (!(yield* catalog.put(BUCKET_KEYS.cluster, next))) return;
  cluster.record = next;
  // Before its data go: a catalog that is rolled back still names it.
  yield* news.announce();
  // All of that may have taken long, and the last disk that has the same been lost meanwhile.
  if (!(yield* mayEndNow(server, held, parts))) {
    yield* stay(server, before, parts);
    return;
  }
  cluster.removeServer(name);
  yield* dropServer(parts, name);
  const data = { cause: '/rm', shards: held.map((shard) => shard.id) };
  context.emit({ do: 'publish', event: { kind: 'server.removed', subject: name, data } });
}

/** What it holds is needed after all: it is a member of the cluster again, and still to go. */
function* stay(server: ServerState, before: ClusterRecord, parts: MembershipParts): Workflow {
  const { cluster, catalog, news } = parts;
  const { servers, moves = [], leaving = [] } = before;
  const next = cluster.changed(cluster.inForce, { servers, moves, leaving });
  if (!(yield* catalog.put(BUCKET_KEYS.cluster, next))) return;
  cluster.record = next;
  server.leaving = false;
  yield* news.announce();
}

/** It may have been taken back meanwhile, where nobody else served (`StrandedShards`). From here on it is not, when it is out. */
function* isOut(server: ServerState, { cluster, inSyncSets }: MembershipParts): Workflow<boolean> {
  server.leaving = true;
  // What has begun of that comes to its end.
  for (const shard of cluster.inKeyOrder()) yield* inSyncSets.reshape(shard, (record) => record);
  server.leaving = cluster.shardsOn(server.name).length === 0;
  return server.leaving;
}

function withoutServer({ servers, moves = [], leaving = [] }: ClusterRecord, name: string): Partial<ClusterRecord> {
  return {
    servers: servers.filter((other) => other !== name),
    moves: moves.filter(({ to, from }) => to !== name && from !== name),
    leaving: leaving.filter((other) => other !== name),
  };
}

/** Waits, within a bound, until the members of all shards have stored who has left. */
function* untilAcknowledged({ cluster, context }: MembershipParts, untilMs: number): Workflow<boolean> {
  const isAcknowledged = (): boolean => cluster.inKeyOrder().every((shard) => shard.unacknowledged.size === 0);
  while (!isAcknowledged()) {
    if (context.nowMs >= untilMs) return false;
    yield* wait(context.sleep(POLL_MS));
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
function* isNeedless(
  { holds }: ServerState,
  held: readonly Shard[],
  { cluster, inSyncSets }: MembershipParts,
): Workflow<boolean> {
  const shards = cluster.inKeyOrder().filter((shard) => holds === null || held.includes(shard) || holds.has(shard.id));
  return yield* inSyncSets.areProven(shards);
}

/** The order that ends it waits until the lease is certain, and what was shown before says nothing by then: it is asked again. */
function* mayEndNow(server: ServerState, held: readonly Shard[], parts: MembershipParts): Workflow<boolean> {
  while (yield* isNeedless(server, held, parts)) {
    if (parts.cluster.isCertain()) return true;
    yield* wait(parts.context.sleep(POLL_MS));
  }
  return false;
}

function unfinished(servers: readonly string[]): ErrorBody {
  const [who, them] = servers.length === 1 ? ['is', 'it'] : ['are', 'them'];
  const message = `${servers.join(', ')} ${who} being removed: what has to be copied or settled first takes longer. The removal continues by itself, and /status shows ${them} until it is done`;
  return { code: 'OUTCOME_UNKNOWN', message, retryable: false };
}
