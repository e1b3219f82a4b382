/**
 * What the environment of a child is made of: what stands here, and nothing else of what our own holds. A shell is full of variables
 * that mean something to a library (`PGSSLMODE`, `NODE_OPTIONS`, `LC_ALL`, …), and nobody who set them thought of our processes.
 */

/** Where programs and the files of a user are found; what a Node.js that is not installed for the system may need to start. */
const SYSTEM = ['PATH', 'HOME', 'USER', 'LOGNAME', 'TMPDIR', 'LD_LIBRARY_PATH'] as const;

/** The settings of every service, and those of each: the same as in its `config`, which a test compares. */
export const SETTINGS = {
  common: ['NATS_URL', 'LOG_LEVEL', 'LIFELINE_FD'],
  gateway: [
    'PORT',
    'HOST',
    'BODY_LIMIT',
    'WRITE_ON_CONFLICT',
    'ALLOW_REINIT',
    'HOLD_MS',
    'LEASE_MS',
    'OPERATION_HORIZON_S',
    'REQUEST_TIMEOUT_MS',
    'ADMIN_TIMEOUT_MS',
    'STALLED_CLIENT_MS',
    'MAX_OPS_UNDER_WAY',
    'MAX_BYTES_UNDER_WAY',
    'MAX_OPS_PER_BATCH',
    'MAX_BATCHES_IN_FLIGHT',
  ],
  balancer: [
    'BALANCER_ID',
    'DATA_DIR',
    'LEASE_MS',
    'LAUNCHER',
    'HEARTBEAT_INTERVAL_MS',
    'HEARTBEAT_MISSES',
    'SUSPECT_MISSES',
    'SUSPECT_DISK_FREE_BYTES',
    'SUSPECT_EVENT_LOOP_MS',
    'SUSPECT_ANSWER_MS',
    'SUSPECT_ANSWER_FACTOR',
    'SUSPECT_PINGS',
    'NODE_START_TIMEOUT_MS',
    'APPLY_TIMEOUT_MS',
    'READ_TIMEOUT_MS',
    'NODE_ADMIN_TIMEOUT_MS',
    'CATCHUP_TIMEOUT_MS',
    'LANE_LIMIT',
    'LANE_WAIT_MS',
    'ROUND_BYTES',
    'ROUND_REQUESTS',
    'RING_HASH',
    'RING_LOAD_EPSILON',
    'READ_TICKET_TTL_MS',
    'TOMBSTONE_HORIZON_S',
    'OPERATION_HORIZON_S',
    'CATCHUP_GAP_TERMS',
    'COPY_BYTES_PER_S',
    'ADMIN_WAIT_MS',
    'SCRUB_INTERVAL_S',
    'DEFAULT_REPLICAS',
    'RANDOM_SEED',
  ],
  /** Not `DATABASE_URL`: one database for all shard-nodes would be none for each. */
  shardNode: [
    'SERVER_NAME',
    'DATA_DIR',
    'PID_FILE',
    'POOL_SIZE',
    'PAGE_BYTES',
    'APPLY_QUEUE_LIMIT',
    'READ_QUEUE_LIMIT',
    'COPY_TIMEOUT_MS',
    'STATEMENT_TIMEOUT_MS',
    'PROBE_TIMEOUT_MS',
    'POSTGRES_RESTART_TRIES',
    'POSTGRES_RESTART_PAUSE_MS',
  ],
} as const;

/** Text and times are the same everywhere, whatever the user's language and place. */
const NEUTRAL = { LC_ALL: 'C', TZ: 'UTC' } as const;

/** Which settings a service reads or hands on: a balancer starts shard-nodes. */
const HANDED = {
  gateway: [...SETTINGS.common, ...SETTINGS.gateway],
  balancer: [...SETTINGS.common, ...SETTINGS.balancer, ...SETTINGS.shardNode],
  'shard-node': [...SETTINGS.common, ...SETTINGS.shardNode],
} as const;

/** The environment of a service of ours: of `from` what it needs, and what it is `told`. */
export function serviceEnvironment(
  service: keyof typeof HANDED,
  from: NodeJS.ProcessEnv,
  told: NodeJS.ProcessEnv,
): NodeJS.ProcessEnv {
  const names: readonly string[] = [...SYSTEM, ...HANDED[service]];
  const taken = names.flatMap((name): [string, string][] => {
    const value = from[name];
    return value === undefined ? [] : [[name, value]];
  });
  return { ...Object.fromEntries(taken), ...NEUTRAL, ...told };
}

/** The environment of a program that is not ours (postgres, nats-server); it is told everything by its arguments and files. */
export function programEnvironment(): NodeJS.ProcessEnv {
  return { PATH: process.env.PATH ?? '/usr/bin:/bin', ...NEUTRAL };
}
