import type { OperationLookupReply } from '#common/contracts/node';
import { Cluster } from '../cluster/cluster';
import { StepContext } from '../kernel/step-context';
import type { Effect, Result } from '../kernel/effects';
import { PUBLISHED_HASH } from '../cluster/hash-ring';
import { OperationLookup } from './operation-lookup';
import { Shard } from '../cluster/shard';
import { spawn } from '../kernel/workflow';

const SUSPICION = { misses: 1, diskFreeBytes: 0, eventLoopMs: 50, answerMs: 40, answerFactor: 4, pings: 3 };
const SILENT = { ok: false, error: { code: 'OUTCOME_UNKNOWN', message: 'no answer', retryable: true } } as const;

type Lookup = Extract<Effect, { do: 'operation' }>;

/** Asks for what became of `change` where these servers hold these shards. */
function find(placed: Record<string, string[]>): {
  context: StepContext;
  cluster: Cluster;
  shards: Map<string, Shard>;
  outcomes: unknown[];
  fenced: string[];
  ask: () => void;
  asks: () => Record<string, string[]>;
  answer: (server: string, outcome: Result<OperationLookupReply>) => void;
} {
  const context = new StepContext();
  const cluster = new Cluster(3, SUSPICION, PUBLISHED_HASH);
  Object.keys(placed).forEach((name, number) => (cluster.addServer(name, number).starting = false));
  const ids = [...new Set(Object.values(placed).flat())].sort();
  const shards = ids.map((shard, low) => {
    const replicas = Object.keys(placed).filter((server) => placed[server]?.includes(shard));
    const stamp = { configId: 1, configEpoch: 1, configVersion: 1 };
    return new Shard({ ...stamp, shard, low, size: 1, replicas, joining: [], inSync: replicas }, true);
  });
  cluster.addShards(shards);
  const fenced: string[] = [];
  const operations = new OperationLookup(context, cluster, ({ message }) => fenced.push(message));
  const outcomes: unknown[] = [];
  let open: Lookup[] = [];
  return {
    ...{ context, cluster },
    shards: new Map(shards.map((shard) => [shard.id, shard])),
    outcomes,
    fenced,
    ask: () => {
      spawn(operations.find('change'), (outcome) => outcomes.push(outcome));
    },
    asks: () => {
      open = context.takeEffects() as Lookup[];
      return Object.fromEntries(open.map(({ server, request }) => [server, request.shards.map(({ shard }) => shard)]));
    },
    answer: (server, outcome) => {
      context.deliver(open.find((ask) => ask.server === server)!.token, outcome);
    },
  };
}

const found = (...rows: [string, number][]): Result<OperationLookupReply> => ({
  ok: true,
  value: { found: rows.map(([shard, ok]) => ({ shard, term: 1, outcome: { ok } })) },
});
const committed = (rows: object): object => ({
  ok: true,
  value: { operation: 'change', outcome: 'committed', ...rows },
});
const UNAVAILABLE = {
  ok: false,
  error: { code: 'SHARD_UNAVAILABLE', message: expect.stringContaining('b') as string },
};

test('each shard is asked of one server, and of as few servers as hold them all', () => {
  const { ask, asks, answer, outcomes } = find({ S0: ['a'], S1: ['a', 'b', 'c'], S2: ['c', 'd'] });
  ask();
  expect(asks()).toEqual({ S1: ['a', 'b', 'c'], S2: ['d'] });
  answer('S1', found(['a', 2], ['b', 1]));
  expect(outcomes).toEqual([]);
  answer('S2', found());
  expect(outcomes).toEqual([committed({ added: 3 })]);
});

test('whoever does not answer is not asked again, but another one in its place', () => {
  const { ask, asks, answer, outcomes } = find({ S0: ['a', 'b'], S1: ['a', 'b'] });
  ask();
  expect(asks()).toEqual({ S0: ['a', 'b'] });
  answer('S0', SILENT);
  expect(asks()).toEqual({ S1: ['a', 'b'] });
  answer('S1', SILENT);
  expect(asks()).toEqual({});
  expect(outcomes).toMatchObject([UNAVAILABLE]);
});

