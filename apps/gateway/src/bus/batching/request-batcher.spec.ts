/** A batcher on a real broker, where nobody listens, or somebody whom the test directs. */
import type { Msg, NatsConnection, Subscription } from 'nats';
import type { BatchReply, ChangeDone, OpResult, RecordBatch, UpdateOp } from '#common/contracts/commands';
import type { CloudEvent } from '#common/contracts/events';
import { ShardlineError, type ErrorCode } from '#common/contracts/errors';
import { eventSubject, SUBJECTS } from '#common/contracts/subjects';
import { connectNats } from '#common/nats/connection';
import { encodeLines } from '#common/nats/lines';
import { decodeLines } from '#common/testing/decode-lines';
import { TestNatsServer } from '#common/testing/nats-server';
import { LeaderWatch } from '../leader-watch';
import { Operation } from '../operations';
import type { RequestBatcherLimits } from './batcher-wire';
import { RecordBus } from './record-bus';

jest.setTimeout(30_000);

const LIMITS: RequestBatcherLimits = {
  maxOps: 3,
  maxBytes: 100_000,
  batchOps: 2,
  batchesInFlight: 1,
  holdMs: 400,
  requestTimeoutMs: 2_000,
};
const PATIENT: RequestBatcherLimits = { ...LIMITS, holdMs: 10_000, requestTimeoutMs: 15_000 };
const ROW = { keys: [1], rows: ['{"id":1}'] };

let server: TestNatsServer;
let nats: NatsConnection;
let bus: RecordBus;
let batches: [string, number][];
const open: NatsConnection[] = [];

beforeAll(async () => {
  server = await TestNatsServer.start();
});

afterAll(async () => {
  await server.stop();
});

beforeEach(() => useBus(LIMITS));

afterEach(async () => {
  for (const connection of open.splice(0)) await connection.close();
});

async function useBus(limits: RequestBatcherLimits): Promise<void> {
  batches = [];
  for (const before of open.splice(0)) await before.close();
  nats = countingNobody(await connection('batcher-test'));
  bus = new RecordBus(nats, limits, (kind, ops) => batches.push([kind, ops]));
  void bus.watchConnection();
}

async function connection(name: string): Promise<NatsConnection> {
  const made = await connectNats([server.url], name);
  open.push(made);
  return made;
}

let operations = 0;
function operation(): Operation {
  operations += 1;
  return new Operation(`op-${operations}`, false, performance.now());
}

/** Somebody who says that he leads. */
class Leader {
  /** Updates as they came, in their messages. */
  readonly heard: { id: string; message: Msg }[] = [];
  /** How often it was asked whether it leads. */
  questions = 0;
  /** Answers nothing, as a process that stands still. */
  isStill = false;
  private readonly subscriptions: Subscription[] = [];
  private waiting: (() => void) | undefined;

  private constructor(
    private readonly nats: NatsConnection,
    readonly epoch: number,
  ) {}

  static async of(epoch: number): Promise<Leader> {
    const nats = await connection(`leader-${epoch}`);
    const leader = new Leader(nats, epoch);
    const updates = nats.subscribe(SUBJECTS.cmd.update, {
      callback: (_error, message) => {
        const { ops } = decodeLines<RecordBatch<UpdateOp>>(message.data).header;
        for (const op of ops) leader.heard.push({ id: op.operation!, message });
        leader.waiting?.();
      },
    });
    const asked = nats.subscribe(SUBJECTS.cmd.snapshotLeases, {
      callback: (_error, message) => {
        leader.questions += 1;
        if (!leader.isStill) message.respond(JSON.stringify({ epoch, unknown: [] }));
        leader.waiting?.();
      },
    });
    leader.subscriptions.push(asked, updates);
    await nats.flush();
    return leader;
  }

  async update(index: number): Promise<{ id: string; message: Msg }> {
    await this.until(() => this.heard[index] !== undefined);
    return this.heard[index]!;
  }

  /** Until he has heard what makes it so. */
  async until(isSo: () => boolean): Promise<void> {
    while (!isSo()) await new Promise<void>((resolve) => (this.waiting = resolve));
  }

  announce(): void {
    this.nats.publish(eventSubject('leader.elected'), JSON.stringify(elected(this.epoch)));
  }

  /** Hears nothing any more, but can answer still: he stops in order. */
  async stopListening(): Promise<void> {
    for (const subscription of this.subscriptions) subscription.unsubscribe();
    await this.nats.flush();
  }

