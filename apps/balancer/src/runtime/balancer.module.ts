/** The balancer's parts as Nest puts them together. */
import { Module, type DynamicModule } from '@nestjs/common';
import type { Logger } from '#common/logging/logger';
import type { NatsConnection } from '#common/nats/connection';
import { containerEnvironment } from '#common/process/environment';
import { WorkInFlight } from '#common/process/work-in-flight';
import { makeRingHash } from '../adapters/hash/ring-hashes';
import { NatsCatalogStore } from '../adapters/nats/nats-catalog-store';
import { NatsEventSink } from '../adapters/nats/nats-event-sink';
import { NatsShardTransport } from '../adapters/nats/nats-shard-transport';
import { DockerNodeLauncher } from '../adapters/docker/docker-node-launcher';
import type { EngineOptions } from '../adapters/docker/engine';
import type { NodeContainerOptions } from '../adapters/docker/node-container';
import { ProcessNodeLauncher } from '../adapters/process/process-node-launcher';
import { catalogTimeoutMs, type BalancerConfig } from '#common/config/balancer-config';
import type { NamedRingHash } from '../core/balancer-core';
import type { NodeLauncher } from '../ports/node-launcher';
import { BalancerMetrics } from './balancer-metrics';
import { BalancerService } from './balancer.service';
import { CommandsController } from './commands.controller';
import * as tokens from './tokens';

export interface BalancerParts {
  config: BalancerConfig;
  logger: Logger;
  nats: NatsConnection;
  /** Counts commands that are not answered yet. */
  work: WorkInFlight;
  /** Our end of the launcher's lifeline, for the shard-nodes; undefined: there is none. */
  lifelineFd: number | undefined;
}

/** Where nodes are started by somebody else, nothing is to be done here. */
const NO_LAUNCHER: NodeLauncher = {
  start: () => Promise.resolve(),
  stop: () => Promise.resolve(),
  remove: () => Promise.resolve(),
  failureOf: () => null,
  list: () => Promise.resolve([]),
  known: () => Promise.resolve([]),
  close: () => undefined,
};

@Module({})
export class BalancerModule {
  static async create({ config, logger, nats, work, lifelineFd }: BalancerParts): Promise<DynamicModule> {
    const metrics = new BalancerMetrics();
    const ring: NamedRingHash = { name: config.RING_HASH, hash: await makeRingHash(config.RING_HASH) };
    const transport = new NatsShardTransport(nats, {
      pingTimeoutMs: config.HEARTBEAT_INTERVAL_MS,
      applyTimeoutMs: config.APPLY_TIMEOUT_MS,
      readTimeoutMs: config.READ_TIMEOUT_MS,
      adminTimeoutMs: config.NODE_ADMIN_TIMEOUT_MS,
      catchupTimeoutMs: config.CATCHUP_TIMEOUT_MS,
      onMessage: (verb, parts) => {
        metrics.messageSent(verb, parts);
      },
    });
    return {
      module: BalancerModule,
      controllers: [CommandsController],
      providers: [
        BalancerService,
        { provide: BalancerMetrics, useValue: metrics },
        { provide: WorkInFlight, useValue: work },
        { provide: tokens.BALANCER_CONFIG, useValue: config },
        { provide: tokens.LOGGER, useValue: logger },
        { provide: tokens.RING_HASH, useValue: ring },
        { provide: NatsShardTransport, useValue: transport },
        {
          provide: NatsCatalogStore,
          useValue: await NatsCatalogStore.open(nats, { timeoutMs: catalogTimeoutMs(config) }),
        },
        {
          provide: NatsEventSink,
          useValue: await NatsEventSink.open(nats, { logger, source: config.BALANCER_ID }),
        },
        { provide: tokens.NODE_LAUNCHER, useValue: launcherFor(config, logger, lifelineFd) },
      ],
    };
  }
}

function launcherFor(config: BalancerConfig, logger: Logger, lifelineFd: number | undefined): NodeLauncher {
  const natsUrl = config.NATS_URL.join(',');
  switch (config.LAUNCHER) {
    case 'none':
      return NO_LAUNCHER;
    case 'docker':
      return new DockerNodeLauncher({ ...containerOptions(config, config.NODES_NATS_URL ?? natsUrl), logger });
    case 'process':
      return new ProcessNodeLauncher({ dataDir: config.DATA_DIR, natsUrl, logger, lifelineFd });
  }
}

function containerOptions(config: BalancerConfig, natsUrl: string): EngineOptions & NodeContainerOptions {
  return {
    host: config.DOCKER_HOST,
    timeoutMs: config.DOCKER_TIMEOUT_MS,
    cluster: config.CLUSTER_NAME,
    image: config.DOCKER_IMAGE,
    network: config.DOCKER_NETWORK,
    natsUrl,
    memoryBytes: config.DOCKER_MEMORY_BYTES,
    cpus: config.DOCKER_CPUS,
    env: containerEnvironment(process.env),
  };
}
