/**
 * Heartbeats, flatlines and replacements.
 *
 * Every server is asked for a sign of life at an interval; so many misses in a row are a flatline: its replicas leave their
 * in-sync sets, the server leaves the rings, and a replacement of the same name is started. When that answers, it is fenced
 * and its replicas are brought in sync.
 */
import type { SuspectCause } from '#common/contracts/commands';
import type { ErrorBody } from '#common/contracts/errors';
import type { EventKind } from '#common/contracts/events';
import type { FenceReply, NodeShardState, PingReply, PingRequest } from '#common/contracts/node';
import { stampOf, type Cluster, type ServerState } from '../cluster/cluster';
import type { ClusterNews } from '../cluster/cluster-news';
import type { StepContext } from '../kernel/step-context';
import { dictionary } from '../kernel/dictionary';
import type { InSyncSets } from '../replicas/in-sync-sets';
import type { Patience } from '../detection/patience';
import type { Recovery } from './recovery';
import type { CoreSettings } from '../detection/core-settings';
import { describeSuspicion } from '../detection/suspicion';
import { all, spawn, running, wait, type Workflow } from '../kernel/workflow';

/** How often a server that was just started is asked whether it is there. */
const START_POLL_MS = 100;
/** Pause between attempts to start a replacement. */
const RESPAWN_PAUSE_MS = 1000;

export class Health {
  constructor(
    private readonly context: StepContext,
    private readonly cluster: Cluster,
    private readonly inSyncSets: InSyncSets,
    private readonly recovery: Recovery,
    private readonly patience: Patience,
    private readonly settings: CoreSettings,
    private readonly news: ClusterNews,
    private readonly superseded: (server: string) => void,
    private readonly fenced: (error: ErrorBody) => void,
  ) {}

  /** Sends the heartbeats that are due. */
  tick(): void {
    for (const server of this.cluster.servers.values()) {
      if (server.dead || server.starting || server.leaving || server.nextPingMs > this.context.nowMs) continue;
      server.nextPingMs = this.context.nowMs + this.settings.heartbeatIntervalMs;
      this.ping(server);
    }
  }

  /** Fences a server again and again until it answers; null when it does not within the time. */
  *awaitNode(name: string, withinMs: number): Workflow<FenceReply | null> {
    const deadlineMs = this.context.nowMs + withinMs;
    for (;;) {
      const { epoch, record } = this.cluster;
      const by = this.settings.instance;
      const request = record === null ? { epoch, by } : { epoch, by, known: stampOf(record) };
      const outcome = yield* wait(this.context.ask('fence', { server: name, request }));
      if (outcome.ok) {
        this.cluster.heardOfConfig(outcome.value.configId, outcome.value.prepared);
        this.cluster.heardOfProcess(name, outcome.value.instance);
        return outcome.value;
      }
      if (outcome.error.code === 'FENCED') this.fenced(outcome.error);
      if (outcome.error.code === 'FENCED' || this.context.nowMs >= deadlineMs) return null;
      yield* wait(this.context.sleep(START_POLL_MS));
    }
  }

  /** A server answers and is fenced: from now on it is asked and watched. */
  admit(server: ServerState): void {
    server.starting = false;
    server.dead = false;
    server.lastAnswerMs = this.context.nowMs;
    server.nextPingMs = this.context.nowMs;
    this.cluster.detector.forget(server.name);
    this.patience.forget(server.name);
    this.cluster.buildRingsOf(server.name);
  }

