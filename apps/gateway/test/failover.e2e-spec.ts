/** Leaders and NATS die in the middle of writes: no client sees it, and every change is carried out once. */
import { execFileSync } from 'node:child_process';
import { connectNats } from '#common/nats/connection';
import type { Answer } from '#common/testing/asker';
import { sharedCluster } from '#common/testing/cluster-harness';
import { failure, PUBLISHED, student } from './asking';

jest.setTimeout(180_000);

const WRITERS = 16;
/** No writer's keys are another one's; each has some in every shard. */
const KEYS_PER_WRITER = 250;

const shared = sharedCluster({ init: PUBLISHED, env: { LEASE_MS: '1000' } });
const { ask } = shared;

/**
 * A client that has one record of its own, and changes it to the next number of a sequence again and again, reading after each
 * change; beside it, every change adds a record that is never touched again, in the same shard or in another one.
 */
class Sequence {
  readonly failures: string[] = [];
  acknowledged = 0;
  private stopped = false;
  private readonly ended: Promise<void>;

  constructor(private readonly writer: number) {
    this.ended = this.run();
  }

  async stop(): Promise<void> {
    this.stopped = true;
    await this.ended;
  }

  get home(): number {
    return this.key(0);
  }

  /** Keys of what was added and acknowledged. */
  added(): number[] {
    return Array.from({ length: Math.min(this.acknowledged, KEYS_PER_WRITER - 1) }, (_, index) => this.key(index + 1));
  }

  private key(index: number): number {
    return (index % 3) * 4096 + this.writer * KEYS_PER_WRITER + index;
  }

  private async run(): Promise<void> {
    await this.expect(200, 'POST', '/write', { data: [student(this.home, 'sequence', '0')] });
    while (!this.stopped) {
      const next = this.acknowledged + 1;
      const marks = String(next);
      const changes = [
        this.expect(200, 'PUT', '/update', { Stud_id: this.home, data: student(this.home, 'sequence', marks) }),
      ];
      if (next < KEYS_PER_WRITER) {
        changes.push(this.expect(200, 'POST', '/write', { data: [student(this.key(next), 'added', marks)] }));
      }
      await Promise.all(changes);
      this.acknowledged = next;
      const read = await this.expect(200, 'POST', '/read', { Stud_id: this.home });
      const { data } = read.body as { data: { Stud_marks: string }[] };
      if (data[0]?.Stud_marks !== marks) this.failures.push(`read ${JSON.stringify(data)} after ${marks}`);
    }
  }

  private async expect(status: number, method: string, path: string, body: unknown): Promise<Answer> {
    const answer = await ask(method, path, body);
    if (answer.status !== status) this.failures.push(`${method} ${path}: ${JSON.stringify(answer)}`);
    return answer;
  }
}

/** While `happens`, clients write; afterwards everything that was acknowledged is there, once. */
async function whileWriting(happens: (progress: () => Promise<void>) => Promise<void>): Promise<void> {
  const sequences = Array.from({ length: WRITERS }, (_, writer) => new Sequence(writer));
  /** Until every client has had some answers since. */
  const progress = async (): Promise<void> => {
    const before = sequences.map(({ acknowledged }) => acknowledged);
    const hasProgressed = (): boolean =>
      sequences.every(({ acknowledged }, index) => acknowledged > before[index]! + 2);
    while (!hasProgressed() && sequences.every(({ failures }) => failures.length === 0)) await ask('GET', '/healthz');
  };
  await progress();
  await happens(progress);
  await progress();
  await Promise.all(sequences.map((sequence) => sequence.stop()));
  expect(sequences.flatMap(({ failures }) => failures)).toEqual([]);
  const { data } = (await ask('GET', '/read?low=0&high=12287')).body as { data: ReturnType<typeof student>[] };
  const expected = sequences.flatMap((sequence) => [
    student(sequence.home, 'sequence', String(sequence.acknowledged)),
    ...sequence.added().map((key, index) => student(key, 'added', String(index + 1))),
  ]);
  expect(data).toEqual(expected.sort((a, b) => Number(a.Stud_id) - Number(b.Stud_id)));
  const ids = data.map(({ Stud_id }) => Stud_id);
  const remove = async (): Promise<void> => {
    for (let id = ids.pop(); id !== undefined; id = ids.pop())
      expect((await ask('DELETE', '/del', { Stud_id: id })).status).toBe(200);
  };
  await Promise.all(Array.from({ length: WRITERS }, remove));
}

