import { Events, type Msg, type NatsConnection } from 'nats';
import { ERROR_CODES, ShardlineError, type ErrorBody } from '#common/contracts/errors';
import type { ApplyRequest, NodeReadRequest, PageRead, PartReply, RoundPart } from '#common/contracts/node';
import { nodeShardState } from '#common/contracts/node-state';
import { shareRounds } from '#common/contracts/shared-rounds';
import { nodeSubject, type NodeVerb } from '#common/contracts/subjects';
import { connectNats } from '#common/nats/connection';
import { NODE_MESSAGES } from '#common/nats/node-messages';
import { arbitraryOf } from '#common/testing/arbitrary';
import fc from 'fast-check';
import type { z } from 'zod';
import { encodeLines } from '#common/nats/lines';
import { decodeLines } from '#common/testing/decode-lines';
import { TestNatsServer } from '#common/testing/nats-server';
import { certainlyLacks } from '../../core/requests/write-round';
import { NatsShardTransport, refusalOfRepeat, type NatsShardTransportOptions } from './nats-shard-transport';

jest.setTimeout(60_000);

const OPTIONS: NatsShardTransportOptions = {
  pingTimeoutMs: 500,
  applyTimeoutMs: 5_000,
  readTimeoutMs: 5_000,
  adminTimeoutMs: 500,
  catchupTimeoutMs: 500,
};

/** What a node says that has stored its configuration, and has no shards. */
const CONFIGURED = JSON.stringify({ instance: 'process 1', shards: [], terms: [] });

/** Whoever sits at a node's subjects in these tests: what comes is kept, and answered as the test says. */
class Listener {
  readonly heard: Msg[] = [];
  private arrived: (() => void) | undefined;

  private constructor(private readonly nats: NatsConnection) {}

  static async on(
    url: string,
    server: string,
    verb: NodeVerb,
    answer?: (data: Uint8Array) => string | null,
    isSeen = true,
  ): Promise<Listener> {
    const nats = await connectNats([url], `listener-${server}`);
    const listener = new Listener(nats);
    nats.subscribe(nodeSubject(server, verb), {
      callback: (_error, message) => {
        listener.heard.push(message);
        listener.arrived?.();
        const text = answer?.(message.data) ?? null;
        if (text !== null) message.respond(text);
      },
    });
    // As long as its process lives, something of a node listens there.
    if (verb !== 'ping' && isSeen) nats.subscribe(nodeSubject(server, 'ping'), { callback: () => undefined });
    await nats.flush();
    return listener;
  }

  /** The message of this number, when it is there. */
  async message(index: number): Promise<Msg> {
    for (;;) {
      const message = this.heard[index];
      if (message !== undefined) return message;
      await new Promise<void>((resolve) => {
        this.arrived = resolve;
      });
    }
  }

  /** Hears nothing any more, as after SIGKILL: the broker sees the connection go. */
  async close(): Promise<void> {
    await this.nats.close();
  }
}

