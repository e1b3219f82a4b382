/** The leader's metrics: counted as rounds end, and read from the cluster's status when somebody asks. */
import { SUSPECT_CAUSES, type ClusterStatus, type ServerStatus } from '#common/contracts/commands';
import { Counter, Gauge, Histogram, Registry } from 'prom-client';

const HEALTHS = ['starting', 'healthy', 'suspect', 'dead'] as const;
const STATES = ['in-sync', 'syncing', 'stale'] as const;
const SIZES = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048];

export class BalancerMetrics {
  private readonly registry = new Registry();
  /** Set from every status: what is not in it any more is gone from them. */
  private readonly perStatus: { reset(): void }[] = [];
  private readonly rounds = new Counter({
    name: 'shardline_rounds_total',
    help: 'Rounds that were committed',
    registers: [this.registry],
  });
  private readonly roundRequests = new Histogram({
    name: 'shardline_round_requests',
    help: 'Client requests in a round',
    buckets: SIZES,
    registers: [this.registry],
  });
  private readonly roundRows = new Histogram({
    name: 'shardline_round_rows',
    help: 'Rows in a round',
    buckets: SIZES,
    registers: [this.registry],
  });
  private readonly roundSeconds = new Histogram({
    name: 'shardline_round_seconds',
    help: 'From the start of a round to its commit',
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
    registers: [this.registry],
  });
  private readonly messageParts = new Histogram({
    name: 'shardline_node_message_parts',
    help: 'Rounds or reads that travelled to a shard-node in one message',
    labelNames: ['verb'],
    buckets: SIZES,
    registers: [this.registry],
  });
  private readonly vat = this.gauge('shardline_shard_vat', 'Highest committed term', ['shard']);
  private readonly rows = this.gauge('shardline_shard_rows', 'Live records', ['shard']);
  private readonly writable = this.gauge('shardline_shard_writable', '1 when the shard takes writes', ['shard']);
  private readonly waiting = this.gauge('shardline_shard_waiting', 'Requests that wait for the shard', ['shard']);
  private readonly replica = this.gauge('shardline_replica_state', '1 for the state the replica is in', [
    'shard',
    'server',
    'state',
  ]);
  private readonly proven = this.gauge(
    'shardline_replica_proven_age_seconds',
    'Since the replica was last found to show the same as another one',
    ['shard', 'server'],
  );
  private readonly divergences = new Counter({
    name: 'shardline_divergences_total',
    help: 'Replicas that were found to hold other data than the others',
    labelNames: ['shard'],
    registers: [this.registry],
  });
  private readonly heartbeat = this.gauge('shardline_heartbeat_age_seconds', 'Since the last answered heartbeat', [
    'server',
  ]);
  private readonly missed = this.gauge('shardline_heartbeat_missed', 'Heartbeats missed in a row', ['server']);
  private readonly health = this.gauge('shardline_server_health', '1 for what the server is believed to be', [
    'server',
    'health',
  ]);
  private readonly suspected = this.gauge('shardline_server_suspected', '1 while this is held against the server', [
    'server',
    'cause',
  ]);
  private readonly postgresUp = this.gauge('shardline_server_postgres_up', "1 when the server's Postgres answers", [
    'server',
  ]);
  private readonly diskFree = this.gauge('shardline_server_disk_free_bytes', 'Room where the server keeps its data', [
    'server',
  ]);
  private readonly eventLoop = this.gauge(
    'shardline_server_event_loop_delay_seconds',
    "How late the server's event loop was between two heartbeats, 99th percentile",
    ['server'],
  );
  private readonly answer = this.gauge('shardline_heartbeat_answer_seconds', 'How long the last heartbeat took', [
    'server',
  ]);
  private readonly epoch = this.gauge('shardline_leader_epoch', 'Epoch of the leader', ['leader']);
  private readonly snapshotLeases = this.gauge('shardline_snapshot_leases', 'Range reads that hold a snapshot', []);

  roundDone(round: { requests: number; rows: number; tookMs: number }): void {
    this.rounds.inc();
    this.roundRequests.observe(round.requests);
    this.roundRows.observe(round.rows);
    this.roundSeconds.observe(round.tookMs / 1000);
  }

  diverged(shard: string): void {
    this.divergences.inc({ shard });
  }

  /** A message with so many parts went to a shard-node. */
  messageSent(verb: string, parts: number): void {
    this.messageParts.observe({ verb }, parts);
  }

  /** Everything as Prometheus text. */
  async text(
    status: ClusterStatus,
    gauges: { openSnapshotLeases: number; waiting: Record<string, number> },
  ): Promise<string> {
    for (const gauge of this.perStatus) gauge.reset();
    this.epoch.set({ leader: status.leader }, status.epoch);
    this.snapshotLeases.set(gauges.openSnapshotLeases);
    for (const { shard, vat, rows, writable, replicas } of status.shards) {
      this.vat.set({ shard }, vat);
      if (rows !== null) this.rows.set({ shard }, rows);
      this.writable.set({ shard }, writable ? 1 : 0);
      this.waiting.set({ shard }, gauges.waiting[shard] ?? 0);
      for (const { server, state, proven: proof } of replicas) {
        if (proof !== null) this.proven.set({ shard, server }, proof.ageMs / 1000);
        for (const each of STATES) this.replica.set({ shard, server, state: each }, each === state ? 1 : 0);
      }
    }
    for (const server of status.servers) this.exportServer(server);
    return await this.registry.metrics();
  }

  private exportServer({ server, health, causes, heartbeatAgeMs, missed, vitals }: ServerStatus): void {
    const { postgres, diskFreeBytes, eventLoopDelayMs, answerMs } = vitals;
    if (heartbeatAgeMs !== null) this.heartbeat.set({ server }, heartbeatAgeMs / 1000);
    this.missed.set({ server }, missed);
    for (const each of HEALTHS) this.health.set({ server, health: each }, each === health ? 1 : 0);
    for (const cause of SUSPECT_CAUSES) this.suspected.set({ server, cause }, causes.includes(cause) ? 1 : 0);
    if (postgres !== null) this.postgresUp.set({ server }, postgres === 'ok' ? 1 : 0);
    if (diskFreeBytes !== null) this.diskFree.set({ server }, diskFreeBytes);
    if (eventLoopDelayMs !== null) this.eventLoop.set({ server }, eventLoopDelayMs / 1000);
    if (answerMs !== null) this.answer.set({ server }, answerMs / 1000);
  }

  private gauge<L extends string>(name: string, help: string, labelNames: L[]): Gauge<L> {
    const gauge = new Gauge({ name, help, labelNames, registers: [this.registry] });
    this.perStatus.push(gauge);
    return gauge;
  }
}