  /**
   * Compares what an in-sync replica holds with what it must hold. One that has lost its data is taken out of the set or,
   * where that would leave too few, suspended until it has been fully re-copied.
   */
  checkData(server: ServerState, held: readonly NodeShardState[], mustHave: ReadonlyMap<string, number>): void {
    const states = new Map(held.map((state) => [state.shard, state]));
    for (const shard of this.cluster.shardsOn(server.name)) {
      const state = states.get(shard.id);
      const term = mustHave.get(shard.id);
      if (term === undefined || !shard.inSync.includes(server.name)) continue;
      // The shard's record is on its way to it, and it shows then whether it has the shard.
      if (shard.unacknowledged.has(server.name)) continue;
      const isWhole = state !== undefined && !state.catchingUp && state.currentTerm >= term;
      if (isWhole || shard.isSuspended(server.name)) continue;
      shard.suspend(server.name, true);
      spawn(this.inSyncSets.demote(shard, [server.name], 'its data is gone'));
    }
  }

  /** What the in-sync replicas of a server must hold by now, by shard. */
  mustHave(server: string): Map<string, number> {
    const shards = this.cluster.shardsOn(server).filter((shard) => shard.decided && shard.inSync.includes(server));
    return new Map(shards.map((shard) => [shard.id, shard.vat]));
  }

  private ping(server: ServerState): void {
    const sequence = this.cluster.detector.nextPing(server.name, this.context.nowMs);
    const mustHave = this.mustHave(server.name);
    this.context.request('ping', { server: server.name, request: this.pingRequest(server.name) }, (outcome) => {
      if (this.cluster.servers.get(server.name) !== server || server.dead || server.leaving) return;
      if (outcome.ok) this.answered(server, sequence, outcome.value, mustHave);
      else if (outcome.error.code === 'FENCED') this.fenced(outcome.error);
      else this.missed(server, sequence, outcome.error.message);
    });
  }

  private answered(
    server: ServerState,
    sequence: number,
    reply: PingReply,
    mustHave: ReadonlyMap<string, number>,
  ): void {
    const before = this.cluster.detector.state(server.name);
    const causesBefore = this.cluster.detector.suspectCauses(server.name);
    const { postgres, diskFreeBytes, eventLoopDelayMs } = reply;
    const signs = { postgres, diskFreeBytes, eventLoopDelayMs };
    // What it reported before, of a disk that it may have lost since, say.
    if (this.cluster.detector.answered(server.name, sequence, this.context.nowMs, signs) === 'late') return;
    // Every heartbeat is published at `debug`; those that change something also at `info`.
    const level = before === 'up' ? 'debug' : 'info';
    this.context.emit({ do: 'log', level, message: 'HEARTBEAT', data: { server: server.name, missed: 0, before } });
    this.publishSuspicion(server, causesBefore);
    this.heard(server, reply, mustHave);
  }

  private missed(server: ServerState, sequence: number, cause: string): void {
    const causesBefore = this.cluster.detector.suspectCauses(server.name);
    const verdict = this.cluster.detector.missed(server.name, sequence);
    const missed = this.cluster.detector.missesInARow(server.name);
    if (verdict !== 'late') {
      this.context.emit({
        do: 'log',
        level: 'warn',
        message: 'HEARTBEAT',
        data: { server: server.name, missed, cause },
      });
    }
    if (verdict === 'flatline') this.flatline(server, cause);
    else this.publishSuspicion(server, causesBefore);
  }

  /** Publishes, once, that a server has become suspect, of something else than before, or of nothing any more. */
  private publishSuspicion(server: ServerState, before: readonly SuspectCause[]): void {
    const causes = this.cluster.detector.suspectCauses(server.name);
    if (causes.join() === before.join()) return;
    const { detector } = this.cluster;
    const signs = { ...detector.vitals(server.name), missed: detector.missesInARow(server.name) };
    if (causes.length === 0) {
      this.publish('server.healthy', server.name, { cause: `over: ${describeSuspicion(before)}`, ...signs });
    } else this.publish('server.suspect', server.name, { cause: describeSuspicion(causes), causes, ...signs });
  }