describe('shard-nodes on NATS', () => {
  let server: TestNatsServer;
  let nats: NatsConnection;
  let node: string;
  let nodes = 0;
  const listeners: Listener[] = [];

  beforeAll(async () => {
    server = await TestNatsServer.start();
    nats = await connectNats([server.url], 'transport-spec');
  });
  afterAll(async () => {
    await nats.close();
    await server.stop();
  });
  beforeEach(() => {
    node = `Server[${(nodes += 1)}]`;
  });
  afterEach(async () => {
    await Promise.all(listeners.splice(0).map((listener) => listener.close()));
  });

  const transport = (options: Partial<NatsShardTransportOptions> = {}): NatsShardTransport =>
    new NatsShardTransport(nats, { ...OPTIONS, ...options });
  const listen = async (verb: NodeVerb, answer?: (data: Uint8Array) => string | null): Promise<Listener> => {
    const listener = await Listener.on(server.url, node, verb, answer);
    listeners.push(listener);
    return listener;
  };

  describe('verbs that travel alone', () => {
    const verbs = ['ping', 'config', 'fence', 'catchup', 'digest'] as const;
    const ask = (verb: (typeof verbs)[number], request: unknown): Promise<unknown> =>
      transport()[verb](node, request as never, false);

    const asked = { epoch: 7, shards: [], drop: [] };

    it.each(verbs)('%s asks on its subject and hands the answer on', async (verb) => {
      const [sample] = fc.sample(arbitraryOf(NODE_MESSAGES[verb].reply.shape as z.ZodType<object>), 1);
      const isOfShards = sample !== undefined && 'shards' in sample;
      const answer = { ...sample, ...(isOfShards ? { shards: [], terms: [] } : {}) };
      const listener = await listen(verb, () => JSON.stringify(answer));
      const expected = { ...answer };
      Reflect.deleteProperty(expected, 'terms');
      expect(await ask(verb, asked)).toEqual(expected);
      expect(JSON.parse(Buffer.from(listener.heard[0]!.data).toString())).toEqual(asked);
    });

    it.each(verbs)('%s takes no answer that says what nobody knows, or too little', async (verb) => {
      const [answer] = fc.sample(arbitraryOf(NODE_MESSAGES[verb].reply.shape as z.ZodType<object>), 1);
      let said: unknown = { ...answer, unheardOf: 1 };
      await listen(verb, () => JSON.stringify(said));
      await expect(ask(verb, asked)).rejects.toMatchObject({ code: 'BAD_MESSAGE' });
      said = {};
      await expect(ask(verb, asked)).rejects.toMatchObject({ code: 'BAD_MESSAGE' });
    });

    it('config hears of rounds that shards have in common', async () => {
      const [shard] = fc.sample(arbitraryOf(nodeShardState), 1);
      const newestRound = { epoch: 1, round: 2, refused: false, lastTerms: { a: 3, b: 4 } };
      const shards = ['a', 'b'].map((name) => ({ ...shard!, shard: name, newestRound }));
      await listen('config', () => JSON.stringify(shareRounds({ instance: 'process 1', shards })));
      expect(await ask('config', asked)).toEqual({ instance: 'process 1', shards });
    });

    it.each(verbs)('%s fails with what the node says', async (verb) => {
      await listen(verb, () =>
        JSON.stringify({ error: { code: 'FENCED', message: 'epoch 7 is over', retryable: false } }),
      );
      const failure = new ShardlineError('FENCED', 'epoch 7 is over', false);
      await expect(ask(verb, { epoch: 7, shards: [], drop: [] })).rejects.toEqual(failure);
    });

    it.each([
      ['made', { shards: new Array(50).fill({}), drop: [], areNew: true }],
      ['made beside others', { shards: new Array(50).fill({}), drop: [], stage: 'prepare' }],
      ['dropped', { shards: [], drop: new Array(50).fill('sh') }],
    ])('a configuration by which tables are %s has more time', async (_what, request) => {
      const listener = await listen('config');
      const answer = ask('config', request);
      const message = await listener.message(0);
      // One that was asked later has had its time by then.
      await expect(ask('config', asked)).rejects.toMatchObject({ code: 'OUTCOME_UNKNOWN' });
      message.respond(CONFIGURED);
      expect(await answer).toEqual({ instance: 'process 1', shards: [] });
    });

    it.each(verbs)('%s knows at once that nobody listens, and after its deadline that nobody answers', async (verb) => {
      await expect(ask(verb, { shards: [], drop: [] })).rejects.toMatchObject({ code: 'NO_LEADER', retryable: true });
      await listen(verb);
      await expect(ask(verb, { shards: [], drop: [] })).rejects.toMatchObject({
        code: 'OUTCOME_UNKNOWN',
        retryable: false,
      });
    });
  });

  it('a page for which writes wait is waited for no longer than a round', async () => {
    await listen('catchup');
    const sut = transport({ applyTimeoutMs: 100, catchupTimeoutMs: 1_000 });
    const givenUp: boolean[] = [];
    const ask = async (doWritesWait: boolean): Promise<void> => {
      await expect(sut.catchup(node, {} as never, doWritesWait)).rejects.toMatchObject({ code: 'OUTCOME_UNKNOWN' });
      givenUp.push(doWritesWait);
    };
    await Promise.all([ask(false), ask(true)]);
    expect(givenUp).toEqual([true, false]);
  });

  describe('rounds', () => {
    it('that come together travel together, each gets its own answer, and rows keep their places', async () => {
      const listener = await listen('apply', answerRounds);
      const sizes: unknown[] = [];
      const sut = transport({ onMessage: (...message) => sizes.push(message) });
      const answers = await Promise.all([1, 2, 3].map((n) => sut.apply(node, 9, round(n), [row(n, 'a'), row(n, 'b')])));
      expect(answers.map((parts) => parts[0]?.digest)).toEqual(['1', '2', '3']);
      expect(listener.heard).toHaveLength(1);
      const data = listener.heard[0]!.data;
      const { header, rows } = decodeLines<ApplyRequest>(data);
      expect(header).toEqual({ epoch: 9, rounds: [round(1), round(2), round(3)] });
      expect(rows).toEqual([1, 2, 3].flatMap((n) => [row(n, 'a'), row(n, 'b')]));
      expect(sizes).toEqual([['apply', 3, data.length]]);
    });

    it('wait while a message is under way, and rounds of another epoch for the one after', async () => {
      const listener = await listen('apply');
      const sut = transport();
      const answers = [sut.apply(node, 1, round(1), [])];
      const first = await listener.message(0);
      for (const n of [2, 3]) answers.push(sut.apply(node, 1, round(n), []));
      answers.push(sut.apply(node, 2, round(4), []));
      await nats.flush();
      expect(listener.heard).toHaveLength(1);
      first.respond(answerRounds(first.data));
      const second = await listener.message(1);
      expect(decodeLines<ApplyRequest>(second.data).header.rounds.map((each) => each.round)).toEqual([2, 3]);
      second.respond(answerRounds(second.data));
      const third = await listener.message(2);
      expect(decodeLines<ApplyRequest>(third.data).header.epoch).toBe(2);
      third.respond(answerRounds(third.data));
      expect((await Promise.all(answers)).map((parts) => parts[0]?.digest)).toEqual(['1', '2', '3', '4']);
    });

    it('of several megabytes are split into messages that the broker takes; a larger one is refused unsent', async () => {
      const listener = await listen('apply', answerRounds);
      const sut = transport();
      const large = JSON.stringify({ text: 'ä'.repeat(1_500_000) });
      await Promise.all([1, 2, 3].map((n) => sut.apply(node, 1, round(n), [large])));
      expect(listener.heard.map((message) => decodeLines<ApplyRequest>(message.data).header.rounds.length)).toEqual([
        2, 1,
      ]);
      const tooMany = sut.apply(node, 1, round(4), [large, large, large]);
      await expect(tooMany).rejects.toMatchObject({ code: 'BAD_REQUEST', retryable: false });
      expect(listener.heard).toHaveLength(2);
    });

    it('fail together with what the node says of their message', async () => {
      const error = { code: 'STORE_FAILED', message: 'no space left on device', retryable: true };
      await listen('apply', () => JSON.stringify({ error }));
      const sut = transport();
      const outcomes = await Promise.allSettled([1, 2].map((n) => sut.apply(node, 1, round(n), [])));
      expect(outcomes).toEqual(
        [1, 2].map(() => ({ status: 'rejected', reason: expect.objectContaining(error) as unknown })),
      );
    });

    it.each(['BAD_REQUEST', 'STALE_ROUND'])('that the node refuses (%s) for what they are fail alone', async (code) => {
      const listener = await listen('apply', (data) =>
        decodeLines<ApplyRequest>(data).header.rounds.some((each) => [3, 20].includes(each.round))
          ? JSON.stringify({ error: { code, message: 'row is too big', retryable: false } })
          : answerRounds(data),
      );
      const sut = transport();
      const numbers = Array.from({ length: 33 }, (_, index) => index);
      const outcomes = await Promise.allSettled(numbers.map((n) => sut.apply(node, 1, round(n), [row(n, 'a')])));
      expect(outcomes.flatMap(({ status }, n) => (status === 'rejected' ? [n] : []))).toEqual([3, 20]);
      expect(outcomes[3]).toMatchObject({ reason: { code } });
      expect(listener.heard.length).toBeLessThan(25);
    });

    it('behind one that brought the node into trouble are not sent', async () => {
      const listener = await listen('apply', (data) => {
        const { rounds } = decodeLines<ApplyRequest>(data).header;
        const code = rounds.length > 2 ? 'BAD_REQUEST' : 'STORE_FAILED';
        return JSON.stringify({ error: { code, message: code, retryable: false } });
      });
      const sut = transport();
      const outcomes = await Promise.allSettled([1, 2, 3, 4].map((n) => sut.apply(node, 1, round(n), [])));
      const codes = outcomes.map((each) => (each.status === 'rejected' ? (each.reason as ErrorBody).code : 'none'));
      expect(codes).toEqual(['STORE_FAILED', 'STORE_FAILED', 'BUSY', 'BUSY']);
      expect(listener.heard).toHaveLength(2);
    });

    it('that the node leaves out of its answer fail alone', async () => {
      await listen('apply', () => encode({ rounds: [{ round: 2, parts: [] }] }));
      const sut = transport();
      const [first, second] = await Promise.allSettled([1, 2].map((n) => sut.apply(node, 1, round(n), [])));
      expect(first).toMatchObject({ status: 'rejected', reason: { code: 'BAD_MESSAGE' } });
      expect(second).toEqual({ status: 'fulfilled', value: [] });
    });
  });

  describe('reads of single keys', () => {
    it('that come together travel together, and each gets its own row or none', async () => {
      const listener = await listen('read', answerReads);
      const sut = transport();
      const rows = await Promise.all([4, 5, 6].map((key) => sut.readOne(node, 3, keyRead(key))));
      expect(rows).toEqual([row(4, 'row'), null, row(6, 'row')]);
      expect(listener.heard).toHaveLength(1);
      expect(decodeLines<NodeReadRequest>(listener.heard[0]!.data).header).toMatchObject({
        epoch: 3,
        reads: [4, 5, 6].map(keyRead),
      });
    });

    it('go on in a second message while the first is under way, and then wait', async () => {
      const listener = await listen('read');
      const sut = transport();
      const answers = [sut.readOne(node, 1, keyRead(2))];
      await listener.message(0);
      answers.push(sut.readOne(node, 1, keyRead(4)));
      await listener.message(1);
      for (const key of [6, 8]) answers.push(sut.readOne(node, 1, keyRead(key)));
      await nats.flush();
      expect(listener.heard).toHaveLength(2);
      for (const index of [0, 1, 2]) {
        const message = await listener.message(index);
        message.respond(answerReads(message.data));
      }
      expect(await Promise.all(answers)).toEqual([2, 4, 6, 8].map((key) => row(key, 'row')));
      expect(listener.heard).toHaveLength(3);
    });

    it('of a shard that the node does not hold do not fail the others of their message', async () => {
      await listen('read', (data) =>
        decodeLines<NodeReadRequest>(data).header.reads.some(({ low }) => low === 20)
          ? JSON.stringify({ error: { code: 'UNKNOWN_SHARD', message: 'sh2', retryable: false } })
          : answerReads(data),
      );
      const sut = transport();
      const keys = [...Array(33).keys()];
      const outcomes = await Promise.allSettled(keys.map((key) => sut.readOne(node, 1, keyRead(key))));
      expect(outcomes.flatMap(({ status }, key) => (status === 'rejected' ? [key] : []))).toEqual([20]);
      expect(outcomes[20]).toMatchObject({ reason: { code: 'UNKNOWN_SHARD' } });
      expect(outcomes[32]).toEqual({ status: 'fulfilled', value: row(32, 'row') });
    });

    it('of large rows are asked for few at a time, once it is known that they are large', async () => {
      const large = JSON.stringify({ text: 'x'.repeat(400_000) });
      const listener = await listen('read', (data) => {
        const { reads } = decodeLines<NodeReadRequest>(data).header;
        if (reads.length * large.length > 8_000_000) {
          return JSON.stringify({ error: { code: 'BAD_REQUEST', message: 'ask for fewer', retryable: false } });
        }
        return encode(
          { pages: reads.map(() => ({ count: 1, next: null })) },
          reads.map(() => large),
        );
      });
      const sut = transport();
      const read = (): Promise<unknown> =>
        Promise.all([...Array(50).keys()].map((key) => sut.readOne(node, 1, keyRead(key))));
      await read();
      const before = listener.heard.length;
      await read();
      const counts = listener.heard
        .slice(before)
        .map(({ data }) => decodeLines<NodeReadRequest>(data).header.reads.length);
      expect(Math.max(...counts)).toBeLessThanOrEqual(11);
      expect(counts.reduce((sum, count) => sum + count)).toBe(50);
    });

    it('fail together when the node is fenced, asked once', async () => {
      const error = { code: 'FENCED', message: 'epoch 1 is over', retryable: false };
      const listener = await listen('read', () => JSON.stringify({ error }));
      const sut = transport();
      const outcomes = await Promise.allSettled([1, 2].map((key) => sut.readOne(node, 1, keyRead(key))));
      expect(outcomes).toMatchObject([1, 2].map(() => ({ status: 'rejected', reason: error })));
      expect(listener.heard).toHaveLength(1);
    });
  });

  describe('a process that dies', () => {
    it('fails what is under way to it soon, and its successor is asked as if nothing had been', async () => {
      // After a deadline it would be another failure.
      const sut = transport({ applyTimeoutMs: 30_000, readTimeoutMs: 30_000 });
      const listener = await listen('apply');
      const reading = await listen('read');
      const failures = [
        expect(sut.apply(node, 1, round(1), [])).rejects.toMatchObject({ code: 'NO_LEADER', retryable: false }),
        expect(sut.readOne(node, 1, keyRead(2))).rejects.toMatchObject({ code: 'NO_LEADER' }),
      ];
      await Promise.all([listener.message(0), reading.message(0)]);
      await Promise.all(listeners.splice(0).map((each) => each.close()));
      await Promise.all(failures);
      await listen('apply', answerRounds);
      expect(await sut.apply(node, 1, round(2), [])).toHaveLength(1);
    });

    it('is not taken for one that nobody could hear for a moment when it was asked', async () => {
      const sut = transport({ confirmAbsenceMs: 4_000 });
      const answers = [sut.apply(node, 1, round(1), []), sut.config(node, { shards: [], drop: [] } as never)];
      await expect(sut.readOne(node, 1, keyRead(2))).rejects.toMatchObject({ code: 'NO_LEADER', retryable: true });
      await listen('apply', answerRounds);
      await listen('config', () => CONFIGURED);
      expect((await Promise.all(answers)).length).toBe(2);
    });

    it('is not taken for one that nobody could hear for a moment while it was at work', async () => {
      const { looked, watched } = looksAt(nats, node, 3);
      const sut = new NatsShardTransport(watched, { ...OPTIONS, applyTimeoutMs: 20_000, confirmAbsenceMs: 10_000 });
      const listener = await Listener.on(server.url, node, 'apply', undefined, false);
      listeners.push(listener);
      const answer = sut.apply(node, 1, round(1), []);
      const message = await listener.message(0);
      // Nobody was there, three times.
      await looked;
      message.respond(answerRounds(message.data));
      expect(await answer).toHaveLength(1);
    });

    it('is known to be gone when nobody has been heard for so long, and from then on at once', async () => {
      const sut = transport({ confirmAbsenceMs: 300, applyTimeoutMs: 20_000 });
      await expect(sut.apply(node, 1, round(1), [])).rejects.toMatchObject({ code: 'NO_LEADER', retryable: true });
      await expect(sut.apply(node, 1, round(2), [])).rejects.toMatchObject({ code: 'NO_LEADER', retryable: true });
    });

    it('is not taken for one that is slow', async () => {
      const { looked, watched } = looksAt(nats, node, 3);
      const sut = new NatsShardTransport(watched, { ...OPTIONS, applyTimeoutMs: 20_000 });
      await listen('ping', () =>
        JSON.stringify({ error: { code: 'BAD_MESSAGE', message: 'empty', retryable: false } }),
      );
      const listener = await listen('apply');
      const answer = sut.apply(node, 1, round(1), []);
      const message = await listener.message(0);
      // It was there, three times.
      await looked;
      message.respond(answerRounds(message.data));
      expect(await answer).toHaveLength(1);
    });

    it('is distinguished from one that is paused: that one has its whole deadline', async () => {
      const sut = transport({ applyTimeoutMs: 1_000 });
      await listen('apply');
      await expect(sut.apply(node, 1, round(1), [])).rejects.toMatchObject({ code: 'OUTCOME_UNKNOWN' });
    });
  });

  describe('a request that is under way when NATS is restarted', () => {
    /** Answers from the second message on, as if the first or its answer had been lost. */
    const silentFirst = (answer: (data: Uint8Array) => string): Promise<Listener> => {
      let messages = 0;
      return listen('apply', (data) => ((messages += 1) === 1 ? null : answer(data)));
    };
    const applied = async (listener: Listener): Promise<PartReply[]> => {
      const answer = transport({ applyTimeoutMs: 30_000 }).apply(node, 1, round(1), [row(1, 'a')]);
      answer.catch(() => undefined);
      await listener.message(0);
      await server.restart();
      return answer;
    };

    it('is sent again at once, as it was', async () => {
      const listener = await silentFirst(answerRounds);
      expect(await applied(listener)).toHaveLength(1);
      expect(listener.heard[1]!.data).toEqual(listener.heard[0]!.data);
    });

    it.each(['STALE_ROUND', 'UNKNOWN_SHARD'])(
      'may have been carried out, although the node says %s now',
      async (code) => {
        const error = { code, message: 'no', retryable: false };
        const listener = await silentFirst(() => JSON.stringify({ error }));
        const failure = { code: 'OUTCOME_UNKNOWN', retryable: false, cause: { code } };
        await expect(applied(listener)).rejects.toMatchObject(failure);
      },
    );

    it('may be carried out right now, although the node says BUSY to the second one: so it is with copies', async () => {
      const error = { code: 'BUSY', message: 'is fetching a page already', retryable: true };
      let messages = 0;
      const listener = await listen('catchup', () => ((messages += 1) === 1 ? null : JSON.stringify({ error })));
      const range = { source: 'S1', from: 0, to: 9, maxBytes: 1 };
      const answer = transport().catchup(node, { epoch: 1, turn: 1, shard: 'sh1', ...range }, false);
      answer.catch(() => undefined);
      await listener.message(0);
      await server.restart();
      const failure = { code: 'OUTCOME_UNKNOWN', retryable: false, cause: { code: 'BUSY' } };
      await expect(answer).rejects.toMatchObject(failure);
    });

    const refusals = ERROR_CODES.flatMap((code) => [true, false].map((retryable) => [code, retryable] as const));

    it.each(refusals)(
      'is not known to be lacking by any refusal of the second one: %s, retryable %s',
      (code, retryable) => {
        const refusal = refusalOfRepeat('S0', new ShardlineError(code, 'no', retryable));
        expect(certainlyLacks(refusal.toBody())).toBe(false);
        expect(refusal.code).toBe(code === 'FENCED' ? 'FENCED' : 'OUTCOME_UNKNOWN');
      },
    );

    it('may have been carried out, although nobody is there now', async () => {
      const listener = await listen('apply');
      const answer = transport({ applyTimeoutMs: 4_000 }).apply(node, 1, round(1), []);
      answer.catch(() => undefined);
      await listener.message(0);
      await Promise.all([server.restart(), ...listeners.splice(0).map((each) => each.close())]);
      await expect(answer).rejects.toMatchObject({ code: 'NO_LEADER', retryable: false });
    });
  });

  it('a restart of NATS does not count as the death of a node that comes back a little later', async () => {
    const sut = transport();
    const back = new Promise<void>((resolve) => {
      void (async () => {
        for await (const { type } of nats.status()) if (type === Events.Reconnect) resolve();
      })();
    });
    await server.restart();
    await back;
    const answer = sut.apply(node, 1, round(1), []);
    // The round has been sent, and nobody was there.
    await nats.flush();
    await listen('apply', answerRounds);
    expect(await answer).toHaveLength(1);
  });
});

