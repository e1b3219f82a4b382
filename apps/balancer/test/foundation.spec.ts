/** What a new leader builds on, piece by piece: `lost-catalog.spec.ts` and `reinit.spec.ts` have the whole picture. */
import type { ClusterRecord, FenceReply } from '#common/contracts/node';
import { ClusterNews } from '../src/core/cluster/cluster-news';
import { CopyRequests } from '../src/core/healing/copy-requests';
import type { Ask, CatalogValue, Result } from '../src/core/kernel/effects';
import { Foundation } from '../src/core/leadership/foundation';
import { Health } from '../src/core/healing/health';
import { Recovery } from '../src/core/healing/recovery';
import type { Shard } from '../src/core/cluster/shard';
import { wait, type Workflow } from '../src/core/kernel/workflow';
import { SETTINGS } from './simulation/balancer';
import { Bench } from './support/bench';
import { EPOCH, SILENCE, stateOf } from './support/parts-of-the-core';

const { nodeStartMs } = SETTINGS;
const SHARDS = ['sh0', 'sh1'];
const CONFIG_ID = 2;

/** A leader that has just been elected, with what it finds: in the bucket, on servers, and at the launcher. */
class Beginning {
  readonly bench = new Bench(2, SHARDS);
  readonly record: ClusterRecord;
  readonly foundation: Foundation;
  /** What the bucket holds; null: it does not answer. */
  bucket: CatalogValue[] | null;
  /** By server what it says when it is fenced; null: nothing as yet, undefined: it does not answer. */
  replies = new Map<string, Partial<FenceReply> | null>();
  /** Servers of which the launcher has data. */
  known = ['S0', 'S1'];
  census: Result<unknown> | null = { ok: true, value: [] };

  constructor() {
    const { bench } = this;
    const { context, cluster, inSyncSets, divergence, writer, patience, settings, catalog, fenced } = bench;
    const shards = SHARDS.map((id) => ({ ...bench.shardOf(id).record, configId: CONFIG_ID }));
    this.record = { ...cluster.record!, configId: CONFIG_ID, born: shards };
    const values = [this.record, ...shards, { epoch: 2, configId: 0 }];
    const keys = ['cluster', 'shard.sh0', 'shard.sh1', 'leader'];
    this.bucket = keys.map((key, index) => ({ key, value: values[index], revision: index + 1 }));
    for (const server of ['S0', 'S1']) this.replies.set(server, {});
    cluster.clear();
    cluster.phase = 'takingOver';
    const requests = new CopyRequests(context, cluster);
    const recovery = new Recovery(context, cluster, inSyncSets, divergence, writer, patience, settings, requests);
    const news = new ClusterNews(context, cluster, catalog, settings);
    const health = new Health(
      context,
      cluster,
      inSyncSets,
      recovery,
      patience,
      settings,
      news,
      () => undefined,
      fenced,
    );
    this.foundation = new Foundation(context, cluster, catalog, news, health, settings, fenced);
    bench.answer = (ask) => this.answer(ask);
  }

  answer(ask: Ask): Result<unknown> | null | undefined {
    if (ask.do === 'load') return this.bucket === null ? SILENCE : { ok: true, value: this.bucket };
    if (ask.do === 'listNodes') return { ok: true, value: this.known };
    if (ask.do === 'census') return this.census;
    if (ask.do !== 'fence') return undefined;
    const reply = this.replies.get(ask.server);
    if (reply === undefined || reply === null) return reply === null ? null : SILENCE;
    return { ok: true, value: this.reply(reply) };
  }

  reply(more: Partial<FenceReply> = {}): FenceReply {
    return { instance: 'i', configId: CONFIG_ID, prepared: null, shards: [], cluster: null, mark: null, ...more };
  }

  /** Lets it build the cluster. */
  lay(ms = 0): { result?: boolean } {
    const done = this.bench.begin(this.foundation.lay({ history: [] }));
    this.bench.pass(ms);
    return done;
  }

  without(key: string): void {
    this.bucket = this.bucket?.filter((entry) => entry.key !== key) ?? null;
  }
  get stores(): string[] {
    return this.bench.asked('store').map(({ key }) => key);
  }
  get shardIds(): string[] {
    return [...this.bench.cluster.shards.keys()];
  }
}

