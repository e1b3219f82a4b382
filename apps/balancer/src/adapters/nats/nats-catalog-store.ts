/** The cluster's metadata in a JetStream key-value bucket: JSON values, every change a compare-and-set on the value's revision. */
import { headers, JSONCodec, StorageType, type JetStreamClient, type JetStreamManager, type StoredMsg } from 'nats';
import { BUCKET } from '#common/contracts/subjects';
import { isNoResponders, isTimeout } from '#common/nats/connection';
import type { CatalogValue } from '../../core/kernel/effects';
import {
  asStoreFailure,
  isNoMessage,
  isNoStream,
  isWrongSequence,
  jetstreamOptions,
  untilJetStreamIsUp,
  type NatsConnection,
} from './jetstream';

export interface NatsCatalogOptions {
  /** Deadline of each request to JetStream. */
  timeoutMs?: number;
  /** How long to wait for JetStream to come up, since it does so later than the server. */
  openTimeoutMs?: number;
}

/** What became of a compare-and-set. `conflict`: somebody else changed the key; nothing was written. */
export type PutResult = { ok: true; revision: number } | { ok: false; conflict: true };

const DEFAULT_TIMEOUT_MS = 5_000;
const DEFAULT_OPEN_TIMEOUT_MS = 30_000;

/** How JetStream lays out a key-value bucket (NATS architecture decision record 8). */
const STREAM = `KV_${BUCKET}`;
const SUBJECT_PREFIX = `$KV.${BUCKET}.`;
const OPERATION_HEADER = 'KV-Operation';

const json = JSONCodec();

export class NatsCatalogStore {
  private constructor(
    private readonly nats: NatsConnection,
    private readonly makeBucket: () => Promise<JetStreamManager>,
    private readonly streams: JetStreamManager['streams'],
    private readonly jetstream: JetStreamClient,
    private readonly timeoutMs: number,
  ) {}

  /**
   * Opens the bucket; makes it when there is none.
   *
   * @throws ShardlineError when JetStream is not there within `openTimeoutMs`
   */
  static async open(nats: NatsConnection, options: NatsCatalogOptions = {}): Promise<NatsCatalogStore> {
    const { timeoutMs = DEFAULT_TIMEOUT_MS, openTimeoutMs = DEFAULT_OPEN_TIMEOUT_MS } = options;
    const jetstream = nats.jetstream(jetstreamOptions(timeoutMs));
    const makeBucket = async (): Promise<JetStreamManager> => {
      const manager = await jetstream.jetstreamManager();
      // Direct answers come from any copy of the bucket, also from one that lags behind.
      await jetstream.views.kv(BUCKET, { history: 1, storage: StorageType.File, allow_direct: false });
      return manager;
    };
    const { streams } = await untilJetStreamIsUp(makeBucket, openTimeoutMs, `the bucket ${BUCKET} cannot be opened`);
    return new NatsCatalogStore(nats, makeBucket, streams, jetstream, timeoutMs);
  }

  /** Every key that has a value. @throws as `put` */
  async load(): Promise<CatalogValue[]> {
    try {
      return await this.withBucket(async () => {
        const info = await this.streams.info(STREAM, { subjects_filter: `${SUBJECT_PREFIX}>` });
        const subjects = Object.keys(info.state.subjects ?? {});
        const messages = await Promise.all(subjects.map((subject) => this.lastMessage(subject)));
        return messages.flatMap((message) => (message !== undefined && holdsValue(message) ? [entryOf(message)] : []));
      });
    } catch (error) {
      throw asStoreFailure(error, 'the metadata cannot be read');
    }
  }

  /** The key's value; null when it has none. @throws as `put` */
  async get(key: string): Promise<CatalogValue | null> {
    try {
      const message = await this.withBucket(() => this.lastMessage(SUBJECT_PREFIX + key));
      return message !== undefined && holdsValue(message) ? entryOf(message) : null;
    } catch (error) {
      throw asStoreFailure(error, `${key} cannot be read`);
    }
  }