test('the leading balancer is killed, and the next one: no error, and everything is there once', async () => {
  await whileWriting(async (progress) => {
    for (let kills = 0; kills < 2; kills += 1) {
      shared.cluster.kill(await shared.cluster.leader());
      await progress();
    }
  });
});

/** Sends a change, and kills the leader when the replicas have carried it out and the leader has not answered it. */
async function killBeforeAnswer(change: () => Promise<Answer>): Promise<Answer> {
  const pid = shared.cluster.pidOf(await shared.cluster.leader());
  const nats = await connectNats([shared.cluster.natsUrl], 'witness');
  try {
    const waiting = new Set<string>();
    const applies = nats.subscribe('shardline.node.*.apply', {
      callback: (_error, { reply }) => {
        process.kill(pid, 'SIGSTOP');
        waiting.add(reply!);
      },
    });
    const carriedOut = new Promise<void>((resolve) => {
      nats.subscribe('_INBOX.>', {
        callback: (_error, { subject }) => {
          if (waiting.delete(subject) && waiting.size === 0) resolve();
        },
      });
    });
    await nats.flush();
    const answer = change();
    await carriedOut;
    applies.unsubscribe();
    process.kill(pid, 'SIGKILL');
    return await answer;
  } finally {
    await nats.close();
  }
}

test('the leading balancer is killed between the commit and the answer: the next one gives the answer', async () => {
  const data = [student(4000)];
  const written = await killBeforeAnswer(() => ask('POST', '/write', { data }));
  expect([written.status, written.body]).toEqual([200, { message: '1 Data entries added', status: 'success' }]);
  expect((await ask('POST', '/write', { data })).status).toBe(409);
  const deleted = await killBeforeAnswer(() => ask('DELETE', '/del', { Stud_id: 4000 }));
  expect(deleted.status).toBe(200);
  expect((await ask('DELETE', '/del', { Stud_id: 4000 })).status).toBe(404);
});

test('the leading balancer stands still and goes on later: the other one serves, and nothing is done twice', async () => {
  await whileWriting(async (progress) => {
    const pid = shared.cluster.pidOf(await shared.cluster.leader());
    process.kill(pid, 'SIGSTOP');
    await progress();
    process.kill(pid, 'SIGCONT');
    await progress();
  });
});

test('NATS is killed and started again: no error, and everything is there once', async () => {
  await whileWriting(async (progress) => {
    shared.cluster.kill('nats-server');
    await progress();
  });
});

