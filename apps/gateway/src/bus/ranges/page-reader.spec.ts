/** Pages from a real broker, where replicas answer what the test wants. */
import type { NatsConnection } from 'nats';
import type { ErrorCode } from '#common/contracts/errors';
import { nodeSubject } from '#common/contracts/subjects';
import { connectNats } from '#common/nats/connection';
import { encodeLines } from '#common/nats/lines';
import { TestNatsServer } from '#common/testing/nats-server';
import { PageReader } from './page-reader';

jest.setTimeout(30_000);

const ROW = '{"id":1}';

let server: TestNatsServer;
let nats: NatsConnection;

beforeAll(async () => {
  server = await TestNatsServer.start();
});

afterAll(async () => {
  await server.stop();
});

beforeEach(async () => {
  nats = await connectNats([server.url], 'page-reader-test');
});

afterEach(async () => {
  await nats.close();
});

/** Answers reads with the error, or with one row where that is null. */
function answer(replica: string, code: ErrorCode | null): void {
  const refusal = (): string =>
    JSON.stringify({ error: { code, message: `${replica} says ${code ?? ''}`, retryable: true } });
  nats.subscribe(nodeSubject(replica, 'read'), {
    callback: (_error, message) => {
      message.respond(code === null ? encodeLines({ pages: [{ count: 1, next: null }] }, [ROW]) : refusal());
    },
  });
}

/** The rows that a read finds that may ask these replicas in this order, and what each of them answers. */
async function read(replicas: Record<string, ErrorCode | null | 'silent'>): Promise<string> {
  for (const [replica, code] of Object.entries(replicas)) if (code !== 'silent') answer(replica, code);
  await nats.flush();
  const parts = [{ shard: 's', vat: 4, low: 0, high: 9, servers: Object.keys(replicas) }];
  let text = '';
  for await (const page of new PageReader(nats).pages({ snapshotLease: 1, epoch: 1, ttlMs: 1_000, parts }))
    text += page.toString();
  return text;
}

describe('a page', () => {
  it.each<[string, ErrorCode | 'silent']>([
    ['is being copied, and has no snapshot meanwhile', 'SNAPSHOT_GONE'],
    ['fails', 'STORE_FAILED'],
    ['is not there', 'silent'],
  ])('comes from the next replica where one %s', async (_, code) => {
    expect(await read({ S0: code, S1: null })).toBe(ROW);
  });

  it.each<[string, Record<string, ErrorCode | 'silent'>, ErrorCode]>([
    [
      'a new plan is needed when no replica has the snapshot',
      { S0: 'SNAPSHOT_GONE', S1: 'SNAPSHOT_GONE' },
      'SNAPSHOT_GONE',
    ],
    ['so it is when those that have not said so are gone', { S0: 'SNAPSHOT_GONE', S1: 'silent' }, 'SNAPSHOT_GONE'],
    ['so it is when another one leads', { S0: 'FENCED', S1: 'silent' }, 'SNAPSHOT_GONE'],
    ['the shard is out of reach when no replica answers', { S0: 'silent', S1: 'STORE_FAILED' }, 'SHARD_UNAVAILABLE'],
  ])('%s', async (_, replicas, code) => {
    await expect(read(replicas)).rejects.toMatchObject({ code, retryable: true });
  });

  it('is not looked for elsewhere when another one leads', async () => {
    await expect(read({ S0: 'FENCED', S1: null })).rejects.toMatchObject({ code: 'SNAPSHOT_GONE' });
  });
});
