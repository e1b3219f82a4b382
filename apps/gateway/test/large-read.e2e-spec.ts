/** Range reads that are larger than what any hop may hold: 200,000 rows, on the real cluster. */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { request, type IncomingMessage } from 'node:http';
import { sharedCluster } from '#common/testing/cluster-harness';
import { nodeSubject } from '#common/contracts/subjects';
import { connectNats } from '#common/nats/connection';

jest.setTimeout(240_000);

const ROWS = 200_000;
const ROWS_PER_WRITE = 2_500;
const TEXT = 'x'.repeat(1_000);
const ANSWER_MIB = (ROWS * 1_040) / 1024 / 1024;
/**
 * What a process may grow by while an answer of almost 200 MiB goes through it: pages, buffers, and the garbage that its heap gathers
 * before it is collected, which differs from run to run. Whoever held all of it would need twice that: as bytes and as text.
 */
const ROOM_MIB = 130;
const SHARDS = Array.from({ length: 10 }, (_, index) => `s${index}`);
const INIT = {
  N: 2,
  schema: { columns: ['id', 'text'], dtypes: ['Number', 'String'] },
  shards: SHARDS.map((shard, index) => ({
    id_low: (index * ROWS) / SHARDS.length,
    Shard_id: shard,
    Shard_size: ROWS / SHARDS.length,
  })),
  servers: { Server0: SHARDS, Server1: SHARDS },
};

const shared = sharedCluster({ init: INIT, env: { SNAPSHOT_LEASE_MS: '3600000' } });
const { ask } = shared;

beforeAll(async () => {
  for (let id = 0; id < ROWS; id += ROWS_PER_WRITE) {
    const data = Array.from({ length: ROWS_PER_WRITE }, (_, index) => ({ id: id + index, text: TEXT }));
    expect((await ask('POST', '/write', { data })).status).toBe(200);
  }
});

/** Asks for everything; the answer is paused, nothing of its body has been taken. */
async function askForAll(): Promise<IncomingMessage> {
  const asked = request(`${shared.cluster.baseUrl}/read?low=0&high=${ROWS - 1}`);
  asked.end();
  const [answer] = (await once(asked, 'response')) as [IncomingMessage];
  expect(answer.statusCode).toBe(200);
  return answer;
}

/** Takes the rest of the answer and checks that it is complete. @throws when it broke off */
async function takeAll(answer: IncomingMessage): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of answer) chunks.push(chunk as Buffer);
  const read = JSON.parse(Buffer.concat(chunks).toString()) as {
    shards_queried: string[];
    data: { id: number }[];
    status: string;
  };
  expect([read.shards_queried, read.data.length, read.status]).toEqual([SHARDS, ROWS, 'success']);
  expect(read.data.findIndex(({ id }, index) => id !== index)).toBe(-1);
}

function residentMiB(pid: number): number {
  const kib =
    process.platform === 'linux'
      ? /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
      : execFileSync('ps', ['-o', 'rss=', '-p', String(pid)], { encoding: 'utf8' });
  return Number(kib) / 1024;
}

test('goes through every process in bounded memory, however slowly the client takes it', async () => {
  const names = ['gateway', 'balancer-1', 'balancer-2', 'Server0', 'Server1'];
  const pids = names.map((name) => shared.cluster.pidOf(name));
  // A shard is read to warm up: all code has run once, and nobody has yet made room for the whole answer.
  expect((await ask('GET', `/read?low=0&high=${ROWS / SHARDS.length - 1}`)).status).toBe(200);
  const before = pids.map(residentMiB);
  const peaks = [...before];
  const sampler = setInterval(() => {
    pids.forEach((pid, index) => (peaks[index] = Math.max(peaks[index]!, residentMiB(pid))));
  }, 50);
  try {
    const answer = await askForAll();
    // This client stands still while another one takes all: whoever went on reading for this one, too, has filled up by then.
    await takeAll(await askForAll());
    await takeAll(answer);
  } finally {
    clearInterval(sampler);
  }
  const growth = Object.fromEntries(names.map((name, index) => [name, Math.round(peaks[index]! - before[index]!)]));
  expect(ANSWER_MIB).toBeGreaterThan(1.5 * ROOM_MIB);
  expect(Object.entries(growth).filter(([, mib]) => mib > ROOM_MIB)).toEqual([]);
});

test('outlives the death of the replica that it is being read from', async () => {
  const nats = await connectNats([shared.cluster.natsUrl], 'watcher');
  try {
    const pages = nats.subscribe(nodeSubject('*', 'read'), { max: 1 });
    await nats.flush();
    const answer = await askForAll();
    for await (const page of pages) shared.cluster.kill(page.subject.split('.')[2]!);
    await takeAll(answer);
  } finally {
    await nats.close();
  }
});

test('that the client gives up frees the snapshot, and nothing more is read for it', async () => {
  const nats = await connectNats([shared.cluster.natsUrl], 'watcher');
  let pages = 0;
  const counted = nats.subscribe(nodeSubject('*', 'read'), { callback: () => (pages += 1) });
  await nats.flush();
  await takeAll(await askForAll());
  await nats.flush();
  const ofAll = pages;
  pages = 0;
  const answer = await askForAll();
  answer.destroy();
  const openSnapshotLeases = async (): Promise<string | undefined> =>
    /^shardline_snapshot_leases (\d+)$/m.exec((await ask('GET', '/metrics')).body as string)?.[1];
  // None of them ends by itself while this test runs.
  while ((await openSnapshotLeases()) !== '0');
  await nats.flush();
  expect(pages).toBeLessThan(ofAll / 2);
  counted.unsubscribe();
  await nats.close();
});
