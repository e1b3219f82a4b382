/**
 * What the environment of a child is made of: what stands here, and nothing else of what our own holds. A shell is full of variables
 * that mean something to a library (`PGSSLMODE`, `NODE_OPTIONS`, `LC_ALL`, …), and nobody who set them thought of our processes.
 */

import { BALANCER_SETTINGS } from '../config/balancer-config';
import { COMMON_SETTINGS } from '../config/env';
import { GATEWAY_SETTINGS } from '../config/gateway-config';
import { SHARD_NODE_SETTINGS } from '../config/shard-node-config';

/** Where programs and the files of a user are found; what a Node.js that is not installed for the system may need to start. */
const SYSTEM = ['PATH', 'HOME', 'USER', 'LOGNAME', 'TMPDIR', 'LD_LIBRARY_PATH'] as const;

/** The settings of every service, and those of each. */
export const SETTINGS = {
  common: Object.keys(COMMON_SETTINGS),
  gateway: ownSettings(GATEWAY_SETTINGS.shape),
  balancer: ownSettings(BALANCER_SETTINGS.shape),
  /** One database for all shard-nodes would be none for each. */
  shardNode: ownSettings(SHARD_NODE_SETTINGS.shape).filter((name) => name !== 'DATABASE_URL'),
} as const;

function ownSettings(shape: object): string[] {
  return Object.keys(shape).filter((name) => !(name in COMMON_SETTINGS));
}

/** Text and times are the same everywhere, whatever the user's language and place. */
const NEUTRAL = { LC_ALL: 'C', TZ: 'UTC' } as const;

/** Which settings a service reads or hands on: a balancer starts shard-nodes. */
const HANDED = {
  gateway: [...SETTINGS.common, ...SETTINGS.gateway],
  balancer: [...SETTINGS.common, ...SETTINGS.balancer, ...SETTINGS.shardNode],
  'shard-node': [...SETTINGS.common, ...SETTINGS.shardNode],
} as const;

/** The environment of one of our own services: of `from` what it needs, and its `settings`. */
export function serviceEnvironment(
  service: keyof typeof HANDED,
  from: NodeJS.ProcessEnv,
  settings: NodeJS.ProcessEnv,
): NodeJS.ProcessEnv {
  const names: readonly string[] = [...SYSTEM, ...HANDED[service]];
  const taken = names.flatMap((name): [string, string][] => {
    const value = from[name];
    return value === undefined ? [] : [[name, value]];
  });
  return { ...Object.fromEntries(taken), ...NEUTRAL, ...settings };
}

/**
 * The variables of a shard-node in a container, of those in `from`: its settings, and nothing of this machine, neither folders nor files.
 * Where it keeps its data and finds NATS is set by whoever starts it.
 */
export function containerEnvironment(from: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const names = ['LOG_LEVEL', ...SETTINGS.shardNode].filter((name) => !PLACES.has(name));
  return Object.fromEntries(names.flatMap((name) => (from[name] === undefined ? [] : [[name, from[name]]])));
}

/** Settings of a shard-node that mean something on its own machine only. */
const PLACES: ReadonlySet<string> = new Set(['SERVER_NAME', 'DATA_DIR', 'PID_FILE']);

/** The environment of a program that is not ours (postgres, nats-server); it gets everything by its arguments and files. */
export function programEnvironment(): NodeJS.ProcessEnv {
  return { PATH: process.env.PATH ?? '/usr/bin:/bin', ...NEUTRAL };
}