describe('a change with a name', () => {
  const named = (id: string, method: string, path: string, body: unknown): Promise<Answer> =>
    ask(method, path, body, { 'Idempotency-Key': id });
  const outcome = async (id: string): Promise<unknown> => (await ask('GET', `/operations/${id}`)).body;
  const count = async (): Promise<number> =>
    ((await ask('GET', '/read?low=0&high=12287')).body as { data: unknown[] }).data.length;
  const newLeader = async (): Promise<void> => {
    const before = await shared.cluster.leader();
    shared.cluster.kill(before);
    await ask('POST', '/write', { data: [] });
    while ((await shared.cluster.leader()) === before) continue;
  };

  afterEach(async () => {
    const { data } = (await ask('GET', '/read?low=0&high=12287')).body as { data: { Stud_id: number }[] };
    for (const { Stud_id } of data) await ask('DELETE', '/del', { Stud_id });
  });

  test.each([
    ['in one shard', [student(1), student(2)]],
    ['in all shards', [student(1), student(5000), student(9000)]],
  ])('that was carried out %s is not carried out again, by the next leader neither', async (where, data) => {
    const id = `once-${where.replaceAll(' ', '-')}`;
    const first = await named(id, 'POST', '/write', { data });
    expect(first).toMatchObject({ status: 200, headers: { 'operation-id': id } });
    expect((await ask('DELETE', '/del', { Stud_id: 1 })).status).toBe(200);
    for (const again of [1, 2]) {
      const repeated = await named(id, 'POST', '/write', { data });
      expect([again, repeated.status, repeated.body]).toEqual([again, 200, first.body]);
      expect(await outcome(id)).toEqual({
        operation: id,
        outcome: 'committed',
        added: data.length,
        status: 'success',
      });
      if (again === 1) await newLeader();
    }
    expect(await count()).toBe(data.length - 1);
  });

  test.each([
    ['in one shard', [student(1), student(2)]],
    ['in one of all shards', [student(1), student(5000), student(9000)]],
  ])('that was refused %s stays refused, by the next leader too', async (where, data) => {
    const id = `refused-${where.replaceAll(' ', '-')}`;
    await ask('POST', '/write', { data: [student(1)] });
    const first = await named(id, 'POST', '/write', { data });
    expect(first).toEqual(failure(409, /1 exists/));
    await ask('DELETE', '/del', { Stud_id: 1 });
    for (const again of [1, 2]) {
      const repeated = await named(id, 'POST', '/write', { data });
      expect([again, repeated.status, repeated.body]).toEqual([again, 409, first.body]);
      const error = { httpStatus: 409, code: 'KEY_EXISTS', message: (first.body as { message: string }).message };
      expect(await outcome(id)).toEqual({ operation: id, outcome: 'refused', error, status: 'success' });
      if (again === 1) await newLeader();
    }
    expect(await count()).toBe(0);
  });

  test('an update or delete of what is not there stays refused, too', async () => {
    for (const [id, method, path, body] of [
      ['no-update', 'PUT', '/update', { Stud_id: 7, data: student(7) }],
      ['no-delete', 'DELETE', '/del', { Stud_id: 7 }],
    ] as const) {
      expect((await named(id, method, path, body)).status).toBe(404);
      await ask('POST', '/write', { data: [student(7)] });
      expect((await named(id, method, path, body)).status).toBe(404);
      expect(await outcome(id)).toMatchObject({
        outcome: 'refused',
        error: { httpStatus: 404, code: 'KEY_NOT_FOUND' },
      });
      await ask('DELETE', '/del', { Stud_id: 7 });
    }
  });

  test('that asks for something else is refused, and changes nothing', async () => {
    expect((await named('taken', 'POST', '/write', { data: [student(1)] })).status).toBe(200);
    for (const [method, path, body] of [
      ['POST', '/write', { data: [student(2)] }],
      ['POST', '/write?onConflict=replace', { data: [student(1)] }],
      ['PUT', '/update', { Stud_id: 1, data: student(1, 'other') }],
      ['DELETE', '/del', { Stud_id: 1 }],
    ] as const) {
      expect(await named('taken', method, path, body)).toEqual(failure(422, /Idempotency-Key/));
    }
    const { data } = (await ask('GET', '/read?low=0&high=12287')).body as { data: unknown[] };
    expect(data).toEqual([student(1)]);
  });

  test('that comes many times at once is carried out once, and all get the same answer', async () => {
    const together = async (id: string, method: string, path: string, body: unknown): Promise<[number, unknown]> => {
      const answers = await Promise.all(Array.from({ length: 20 }, () => named(id, method, path, body)));
      const [first] = answers;
      for (const { status, body: said } of answers) expect([status, said]).toEqual([first!.status, first!.body]);
      return [first!.status, first!.body];
    };
    const data = [student(1), student(5000), student(9000)];
    expect((await together('crowd-write', 'POST', '/write', { data }))[0]).toBe(200);
    expect((await together('crowd-clash', 'POST', '/write', { data }))[0]).toBe(409);
    expect((await together('crowd-delete', 'DELETE', '/del', { Stud_id: 1 }))[0]).toBe(200);
    expect((await together('crowd-absent', 'DELETE', '/del', { Stud_id: 1 }))[0]).toBe(404);
    expect(await count()).toBe(2);
  });

  test('that nobody has heard of is unknown', async () => {
    expect(await outcome('never-heard-of')).toEqual({
      operation: 'never-heard-of',
      outcome: 'unknown',
      status: 'success',
    });
  });

  test('by the gateway has an outcome as well', async () => {
    const { headers } = await ask('POST', '/write', { data: [student(1)] });
    expect(await outcome(headers['operation-id'] as string)).toMatchObject({ outcome: 'committed', added: 1 });
  });
});

test('the logs speak of no defect', () => {
  const lines = execFileSync('sh', ['-c', `cat ${shared.cluster.dataDir}/logs/*.log`], {
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  });
  // Pino's numbers: 50 is an error, 60 is fatal. That something is logged at all shows that this looks in the right place.
  expect(lines).toMatch(/"level":\d+/);
  const grave = lines.split('\n').filter((line) => /"level":(50|60)/.test(line));
  expect(grave.filter((line) => /failed unexpectedly|uncaught exception|unhandled rejection/.test(line))).toEqual([]);
});
