/** Puts the core, its ports and its leadership together. */
import { Inject, Injectable } from '@nestjs/common';
import type { ClusterStatus } from '#common/contracts/commands';
import type { Logger } from '#common/logging/logger';
import { WorkInFlight } from '#common/process/work-in-flight';
import type { BalancerConfig } from '../config/balancer-config';
import { BalancerCore, type NamedRingHash } from '../core/balancer-core';
import { seededRandom } from '../core/random';
import type { CoreSettings } from '../core/settings';
import type { CatalogStore } from '../ports/catalog-store';
import type { EventSink } from '../ports/event-sink';
import type { NodeLauncher } from '../ports/node-launcher';
import type { ShardTransport } from '../ports/shard-transport';
import { BalancerMetrics } from './balancer-metrics';
import { BatchReplies } from './batch-replies';
import type { AdminResult } from '../core/effects';
import { EffectRunner, type AdminRequest } from './effect-runner';
import * as tokens from './tokens';

@Injectable()
export class BalancerService {
  readonly replies: BatchReplies;
  readonly runner: EffectRunner;
  private readonly core: BalancerCore;
  private onServe: () => void = () => undefined;
  private onStepDown: (why: string) => void = () => undefined;

  constructor(
    @Inject(tokens.BALANCER_CONFIG) config: BalancerConfig,
    @Inject(tokens.LOGGER) logger: Logger,
    @Inject(tokens.CATALOG_STORE) catalog: CatalogStore,
    @Inject(tokens.SHARD_TRANSPORT) transport: ShardTransport,
    @Inject(tokens.NODE_LAUNCHER) launcher: NodeLauncher,
    @Inject(tokens.EVENT_SINK) private readonly events: EventSink,
    @Inject(tokens.RING_HASH) ring: NamedRingHash,
    @Inject(BalancerMetrics) private readonly metrics: BalancerMetrics,
    @Inject(WorkInFlight) private readonly work: WorkInFlight,
  ) {
    this.replies = new BatchReplies(work);
    const seed = config.RANDOM_SEED === 0 ? Math.floor(Math.random() * 2 ** 32) : config.RANDOM_SEED;
    this.core = new BalancerCore(coreSettings(config), ring, seededRandom(seed));
    const ports = { catalog, transport, launcher, events, replies: this.replies, metrics, logger };
    this.runner = new EffectRunner(this.core, ports, {
      serve: () => {
        this.onServe();
      },
      stepDown: (why) => {
        this.onStepDown(why);
      },
    });
  }

  /** Takes over; `serve` is called when commands may come, `stepDown` when this balancer no longer leads. */
  async lead(serve: () => void, stepDown: (why: string) => void): Promise<void> {
    this.onServe = serve;
    this.onStepDown = stepDown;
    await this.runner.start();
  }

  /** Ends: nothing is begun any more, and events on their way are kept. */
  async stop(): Promise<void> {
    this.runner.stop();
    await this.events.flush();
  }

  /** Hands an administrator's command to the core. @throws ShardlineError what the core refuses it with */
  administer(command: AdminRequest): Promise<AdminResult> {
    return this.work.track(this.runner.administer(command));
  }

  status(): ClusterStatus {
    return this.core.status(this.runner.nowMs());
  }

  metricsText(): Promise<string> {
    return this.metrics.text(this.status(), this.core.gauges());
  }
}

function coreSettings(config: BalancerConfig): CoreSettings {
  return {
    balancerId: config.BALANCER_ID,
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
    nodeStartMs: config.NODE_START_TIMEOUT_MS,
    laneLimit: config.LANE_LIMIT,
    laneWaitMs: config.LANE_WAIT_MS,
    roundBytes: config.ROUND_BYTES,
    roundRequests: config.ROUND_REQUESTS,
    loadEpsilon: config.RING_LOAD_EPSILON,
    ticketTtlMs: config.READ_TICKET_TTL_MS,
    tombstoneHorizonMs: config.TOMBSTONE_HORIZON_S * 1000,
    catchupGapTerms: config.CATCHUP_GAP_TERMS,
    adminWaitMs: config.ADMIN_WAIT_MS,
    defaultReplicas: config.DEFAULT_REPLICAS,
  };
}
