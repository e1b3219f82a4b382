/** The balancer's settings, from its environment. Listed for users in docs/configuration.md. */
import { COMMON_SETTINGS, ConfigError, parseEnv, setting } from './env';
import { hostname } from 'node:os';
import { z } from 'zod';

/** Of a container with a shard-node and its Postgres. */
const LEAST_MEMORY_BYTES = 256 * 1024 * 1024;

export const BALANCER_SETTINGS = z.object({
  ...COMMON_SETTINGS,
  BALANCER_ID: setting.text(`balancer-${hostname().replaceAll(/[^A-Za-z0-9_-]/g, '-')}-${process.pid}`),
  DATA_DIR: setting.text('.shardline'),
  LEASE_MS: setting.int(3000, 300, 600_000),
  LAUNCHER: setting.choice(['process', 'docker', 'none'], 'process'),
  CLUSTER_NAME: setting.text('shardline'),
  DOCKER_HOST: setting.text('unix:///var/run/docker.sock'),
  DOCKER_IMAGE: setting.text('shardline'),
  DOCKER_NETWORK: setting.text('bridge'),
  /** 0: no limit. */
  DOCKER_MEMORY_BYTES: setting.int(0, 0, 2 ** 50),
  /** 0: no limit. */
  DOCKER_CPUS: setting.number(0, 0, 1024),
  DOCKER_TIMEOUT_MS: setting.int(20_000, 100, 600_000),
  NODES_NATS_URL: z.string().min(1).optional(),
  HEARTBEAT_INTERVAL_MS: setting.int(1000, 20, 600_000),
  HEARTBEAT_MISSES: setting.int(5, 1, 100),
  SUSPECT_MISSES: setting.int(1, 1, 100),
  SUSPECT_DISK_FREE_BYTES: setting.int(128 * 1024 * 1024, 0, 2 ** 50),
  SUSPECT_EVENT_LOOP_MS: setting.int(500, 1, 600_000),
  SUSPECT_ANSWER_MS: setting.int(500, 1, 600_000),
  SUSPECT_ANSWER_FACTOR: setting.number(4, 1, 1000),
  SUSPECT_PINGS: setting.int(3, 1, 100),
  NODE_START_TIMEOUT_MS: setting.int(30_000, 1000, 600_000),
  APPLY_TIMEOUT_MS: setting.int(5000, 50, 600_000),
  APPLY_PATIENCE_MS: setting.int(500, 10, 600_000),
  READ_TIMEOUT_MS: setting.int(3000, 50, 600_000),
  NODE_ADMIN_TIMEOUT_MS: setting.int(5000, 50, 600_000),
  CATCHUP_TIMEOUT_MS: setting.int(20_000, 100, 600_000),
  WRITE_QUEUE_LIMIT: setting.int(10_000, 1, 1_000_000),
  WRITE_QUEUE_WAIT_MS: setting.int(5000, 10, 600_000),
  ROUND_BYTES: setting.int(2 * 1024 * 1024, 1024, 4 * 1024 * 1024),
  ROUND_REQUESTS: setting.int(2000, 1, 100_000),
  RING_HASH: setting.choice(['quadratic', 'md5', 'xxhash'], 'quadratic'),
  RING_LOAD_EPSILON: setting.number(0.25, 0, 1000),
  SNAPSHOT_LEASE_MS: setting.int(30_000, 1000, 3_600_000),
  TOMBSTONE_HORIZON_S: setting.int(600, 1, 30 * 86_400),
  OPERATION_HORIZON_S: setting.int(600, 1, 30 * 86_400),
  CATCHUP_GAP_TERMS: setting.int(500, 0, 1_000_000),
  /** 0: as many as there are. */
  COPY_BYTES_PER_S: setting.int(0, 0, 10_000_000_000),
  ADMIN_WAIT_MS: setting.int(45_000, 100, 3_600_000),
  SCRUB_INTERVAL_S: setting.int(3600, 0, 30 * 86_400),
  DEFAULT_REPLICAS: setting.int(3, 1, 64),
  /** For a run that can be repeated; 0: a different one every time. */
  RANDOM_SEED: setting.int(0, 0, 2 ** 32 - 1),
});

/** Settings by the names of their variables. */
export type BalancerConfig = z.infer<typeof BALANCER_SETTINGS>;

/** How long the bucket may take to answer: a renewal that hangs must leave time for another within the lease. */
export function catalogTimeoutMs({ LEASE_MS }: BalancerConfig): number {
  return Math.ceil(LEASE_MS / 3);
}

/** @throws ConfigError with one line that says what is wrong and why */
export function parseBalancerConfig(env: NodeJS.ProcessEnv): BalancerConfig {
  const config = parseEnv(BALANCER_SETTINGS, env);
  if (config.WRITE_QUEUE_WAIT_MS > config.ADMIN_WAIT_MS) {
    throw new ConfigError('wrong configuration: WRITE_QUEUE_WAIT_MS must not be longer than ADMIN_WAIT_MS');
  }
  const flatlineMs = config.HEARTBEAT_INTERVAL_MS * config.HEARTBEAT_MISSES;
  if (config.NODE_START_TIMEOUT_MS < config.HEARTBEAT_INTERVAL_MS) {
    throw new ConfigError(
      `wrong configuration: NODE_START_TIMEOUT_MS must be at least HEARTBEAT_INTERVAL_MS (a flatline takes ${flatlineMs} ms)`,
    );
  }
  if (config.LAUNCHER === 'docker') requireContainerNames(config);
  return config;
}

/** What the engine would refuse only when the first server is started. */
function requireContainerNames({ CLUSTER_NAME, DOCKER_MEMORY_BYTES }: BalancerConfig): void {
  if (!/^[a-zA-Z0-9][a-zA-Z0-9_-]{0,62}$/.test(CLUSTER_NAME)) {
    const rule = 'a letter or digit, then up to 62 letters, digits, _ or -';
    throw new ConfigError(`wrong configuration: CLUSTER_NAME is ${JSON.stringify(CLUSTER_NAME)}: ${rule}`);
  }
  if (DOCKER_MEMORY_BYTES > 0 && DOCKER_MEMORY_BYTES < LEAST_MEMORY_BYTES) {
    const why = `a shard-node needs at least ${LEAST_MEMORY_BYTES} (0: no limit)`;
    throw new ConfigError(`wrong configuration: DOCKER_MEMORY_BYTES is ${DOCKER_MEMORY_BYTES}: ${why}`);
  }
}
