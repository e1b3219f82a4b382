/** The cluster as the leader knows it: servers, shards, configuration. Plain state with questions about it. */
import type { ServerHealth } from '#common/contracts/commands';
import type { ErrorBody } from '#common/contracts/errors';
import type { BucketMark, ClusterRecord, ClusterStamp, ConfigRequest, ShardConfig } from '#common/contracts/node';
import type { ShardRange, TableSchema } from '#common/contracts/schema';
import { highestOf } from '#common/protocol/extremes';
import { FailureDetector } from '../detection/failure-detector';
import { HashRing, type RingHash } from './hash-ring';
import type { Shard } from './shard';
import type { SuspicionSettings } from '../detection/suspicion';
import { ServerReports } from './server-reports';

export interface ServerState {
  readonly name: string;
  readonly number: number;
  /** Being started or started again: not yet answering. */
  starting: boolean;
  /** Its flatline has been called and it has not come back yet. */
  dead: boolean;
  /** The process that answered last; null before the first answer. */
  instance: string | null;
  lastAnswerMs: number | null;
  nextPingMs: number;
  /** The shards of which it holds something by its own report, a replica or what is left of one; null before the first answer. */
  holds: ReadonlySet<string> | null;
  /** A workflow brings its replicas in sync right now. */
  recovering: boolean;
  /** Since when it is missed, for the event that says how long it took; null while all is well. */
  downSinceMs: number | null;
  /** Its removal is under way: nothing new is placed there. */
  leaving: boolean;
}

/**
 * `standby`: another balancer leads. `takingOver`: the shards' VATs are being worked out. `serving`: commands are taken.
 * `steppedDown`: nothing is begun or answered any more.
 */
export type Phase = 'standby' | 'takingOver' | 'unconfigured' | 'configuring' | 'serving' | 'steppedDown';

export function stampOf({ configId, configEpoch, configVersion }: ClusterStamp): ClusterStamp {
  return { configId, configEpoch, configVersion };
}

/** Why there is nothing to serve, and what to do. */
export function unconfigured({ foundData }: Pick<Cluster, 'foundData'>): ErrorBody {
  if (foundData === null) {
    const message = 'the cluster has no configuration yet: POST /init first';
    return { code: 'NOT_CONFIGURED', message, retryable: false };
  }
  const message = `the cluster has no configuration now, and ${foundData}`;
  return { code: 'SHARD_UNAVAILABLE', message, retryable: true };
}

export class Cluster {
  phase: Phase = 'standby';
  epoch = 0;
  /** Of all configurations that left a record anywhere. */
  highestConfigId = 0;
  record: ClusterRecord | null = null;
  /** What servers reported when this balancer began to lead. */
  readonly reports = new ServerReports();
  /** How far the catalog is known, for replicas to remember; null until every shard of what is found in it is resolved. */
  mark: (() => BucketMark) | null = null;
  /** Whether it is certain right now that nobody else leads. As long as it is not, orders to the launcher wait. */
  isCertain: () => boolean = () => true;
  /** An administrator's command is being carried out. */
  isReshaping = false;
  /** Without a configuration: why there may be one all the same, of which nothing can be served. */
  foundData: string | null = null;
  readonly servers = new Map<string, ServerState>();
  readonly shards = new Map<string, Shard>();
  readonly detector: FailureDetector;
  /** By server: the process that was fenced last. */
  private readonly processes = new Map<string, string>();
  /** The shards in key order. */
  private ordered: Shard[] = [];
  /** The shards of each server, put together when somebody asks for them. */
  private byServer: ReadonlyMap<string, readonly Shard[]> | null = null;

  constructor(
    heartbeatMisses: number,
    suspicion: SuspicionSettings,
    private readonly ringHash: RingHash,
  ) {
    this.detector = new FailureDetector(heartbeatMisses, suspicion);
  }

  get configId(): number {
    return this.record?.configId ?? 0;
  }
  /** The record, for whoever has made sure that there is one. @throws Error without a configuration */
  get inForce(): ClusterRecord {
    if (this.record === null) throw new Error('the cluster has no configuration');
    return this.record;
  }
  get schema(): TableSchema | null {
    return this.record?.schema ?? null;
  }

  /** This balancer has been elected. */
  begin(epoch: number): void {
    this.phase = 'takingOver';
    this.epoch = epoch;
  }

  /** An id that no configuration had, not even one that did not come into force. */
  nextConfigId(): number {
    this.highestConfigId += 1;
    return this.highestConfigId;
  }
  /** A server has it, in force or prepared. */
  heardOfConfig(configId: number, prepared: number | null): void {
    this.highestConfigId = Math.max(this.highestConfigId, configId, prepared ?? 0);
  }
  /** It runs there, and has been fenced. */
  heardOfProcess(server: string, instance: string): void {
    this.processes.set(server, instance);
  }
  /** For a request that is for the process alone that was fenced last. */
  meantFor(server: string): Pick<ConfigRequest, 'instance'> {
    const instance = this.processes.get(server);
    return instance === undefined ? {} : { instance };
  }
  /** A number that no server has. */
  nextServerNumber(): number {
    return (
      highestOf(
        [...this.servers.values()].map((server) => server.number),
        -1,
      ) + 1
    );
  }

  /** The cluster's record after a change. */
  changed(record: ClusterRecord, changes: Partial<ClusterRecord>): ClusterRecord {
    return { ...record, ...changes, configEpoch: this.epoch, configVersion: record.configVersion + 1 };
  }

