import fc from 'fast-check';
import { setImmediate as turn } from 'node:timers/promises';
import { ShardlineError } from '#common/contracts/errors';
import { ServerBatcher, type ServerBatcherLimits, type BatchSender } from './server-batcher';

interface Request {
  id: number;
  group: number;
}

const LIMITS: ServerBatcherLimits = {
  inFlight: 1,
  messageItems: 10,
  messageBytes: 100,
  queueItems: 1000,
  queueBytes: 1000,
  queueMs: 10_000,
};

/** A sender that keeps every message until the test lets it through; it answers each request with its id. */
class HeldSender implements BatchSender<Request, number> {
  readonly sent: number[][] = [];
  private readonly held: (() => void)[] = [];

  send(requests: Request[]): Promise<{ ok: true; value: number }[]> {
    this.sent.push(requests.map(({ id }) => id));
    return new Promise((resolve) => {
      this.held.push(() => {
        resolve(requests.map(({ id }) => ({ ok: true, value: id })));
      });
    });
  }

  mayShare(first: Request, next: Request): boolean {
    return first.group === next.group;
  }

  async letThrough(): Promise<void> {
    this.held.shift()?.();
    await turn();
    await turn();
  }
}

const request = (id: number, group = 0): Request => ({ id, group });

describe('the batcher of one server', () => {
  let sender: HeldSender;
  beforeEach(() => {
    sender = new HeldSender();
  });

  it('puts everything of one turn into one message, and everything that comes meanwhile into the next', async () => {
    const batcher = new ServerBatcher('s', sender, LIMITS);
    const answers = [batcher.enqueue(request(1), 1), batcher.enqueue(request(2), 1)];
    await turn();
    await turn();
    for (let id = 3; id <= 6; id += 1) {
      answers.push(batcher.enqueue(request(id), 1));
      await turn();
    }
    expect(sender.sent).toEqual([[1, 2]]);
    await sender.letThrough();
    expect(sender.sent).toEqual([
      [1, 2],
      [3, 4, 5, 6],
    ]);
    await sender.letThrough();
    expect(await Promise.all(answers)).toEqual([1, 2, 3, 4, 5, 6]);
  });

  it('keeps within number, weight and group of a message, and sends alone what is heavier', async () => {
    const batcher = new ServerBatcher('s', sender, { ...LIMITS, inFlight: 99, messageItems: 3 });
    const weights = [40, 40, 40, 500, 1, 1, 1, 1];
    weights.forEach((bytes, id) => void batcher.enqueue(request(id), bytes));
    void batcher.enqueue(request(8, 1), 1);
    await turn();
    expect(sender.sent).toEqual([[0, 1], [2], [3], [4, 5, 6], [7], [8]]);
  });

  it('is bounded in number and in weight: what is too much is refused and never sent', async () => {
    const batcher = new ServerBatcher('s', sender, { ...LIMITS, queueItems: 3, queueBytes: 100 });
    void batcher.enqueue(request(0), 90);
    await expect(batcher.enqueue(request(1), 20)).rejects.toMatchObject({ code: 'BUSY', retryable: true });
    void batcher.enqueue(request(2), 5);
    void batcher.enqueue(request(3), 5);
    await expect(batcher.enqueue(request(4), 0)).rejects.toMatchObject({ code: 'BUSY', retryable: true });
    await turn();
    void batcher.enqueue(request(5), 5000);
    await sender.letThrough();
    await sender.letThrough();
    expect(sender.sent).toEqual([[0, 2, 3], [5]]);
  });

  it('refuses what has waited too long, since then it is known not to have happened', async () => {
    let nowMs = 0;
    const batcher = new ServerBatcher('s', sender, { ...LIMITS, queueMs: 30 }, () => nowMs);
    void batcher.enqueue(request(1), 1);
    await turn();
    await turn();
    const late = expect(batcher.enqueue(request(2), 1)).rejects.toMatchObject({ code: 'BUSY', retryable: true });
    nowMs += 31;
    const inTime = batcher.enqueue(request(3), 1);
    await sender.letThrough();
    await late;
    await sender.letThrough();
    expect(await inTime).toBe(3);
    expect(sender.sent).toEqual([[1], [3]]);
  });

  it('continues after a message that failed, and fails each of its requests', async () => {
    let failures = 1;
    const batcher = new ServerBatcher<Request, number>(
      's',
      {
        send: async (requests) => {
          failures -= 1;
          if (failures === 0) throw new Error('lost');
          return requests.map(({ id }) => (id === 3 ? { ok: false, error: new Error('no') } : { ok: true, value: id }));
        },
        mayShare: () => true,
      },
      LIMITS,
    );
    const lost = await Promise.allSettled([batcher.enqueue(request(1), 1), batcher.enqueue(request(2), 1)]);
    expect(lost.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    const next = await Promise.allSettled([batcher.enqueue(request(3), 1), batcher.enqueue(request(4), 1)]);
    expect(next.map(({ status }) => status)).toEqual(['rejected', 'fulfilled']);
  });

  it('refuses what waits behind a message that was not answered in time, and sends what comes later', async () => {
    let fail: (error: Error) => void = () => undefined;
    const sent: number[][] = [];
    const silentOnce: BatchSender<Request, number> = {
      send: (requests) => {
        sent.push(requests.map(({ id }) => id));
        if (sent.length === 1) return new Promise((_, reject) => (fail = reject));
        return Promise.resolve(requests.map(({ id }) => ({ ok: true, value: id })));
      },
      mayShare: () => true,
    };
    const batcher = new ServerBatcher('s', silentOnce, LIMITS);
    const first = expect(batcher.enqueue(request(1), 1)).rejects.toMatchObject({ code: 'OUTCOME_UNKNOWN' });
    await turn();
    await turn();
    const waiting = expect(batcher.enqueue(request(2), 1)).rejects.toMatchObject({ code: 'BUSY', retryable: true });
    await turn();
    fail(new ShardlineError('OUTCOME_UNKNOWN', 'silent'));
    await first;
    await waiting;
    expect(await batcher.enqueue(request(3), 1)).toBe(3);
    expect(sent).toEqual([[1], [3]]);
  });

  it('fails whoever was left out of an answer', async () => {
    const batcher = new ServerBatcher<Request, number>('s', { send: async () => [], mayShare: () => true }, LIMITS);
    await expect(batcher.enqueue(request(1), 1)).rejects.toMatchObject({ code: 'BAD_MESSAGE' });
  });

  it('sends every request once, in order, within the limits, whatever comes when', async () => {
    const step = fc.oneof(
      fc.record({ bytes: fc.integer({ min: 0, max: 150 }), group: fc.integer({ min: 0, max: 1 }) }),
      fc.constant('turn' as const),
      fc.constant('answer' as const),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), fc.integer({ min: 1, max: 3 }), async (steps, inFlight) => {
        const held = new HeldSender();
        const batcher = new ServerBatcher('s', held, { ...LIMITS, inFlight, queueBytes: 100_000 });
        const added: { bytes: number; group: number; answer: Promise<number> }[] = [];
        for (const each of steps) {
          if (each === 'turn') await turn();
          else if (each === 'answer') await held.letThrough();
          else added.push({ ...each, answer: batcher.enqueue(request(added.length, each.group), each.bytes) });
        }
        for (let i = 0; i < added.length + 2; i += 1) await held.letThrough();
        expect(await Promise.all(added.map(({ answer }) => answer))).toEqual(added.map((_, id) => id));
        expect(held.sent.flat()).toEqual(added.map((_, id) => id));
        for (const message of held.sent) {
          const parts = message.map((id) => added[id]!);
          expect(new Set(parts.map(({ group }) => group)).size).toBe(1);
          expect(message.length).toBeLessThanOrEqual(LIMITS.messageItems);
          const weight = parts.reduce((sum, { bytes }) => sum + bytes, 0);
          expect(message.length === 1 || weight <= LIMITS.messageBytes).toBe(true);
        }
      }),
      { numRuns: 100 },
    );
  });
});