const later = (record: ClusterRecord): ClusterRecord => ({ ...record, configVersion: record.configVersion + 1 });

describe('the bucket', () => {
  it('is rewritten under our epoch, all but the lease, and nothing beside that', () => {
    const beginning = new Beginning();
    expect(beginning.lay().result).toBe(true);
    expect(beginning.shardIds).toEqual(SHARDS);
    expect(beginning.stores).toEqual(['cluster', 'shard.sh0', 'shard.sh1']);
    for (const { value, expected } of beginning.bench.asked('store')) {
      expect(value).toMatchObject({ by: 3, configId: CONFIG_ID });
      expect(expected).toBeGreaterThan(0);
    }
  });

  it('is asked until it answers: it is not empty because it does not', () => {
    const beginning = new Beginning();
    const { bucket } = beginning;
    beginning.bucket = null;
    const done = beginning.lay(500);
    expect(done.result).toBeUndefined();
    expect(beginning.bench.cluster.phase).toBe('takingOver');
    beginning.bucket = bucket;
    beginning.bench.pass(100);
    expect(done.result).toBe(true);
  });

  it.each<[string, Result<unknown>]>([
    ['somebody else has just changed it', { ok: true, value: null }],
    ['it did not answer', SILENCE],
  ])('is loaded once more when %s', (_, outcome) => {
    const beginning = new Beginning();
    const { bench } = beginning;
    let isFirst = true;
    bench.answer = (ask) => {
      if (ask.do !== 'store' || !isFirst) return beginning.answer(ask);
      isFirst = false;
      return outcome;
    };
    const done = beginning.lay();
    expect(done.result).toBeUndefined();
    bench.pass(100);
    expect(done.result).toBe(true);
    expect(bench.asked('load')).toHaveLength(2);
  });

  it('is let go when somebody else leads by now', () => {
    const beginning = new Beginning();
    beginning.bucket = null;
    const done = beginning.lay(200);
    beginning.bench.cluster.phase = 'steppedDown';
    beginning.bench.pass(100);
    expect(done.result).toBe(false);
    beginning.bench.forget();
    beginning.bench.pass(1_000);
    expect(beginning.bench.effects).toEqual([]);
  });

  it('names ids of configurations that are not given away again', () => {
    for (const heard of [0, 20]) {
      const beginning = new Beginning();
      beginning.bench.cluster.highestConfigId = heard;
      beginning.bucket!.push({ key: 'shard.old', value: { configId: 9 }, revision: 5 });
      beginning.lay();
      expect(beginning.bench.cluster.nextConfigId()).toBe(heard === 0 ? 10 : 21);
    }
  });
});

describe('a shard', () => {
  it('that the bucket lacks is as it was born, and is stored so', () => {
    const beginning = new Beginning();
    beginning.without('shard.sh1');
    expect(beginning.lay().result).toBe(true);
    expect(beginning.shardIds).toEqual(SHARDS);
    expect(beginning.bench.stored.get('shard.sh1')).toMatchObject({ shard: 'sh1', configId: CONFIG_ID, by: 3 });
  });

  it('of which nothing is known at all is left out', () => {
    const beginning = new Beginning();
    const record = { ...beginning.record, shards: [...SHARDS, 'sh9'] };
    beginning.bucket![0] = { key: 'cluster', value: record, revision: 1 };
    expect(beginning.lay().result).toBe(true);
    expect(beginning.shardIds).toEqual(SHARDS);
  });

  it('of a configuration that could not be stored is not served', () => {
    const beginning = new Beginning();
    const { bench, record } = beginning;
    beginning.bucket = [];
    beginning.replies.set('S0', { cluster: record });
    bench.answer = (ask) => {
      if (ask.do === 'store') return { ok: true, value: null };
      if (ask.do === 'readKey') return { ok: true, value: { key: ask.key, value: { by: 9 }, revision: 99 } };
      return beginning.answer(ask);
    };
    expect(beginning.lay(nodeStartMs).result).toBe(false);
    expect(bench.over).not.toEqual([]);
  });
});

