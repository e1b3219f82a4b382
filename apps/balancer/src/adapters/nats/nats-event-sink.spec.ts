import { pino } from 'pino';
import type { NatsConnection } from 'nats';
import type { CloudEvent, ClusterEvent } from '#common/contracts/events';
import { EVENT_STREAM, eventSubject, SUBJECTS } from '#common/contracts/subjects';
import { createLogger } from '#common/logging/logger';
import { connectNats } from '#common/nats/connection';
import { TestNatsServer } from '#common/testing/nats-server';
import { NatsEventSink } from './nats-event-sink';

jest.setTimeout(60_000);

const silent = createLogger('test', 'silent');

describe('events on NATS', () => {
  let server: TestNatsServer;
  let nats: NatsConnection;

  beforeAll(async () => {
    server = await TestNatsServer.start();
    nats = await connectNats([server.url], 'event-spec');
  });

  afterAll(async () => {
    await nats.close();
    await server.stop();
  });

  beforeEach(async () => {
    const { streams } = await nats.jetstreamManager();
    await streams.delete(EVENT_STREAM).catch(() => false);
  });

  const open = (logger = silent, queueLimit = 1000): Promise<NatsEventSink> =>
    NatsEventSink.open(nats, { logger, source: 'balancer-1', timeoutMs: 1_000, queueLimit });

  /** What somebody who comes now can still read. */
  const replay = async (): Promise<CloudEvent[]> => {
    const { streams } = await nats.jetstreamManager();
    const { state } = await streams.info(EVENT_STREAM);
    const events: CloudEvent[] = [];
    for (let seq = state.first_seq; seq <= state.last_seq; seq += 1) {
      events.push((await streams.getMessage(EVENT_STREAM, { seq })).json<CloudEvent>());
    }
    return events;
  };

  it('reach who listens and who comes late, as CloudEvents on the subject of their kind', async () => {
    const sink = await open();
    const listening = nats.subscribe(eventSubject('server.flatline'), { max: 1 });
    await nats.flush();
    sink.publish({
      kind: 'server.flatline',
      subject: 'Server4',
      data: { cause: 'five pings missed', durationMs: 5021 },
    });
    const heard = [];
    for await (const message of listening) heard.push(message.json<CloudEvent>());
    await sink.flush();
    expect(heard).toEqual([
      {
        specversion: '1.0',
        id: expect.stringMatching(/^[0-9a-f-]{36}$/) as string,
        source: 'balancer-1',
        type: 'io.shardline.server.flatline',
        time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/) as string,
        subject: 'Server4',
        datacontenttype: 'application/json',
        data: { cause: 'five pings missed', durationMs: 5021 },
      },
    ]);
    expect(await replay()).toEqual(heard);
  });

  it('are kept in the order in which they were published', async () => {
    const sink = await open();
    for (let i = 0; i < 50; i += 1) sink.publish(numbered(i));
    await sink.flush();
    expect((await replay()).map((event) => event.data.i)).toEqual([...Array(50).keys()]);
  });

  it('are bounded in number, size and age, also where an older stream was not', async () => {
    const { streams } = await nats.jetstreamManager();
    await streams.add({ name: EVENT_STREAM, subjects: [SUBJECTS.events] });
    await open();
    expect((await streams.info(EVENT_STREAM)).config).toMatchObject({
      subjects: ['shardline.event.>'],
      storage: 'file',
      max_msgs: 100_000,
      max_bytes: 67_108_864,
      max_age: 30 * 86_400 * 1e9,
      discard: 'old',
    });
  });

  it('are kept although the stream was removed meanwhile', async () => {
    const sink = await open();
    const { streams } = await nats.jetstreamManager();
    await streams.delete(EVENT_STREAM);
    sink.publish(numbered(7));
    await sink.flush();
    expect((await replay()).map((event) => event.data.i)).toEqual([7]);
  });

  it('are kept once although the server stood still while the first answer was due', async () => {
    let retrying: () => void;
    const firstIsOver = new Promise<void>((resolve) => (retrying = resolve));
    const write = (line: string): void => {
      if (line.includes('could not store an event yet; retrying')) retrying();
    };
    const sink = await open(pino({ level: 'debug' }, { write }));
    server.pause();
    sink.publish(numbered(1));
    await firstIsOver;
    server.resume();
    await sink.flush();
    expect((await replay()).map((event) => event.data.i)).toEqual([1]);
  });

  it('that nobody can take go to the log, and neither the caller nor the flush waits forever', async () => {
    const lines: { msg: string }[] = [];
    const logger = pino(
      { level: 'info' },
      { write: (line: string) => lines.push(JSON.parse(line) as { msg: string }) },
    );
    const sink = await open(logger, 2);
    server.pause();
    try {
      for (let i = 0; i < 4; i += 1) sink.publish(numbered(i));
      await sink.flush();
    } finally {
      server.resume();
    }
    const words = lines.map((line) => line.msg);
    expect(words.filter((word) => word.startsWith('the event queue is full'))).toHaveLength(2);
    expect(words).toContain('events were not published in time');
  });

  it.each([
    ['server.flatline', 'FLATLINE'],
    ['server.respawned', 'RESPAWN'],
    ['shard.insync', 'shard.insync'],
  ] as const)('%s stands in the log as %s with what it is about', async (kind, word) => {
    const lines: unknown[] = [];
    const logger = pino({ level: 'info' }, { write: (line: string) => lines.push(JSON.parse(line)) });
    const sink = await open(logger);
    sink.publish({ kind, subject: 'Server4', data: { cause: 'why' } });
    await sink.flush();
    expect(lines).toEqual([
      expect.objectContaining({ level: 30, msg: word, event: kind, subject: 'Server4', cause: 'why' }),
    ]);
  });
});

function numbered(i: number): ClusterEvent {
  return { kind: 'server.suspect', subject: `Server${i}`, data: { cause: 'test', i } };
}
