/** A nats-server over a store that a power cut, a failing disk or a clumsy hand has damaged: it starts with what it recovers. */
import { once } from 'node:events';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'nats';
import { freePort } from '../testing/free-port';
import { damage, DAMAGES } from '../testing/damages';
import { natsServerAnswers, spawnNatsServer } from './nats-server';
import { provideNatsServer } from './nats-server-binary';

jest.setTimeout(120_000);

const HOST = '127.0.0.1';
const BUCKET = 'jetstream/$G/streams/KV_bucket';
const KEYS = Array.from({ length: 20 }, (_, index) => `key${index}`);

let folder: string;
let binary: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'shardline-store-'));
  binary = await provideNatsServer();
  for (const name of ['one', 'other']) await withServer(name, (port) => put(port, name));
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

/** Runs one on the folder while the work lasts; what it warned of, and what the work came to. */
async function withServer<T>(name: string, work: (port: number) => Promise<T>): Promise<{ said: string; result: T }> {
  const place = { host: HOST, port: await freePort(), dir: join(folder, name) };
  const child = spawnNatsServer(binary, place, 'pipe');
  const ended = once(child, 'close');
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk: Buffer) => (said += chunk.toString()));
  try {
    if (!(await natsServerAnswers(place, 15_000))) throw new Error(`it does not answer: ${said}`);
    const result = await work(place.port);
    return { said, result };
  } finally {
    child.kill('SIGTERM');
    await ended;
  }
}

async function put(port: number, value: string): Promise<void> {
  const nats = await connect({ servers: `${HOST}:${port}` });
  const bucket = await nats.jetstream().views.kv('bucket', { history: 1 });
  for (const key of KEYS) await bucket.put(key, value);
  await nats.close();
}

/** The values that are there; none where the bucket itself is gone. */
async function values(port: number): Promise<string[]> {
  const nats = await connect({ servers: `${HOST}:${port}` });
  const bucket = await nats.jetstream().views.kv('bucket', { history: 1 });
  const found = await Promise.all(KEYS.map(async (key) => (await bucket.get(key))?.string()));
  await nats.close();
  return found.filter((value) => value !== undefined);
}

test.each(
  [
    { file: 'nats-server.conf', isNeeded: false },
    { file: `${BUCKET}/msgs/index.db`, isNeeded: false },
    { file: `${BUCKET}/msgs/1.blk`, isNeeded: true },
    { file: `${BUCKET}/meta.inf`, isNeeded: true },
    { file: `${BUCKET}/meta.sum`, isNeeded: true },
  ].flatMap((row) => DAMAGES.map((how) => ({ ...row, how }))),
)('$file, $how', async ({ file, how, isNeeded }) => {
  rmSync(join(folder, 'damaged'), { recursive: true, force: true });
  cpSync(join(folder, 'one'), join(folder, 'damaged'), { recursive: true });
  damage(join(folder, 'damaged', file), how, join(folder, 'other', file));
  const { said, result } = await withServer('damaged', values);
  const written = isNeeded && how === 'of another' ? ['one', 'other'] : ['one'];
  // Nothing that was never written is ever there, and the launcher shows lines such as these on the terminal.
  for (const value of result) expect(written).toContain(value);
  if (!isNeeded) expect(result).toEqual(KEYS.map(() => 'one'));
  else if (result.length < KEYS.length) expect(said).toMatch(/\[(WRN|ERR|FTL)\] /);
});