it('nothing is built when somebody else leads by the time at which servers have answered', () => {
  const beginning = new Beginning();
  const { bench } = beginning;
  for (const server of ['S0', 'S1']) beginning.replies.set(server, null);
  const done = beginning.lay();
  bench.cluster.phase = 'steppedDown';
  for (const ask of [...bench.open]) bench.resolve(ask, { ok: true, value: beginning.reply() });
  bench.pass(nodeStartMs + 100);
  expect(done.result).toBe(false);
  expect(beginning.shardIds).toEqual([]);
});

it('a server that had to be started may take the time that a start takes', () => {
  const beginning = new Beginning();
  beginning.replies.delete('S1');
  beginning.lay(nodeStartMs);
  expect(beginning.foundation.patienceFor('S1')).toBe(nodeStartMs);
  expect(beginning.foundation.patienceFor('S0')).toBe(0);
});

describe('without a configuration', () => {
  /** Nothing is found; S0 holds data of the configuration 1, S1 does not answer yet. */
  function nothing(): Beginning {
    const beginning = new Beginning();
    beginning.bucket = [];
    beginning.replies = new Map([
      ['S0', { configId: 1 }],
      ['S1', null],
    ]);
    const done = beginning.lay(nodeStartMs + 100);
    expect(done.result).toBe(false);
    expect(beginning.bench.cluster.phase).toBe('unconfigured');
    return beginning;
  }
  const present = (configId: number): Result<unknown> => ({
    ok: true,
    value: [
      { server: 'S0', configId: 1 },
      { server: 'S5', configId },
    ],
  });

  it.each([
    [0, 'empty', 0],
    [2, 'with one', 1],
  ])('a server that answers late starts it over only with a configuration: %s, %s', (configId, _, times) => {
    const beginning = nothing();
    const { bench } = beginning;
    const ask = bench.open.find((one) => one.do === 'fence')!;
    bench.resolve(ask, { ok: true, value: beginning.reply({ configId }) });
    expect(bench.over).toHaveLength(times);
  });

  it('it is looked for servers that hold one of which nothing was known', () => {
    const beginning = nothing();
    const { bench } = beginning;
    beginning.census = SILENCE;
    bench.pass(2_000);
    beginning.census = present(0);
    bench.pass(2_000);
    expect(bench.over).toEqual([]);
    beginning.census = present(1);
    bench.pass(1_100);
    expect(bench.over).toHaveLength(1);
  });

  it('there is one by the time at which somebody is found', () => {
    const beginning = nothing();
    const { bench } = beginning;
    beginning.census = null;
    bench.pass(2_000);
    bench.cluster.phase = 'configuring';
    bench.resolve(
      bench.open.find((one) => one.do === 'census')!,
      present(9),
    );
    expect(bench.over).toEqual([]);
  });
});

describe('a server that knows of another configuration', () => {
  it.each<[string, (record: ClusterRecord) => ClusterRecord | null]>([
    ['none', (): null => null],
    ['ours', (record): ClusterRecord => record],
    ['an older one', (record): ClusterRecord => ({ ...record, configVersion: 0 })],
  ])('%s changes nothing', (_, reported) => {
    const beginning = new Beginning();
    const { bench, foundation, record } = beginning;
    beginning.lay();
    bench.forget();
    bench.begin(foundation.hear({ cluster: reported(record) }));
    expect(bench.effects).toEqual([]);
    expect(bench.over).toEqual([]);
  });

  it('a later one is stored for whoever leads next, and we give way', () => {
    const beginning = new Beginning();
    const { bench, foundation, record } = beginning;
    beginning.lay();
    beginning.replies.set('S1', { cluster: later(record) });
    bench.begin(foundation.ask('S1'));
    expect(bench.stored.get('cluster')).toMatchObject({ configVersion: record.configVersion + 1 });
    expect(bench.over).toHaveLength(1);
  });

  it('a later one is nothing to us where somebody else leads already', () => {
    const beginning = new Beginning();
    const { bench, foundation, record } = beginning;
    beginning.lay();
    bench.catalog.end();
    bench.begin(foundation.hear({ cluster: later(record) }));
    expect(bench.over).toEqual([]);
  });

  it('changes nothing when it does not answer', () => {
    const beginning = new Beginning();
    beginning.lay();
    beginning.replies.delete('S1');
    beginning.bench.forget();
    beginning.bench.begin(beginning.foundation.ask('S1'));
    expect(beginning.stores).toEqual([]);
  });

  it.each([
    ['S9', 1],
    ['S1', 0],
  ])('is heard when it answers late, unless it is one of ours, which is asked anyway: %s', (server, times) => {
    const beginning = new Beginning();
    const { bench, record } = beginning;
    beginning.known = ['S0', 'S1', 'S9'];
    record.servers.push('S2');
    beginning.replies.set('S2', {});
    beginning.replies.set('S9', {});
    beginning.replies.set(server, null);
    expect(beginning.lay(1_000).result).toBe(true);
    const ask = bench.open.find((one) => one.do === 'fence')!;
    bench.resolve(ask, { ok: true, value: beginning.reply({ cluster: later(record) }) });
    expect(bench.over).toHaveLength(times);
  });
});

