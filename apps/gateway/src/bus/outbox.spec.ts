/** An outbox on a real broker, where nobody listens. */
import type { NatsConnection } from 'nats';
import { connectNats } from '#common/nats/connection';
import { TestNatsServer } from '#common/testing/nats-server';
import { RecordBus } from './record-bus';

const LIMITS = {
  maxOps: 3,
  maxBytes: 100_000,
  batchOps: 2,
  batchesInFlight: 1,
  holdMs: 400,
  requestTimeoutMs: 2_000,
};
const ROW = { keys: [1], rows: ['{"id":1}'] };

let server: TestNatsServer;
let nats: NatsConnection;
let bus: RecordBus;
let batches: [string, number][];

beforeAll(async () => {
  server = await TestNatsServer.start();
  nats = await connectNats([server.url], 'outbox-test');
}, 30_000);

afterAll(async () => {
  await nats.close();
  await server.stop();
});

beforeEach(() => {
  batches = [];
  bus = new RecordBus(nats, LIMITS, (kind, ops) => batches.push([kind, ops]));
});

test('operations that come together travel together, as many as fit and of one configuration', async () => {
  const asked = [bus.write(1, 'error', ROW), bus.write(1, 'error', ROW), bus.write(2, 'error', ROW)];
  await Promise.allSettled(asked);
  expect(batches.slice(0, 2)).toEqual([
    ['write', 2],
    ['write', 1],
  ]);
});

test('what finds nobody is asked again until the time is up, then refused as not done', async () => {
  const startMs = performance.now();
  await expect(bus.delete(1, 5)).rejects.toMatchObject({ code: 'NO_LEADER', retryable: true });
  expect(performance.now() - startMs).toBeGreaterThanOrEqual(LIMITS.holdMs);
  expect(batches.length).toBeGreaterThan(1);
  expect(bus.underWay()).toEqual({ read: 0, write: 0, update: 0, del: 0 });
});

test('more than there is room for is refused at once, and room comes back', async () => {
  const held = [1, 2, 3].map((key) => bus.read(1, key, key));
  const startMs = performance.now();
  await expect(bus.read(1, 4, 4)).rejects.toMatchObject({ code: 'BUSY' });
  expect(performance.now() - startMs).toBeLessThan(LIMITS.holdMs);
  expect(bus.underWay().read).toBe(3);
  await Promise.allSettled(held);
  await expect(bus.read(1, 4, 4)).rejects.toMatchObject({ code: 'NO_LEADER' });
});

test('bytes are bounded as well as operations', async () => {
  const large = { keys: [1], rows: ['x'.repeat(60_000)] };
  const held = bus.write(1, 'error', large);
  await expect(bus.write(1, 'error', large)).rejects.toMatchObject({ code: 'BUSY' });
  await expect(held).rejects.toMatchObject({ code: 'NO_LEADER' });
});

test('what no message could carry is the fault of the request', async () => {
  const huge = { keys: [1], rows: ['x'.repeat(nats.info!.max_payload)] };
  await expect(bus.write(1, 'error', huge)).rejects.toMatchObject({ code: 'BAD_REQUEST' });
});