  /** Which VATs are committed (sent to in-sync replicas alone: others do not hold them), and what may be purged. */
  private pingRequest(server: string): PingRequest {
    const vats = dictionary<number>();
    const marks = dictionary<number>();
    for (const shard of this.cluster.shardsOn(server)) {
      if (!shard.resolved || shard.stateOf(server) !== 'in-sync') continue;
      vats[shard.id] = shard.vat;
      marks[shard.id] = shard.purgeMark(this.context.nowMs, this.settings.tombstoneHorizonMs);
    }
    const { epoch, configId, mark } = this.cluster;
    const request = { epoch, configId, vats, marks };
    return mark === null ? request : { bucket: mark(), ...request };
  }

  private heard(server: ServerState, reply: PingReply, mustHave: ReadonlyMap<string, number>): void {
    server.lastAnswerMs = this.context.nowMs;
    server.instance = reply.instance;
    server.holds = new Set(reply.shards.map(({ shard }) => shard));
    if (this.news.isAhead(reply.cluster)) this.superseded(server.name);
    else if (this.news.isBehind(reply)) spawn(this.news.announceTo(server.name));
    // What a replica may have forgotten counts for the others neither.
    for (const { shard, forgottenUpTo = 0 } of reply.shards)
      this.cluster.shards.get(shard)?.forgottenIds.reported(forgottenUpTo);
    for (const state of reply.shards) {
      const replica = this.cluster.shards.get(state.shard)?.replicas.get(server.name);
      if (replica === undefined) continue;
      replica.rows = state.rows;
      replica.purgedTo = state.purgedTo;
    }
    this.recovery.learn(server.name, reply.shards);
    this.checkData(server, reply.shards, mustHave);
  }

  private flatline(server: ServerState, cause: string): void {
    server.dead = true;
    server.downSinceMs = this.context.nowMs;
    this.cluster.buildRingsOf(server.name);
    const silentMs = server.lastAnswerMs === null ? null : Math.round(this.context.nowMs - server.lastAnswerMs);
    const data = { cause, missed: this.settings.heartbeatMisses, silentMs, shards: this.shardIds(server.name) };
    this.publish('server.flatline', server.name, data);
    spawn(this.replace(server, this.context.nowMs));
  }

  /** Takes the dead server's replicas out of their sets, and starts a replacement until one answers. */
  private *replace(server: ServerState, sinceMs: number): Workflow {
    const shards = this.cluster.shardsOn(server.name);
    yield* wait(all(shards.map((shard) => running(this.inSyncSets.demote(shard, [server.name], 'flatline')))));
    // What it must have at least: by the time it has answered, more may have been committed than it can know of.
    const mustHave = this.mustHave(server.name);
    const reply = yield* this.startUntilThere(server);
    if (reply === null) return;
    this.admit(server);
    this.recovery.learn(server.name, reply.shards);
    this.checkData(server, reply.shards, mustHave);
    const durationMs = Math.round(this.context.nowMs - sinceMs);
    this.publish('server.respawned', server.name, {
      cause: 'flatline',
      durationMs,
      shards: this.shardIds(server.name),
    });
    this.recovery.start(server);
  }

  /** Null when the server is not wanted any more. One that is just being let go may have to stay after all, and is started then. */
  private *startUntilThere(server: ServerState): Workflow<FenceReply | null> {
    while (this.cluster.servers.get(server.name) === server) {
      const started = server.leaving ? null : yield* wait(this.context.ask('startNode', { server: server.name }));
      if (started?.ok === true) {
        const reply = yield* this.awaitNode(server.name, this.settings.nodeStartMs);
        if (reply !== null) return reply;
      }
      yield* wait(this.context.sleep(RESPAWN_PAUSE_MS));
    }
    return null;
  }

  private shardIds(server: string): string[] {
    return this.cluster.shardsOn(server).map((shard) => shard.id);
  }

  private publish(kind: EventKind, subject: string, data: Record<string, unknown>): void {
    this.context.emit({ do: 'publish', event: { kind, subject, data } });
  }
}