function* answered(value: boolean): Workflow<boolean> {
  return yield* wait((resume) => {
    resume(value);
  });
}
const proven = (): Workflow<boolean> => answered(true);
const unproven = (): Workflow<boolean> => answered(false);

describe('servers that hold nothing of this configuration', () => {
  function withStrays(): Beginning {
    const beginning = new Beginning();
    beginning.known = ['S0', 'S1', 'empty', 'older', 'newer', 'silent'];
    beginning.replies.set('empty', { configId: 0 });
    beginning.replies.set('older', { configId: 1 });
    beginning.replies.set('newer', { configId: 5 });
    beginning.lay(nodeStartMs + 100);
    beginning.bench.forget();
    return beginning;
  }
  const removed = ({ bench, foundation }: Beginning): string[] => {
    bench.begin(foundation.settle(proven));
    return bench.asked('removeNode').map(({ server }) => server);
  };

  it('are removed, but none that may know better, or has not said what it holds', () => {
    expect(removed(withStrays())).toEqual(['empty', 'older']);
  });

  it('are kept while the bucket is in doubt, as far as they hold anything', () => {
    const beginning = withStrays();
    beginning.foundation.doubt();
    expect(removed(beginning)).toEqual(['empty']);
  });

  it('are left to an administrator whose command is under way, and removed once it is over', () => {
    const beginning = withStrays();
    const { bench } = beginning;
    bench.cluster.isReshaping = true;
    expect(removed(beginning)).toEqual([]);
    bench.cluster.addServer('older', 7);
    bench.cluster.isReshaping = false;
    bench.pass(1_100);
    expect(bench.asked('removeNode').map(({ server }) => server)).toEqual(['empty']);
  });

  it.each([
    ['older', 1, ['late']],
    ['newer', CONFIG_ID + 1, []],
  ])('are removed also when they had to be started and answer after all the others: %s', (_, configId, expected) => {
    const beginning = new Beginning();
    const { bench, foundation } = beginning;
    beginning.known = ['S0', 'S1', 'late'];
    beginning.replies.set('late', null);
    expect(beginning.lay(1_000).result).toBe(true);
    bench.begin(foundation.settle(proven));
    expect(bench.asked('removeNode')).toEqual([]);
    const ask = bench.open.find((one) => one.do === 'fence')!;
    bench.resolve(ask, { ok: true, value: beginning.reply({ configId }) });
    expect(bench.asked('removeNode').map(({ server }) => server)).toEqual(expected);
  });

  it('are left alone when they answer late and the launcher has no data of them', () => {
    const beginning = new Beginning();
    const { bench, foundation } = beginning;
    beginning.census = { ok: true, value: [{ server: 'foreign', configId: 1 }] };
    beginning.replies.set('foreign', null);
    expect(beginning.lay(1_000).result).toBe(true);
    bench.begin(foundation.settle(proven));
    const ask = bench.open.find((one) => one.do === 'fence')!;
    bench.resolve(ask, { ok: true, value: beginning.reply({ configId: 1 }) });
    expect(bench.asked('removeNode')).toEqual([]);
  });

  it('are looked for among those alone that are no members: nobody is asked about the shards of these', () => {
    const beginning = new Beginning();
    const { bench, foundation } = beginning;
    for (const server of ['S0', 'S1'])
      beginning.replies.set(server, { shards: [stateOf({ ...beginning.record.born[0]!, configId: CONFIG_ID }, 5)] });
    beginning.lay();
    const asked: string[] = [];
    const askMembers = (shards: readonly Shard[]): Workflow<boolean> => {
      asked.push(...shards.map(({ id }) => id));
      return proven();
    };
    bench.begin(foundation.settle(askMembers));
    expect(asked).toEqual([]);
  });

  it('are removed without a word of members when what they hold is of an earlier configuration', () => {
    const beginning = withStrays();
    const { bench, foundation, record } = beginning;
    const state = stateOf({ ...record.born[0]!, configId: 1 }, 5);
    beginning.foundation.heard('older')!.shards.push(state);
    bench.begin(foundation.settle((shards) => (shards.length === 0 ? proven() : unproven())));
    bench.pass(2_000);
    expect(bench.asked('removeNode').map(({ server }) => server)).toEqual(['empty', 'older']);
  });

  it.each([
    ['nothing was written there', 0, ['leftover']],
    ['something was', 4, []],
  ])('are removed with a shard that nobody else knows when %s', (_, term, expected) => {
    const beginning = new Beginning();
    const { bench, foundation, record } = beginning;
    beginning.known = ['S0', 'S1', 'leftover'];
    const state = stateOf({ ...record.born[0]!, shard: 'sh7', configId: CONFIG_ID }, term);
    beginning.replies.set('leftover', { shards: [state] });
    beginning.lay();
    bench.begin(foundation.settle(proven));
    expect(bench.asked('removeNode').map(({ server }) => server)).toEqual(expected);
  });

  it('are left alone by a leader that is none any more', () => {
    const beginning = withStrays();
    beginning.bench.cluster.phase = 'steppedDown';
    expect(removed(beginning)).toEqual([]);
  });
});

