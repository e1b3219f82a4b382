/** A nats-server of our own: how it is configured, and how it is started so that it cannot outlive us. */
import type { ChildProcess } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { spawnGuarded } from '../process/guard';
import { pollUntil } from '../waiting/retry';

/** The largest message that the broker takes; the gateway's body limit must stay below it. */
export const MAX_PAYLOAD_BYTES = 8 * 1024 * 1024;

const RETRY_MS = 25;
const GREETING_DEADLINE_MS = 1_000;

export interface NatsServerPlace {
  host: string;
  port: number;
  /** Holds the configuration file and JetStream's files. */
  dir: string;
}

/**
 * The configuration file's text. `sync_interval: always` makes every acknowledged message durable; by default JetStream
 * writes to the disk every two minutes and a power cut would take back what it promised. `max_file_store` is far more than is ever
 * used: by default it is three quarters of what the disk has left at the start, and where that is less than the 64 MiB which the
 * events may take, the stream that is there already cannot be opened any more, also when there is room again.
 */
export function natsServerConfig({ host, port, dir }: NatsServerPlace): string {
  return [
    'server_name: shardline',
    `listen: ${JSON.stringify(`${host}:${port}`)}`,
    `max_payload: ${MAX_PAYLOAD_BYTES}`,
    'jetstream {',
    `  store_dir: ${JSON.stringify(dir)}`,
    '  sync_interval: always',
    '  max_file_store: 1TB',
    '}',
    '',
  ].join('\n');
}

/** Starts nats-server under guard, in a process group of its own. Returns at once; see `natsServerAnswers`. */
export function spawnNatsServer(
  binary: string,
  place: NatsServerPlace,
  stdout: 'ignore' | 'pipe' | number = 'ignore',
): ChildProcess {
  mkdirSync(place.dir, { recursive: true });
  const file = join(place.dir, 'nats-server.conf');
  writeFileSync(file, natsServerConfig(place));
  return spawnGuarded(binary, ['-c', file], 'TERM', { stdout, detached: true });
}

/** Resolves to true when a NATS server greets on the port, to false when `deadlineMs` pass or `signal` says stop. */
export async function natsServerAnswers(
  { host, port }: Pick<NatsServerPlace, 'host' | 'port'>,
  deadlineMs: number,
  signal?: AbortSignal,
): Promise<boolean> {
  const look = async (): Promise<true | undefined> => ((await greets(host, port)) ? true : undefined);
  return (await pollUntil(look, { deadlineMs, pauseMs: RETRY_MS, signal })) === true;
}

function greets(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, host);
    const end = (answer: boolean): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(GREETING_DEADLINE_MS, () => {
      end(false);
    });
    socket.once('data', (data) => {
      end(data.toString('latin1').startsWith('INFO '));
    });
    socket.once('error', () => {
      end(false);
    });
    socket.once('close', () => {
      end(false);
    });
  });
}