  close(): Promise<void> {
    return this.nats.close();
  }
}

function elected(epoch: number): CloudEvent {
  return {
    ...{ specversion: '1.0', id: `elected-${epoch}`, source: 'test', type: 'io.shardline.leader.elected' },
    ...{ time: '2026-01-01T00:00:00.000Z', subject: 'balancer', datacontenttype: 'application/json' },
    data: { epoch },
  };
}

function answer(message: Msg, ...results: OpResult<ChangeDone>[]): void {
  const reply: BatchReply<ChangeDone> = { results, done: true };
  message.respond(encodeLines(reply, []));
}

const done = { id: 0, added: 1 };
const refusal = (code: ErrorCode, retryable: boolean): OpResult<ChangeDone> => ({
  id: 0,
  error: new ShardlineError(code, 'answered so', retryable).toBody(),
});

describe('with nobody there', () => {
  test('operations that come together travel together, as many as fit and of one configuration', async () => {
    const asked = [1, 1, 2].map((configId) => bus.write(operation(), configId, 'error', ROW));
    await Promise.allSettled(asked);
    expect(batches).toEqual([['write', 2]]);
  });

  test('what finds nobody is held until the time is up, then refused as not done', async () => {
    const named = operation();
    await expect(bus.delete(named, 1, 5)).rejects.toMatchObject({ code: 'NO_LEADER', retryable: true });
    expect(named.inDoubt).toBe(false);
    expect(bus.underWay()).toEqual({ read: 0, write: 0, update: 0, del: 0 });
  });

  test('more than there is room for is refused at once, and room comes back', async () => {
    const held = [1, 2, 3].map((key) => bus.read(1, key, key));
    const first = Promise.race([...held, bus.read(1, 4, 4)]);
    await expect(first).rejects.toMatchObject({ code: 'BUSY' });
    expect(bus.underWay().read).toBe(3);
    await Promise.allSettled(held);
    await expect(bus.read(1, 4, 4)).rejects.toMatchObject({ code: 'NO_LEADER' });
  });

  test('bytes are bounded as well as operations', async () => {
    const large = { keys: [1], rows: ['x'.repeat(60_000)] };
    const held = bus.write(operation(), 1, 'error', large);
    await expect(bus.write(operation(), 1, 'error', large)).rejects.toMatchObject({ code: 'BUSY' });
    await expect(held).rejects.toMatchObject({ code: 'NO_LEADER' });
  });

  test('what no message could carry is the fault of the request', async () => {
    const huge = { keys: [1], rows: ['x'.repeat(nats.info!.max_payload)] };
    await expect(bus.write(operation(), 1, 'error', huge)).rejects.toMatchObject({ code: 'BAD_REQUEST' });
  });
});

