/** What each service gets of the user's environment, and whether it can be: before anything is started. */
import { join } from 'node:path';
import { parseBalancerConfig } from '#common/config/balancer-config';
import { ConfigError } from '#common/config/env';
import { checkBodyLimit, parseGatewayConfig } from '#common/config/gateway-config';
import { parseShardNodeConfig } from '#common/config/shard-node-config';
import { serviceEnvironment } from '#common/process/environment';
import { MAX_PAYLOAD_BYTES } from '#common/nats/nats-server';
import { EXIT, Refusal } from '../refusal';

export const NATS_HOST = '127.0.0.1';

/** What the launcher decides, whatever stands in the environment. */
export interface Decided {
  dataDir: string;
  port: number;
  natsPort: number;
}

/** The environment of the gateway, or of the balancer `name`. */
export function environmentOf(
  service: 'gateway' | 'balancer',
  name: string,
  env: NodeJS.ProcessEnv,
  decided: Decided,
): NodeJS.ProcessEnv {
  return serviceEnvironment(service, env, {
    NATS_URL: natsUrl(env, decided),
    DATA_DIR: decided.dataDir,
    ...(service === 'balancer' ? { BALANCER_ID: name } : { PORT: String(decided.port) }),
  });
}

/**
 * Looks at every setting as the service that reads it would, shard-nodes included, which start only when a client asks for them.
 *
 * @throws Refusal with one line that names the service, every wrong setting of it, and why
 */
export function checkSettings(env: NodeJS.ProcessEnv, decided: Decided): void {
  check('gateway', () => {
    const { BODY_LIMIT } = parseGatewayConfig(environmentOf('gateway', 'gateway', env, decided));
    checkBodyLimit(BODY_LIMIT, MAX_PAYLOAD_BYTES);
  });
  check('balancer', () => {
    const { LAUNCHER } = parseBalancerConfig(environmentOf('balancer', 'balancer', env, decided));
    // Its containers could not reach this NATS, and would not end with the cluster.
    if (LAUNCHER === 'docker') {
      const what = 'this command runs processes only; docs/deployment.md says how to run containers';
      throw new ConfigError(`wrong configuration: LAUNCHER is "docker": ${what}`);
    }
  });
  check('shard-node', () => {
    const settings = {
      SERVER_NAME: 'Server',
      DATA_DIR: join(decided.dataDir, 'servers'),
      NATS_URL: natsUrl(env, decided),
    };
    parseShardNodeConfig(serviceEnvironment('shard-node', env, settings));
  });
}

function check(service: string, parse: () => void): void {
  try {
    parse();
  } catch (error) {
    throw error instanceof ConfigError ? new Refusal(`${service}: ${error.message}`, EXIT.config) : error;
  }
}

/** Something of the user's may stand between the services and the server: a proxy that can cut them off, say. */
function natsUrl(env: NodeJS.ProcessEnv, { natsPort }: Decided): string {
  const other = env.SERVICES_NATS_URL?.trim() ?? '';
  // An empty one is none: a service that is given no address takes the usual one, where another cluster's server may listen.
  return other === '' ? `nats://${NATS_HOST}:${natsPort}` : other;
}
