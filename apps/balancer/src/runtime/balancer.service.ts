/** Puts the core, its ports and its leadership together. */
import { randomUUID } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import type {
  ClusterStatus,
  SnapshotLeasesReply,
  SnapshotLeasesRequest,
  TakeOverNews,
} from '#common/contracts/commands';
import { ShardlineError } from '#common/contracts/errors';
import { BUCKET_KEYS } from '#common/contracts/subjects';
import type { Logger } from '#common/logging/logger';
import { WorkInFlight } from '#common/process/work-in-flight';
import type { BalancerConfig } from '#common/config/balancer-config';
import { NatsCatalogStore } from '../adapters/nats/nats-catalog-store';
import { NatsEventSink } from '../adapters/nats/nats-event-sink';
import { NatsShardTransport } from '../adapters/nats/nats-shard-transport';
import { BalancerCore, type NamedRingHash } from '../core/balancer-core';
import { seededRandom } from '../core/kernel/random';
import type { CoreSettings } from '../core/detection/core-settings';
import type { AdminRequest, AdminResult } from '../core/kernel/effects';
import type { LeaderRecord } from '../core/leadership/leadership';
import type { NodeLauncher } from '../ports/node-launcher';
import { AskRunner } from './ask-runner';
import { BalancerMetrics } from './balancer-metrics';
import { BatchReplies } from './batch-replies';
import { EffectRunner, type RunnerClock } from './effect-runner';
import * as tokens from './tokens';

@Injectable()
export class BalancerService {
  readonly replies: BatchReplies;
  readonly runner: EffectRunner;
  private readonly core: BalancerCore;
  private onServe: () => void = () => undefined;
  private onStepDown: (why: string) => void = () => undefined;
  private onReleased: () => void = () => undefined;

  constructor(
    @Inject(tokens.BALANCER_CONFIG) config: BalancerConfig,
    @Inject(tokens.LOGGER) logger: Logger,
    @Inject(NatsCatalogStore) private readonly catalog: NatsCatalogStore,
    @Inject(NatsShardTransport) transport: NatsShardTransport,
    @Inject(tokens.NODE_LAUNCHER) private readonly launcher: NodeLauncher,
    @Inject(NatsEventSink) private readonly events: NatsEventSink,
    @Inject(tokens.RING_HASH) ring: NamedRingHash,
    @Inject(BalancerMetrics) private readonly metrics: BalancerMetrics,
    @Inject(WorkInFlight) private readonly work: WorkInFlight,
  ) {
    this.replies = new BatchReplies(work);
    const seed = config.RANDOM_SEED === 0 ? Math.floor(Math.random() * 2 ** 32) : config.RANDOM_SEED;
    this.core = new BalancerCore(coreSettings(config), ring, seededRandom(seed));
    const asks = new AskRunner(catalog, transport, launcher, logger);
    const ports = { asks, events, replies: this.replies, metrics, logger, clock: MONOTONIC };
    this.runner = new EffectRunner(this.core, ports, {
      serve: () => {
        this.onServe();
      },
      stepDown: (why) => {
        this.onStepDown(why);
      },
      released: () => {
        this.onReleased();
      },
    });
  }

  /** Stands by; `serve` is called when it leads and commands may come, `stepDown` when it no longer leads. */
  standBy(serve: () => void, stepDown: (why: string) => void): void {
    this.onServe = serve;
    this.onStepDown = stepDown;
    this.catalog.watch(BUCKET_KEYS.leader, (value) => {
      // Renewals show a standby nothing that it would not see in time.
      if ((value as Partial<LeaderRecord> | null)?.released === true) this.runner.dispatch({ on: 'leaderChanged' });
    });
    this.runner.start();
  }