describe('a configuration that is prepared on a server', () => {
  function switching(prepared: number | null): { beginning: Beginning; reply: FenceReply; done: { result?: unknown } } {
    const beginning = new Beginning();
    const { bench, foundation } = beginning;
    beginning.lay();
    bench.cluster.mark = () => ({ epoch: EPOCH, instance: 'L1', revision: 1 });
    const reply = beginning.reply({ prepared });
    bench.forget();
    return { beginning, reply, done: bench.begin(foundation.switched('S0', reply)) };
  }

  it('comes into force there, too, where it has: what it holds then is what counts', () => {
    const { beginning, reply, done } = switching(CONFIG_ID);
    const request = beginning.bench.asked('config')[0]?.request;
    expect(request).toMatchObject({ configId: CONFIG_ID, cluster: { configId: CONFIG_ID } });
    expect(request).not.toHaveProperty('stage');
    // It is asked after that whether anybody else has used our epoch.
    expect(request).not.toHaveProperty('mark');
    expect(beginning.bench.asked('fence')).toHaveLength(1);
    expect(done.result).not.toBe(reply);
    expect(done.result).toMatchObject({ configId: CONFIG_ID });
  });

  it('is discarded where it has not', () => {
    const { beginning, reply, done } = switching(7);
    const request = beginning.bench.asked('config')[0]?.request;
    expect(request).toMatchObject({ configId: 7, stage: 'discard' });
    expect(request).not.toHaveProperty('cluster');
    expect(request).not.toHaveProperty('mark');
    expect(beginning.bench.asked('fence')).toEqual([]);
    expect(done.result).toBe(reply);
  });

  it('keeps a server from counting as long as it could not be put into force', () => {
    const beginning = new Beginning();
    const { bench, foundation } = beginning;
    beginning.lay();
    bench.answer = (ask) => (ask.do === 'config' ? SILENCE : beginning.answer(ask));
    expect(bench.begin(foundation.switched('S0', beginning.reply({ prepared: CONFIG_ID }))).result).toBeNull();
  });

  it('is nothing to ask about where there is none, or none in force either', () => {
    const { beginning, reply, done } = switching(null);
    expect(done.result).toBe(reply);
    expect(beginning.bench.effects).toEqual([]);
    beginning.bench.cluster.clear();
    const other = beginning.reply({ prepared: 7 });
    expect(beginning.bench.begin(beginning.foundation.switched('S0', other)).result).toBe(other);
    expect(beginning.bench.effects).toEqual([]);
  });
});