  /** The request that sends a server the configurations of shards. @throws Error without one of the cluster: there are no servers then */
  configRequest(shards: ShardConfig[]): ConfigRequest {
    if (this.record === null) throw new Error('there is no configuration to send to a server');
    return this.requestUnder(this.record, shards);
  }
  /** The same, under this record of the cluster. */
  requestUnder({ configId, schema }: ClusterRecord, shards: ShardConfig[]): ConfigRequest {
    const request = { epoch: this.epoch, configId, schema, shards, drop: [] };
    return this.mark === null ? request : { mark: this.mark(), ...request };
  }

  /** Forgets servers and shards. */
  clear(): void {
    for (const server of this.servers.keys()) this.detector.forget(server);
    this.servers.clear();
    this.processes.clear();
    this.shards.clear();
    this.ordered = [];
    this.byServer = null;
    this.record = null;
    this.mark = null;
  }

  addServer(name: string, number: number): ServerState {
    const server: ServerState = {
      name,
      number,
      starting: true,
      dead: false,
      instance: null,
      holds: null,
      lastAnswerMs: null,
      nextPingMs: 0,
      recovering: false,
      downSinceMs: null,
      leaving: false,
    };
    this.servers.set(name, server);
    return server;
  }

  /** @throws Error when it is none of the cluster's */
  serverNamed(name: string): ServerState {
    const server = this.servers.get(name);
    if (server === undefined) throw new Error(`${name} is no server of this cluster`);
    return server;
  }

  removeServer(name: string): void {
    this.servers.delete(name);
    this.processes.delete(name);
    this.detector.forget(name);
  }

  addShard(shard: Shard): void {
    this.addShards([shard]);
  }

  /** Many at once: they are put in order once. */
  addShards(shards: readonly Shard[]): void {
    for (const shard of shards) {
      shard.onOtherReplicas(() => {
        this.byServer = null;
      });
      this.shards.set(shard.id, shard);
      this.buildRing(shard);
    }
    this.ordered = [...this.shards.values()].sort((a, b) => a.record.low - b.record.low);
    this.byServer = null;
  }

  /**
   * The ring of a shard has its replicas on it, except those whose server is dead. It is built when somebody reads: a take-over would
   * else build those of all shards again and again.
   */
  buildRing(shard: Shard): void {
    shard.ringFrom(() => {
      const servers = shard.record.replicas
        .map((name) => this.servers.get(name))
        .filter((server): server is ServerState => server !== undefined && !server.dead)
        .map(({ name, number }) => ({ name, number }));
      return HashRing.build(servers, this.ringHash);
    });
  }

  buildRingsOf(server: string): void {
    for (const shard of this.shards.values()) if (shard.replicas.has(server)) this.buildRing(shard);
  }

  health(server: string): ServerHealth {
    const state = this.servers.get(server);
    if (state === undefined || state.dead) return 'dead';
    if (state.starting) return 'starting';
    return this.detector.suspectCauses(server).length > 0 ? 'suspect' : 'healthy';
  }

  /** Whether it makes sense to copy to the server now: it answers, its Postgres too, and it has room. */
  mayReceiveCopies(server: string): boolean {
    if (!this.isReachable(server)) return false;
    const pulse = this.detector.state(server);
    const { postgres } = this.detector.vitals(server);
    const hasRoom = !this.detector.suspectCauses(server).includes('disk');
    return (pulse === 'up' || pulse === 'starting') && postgres !== 'down' && hasRoom;
  }

  /** A server that may be asked: it is believed to run. */
  isReachable(server: string): boolean {
    const state = this.servers.get(server);
    return state !== undefined && !state.dead && !state.starting;
  }

  /** In-sync replicas that can serve: members of the set whose data is there and whose server runs. */
  serving(shard: Shard): string[] {
    return shard.inSync.filter((server) => this.isReachable(server) && shard.replicas.get(server)?.suspended === false);
  }

  /** A shard takes writes when its VAT is known and every member of its in-sync set can take part, and knows who has left. */
  isWritable(shard: Shard): boolean {
    const isWhole = this.serving(shard).length === shard.inSync.length && shard.unacknowledged.size === 0;
    return shard.resolved && shard.inSync.length >= shard.minInSync && isWhole;
  }
  isReadable(shard: Shard): boolean {
    return shard.resolved && this.serving(shard).length > 0;
  }

  /** The shard of that name, for whoever has made sure that there is one. @throws Error when there is none */
  shardNamed(id: string): Shard {
    const shard = this.shards.get(id);
    if (shard === undefined) throw new Error(`there is no shard ${id}`);
    return shard;
  }

  /** The shard that covers a key: binary search over the ranges, which do not overlap. */
  shardOf(key: number): Shard | undefined {
    // How many begin at the key or before it.
    let begun = 0;
    let end = this.ordered.length;
    while (begun < end) {
      const middle = (begun + end) >>> 1;
      if ((this.ordered[middle]?.record.low ?? Infinity) <= key) begun = middle + 1;
      else end = middle;
    }
    const shard = this.ordered[begun - 1];
    return shard !== undefined && key <= shard.high ? shard : undefined;
  }

  /** The shards that meet `[low, high]`, in key order. */
  shardsIn(low: number, high: number): Shard[] {
    return this.ordered.filter((shard) => shard.record.low <= high && shard.high >= low);
  }

  inKeyOrder(): readonly Shard[] {
    return this.ordered;
  }

  /** The shards that the server has replicas of, in key order. */
  shardsOn(server: string): readonly Shard[] {
    this.byServer ??= shardsByServer(this.ordered);
    return this.byServer.get(server) ?? [];
  }

  ranges(): ShardRange[] {
    return this.ordered.map((shard) => shard.range);
  }
}

function shardsByServer(shards: readonly Shard[]): Map<string, Shard[]> {
  const byServer = new Map<string, Shard[]>();
  for (const shard of shards) {
    for (const server of shard.replicas.keys()) {
      const held = byServer.get(server) ?? [];
      held.push(shard);
      byServer.set(server, held);
    }
  }
  return byServer;
}