test('nothing is known of a change that nobody has heard of while a shard does not answer', () => {
  const { shards, ask, asks, answer, outcomes } = find({ S0: ['a'], S1: ['b'] });
  // What it holds is not decided yet.
  shards.get('b')!.resolved = false;
  ask();
  expect(asks()).toEqual({ S0: ['a'] });
  answer('S0', found());
  expect(outcomes).toMatchObject([UNAVAILABLE]);
});

test('a change that any shard holds was committed in all, though how many rows it added in a silent one is not known', () => {
  const { ask, asks, answer, outcomes } = find({ S0: ['a'], S1: ['b'] });
  ask();
  asks();
  answer('S0', found(['a', 2]));
  answer('S1', SILENT);
  expect(outcomes).toEqual([committed({})]);
});

test('a change that no shard holds is unknown, and one that was refused is answered with the reason', () => {
  const unknown = find({ S0: ['a'] });
  unknown.ask();
  unknown.asks();
  unknown.answer('S0', found());
  expect(unknown.outcomes).toEqual([{ ok: true, value: { operation: 'change', outcome: 'unknown' } }]);
  const refused = find({ S0: ['a'] });
  refused.ask();
  refused.asks();
  const outcome = { refused: 'KEY_EXISTS' as const, key: 5 };
  refused.answer('S0', { ok: true, value: { found: [{ shard: 'a', term: 1, outcome }] } });
  expect(refused.outcomes).toMatchObject([
    { ok: true, value: { outcome: 'refused', refusal: { code: 'KEY_EXISTS' } } },
  ]);
});

test('a replica that was fenced by a later leader deposes this one; one that is silent does not', () => {
  const { ask, asks, answer, fenced } = find({ S0: ['a'], S1: ['a'] });
  ask();
  asks();
  answer('S0', SILENT);
  expect(fenced).toEqual([]);
  asks();
  answer('S1', { ok: false, error: { code: 'FENCED', message: 'epoch 9', retryable: false } });
  expect(fenced).toEqual(['epoch 9']);
});

test('versions are kept for the question, and released with its answer', () => {
  const { shards, ask, asks, answer } = find({ S0: ['a'] });
  const shard = shards.get('a')!;
  shard.vat = 4;
  ask();
  asks();
  shard.vat = 9;
  shard.sample(0, 0);
  expect(shard.purgeMark(1, 0)).toBe(4);
  answer('S0', found());
  expect(shard.purgeMark(1, 0)).toBe(9);
});

test('what a server answered is asked of another one when members turned out to differ meanwhile: it may be the wrong one', () => {
  const { context, shards, ask, asks, answer, outcomes } = find({ S0: ['a', 'b'], S1: ['a'] });
  context.nowMs = 5;
  ask();
  expect(asks()).toEqual({ S0: ['a', 'b'] });
  shards.get('a')!.divergedMs = 5;
  shards.get('a')!.suspend('S0', true);
  context.nowMs = 6;
  answer('S0', found(['b', 1]));
  expect(outcomes).toEqual([]);
  expect(asks()).toEqual({ S1: ['a'] });
  answer('S1', found(['a', 2]));
  expect(outcomes).toEqual([committed({ added: 3 })]);
});

test('it is asked itself once more when it was not the wrong one', () => {
  const { context, shards, ask, asks, answer, outcomes } = find({ S0: ['a'] });
  ask();
  asks();
  shards.get('a')!.divergedMs = 0;
  context.nowMs = 1;
  answer('S0', found(['a', 1]));
  expect(asks()).toEqual({ S0: ['a'] });
  answer('S0', found(['a', 1]));
  expect(outcomes).toEqual([committed({ added: 1 })]);
});

test('nothing is answered by a shard that has taken the place of the one that was meant', () => {
  const { cluster, ask, asks, answer, outcomes } = find({ S0: ['a'] });
  ask();
  asks();
  cluster.shards.delete('a');
  answer('S0', found(['a', 1]));
  expect(outcomes).toMatchObject([{ ok: false, error: { code: 'CONFIG_CHANGED', retryable: true } }]);
});
