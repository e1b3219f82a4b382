import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { NatsConnection } from 'nats';
import { BUCKET, BUCKET_KEYS } from '#common/contracts/subjects';
import { connectNats } from '#common/nats/connection';
import { TestNatsServer } from '#common/testing/nats-server';
import { pollUntil } from '#common/waiting/retry';
import { NatsCatalogStore } from './nats-catalog-store';

jest.setTimeout(60_000);

describe('metadata in a bucket of JetStream', () => {
  let server: TestNatsServer;
  let nats: NatsConnection;
  let store: NatsCatalogStore;
  let keys = 0;
  /** Tests share the bucket, each with keys of its own. */
  const freshKey = (): string => BUCKET_KEYS.shard(`sh[${(keys += 1)}]`);
  const open = (): Promise<NatsCatalogStore> =>
    NatsCatalogStore.open(nats, { timeoutMs: 2_000, openTimeoutMs: 10_000 });

  beforeAll(async () => {
    server = await TestNatsServer.start();
    nats = await connectNats([server.url], 'catalog-spec');
    store = await open();
  });

  afterAll(async () => {
    await nats.close();
    await server.stop();
  });

  const valueOf = async (key: string, of = store): Promise<unknown> =>
    (await of.load()).find((entry) => entry.key === key)?.value;

  it('gives back what was put, with the revision that the next change must name', async () => {
    const key = freshKey();
    const value = { inSync: ['Server0'], text: 'ä \u0000 "' };
    const put = await store.put(key, value, 0);
    expect(await store.load()).toContainEqual({ key, value, revision: put.ok ? put.revision : -1 });
  });

  it('refuses a change that was made on another revision, and keeps the value', async () => {
    const key = freshKey();
    const first = await store.put(key, 1, 0);
    const revision = first.ok ? first.revision : -1;
    expect((await store.put(key, 2, revision)).ok).toBe(true);
    expect(await store.put(key, 3, revision)).toEqual({ ok: false, conflict: true });
    expect(await store.put(key, 3, 0)).toEqual({ ok: false, conflict: true });
    expect(await store.remove(key, revision)).toEqual({ ok: false, conflict: true });
    expect(await valueOf(key)).toBe(2);
  });

  it('lets one of many who change the same revision win', async () => {
    const key = freshKey();
    const outcomes = await Promise.all([1, 2, 3, 4, 5].map((value) => store.put(key, value, 0)));
    expect(outcomes.filter((outcome) => outcome.ok)).toHaveLength(1);
    expect(await valueOf(key)).toBe(outcomes.findIndex((outcome) => outcome.ok) + 1);
  });

  it('forgets a removed key, which can then be put again and grows in revision', async () => {
    const key = freshKey();
    const first = await store.put(key, 'first', 0);
    const removed = await store.remove(key, first.ok ? first.revision : -1);
    expect(removed.ok).toBe(true);
    expect(await valueOf(key)).toBeUndefined();
    const again = await store.put(key, 'again', 0);
    expect(again.ok && removed.ok && again.revision > removed.revision).toBe(true);
    expect(await store.put(key, 'too late', 0)).toEqual({ ok: false, conflict: true });
    expect(await valueOf(key)).toBe('again');
  });

  it('keeps one version on disk and answers from the copy that decides', async () => {
    const { config } = await (await nats.jetstreamManager()).streams.info(`KV_${BUCKET}`);
    expect(config).toMatchObject({ storage: 'file', max_msgs_per_subject: 1, allow_direct: false });
  });

  it('does not know the outcome when no answer comes in time', async () => {
    const key = freshKey();
    const hurried = await NatsCatalogStore.open(nats, { timeoutMs: 300, openTimeoutMs: 10_000 });
    server.pause();
    try {
      await expect(hurried.put(key, 1, 0)).rejects.toMatchObject({ code: 'OUTCOME_UNKNOWN' });
      await expect(hurried.load()).rejects.toMatchObject({ code: 'OUTCOME_UNKNOWN' });
    } finally {
      server.resume();
    }
  });

  it('reads one key, and nothing where there is none or no more', async () => {
    const key = freshKey();
    expect(await store.get(key)).toBeNull();
    const put = await store.put(key, { a: 1 }, 0);
    const revision = put.ok ? put.revision : -1;
    expect(await store.get(key)).toEqual({ key, value: { a: 1 }, revision });
    await store.remove(key, revision);
    expect(await store.get(key)).toBeNull();
  });

  it('shows whoever watches a key what is being stored there', async () => {
    const key = freshKey();
    const heard = new Promise((resolve) => {
      store.watch(key, resolve);
    });
    await store.put(freshKey(), 'another key', 0);
    await store.put(key, { released: true }, 0);
    await expect(heard).resolves.toEqual({ released: true });
  });

  it('has everything again after the server was killed, without being opened again', async () => {
    const key = freshKey();
    await store.put(key, 'durable', 0);
    await server.restart();
    expect(await valueOf(key, await open())).toBe('durable');
    expect(await valueOf(key)).toBe('durable');
  });

  it.each([
    [
      'read',
      async (): Promise<void> => {
        expect(await store.get(freshKey())).toBeNull();
      },
    ],
    [
      'loaded',
      async (): Promise<void> => {
        expect(await store.load()).toEqual([]);
      },
    ],
    [
      'changed on a revision of before',
      async (): Promise<void> => {
        expect(await store.put(freshKey(), 1, 7)).toEqual({ ok: false, conflict: true });
      },
    ],
  ])('is there again, empty, when it was lost and is %s', async (_how, work) => {
    await store.put(freshKey(), 'lost', 0);
    await (await nats.jetstreamManager()).streams.delete(`KV_${BUCKET}`);
    await work();
    expect((await store.put(freshKey(), 'new', 0)).ok).toBe(true);
    expect(await store.load()).toHaveLength(1);
  });

  it('is there again where the lost key is watched, as every balancer watches the leader, and is read', async () => {
    const key = await loseWatched();
    expect(await store.get(key)).toBeNull();
    expect((await store.put(key, 'new', 0)).ok).toBe(true);
  });

  it('is there again where the lost key is watched and changed: that change may have been made, the next one is', async () => {
    const key = await loseWatched();
    await expect(store.put(key, 'renewed', 0)).rejects.toMatchObject({ code: 'OUTCOME_UNKNOWN' });
    expect((await store.put(key, 'new', 0)).ok).toBe(true);
  });

  it.each([
    ['read', (key: string): Promise<unknown> => store.get(key)],
    ['loaded', (): Promise<unknown> => store.load()],
  ])('is made again when a key that is %s cannot be read any more, though the broker lists it', async (_how, work) => {
    const [other, key] = [freshKey(), freshKey()];
    await store.put(other, 'before', 0);
    await store.put(key, 'DAMAGED', 0);
    await store.put(freshKey(), 'behind', 0);
    await server.restartWith((dir) => {
      const file = join(dir, `jetstream/$G/streams/KV_${BUCKET}/msgs/1.blk`);
      const bytes = readFileSync(file);
      const at = bytes.lastIndexOf('DAMAGED');
      bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
      writeFileSync(file, bytes);
    });
    await pollUntil(
      () =>
        work(key)
          .then(() => true)
          .catch(() => undefined),
      { deadlineMs: 15_000, pauseMs: 50 },
    );
    expect(await store.get(key)).toBeNull();
    for (const changed of [key, other]) expect((await store.put(changed, 'later', 0)).ok).toBe(true);
  });

  it('is not made again for a key that is stored while it is read', async () => {
    const kept = freshKey();
    await store.put(kept, 'kept', 0);
    const raced = Array.from({ length: 50 }, () => freshKey());
    await Promise.all(raced.flatMap((key) => [store.get(key), store.put(key, 'new', 0), store.get(key)]));
    expect(await valueOf(kept)).toBe('kept');
  });

  async function loseWatched(): Promise<string> {
    const key = freshKey();
    store.watch(key, () => undefined);
    await store.put(key, 'lost', 0);
    await (await nats.jetstreamManager()).streams.delete(`KV_${BUCKET}`);
    return key;
  }
});
