import fc from 'fast-check';
import { ShardWriteQueues, type QueuedGroup, type QueuedRequest } from './write-queue';

const LIMITS = { queueLimit: 100, roundRequests: 1000, roundBytes: 1_000_000 };
const always = (): 'open' => 'open';

function request(id: number, shards: readonly string[], bytes = 10, arrivedMs = 0): QueuedRequest {
  const parts = new Map(shards.map((shard) => [shard, { op: { op: 'delete' as const, key: id }, rows: [] }]));
  return { batch: 1, id, parts, name: {}, bytes, arrivedMs };
}

function ids(group: QueuedGroup | undefined): number[] {
  return (group?.requests ?? []).map((each) => each.id);
}

describe('the write queues', () => {
  test('requests on different shards go as different rounds, those on one shard as one', () => {
    const queues = new ShardWriteQueues(LIMITS);
    for (const [id, shard] of ['a', 'b', 'a', 'c'].entries()) queues.enqueue(request(id, [shard]));
    const { groups } = queues.dequeue(always, 0);
    expect(groups.map((group) => [[...group.shards], ids(group)])).toEqual([
      [['a'], [0, 2]],
      [['b'], [1]],
      [['c'], [3]],
    ]);
  });

  test('a request over two shards ties their rounds together', () => {
    const queues = new ShardWriteQueues(LIMITS);
    queues.enqueue(request(1, ['a']));
    queues.enqueue(request(2, ['b']));
    queues.enqueue(request(3, ['a', 'b']));
    const { groups } = queues.dequeue(always, 0);
    expect(groups).toHaveLength(1);
    expect(ids(groups[0])).toEqual([1, 2, 3]);
  });

  test('nobody overtakes a request that waits for a write queue that is held', () => {
    const queues = new ShardWriteQueues(LIMITS);
    queues.enqueue(request(1, ['a']));
    queues.dequeue(always, 0);
    queues.enqueue(request(2, ['a', 'b']));
    queues.enqueue(request(3, ['b']));
    expect(queues.dequeue(always, 0).groups).toEqual([]);
    queues.release(['a']);
    expect(queues.dequeue(always, 0).groups.map(ids)).toEqual([[2, 3]]);
  });

  test('what has gone is not kept, though something always waits', () => {
    const queues = new ShardWriteQueues(LIMITS);
    queues.enqueue(request(0, ['a']));
    for (let id = 1; id <= 1_000; id += 1) {
      queues.enqueue(request(id, ['a']));
      queues.dequeue((_, { id: asked }) => (asked === id - 1 ? 'open' : 'wait'), 0);
      queues.release(['a']);
      expect(queues.length('a')).toBe(1);
    }
    expect(queues.kept).toBeLessThan(10);
  });

  test('a full write queue takes nothing more', () => {
    const queues = new ShardWriteQueues({ ...LIMITS, queueLimit: 2 });
    expect([1, 2, 3].map((id) => queues.enqueue(request(id, ['a'])))).toEqual([true, true, false]);
    expect(queues.length('a')).toBe(2);
    queues.dequeue(always, 0);
    expect(queues.length('a')).toBe(0);
  });

  test('a round takes no more than its bytes and its requests, but always one request', () => {
    const queues = new ShardWriteQueues({ ...LIMITS, roundBytes: 25, roundRequests: 3 });
    queues.enqueue(request(1, ['a'], 1000));
    queues.enqueue(request(2, ['a'], 10));
    expect(queues.dequeue(always, 0).groups.map(ids)).toEqual([[1]]);
    queues.release(['a']);
    for (const id of [3, 4, 5, 6]) queues.enqueue(request(id, ['a'], 1));
    expect(queues.dequeue(always, 0).groups.map(ids)).toEqual([[2, 3, 4]]);
  });

  test('a request shares its round with those of its cohort only, whoever comes first', () => {
    const queues = new ShardWriteQueues(LIMITS);
    for (const id of [1, 2, 3, 4, 5, 6]) {
      const cohort = { 2: 7, 3: 7, 4: 8, 5: 8 }[id];
      queues.enqueue(cohort === undefined ? request(id, ['a']) : { ...request(id, ['a']), cohort });
    }
    for (const expected of [[1], [2, 3], [4, 5], [6]]) {
      expect(queues.dequeue(always, 0).groups.map(ids)).toEqual([expected]);
      queues.release(['a']);
    }
  });

  test('a gate that waits keeps requests, one that refuses gives them back, and time runs out', () => {
    const queues = new ShardWriteQueues(LIMITS);
    queues.enqueue(request(1, ['a'], 10, 100));
    queues.enqueue(request(2, ['b'], 10, 200));
    const gate = (shard: string): 'wait' | 'refuse' => (shard === 'a' ? 'wait' : 'refuse');
    expect(queues.dequeue(gate, 50).refused.map((each) => each.id)).toEqual([2]);
    expect(queues.dequeue(gate, 100).expired).toEqual([]);
    expect(queues.dequeue(gate, 101).expired.map((each) => each.id)).toEqual([1]);
    expect([queues.length('a'), queues.length('b')]).toEqual([0, 0]);
  });

  test('what waits for a write queue that is held is refused where the gate refuses, and what stands behind that stays', () => {
    const queues = new ShardWriteQueues(LIMITS);
    for (const [id, shard] of ['a', 'b'].entries()) queues.enqueue(request(id, [shard]));
    queues.dequeue(always, 0);
    queues.enqueue(request(2, ['a']));
    queues.enqueue(request(3, ['a', 'b']));
    queues.enqueue(request(4, ['b']));
    const gate = (shard: string): 'open' | 'refuse' => (shard === 'a' ? 'refuse' : 'open');
    expect(queues.refuseHeld(gate).map((each) => each.id)).toEqual([2, 3]);
    expect([queues.length('a'), queues.length('b')]).toEqual([0, 1]);
    queues.release(['a', 'b']);
    expect(queues.dequeue(always, 0).groups.map(ids)).toEqual([[4]]);
  });

  test('a drained write queue holds nothing, and takes new requests', () => {
    const queues = new ShardWriteQueues(LIMITS);
    queues.enqueue(request(1, ['b']));
    queues.enqueue(request(2, ['a', 'b']));
    queues.enqueue(request(3, ['a']));
    expect(queues.drain().map((each) => each.id)).toEqual([1, 2, 3]);
    expect([queues.length('a'), queues.length('b')]).toEqual([0, 0]);
    expect(queues.dequeue(always, 1_000)).toEqual({ groups: [], refused: [], expired: [] });
    queues.enqueue(request(4, ['a', 'b']));
    expect(queues.dequeue(always, 0).groups.map(ids)).toEqual([[4]]);
  });

  test('whoever locks a write queue comes before the requests that wait', () => {
    const queues = new ShardWriteQueues(LIMITS);
    queues.enqueue(request(1, ['a']));
    queues.dequeue(always, 0);
    queues.enqueue(request(2, ['a']));
    let entered = false;
    queues.lock('a')(() => {
      entered = true;
    });
    expect(entered).toBe(false);
    queues.release(['a']);
    expect(entered).toBe(true);
    expect(queues.dequeue(always, 0).groups).toEqual([]);
    queues.release(['a']);
    expect(queues.dequeue(always, 0).groups.map(ids)).toEqual([[2]]);
  });

  test('whatever comes: each request goes once, in order on each shard, and no two rounds share a shard at a time', () => {
    const shards = ['a', 'b', 'c', 'd'];
    const step = fc.oneof(
      fc.record({ enqueue: fc.subarray(shards, { minLength: 1 }) }),
      fc.record({ finish: fc.nat({ max: 5 }) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const queues = new ShardWriteQueues({ ...LIMITS, roundRequests: 4 });
        const running: QueuedGroup[] = [];
        const gone: number[] = [];
        const order = new Map<string, number[]>();
        let submitted = 0;
        const take = (): void => {
          for (const group of queues.dequeue(always, -1).groups) {
            for (const other of running) for (const shard of group.shards) expect(other.shards.has(shard)).toBe(false);
            running.push(group);
            for (const each of group.requests) {
              gone.push(each.id);
              for (const shard of each.parts.keys()) order.set(shard, [...(order.get(shard) ?? []), each.id]);
            }
          }
        };
        for (const each of steps) {
          if ('enqueue' in each) queues.enqueue(request(submitted++, each.enqueue));
          else {
            const [group] = running.splice(each.finish % Math.max(running.length, 1), 1);
            if (group !== undefined) queues.release(group.shards);
          }
          take();
        }
        while (running.length > 0) {
          queues.release(running.shift()?.shards ?? []);
          take();
        }
        expect([...gone].sort((a, b) => a - b)).toEqual(Array.from({ length: submitted }, (_, id) => id));
        for (const list of order.values()) expect(list).toEqual([...list].sort((a, b) => a - b));
      }),
      { numRuns: 300 },
    );
  });
});
