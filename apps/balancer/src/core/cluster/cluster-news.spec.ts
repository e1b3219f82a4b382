import type { ClusterRecord } from '#common/contracts/node';
import { Cluster } from './cluster';
import { ClusterNews } from './cluster-news';
import { StepContext } from '../kernel/step-context';
import type { Effect } from '../kernel/effects';
import { PUBLISHED_HASH } from './hash-ring';
import { spawn } from '../kernel/workflow';

const LEASE_MS = 1_000;
const SUSPICION = { misses: 1, diskFreeBytes: 0, eventLoopMs: 50, answerMs: 40, answerFactor: 4, pings: 3 };
const SCHEMA = { columns: ['id'], dtypes: ['Number' as const] };
const STAMP = { configId: 4, configEpoch: 2, configVersion: 3 };
const RECORD = { ...STAMP, schema: SCHEMA, servers: ['S0', 'S1'] } as ClusterRecord;

function newsOf(record: ClusterRecord | null): {
  news: ClusterNews;
  cluster: Cluster;
  context: StepContext;
  catalog: { highest: number; newestChange: number };
} {
  const context = new StepContext();
  const cluster = new Cluster(3, SUSPICION, PUBLISHED_HASH);
  cluster.epoch = 2;
  cluster.record = record;
  for (const name of ['S0', 'S1']) cluster.addServer(name, Number(name.slice(1))).starting = false;
  const catalog = { highest: 10, newestChange: 10 };
  return {
    news: new ClusterNews(context, cluster, catalog, { instance: 'i1', leaseMs: LEASE_MS }),
    cluster,
    context,
    catalog,
  };
}

const configs = (context: StepContext): Extract<Effect, { do: 'config' }>[] =>
  context.takeEffects().filter((effect) => effect.do === 'config');

describe('a server is behind', () => {
  test.each<[string, number, { configVersion: number } | null, boolean]>([
    ['when it has no record', 4, null, true],
    ['when it has an older one', 4, { configVersion: 2 }, true],
    ['when it is in an older configuration, though it has the record', 3, { configVersion: 3 }, true],
    ['not when it has this one', 4, { configVersion: 3 }, false],
    ['not when it has a later one', 4, { configVersion: 4 }, false],
  ])('%s', (_, configId, version, isBehind) => {
    const { news } = newsOf(RECORD);
    news.vouch();
    const cluster = version === null ? null : { ...STAMP, ...version };
    expect(news.isBehind({ configId, cluster })).toBe(isBehind);
  });

  test('not before what is found in the catalog is beyond doubt, nor without a configuration', () => {
    expect(newsOf(RECORD).news.isBehind({ configId: 0, cluster: null })).toBe(false);
    const { news } = newsOf(null);
    news.vouch();
    expect(news.isBehind({ configId: 0, cluster: null })).toBe(false);
  });
});

test('a server is ahead when it knows a later record, which only another leader can have made', () => {
  const { news } = newsOf(RECORD);
  expect(news.isAhead(null)).toBe(false);
  expect(news.isAhead(STAMP)).toBe(false);
  expect(news.isAhead({ ...STAMP, configVersion: 2 })).toBe(false);
  expect(news.isAhead({ ...STAMP, configVersion: 4 })).toBe(true);
  expect(newsOf(null).news.isAhead(STAMP)).toBe(false);
});

describe('the record is announced', () => {
  test('to all; whoever does not confirm it, or cannot be asked, is returned', () => {
    const { news, cluster, context } = newsOf(RECORD);
    cluster.addServer('S2', 2);
    const unconfirmed: string[][] = [];
    spawn(news.announce(), (servers) => unconfirmed.push(servers));
    const asks = configs(context);
    expect(asks.map(({ server }) => server)).toEqual(['S0', 'S1']);
    for (const { request } of asks) expect(request).toMatchObject({ configId: 4, epoch: 2, cluster: RECORD });
    context.deliver(asks[0]!.token, { ok: true, value: {} });
    context.deliver(asks[1]!.token, { ok: false, error: { code: 'STORE_FAILED', message: 'no', retryable: true } });
    expect(unconfirmed).toEqual([['S1', 'S2']]);
  });

  test('to one to which it is on its way not once more, until that has come to an end', () => {
    const { news, context } = newsOf(RECORD);
    const confirmed: boolean[] = [];
    const announce = (): void => {
      spawn(news.announceTo('S0'), (isConfirmed) => confirmed.push(isConfirmed));
    };
    announce();
    announce();
    const asks = configs(context);
    expect(asks).toHaveLength(1);
    expect(confirmed).toEqual([false]);
    context.deliver(asks[0]!.token, { ok: true, value: {} });
    announce();
    expect(configs(context)).toHaveLength(1);
    expect(confirmed).toEqual([false, true]);
  });

  test('to nobody who is just leaving: it may hang', () => {
    const { news, cluster, context } = newsOf(RECORD);
    cluster.serverNamed('S0').leaving = true;
    const unconfirmed: string[][] = [];
    spawn(news.announce(), (servers) => unconfirmed.push(servers));
    const asks = configs(context);
    expect(asks.map(({ server }) => server)).toEqual(['S1']);
    context.deliver(asks[0]!.token, { ok: true, value: {} });
    expect(unconfirmed).toEqual([['S0']]);
  });

  test('to nobody when there is none', () => {
    const { news, context } = newsOf(null);
    const confirmed: boolean[] = [];
    spawn(news.announceTo('S0'), (isConfirmed) => confirmed.push(isConfirmed));
    expect(confirmed).toEqual([false]);
    expect(context.takeEffects()).toEqual([]);
  });
});

test('how far the catalog is known is announced again when anything but the lease has changed, and otherwise now and then', () => {
  const { news, cluster, context, catalog } = newsOf(RECORD);
  expect(cluster.mark).toBeNull();
  news.vouch();
  const revision = (): number => cluster.mark!().revision;
  expect(cluster.mark!()).toEqual({ epoch: 2, instance: 'i1', revision: 10 });
  // Renewals of the lease alone.
  catalog.highest = 11;
  context.nowMs += LEASE_MS;
  expect(revision()).toBe(10);
  context.nowMs += LEASE_MS;
  expect(revision()).toBe(11);
  catalog.highest = 13;
  expect(revision()).toBe(11);
  catalog.newestChange = 12;
  expect(revision()).toBe(13);
});