/** The connection, and when it has been looked so many times whether anybody is there. */
function looksAt(
  nats: NatsConnection,
  server: string,
  times: number,
): { watched: NatsConnection; looked: Promise<void> } {
  let left = times;
  let enough: () => void = () => undefined;
  const looked = new Promise<void>((resolve) => {
    enough = resolve;
  });
  const request: NatsConnection['request'] = (subject, payload, options) => {
    const answer = nats.request(subject, payload, options);
    if (subject === nodeSubject(server, 'ping')) {
      const seen = (): void => {
        left -= 1;
        if (left === 0) enough();
      };
      answer.then(seen, seen);
    }
    return answer;
  };
  return { watched: Object.assign(Object.create(nats) as NatsConnection, { request }), looked };
}

function round(number: number): RoundPart {
  return {
    round: number,
    lastTerms: { sh1: number },
    parts: [{ shard: 'sh1', vat: number - 1, firstTerm: number, lastTerm: number, ops: [] }],
  };
}

function row(key: number, text: string): string {
  return JSON.stringify({ key, text });
}

function keyRead(key: number): PageRead {
  return { shard: 'sh1', vat: 5, low: key, high: key };
}

function encode(header: unknown, rows: string[] = []): string {
  return Buffer.from(encodeLines(header, rows)).toString();
}

/** Every round done; its number as the digest. */
function answerRounds(data: Uint8Array): string {
  const { rounds } = decodeLines<ApplyRequest>(data).header;
  return encode({ rounds: rounds.map((each) => ({ round: each.round, parts: [part(each.round)] })) });
}

function part(number: number): unknown {
  return { shard: 'sh1', outcomes: [], digest: String(number) };
}

/** Even keys have a row. */
function answerReads(data: Uint8Array): string {
  const { reads } = decodeLines<NodeReadRequest>(data).header;
  const found = reads.map(({ low }) => low).filter((key) => key % 2 === 0);
  const pages = reads.map(({ low }) => ({ count: low % 2 === 0 ? 1 : 0, next: null }));
  return encode(
    { pages },
    found.map((key) => row(key, 'row')),
  );
}
