/** What the launcher was asked to do, and where. */
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { EXIT, Refusal } from '../refusal';

export const USAGE = `usage: node dist/apps/local/main.js [run|demo|stop] [options]

  run    start a cluster in the foreground; Ctrl-C stops all of it (this is the default)
  demo   start one in the background, fill it, kill a shard-node and watch it heal; it keeps running
  stop   stop the cluster of the data directory and wait until it is gone

  --port 5000            where the gateway listens
  --data-dir .shardline  everything that the cluster keeps, and its logs
  --nats-port 4222       where its NATS server listens (on 127.0.0.1 only)

The environment reaches every service; docs/configuration.md lists what they read from it.`;

const COMMANDS = ['run', 'demo', 'stop', 'help'] as const;

export interface Options {
  command: (typeof COMMANDS)[number];
  port: number;
  natsPort: number;
  /** Absolute. */
  dataDir: string;
  /** As it was given, for messages. */
  shownDataDir: string;
}

/** @throws Refusal for what is not understood */
export function parseOptions(args: string[]): Options {
  const { values, positionals } = parse(args);
  const [given = 'run', ...more] = positionals;
  const command = values.help === true ? 'help' : COMMANDS.find((name) => name === given);
  if (command === undefined) throw usage(`unknown command ${JSON.stringify(given)}`);
  if (more.length > 0) throw usage(`unexpected argument ${JSON.stringify(more[0])}`);
  const port = portOf('--port', values.port);
  const natsPort = portOf('--nats-port', values['nats-port']);
  if (port === natsPort) throw usage(`--port and --nats-port are both ${port}`);
  const shownDataDir = values['data-dir'];
  if (shownDataDir === '') throw usage('--data-dir is empty');
  return { command, port, natsPort, dataDir: resolve(shownDataDir), shownDataDir };
}

function parse(args: string[]) {
  try {
    return parseArgs({
      args,
      allowPositionals: true,
      options: {
        port: { type: 'string', default: '5000' },
        'data-dir': { type: 'string', default: '.shardline' },
        'nats-port': { type: 'string', default: '4222' },
        help: { type: 'boolean', short: 'h' },
      },
    });
  } catch (error) {
    throw usage((error as Error).message);
  }
}

function portOf(option: string, text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (port < 1 || port > 65_535)
    throw usage(`${option} is ${JSON.stringify(text)}: a port is a number from 1 to 65535`);
  return port;
}

function usage(what: string): Refusal {
  return new Refusal(`${what}\n\n${USAGE}`, EXIT.usage);
}