describe('a leader', () => {
  beforeEach(() => useBus(PATIENT));

  test('who comes late is found at once', async () => {
    const updated = bus.update(operation(), 1, 5, '{}');
    await expect(Promise.race([updated, foundNobody(3)])).resolves.toBe('nobody was there');
    const leader = await Leader.of(7);
    const { message } = await leader.update(0);
    // The first time that he is found is enough.
    expect(leader.questions).toBe(1);
    answer(message, done);
    await updated;
  });

  test('who dies with an operation is replaced, and the next one gets it under the same id', async () => {
    const first = await Leader.of(1);
    const named = operation();
    const updated = bus.update(named, 1, 5, '{}');
    await first.update(0);
    await first.close();
    const second = await Leader.of(2);
    const { id, message } = await second.update(0);
    expect(id).toBe(named.id);
    answer(message, done);
    await updated;
  });

  test('who stands still is given up when another one is announced', async () => {
    const first = await Leader.of(1);
    const before = bus.update(operation(), 1, 5, '{}');
    answer((await first.update(0)).message, done);
    await before;
    first.isStill = true;
    const named = operation();
    const updated = bus.update(named, 1, 5, '{}');
    await first.update(1);
    const second = await Leader.of(2);
    second.announce();
    const { id, message } = await second.update(0);
    expect(id).toBe(named.id);
    answer(message, done);
    await updated;
  });

  test('who is only slow gets an operation once', async () => {
    const slow = await Leader.of(1);
    const updated = bus.update(operation(), 1, 5, '{}');
    const { message } = await slow.update(0);
    // He was asked whether he leads again and again meanwhile, as whoever misses an answer does.
    const before = slow.questions;
    await slow.until(() => slow.questions >= before + 3);
    answer(message, done);
    await updated;
    expect(slow.heard).toHaveLength(1);
  });

  test.each([
    ['OUTCOME_UNKNOWN', false, true],
    ['SHARD_UNAVAILABLE', true, false],
    ['BUSY', true, false],
    ['BAD_MESSAGE', false, true],
  ] as const)('who answers %s is asked again', async (code, retryable, inDoubt) => {
    const leader = await Leader.of(1);
    const named = operation();
    const updated = bus.update(named, 1, 5, '{}');
    answer((await leader.update(0)).message, refusal(code, retryable));
    const { id, message } = await leader.update(1);
    expect([id, named.inDoubt]).toEqual([named.id, inDoubt]);
    answer(message, done);
    await updated;
  });

  test('who stops listening may still answer', async () => {
    const leader = await Leader.of(1);
    const updated = bus.update(operation(), 1, 5, '{}');
    const { message } = await leader.update(0);
    await leader.stopListening();
    await foundNobody(3);
    answer(message, done);
    await updated;
  });

  test('whose answer comes after another attempt has begun is believed in what is certain', async () => {
    const leader = await Leader.of(1);
    const updated = bus.update(operation(), 1, 5, '{}');
    const { message: first } = await leader.update(0);
    const other = await Leader.of(2);
    other.announce();
    await other.update(0);
    answer(first, refusal('KEY_NOT_FOUND', false));
    await expect(updated).rejects.toMatchObject({ code: 'KEY_NOT_FOUND' });
  });

  test('who refuses an attempt that is not the newest does not speak for it', async () => {
    const leader = await Leader.of(1);
    const updated = bus.update(operation(), 1, 5, '{}');
    const { message: first } = await leader.update(0);
    const other = await Leader.of(2);
    other.announce();
    const { message: second } = await other.update(0);
    answer(first, refusal('CONFIG_CHANGED', true));
    answer(second, done);
    await expect(updated).resolves.toBeUndefined();
    expect(other.heard).toHaveLength(1);
  });
});

test('what was sent and had no answer in time is in doubt', async () => {
  await Leader.of(1);
  const named = operation();
  await expect(bus.update(named, 1, 5, '{}')).rejects.toMatchObject({ code: 'OUTCOME_UNKNOWN' });
  expect(named.inDoubt).toBe(true);
});

test('what is in doubt is not sent again under another configuration', async () => {
  const leader = await Leader.of(1);
  const named = operation();
  await expect(bus.update(named, 1, 5, '{}')).rejects.toMatchObject({ code: 'OUTCOME_UNKNOWN' });
  const before = leader.heard.length;
  for (const again of [bus.update(named, 2, 5, '{}'), bus.delete(named, 2, 5), bus.write(named, 2, 'error', ROW)])
    await expect(again).rejects.toMatchObject({ code: 'OUTCOME_UNKNOWN' });
  expect(leader.heard).toHaveLength(before);
});

test('what was sent before the connection was lost goes again', async () => {
  await useBus(PATIENT);
  const leader = await Leader.of(1);
  const named = operation();
  const updated = bus.update(named, 1, 5, '{}');
  await leader.update(0);
  await server.restart();
  const { id, message } = await leader.update(1);
  expect([id, named.inDoubt]).toEqual([named.id, true]);
  answer(message, done);
  await updated;
});

test('a leader who is announced is asked at once, although the one before him owes an answer', async () => {
  const first = await Leader.of(1);
  first.isStill = true;
  const watching = await connection('watch-test');
  const watch = new LeaderWatch(watching, 60_000);
  const found = new Promise<number>((resolve) => {
    watch.listen({ onLeader: resolve, onNobody: () => undefined });
  });
  await first.until(() => first.questions > 0);
  const second = await Leader.of(2);
  second.announce();
  await expect(found).resolves.toBe(2);
});

let unheard = 0;
let heardNobody: () => void = () => undefined;

/** The connection, and every question of its that nobody hears is counted. */
function countingNobody(made: NatsConnection): NatsConnection {
  const request: NatsConnection['request'] = (subject, payload, options) => {
    const answer = made.request(subject, payload, options);
    answer.catch(() => {
      unheard += 1;
      heardNobody();
    });
    return answer;
  };
  return Object.assign(Object.create(made) as NatsConnection, { request });
}

/** Until so many more questions have found nobody. */
async function foundNobody(times: number): Promise<string> {
  const enough = unheard + times;
  while (unheard < enough) await new Promise<void>((resolve) => (heardNobody = resolve));
  return 'nobody was there';
}
