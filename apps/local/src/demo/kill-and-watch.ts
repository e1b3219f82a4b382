/** Kills one shard-node and shows what the cluster makes of it, from the cluster's own events. */
import { readFileSync } from 'node:fs';
import { connect, type NatsConnection, type Subscription } from 'nats';
import type { CloudEvent } from '#common/contracts/events';
import { SUBJECTS } from '#common/contracts/subjects';
import { Refusal } from '../refusal';
import type { Terminal } from '../terminal';
import type { Client } from './client';
import { KEYS } from './students';

const RECOVERY_DEADLINE_MS = 120_000;
const READ_PAUSE_MS = 20;

const WORDS: Partial<Record<string, string>> = {
  'server.suspect': 'suspect: others are asked first',
  'server.healthy': 'healthy again',
  'server.flatline': 'FLATLINE: taken off the ring, its replicas are stale',
  'server.respawned': 'RESPAWN: a new process under the same name',
  'server.recovered': 'RECOVERED: all of its replicas are in sync again',
  'shard.stale': 'is stale: writes go on without it',
  'shard.syncing': 'copies what it missed',
  'shard.insync': 'is in sync',
};

/**
 * Sends SIGKILL to the shard-node whose process id stands in `pidFile` and follows the cluster's events until it has recovered, while a
 * client goes on reading. Returns how long that took and how many reads were answered meanwhile.
 *
 * @throws Refusal when it does not recover in time
 */
export async function killAndWatch(
  server: string,
  pidFile: string,
  natsPort: number,
  client: Client,
  terminal: Terminal,
): Promise<{ seconds: number; reads: number }> {
  const nats = await connect({ servers: `127.0.0.1:${natsPort}`, name: 'demo' });
  const events = nats.subscribe(SUBJECTS.events);
  await nats.flush();
  const reading = new AbortController();
  const reads = readOn(client, reading.signal);
  try {
    const pid = Number(readFileSync(pidFile, 'utf8').trim());
    if (!Number.isSafeInteger(pid) || pid < 2) throw new Refusal(`${pidFile} names no process`);
    process.kill(pid, 'SIGKILL');
    const startMs = performance.now();
    const say = (what: string, words: string): void => {
      terminal.say(`  ${terminal.paint(`${since(startMs)} s`.padStart(9), 'dim')}  ${what.padEnd(18)} ${words}`);
    };
    say(server, terminal.paint(`SIGKILL to process ${pid}`, 'red'));
    await follow(nats, events, server, say);
    const seconds = Number(since(startMs));
    reading.abort();
    return { seconds, reads: await reads };
  } finally {
    reading.abort();
    await reads.catch(() => undefined);
    await nats.close();
  }
}

/** Shows every event until the server's `recovered`. */
async function follow(
  nats: NatsConnection,
  events: Subscription,
  server: string,
  say: (what: string, words: string) => void,
): Promise<void> {
  const timer = setTimeout(() => {
    events.unsubscribe();
  }, RECOVERY_DEADLINE_MS);
  try {
    for await (const message of events) {
      const event = message.json<CloudEvent>();
      const kind = event.type.replace('io.shardline.', '');
      say(event.subject, WORDS[kind] ?? kind);
      if (kind === 'server.recovered' && event.subject === server) return;
    }
  } finally {
    clearTimeout(timer);
  }
  const why = nats.isClosed() ? 'the connection to NATS was lost' : `waited ${RECOVERY_DEADLINE_MS / 1000} s`;
  throw new Refusal(`${server} has not recovered (${why})`);
}

/** Reads one range after another until stopped; returns how many. An answer that is no success is thrown. */
async function readOn(client: Client, signal: AbortSignal): Promise<number> {
  let reads = 0;
  while (!signal.aborted) {
    const low = (reads * 997) % (KEYS - 100);
    await client.read(low, low + 99);
    reads += 1;
    await new Promise((resolve) => setTimeout(resolve, READ_PAUSE_MS));
  }
  return reads;
}

function since(startMs: number): string {
  return ((performance.now() - startMs) / 1000).toFixed(2);
}