  /** Ends: the lease is released, nothing is begun any more, and events on their way are kept. */
  async stop(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.onReleased = resolve;
      this.runner.release();
    });
    this.runner.stop();
    this.launcher.close();
    await this.events.flush();
  }

  /** Hands an administrator's command to the core. @throws ShardlineError what the core refuses it with */
  administer(command: AdminRequest): Promise<AdminResult> {
    const done = new Promise<AdminResult>((resolve, reject) => {
      this.runner.administer(command, (outcome) => {
        if (outcome.ok) resolve(outcome.value);
        else reject(ShardlineError.fromBody(outcome.error));
      });
    });
    return this.work.track(done);
  }

  /** Under which it leads, or led last; 0 before. Whether it still does is not said by it. */
  get epoch(): number {
    return this.core.epoch;
  }

  /** @throws ShardlineError NO_LEADER when somebody else may lead */
  status(): ClusterStatus {
    return this.core.status(this.runner.nowMs()) ?? leaseInDoubt();
  }

  /** What it waits for before it leads; null when nothing is waited for. */
  awaited(): TakeOverNews | null {
    return this.core.awaited(this.runner.nowMs());
  }

  /** @throws ShardlineError NO_LEADER when somebody else may lead */
  snapshotLeases(request: SnapshotLeasesRequest): SnapshotLeasesReply {
    return this.runner.snapshotLeases(request) ?? leaseInDoubt();
  }

  /** @throws ShardlineError as `status` */
  metricsText(): Promise<string> {
    return this.metrics.text(this.status(), this.core.gauges());
  }
}

const MONOTONIC: RunnerClock = {
  nowMs: () => performance.now(),
  every: (ms, work) => {
    const ticker = setInterval(work, ms);
    return () => {
      clearInterval(ticker);
    };
  },
};

/** How long a replica stays away that was too late, in patiences: from one second to a minute where the patience is half a second. */
const FIRST_PAUSE = 2;
const LONGEST_PAUSE = 120;

function leaseInDoubt(): never {
  throw new ShardlineError('NO_LEADER', 'the lease has run out, and may be renewed or lost', true);
}

function coreSettings(config: BalancerConfig): CoreSettings {
  return {
    balancerId: config.BALANCER_ID,
    instance: randomUUID(),
    leaseMs: config.LEASE_MS,
    heartbeatIntervalMs: config.HEARTBEAT_INTERVAL_MS,
    heartbeatMisses: config.HEARTBEAT_MISSES,
    suspicion: {
      misses: config.SUSPECT_MISSES,
      diskFreeBytes: config.SUSPECT_DISK_FREE_BYTES,
      eventLoopMs: config.SUSPECT_EVENT_LOOP_MS,
      answerMs: config.SUSPECT_ANSWER_MS,
      answerFactor: config.SUSPECT_ANSWER_FACTOR,
      pings: config.SUSPECT_PINGS,
    },
    patience: {
      floorMs: config.APPLY_PATIENCE_MS,
      pauseMs: FIRST_PAUSE * config.APPLY_PATIENCE_MS,
      longestPauseMs: LONGEST_PAUSE * config.APPLY_PATIENCE_MS,
    },
    nodeStartMs: config.NODE_START_TIMEOUT_MS,
    queueLimit: config.WRITE_QUEUE_LIMIT,
    queueWaitMs: config.WRITE_QUEUE_WAIT_MS,
    roundBytes: config.ROUND_BYTES,
    roundRequests: config.ROUND_REQUESTS,
    loadEpsilon: config.RING_LOAD_EPSILON,
    snapshotLeaseMs: config.SNAPSHOT_LEASE_MS,
    tombstoneHorizonMs: config.TOMBSTONE_HORIZON_S * 1000,
    operationHorizonMs: config.OPERATION_HORIZON_S * 1000,
    catchupGapTerms: config.CATCHUP_GAP_TERMS,
    copyBytesPerS: config.COPY_BYTES_PER_S,
    adminWaitMs: config.ADMIN_WAIT_MS,
    scrubIntervalMs: config.SCRUB_INTERVAL_S * 1000,
    defaultReplicas: config.DEFAULT_REPLICAS,
  };
}
