/** Events as CloudEvents on NATS, kept in a bounded stream for those who come late. */
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { DiscardPolicy, nanos, RetentionPolicy, StorageType, type JetStreamClient, type StreamConfig } from 'nats';
import type { CloudEvent, ClusterEvent, EventKind } from '#common/contracts/events';
import { EVENT_STREAM, eventSubject, SUBJECTS } from '#common/contracts/subjects';
import type { Logger } from '#common/logging/logger';
import { retryTimes } from '#common/waiting/retry';
import type { EventSink } from '../../ports/event-sink';
import { isNoStream, jetstreamOptions, untilJetStreamIsUp, type NatsConnection } from './jetstream';

const DAY_MS = 86_400_000;

/** What the stream keeps: as much as somebody who comes late can want, and never a full disk. */
const STREAM: Partial<StreamConfig> & { name: string } = {
  name: EVENT_STREAM,
  subjects: [SUBJECTS.events],
  storage: StorageType.File,
  retention: RetentionPolicy.Limits,
  discard: DiscardPolicy.Old,
  max_msgs: 100_000,
  max_bytes: 64 * 1024 * 1024,
  max_age: nanos(30 * DAY_MS),
};

const DEFAULT_TIMEOUT_MS = 2_000;
const DEFAULT_OPEN_TIMEOUT_MS = 30_000;
const DEFAULT_QUEUE_LIMIT = 10_000;
const FLUSH_TIMEOUT_MS = 3_000;
/** Asked again, JetStream keeps an event once, by its id, within its window of two minutes. */
const ATTEMPTS = 3;
const RETRY_MS = 200;

/** Published words by which operators find these moments in the log. */
const LOG_WORDS: Partial<Record<EventKind, string>> = {
  'server.flatline': 'FLATLINE',
  'server.respawned': 'RESPAWN',
};

export interface NatsEventSinkOptions {
  logger: Logger;
  /** Who says so: the `source` of every event. */
  source: string;
  /** Deadline of each request to JetStream. */
  timeoutMs?: number;
  /** How long to wait for JetStream to come up. */
  openTimeoutMs?: number;
  /** Events that may wait; beyond it new ones are logged and not kept. */
  queueLimit?: number;
}

export class NatsEventSink implements EventSink {
  private readonly queue: CloudEvent[] = [];
  private readonly logger: Logger;
  private readonly source: string;
  private readonly timeoutMs: number;
  private readonly queueLimit: number;
  private sending: Promise<void> | undefined;

  private constructor(
    private readonly jetstream: JetStreamClient,
    options: NatsEventSinkOptions,
  ) {
    this.logger = options.logger;
    this.source = options.source;
    this.timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
    this.queueLimit = options.queueLimit ?? DEFAULT_QUEUE_LIMIT;
  }

  /**
   * Opens the stream; makes it, or brings its bounds up to date.
   *
   * @throws ShardlineError when JetStream is not there in time
   */
  static async open(nats: NatsConnection, options: NatsEventSinkOptions): Promise<NatsEventSink> {
    const { timeoutMs = DEFAULT_TIMEOUT_MS, openTimeoutMs = DEFAULT_OPEN_TIMEOUT_MS } = options;
    const jetstream = nats.jetstream(jetstreamOptions(timeoutMs));
    const what = `the stream ${EVENT_STREAM} cannot be opened`;
    await untilJetStreamIsUp(() => ensureStream(jetstream), openTimeoutMs, what);
    return new NatsEventSink(jetstream, options);
  }

  publish(event: ClusterEvent): void {
    const { kind, subject, data } = event;
    this.logger.info({ event: kind, subject, ...data }, LOG_WORDS[kind] ?? kind);
    if (this.queue.length >= this.queueLimit) {
      this.logger.error({ event: kind, subject }, 'the event queue is full: dropped this event');
      return;
    }
    this.queue.push(envelope(event, this.source));
    this.sending ??= this.sendAll();
  }

  /** Resolves when what was published has been kept or given up, within a deadline. */
  async flush(): Promise<void> {
    const overdue = new AbortController();
    const deadline = delay(FLUSH_TIMEOUT_MS, undefined, { signal: overdue.signal });
    try {
      await Promise.race([this.sending, deadline]);
    } finally {
      overdue.abort();
    }
    if (this.queue.length > 0) this.logger.warn({ events: this.queue.length }, 'events were not published in time');
  }

  /** One after the other, so that the stream has them in the order in which they happened. */
  private async sendAll(): Promise<void> {
    for (let event = this.queue[0]; event !== undefined; event = this.queue[0]) {
      await this.send(event);
      this.queue.shift();
    }
    this.sending = undefined;
  }

  private async send(event: CloudEvent): Promise<void> {
    const subject = eventSubject(event.type.slice(TYPE_PREFIX.length));
    const publish = async (failures: number): Promise<void> => {
      if (failures > 0) await this.restoreStream();
      await this.jetstream.publish(subject, JSON.stringify(event), { msgID: event.id, timeout: this.timeoutMs });
    };
    try {
      await retryTimes(publish, ATTEMPTS, (error, failures) => {
        this.logger.debug({ err: error, event: event.type, failures }, 'could not store an event yet; retrying');
        return RETRY_MS * failures;
      });
    } catch (error) {
      this.logger.error({ err: error, event: event.type, subject: event.subject }, 'could not store an event');
    }
  }

  /** Somebody may have removed the stream, or NATS lost its disk. */
  private async restoreStream(): Promise<void> {
    try {
      await ensureStream(this.jetstream);
    } catch (error) {
      this.logger.debug({ err: error }, 'the event stream is missing');
    }
  }
}

const TYPE_PREFIX = 'io.shardline.';

function envelope({ kind, subject, data }: ClusterEvent, source: string): CloudEvent {
  return {
    specversion: '1.0',
    id: randomUUID(),
    source,
    type: `${TYPE_PREFIX}${kind}`,
    time: new Date().toISOString(),
    subject,
    datacontenttype: 'application/json',
    data,
  };
}

async function ensureStream(jetstream: JetStreamClient): Promise<void> {
  const { streams } = await jetstream.jetstreamManager();
  try {
    await streams.update(STREAM.name, STREAM);
  } catch (error) {
    if (!isNoStream(error)) throw error;
    await streams.add(STREAM);
  }
}