  /**
   * Calls back with the value that somebody is about to store under the key: a hint, which can be missed. Changes travel as messages on
   * the key's subject, which everybody may hear, before they are stored.
   */
  watch(key: string, onChange: (value: unknown) => void): void {
    this.nats.subscribe(SUBJECT_PREFIX + key, {
      callback: (error, message) => {
        // The end of the connection ends the hints; whoever waits for them looks by itself now and then.
        if (error === null && message.data.length > 0) onChange(json.decode(message.data));
      },
    });
  }

  /**
   * Writes if the key's revision is still `expected` (0: the key has no value). Resolves after the write is durable.
   *
   * @throws ShardlineError when the bucket does not answer in time; the outcome is then not known
   */
  put(key: string, value: unknown, expected: number): Promise<PutResult> {
    return this.change(key, json.encode(value), undefined, expected);
  }

  /** Removes the value if the key's revision is still `expected`. @throws as `put` */
  remove(key: string, expected: number): Promise<PutResult> {
    return this.change(key, new Uint8Array(0), 'DEL', expected);
  }

  /** A key without a value has either no message at all or a marker that says that it was removed. */
  private async change(
    key: string,
    data: Uint8Array,
    operation: string | undefined,
    expected: number,
  ): Promise<PutResult> {
    try {
      const outcome = await this.withBucket(() => this.publishIf(key, data, operation, expected));
      if (outcome.ok || expected !== 0) return outcome;
      const last = await this.lastMessage(SUBJECT_PREFIX + key);
      if (last === undefined || holdsValue(last)) return outcome;
      return await this.publishIf(key, data, operation, last.seq);
    } catch (error) {
      throw asStoreFailure(error, `the change of ${key}`);
    }
  }

  /**
   * The broker may come back without its disk: then there is a new bucket, with nothing in it, and who leads finds that out.
   *
   * A change that nobody stores gets no answer where somebody watches its key, since then it has reached somebody. So the bucket is also
   * looked for after silence; what became of the change remains unknown.
   */
  private async withBucket<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (isTimeout(error)) {
        // When this fails, too, it is for the same reason: the first failure is the one that matters.
        await this.makeBucket().catch(() => undefined);
        throw error;
      }
      if (!isNoStream(error) && !isNoResponders(error)) throw error;
      await this.makeBucket();
      return work();
    }
  }

  private async publishIf(
    key: string,
    data: Uint8Array,
    operation: string | undefined,
    lastSubjectSequence: number,
  ): Promise<PutResult> {
    const header = headers();
    if (operation !== undefined) header.set(OPERATION_HEADER, operation);
    try {
      const { seq } = await this.jetstream.publish(SUBJECT_PREFIX + key, data, {
        headers: header,
        expect: { lastSubjectSequence, streamName: STREAM },
        timeout: this.timeoutMs,
      });
      return { ok: true, revision: seq };
    } catch (error) {
      if (isWrongSequence(error)) return { ok: false, conflict: true };
      throw error;
    }
  }

  private async lastMessage(subject: string): Promise<StoredMsg | undefined> {
    const message = await this.readMessage(subject);
    if (message !== undefined || !(await this.isListed(subject))) return message;
    // It may have been stored just now. If it was not, it cannot be read.
    const stored = await this.readMessage(subject);
    if (stored === undefined) await this.replaceDamagedBucket();
    return stored;
  }

  /**
   * The broker finds damage behind its index only when the key is written again, and takes no more then, or hangs. A bucket that was lost
   * can be made again from what the shard-nodes hold; so a damaged one is lost.
   */
  private async replaceDamagedBucket(): Promise<void> {
    await this.streams.delete(STREAM);
    await this.makeBucket();
  }

  private async isListed(subject: string): Promise<boolean> {
    const { state } = await this.streams.info(STREAM, { subjects_filter: subject });
    return state.subjects?.[subject] !== undefined;
  }

  private async readMessage(subject: string): Promise<StoredMsg | undefined> {
    try {
      return await this.streams.getMessage(STREAM, { last_by_subj: subject });
    } catch (error) {
      if (isNoMessage(error)) return undefined;
      throw error;
    }
  }
}

function holdsValue(message: StoredMsg): boolean {
  return message.header.get(OPERATION_HEADER) === '';
}

function entryOf(message: StoredMsg): CatalogValue {
  return {
    key: message.subject.slice(SUBJECT_PREFIX.length),
    value: json.decode(message.data),
    revision: message.seq,
  };
}
