import type { CatchupRequest } from '#common/contracts/node';
import { SCHEMA, shardState, UNINFORMED } from '../../test/support/builders';
import { admitCatchUp, admitNextPage, beginCatchUp, storedUpTo } from './catch-up';
import { reportShard, type ReplicaState, type ShardState } from './replica-state';

const AFTER = { key: 7, cat: 3 };

function replica(changed: Partial<ShardState> = {}): ReplicaState {
  const shard = shardState('sh', { currentTerm: 20, committedVat: 18, purgedTo: 5, ...changed });
  return { server: 'Server0', epoch: 4, configId: 1, schema: SCHEMA, ...UNINFORMED, shards: new Map([['sh', shard]]) };
}

function ask(from: number, to: number, changed: Partial<CatchupRequest> = {}): CatchupRequest {
  return { epoch: 4, turn: 9, shard: 'sh', source: 'Server1', from, to, maxBytes: 1000, ...changed };
}

function underWay(from: number, to: number): Partial<ShardState> {
  return { catchUp: { from, to, source: 'Server1', after: AFTER }, copyTurn: { epoch: 4, turn: 8 } };
}

const REFUSED = expect.objectContaining({ code: 'BAD_REQUEST' }) as Error;

it('from the beginning drops everything, and ends as a snapshot that knows nothing older', () => {
  const step = admitCatchUp(replica(), ask(0, 30));
  expect(step.kind).toBe('drop');
  const begun = beginCatchUp(step, ask(0, 30));
  expect(begun).toMatchObject({ currentTerm: 0, committedVat: 0, newestRound: null, catchUp: { from: 0, to: 30 } });
  expect(storedUpTo(begun, null)).toMatchObject({ currentTerm: 30, committedVat: 30, purgedTo: 30, catchUp: null });
});

it('by difference undoes what is above the committed VAT, and keeps its history', () => {
  const step = admitCatchUp(replica(), ask(18, 30));
  expect(step.kind).toBe('undo');
  const ended = storedUpTo(beginCatchUp(step, ask(18, 30)), null);
  expect(ended).toMatchObject({ currentTerm: 30, committedVat: 30, purgedTo: 5, catchUp: null });
});

it('reports how far it has got, and resumes there when the same range is asked for, whatever the source', () => {
  const begun = beginCatchUp(admitCatchUp(replica(), ask(0, 30)), ask(0, 30));
  expect(reportShard(begun)).toMatchObject({ catchingUp: true, copy: null });
  const stored = storedUpTo(begun, AFTER);
  expect(reportShard(stored)).toMatchObject({ copy: { source: 'Server1', from: 0, to: 30, after: AFTER } });
  const again = ask(0, 30, { turn: 10, source: 'Server2' });
  const step = admitCatchUp(replica(stored), again);
  expect(step).toMatchObject({ kind: 'resume', after: AFTER });
  expect(reportShard(beginCatchUp(step, again)).copy).toEqual({ source: 'Server2', from: 0, to: 30, after: AFTER });
});

it.each([
  ['another end', 0, 31],
  ['another start', 18, 30],
])('starts over for %s', (_name, from, to) => {
  const step = admitCatchUp(replica(underWay(0, 30)), ask(from, to));
  expect(step.kind).not.toBe('resume');
  expect(beginCatchUp(step, ask(from, to)).catchUp).toEqual({ from, to, source: 'Server1', after: null });
});

it.each([
  ['leaves a gap', 19, 30],
  ['goes back', 17, 16],
  ['ends below what is committed', 10, 17],
  ['ends before it begins, after everything', 18, 12],
])('is refused when it %s', (_name, from, to) => {
  expect(() => admitCatchUp(replica(), ask(from, to))).toThrow(REFUSED);
});

it('takes a further page only behind the one before, of the same request', () => {
  const ours = { ...underWay(0, 30), copyTurn: { epoch: 4, turn: 9 } };
  expect(admitNextPage(replica(ours), ask(0, 30), { ...AFTER })).toMatchObject({ kind: 'resume', after: AFTER });
  expect(() => admitNextPage(replica(ours), ask(0, 30), { key: 8, cat: 3 })).toThrow(REFUSED);
  expect(() => admitNextPage(replica(underWay(0, 30)), ask(0, 30), AFTER)).toThrow(REFUSED);
  expect(() => admitNextPage(replica(), ask(0, 30), AFTER)).toThrow(REFUSED);
});

it('takes no further page of an earlier epoch, though its turn has the same number', () => {
  const others = { ...underWay(0, 30), copyTurn: { epoch: 3, turn: 9 } };
  expect(() => admitNextPage(replica(others), ask(0, 30), AFTER)).toThrow(REFUSED);
});

it('starts over when no page has arrived yet', () => {
  const none = { catchUp: { from: 18, to: 30, source: 'Server1', after: null } };
  expect(admitCatchUp(replica(none), ask(18, 30)).kind).toBe('undo');
});

it('leaves a shard that is not being filled as it is when a page of before has been stored', () => {
  const [shard] = replica().shards.values();
  expect(storedUpTo(shard!, AFTER)).toBe(shard);
});

it('refuses a request of a configuration that has been replaced, whose shard had the same name', () => {
  expect(admitCatchUp(replica(), ask(0, 30, { configId: 1 })).kind).toBe('drop');
  expect(() => admitCatchUp(replica(), ask(0, 30, { configId: 2 }))).toThrow(REFUSED);
});
