/**
 * Whether the service of this container does its work: `node dist/libs/common/src/nats/health-check.js`, which the image calls now and
 * then. It ends with 0 when it does, else with 1 and one line that says why not.
 *
 * A gateway is asked over HTTP. A shard-node is asked on its own subject: any answer will do, since only its own process gives one. Of
 * balancers one leads and the others have nothing to say: they are well while a leader answers.
 */
import { readFile } from 'node:fs/promises';
import { connect } from 'nats';
import { COMMON_SETTINGS, parseEnv } from '../config/env';
import { GATEWAY_SETTINGS } from '../config/gateway-config';
import { nodeSubject, SUBJECTS } from '../contracts/subjects';
import { connectionOptions } from './connection';
import { z } from 'zod';

const ANSWER_TIMEOUT_MS = 3_000;
const SERVICES = ['gateway', 'balancer', 'shard-node'] as const;

/** One that tells whether it is well. */
export type CheckedService = (typeof SERVICES)[number];

/** Which service a command line runs, that of a container's first process: an init before it does not matter. Undefined: none. */
export function serviceOf(commandLine: string): CheckedService | undefined {
  return SERVICES.find((service) => commandLine.includes(`apps/${service}/main.js`));
}

/**
 * Asks the service that was started with this environment.
 *
 * @throws Error when nobody answers in time, or a gateway answers that it is not well
 */
export async function checkHealth(service: CheckedService, env: NodeJS.ProcessEnv): Promise<void> {
  if (service === 'gateway') await askOverHttp(env);
  else await askOverNats(service === 'balancer' ? SUBJECTS.cmd.status : pingOf(env), env);
}

async function askOverHttp(env: NodeJS.ProcessEnv): Promise<void> {
  const { PORT, HOST } = parseEnv(
    z.object({ PORT: GATEWAY_SETTINGS.shape.PORT, HOST: GATEWAY_SETTINGS.shape.HOST }),
    env,
  );
  const host = HOST === '0.0.0.0' || HOST === '::' ? '127.0.0.1' : HOST;
  const url = `http://${host.includes(':') ? `[${host}]` : host}:${PORT}/healthz`;
  const answer = await fetch(url, { signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS) });
  if (!answer.ok) throw new Error(`${url} answers ${answer.status}`);
}

function pingOf({ SERVER_NAME = '' }: NodeJS.ProcessEnv): string {
  return nodeSubject(SERVER_NAME, 'ping');
}

async function askOverNats(subject: string, env: NodeJS.ProcessEnv): Promise<void> {
  const { NATS_URL } = parseEnv(z.object({ NATS_URL: COMMON_SETTINGS.NATS_URL }), env);
  const once = { waitOnFirstConnect: false, reconnect: false, timeout: ANSWER_TIMEOUT_MS };
  const nats = await connect({ ...connectionOptions(NATS_URL, 'health-check'), ...once });
  try {
    await nats.request(subject, new Uint8Array(0), { timeout: ANSWER_TIMEOUT_MS });
  } finally {
    await nats.close();
  }
}

async function main(): Promise<void> {
  const service = serviceOf((await readFile('/proc/1/cmdline', 'utf8')).replaceAll('\0', ' '));
  if (service === undefined) throw new Error('the first process of this container is no service of Shardline');
  await checkHealth(service, process.env);
}

if (require.main === module) {
  main().then(
    // At once: a connection that fetch keeps for later would hold the process up.
    () => process.exit(0),
    (error: unknown) => {
      process.stdout.write(`${String(error)}\n`);
      process.exit(1);
    },
  );
}
