import fc from 'fast-check';
import { ShardLanes, type LaneGroup, type LaneRequest } from './shard-lane';

const LIMITS = { laneLimit: 100, roundRequests: 1000, roundBytes: 1_000_000 };
const always = (): 'open' => 'open';

function request(id: number, shards: readonly string[], bytes = 10, arrivedMs = 0): LaneRequest {
  const parts = new Map(shards.map((shard) => [shard, { op: { op: 'delete' as const, key: id }, rows: [] }]));
  return { batch: 1, id, parts, name: {}, bytes, arrivedMs };
}

function ids(group: LaneGroup | undefined): number[] {
  return (group?.requests ?? []).map((each) => each.id);
}

describe('the lanes', () => {
  test('requests on different shards go as different rounds, those on one shard as one', () => {
    const lanes = new ShardLanes(LIMITS);
    for (const [id, shard] of ['a', 'b', 'a', 'c'].entries()) lanes.submit(request(id, [shard]));
    const { groups } = lanes.take(always, 0);
    expect(groups.map((group) => [[...group.shards], ids(group)])).toEqual([
      [['a'], [0, 2]],
      [['b'], [1]],
      [['c'], [3]],
    ]);
  });

  test('a request over two shards ties their rounds together', () => {
    const lanes = new ShardLanes(LIMITS);
    lanes.submit(request(1, ['a']));
    lanes.submit(request(2, ['b']));
    lanes.submit(request(3, ['a', 'b']));
    const { groups } = lanes.take(always, 0);
    expect(groups).toHaveLength(1);
    expect(ids(groups[0])).toEqual([1, 2, 3]);
  });

  test('nobody overtakes a request that waits for a lane that is held', () => {
    const lanes = new ShardLanes(LIMITS);
    lanes.submit(request(1, ['a']));
    lanes.take(always, 0);
    lanes.submit(request(2, ['a', 'b']));
    lanes.submit(request(3, ['b']));
    expect(lanes.take(always, 0).groups).toEqual([]);
    lanes.release(['a']);
    expect(lanes.take(always, 0).groups.map(ids)).toEqual([[2, 3]]);
  });

  test('what has gone is not kept, though something always waits', () => {
    const lanes = new ShardLanes(LIMITS);
    lanes.submit(request(0, ['a']));
    for (let id = 1; id <= 1_000; id += 1) {
      lanes.submit(request(id, ['a']));
      lanes.take((_, { id: asked }) => (asked === id - 1 ? 'open' : 'wait'), 0);
      lanes.release(['a']);
      expect(lanes.length('a')).toBe(1);
    }
    expect(lanes.kept).toBeLessThan(10);
  });

  test('a full lane takes nothing more', () => {
    const lanes = new ShardLanes({ ...LIMITS, laneLimit: 2 });
    expect([1, 2, 3].map((id) => lanes.submit(request(id, ['a'])))).toEqual([true, true, false]);
    expect(lanes.length('a')).toBe(2);
    lanes.take(always, 0);
    expect(lanes.length('a')).toBe(0);
  });

  test('a round takes no more than its bytes and its requests, but always one request', () => {
    const lanes = new ShardLanes({ ...LIMITS, roundBytes: 25, roundRequests: 3 });
    lanes.submit(request(1, ['a'], 1000));
    lanes.submit(request(2, ['a'], 10));
    expect(lanes.take(always, 0).groups.map(ids)).toEqual([[1]]);
    lanes.release(['a']);
    for (const id of [3, 4, 5, 6]) lanes.submit(request(id, ['a'], 1));
    expect(lanes.take(always, 0).groups.map(ids)).toEqual([[2, 3, 4]]);
  });

  test('a request shares its round with those of its cohort only, whoever comes first', () => {
    const lanes = new ShardLanes(LIMITS);
    for (const id of [1, 2, 3, 4, 5, 6]) {
      const cohort = { 2: 7, 3: 7, 4: 8, 5: 8 }[id];
      lanes.submit(cohort === undefined ? request(id, ['a']) : { ...request(id, ['a']), cohort });
    }
    for (const expected of [[1], [2, 3], [4, 5], [6]]) {
      expect(lanes.take(always, 0).groups.map(ids)).toEqual([expected]);
      lanes.release(['a']);
    }
  });

  test('a gate that waits keeps requests, one that refuses gives them back, and time runs out', () => {
    const lanes = new ShardLanes(LIMITS);
    lanes.submit(request(1, ['a'], 10, 100));
    lanes.submit(request(2, ['b'], 10, 200));
    const gate = (shard: string): 'wait' | 'refuse' => (shard === 'a' ? 'wait' : 'refuse');
    expect(lanes.take(gate, 50).refused.map((each) => each.id)).toEqual([2]);
    expect(lanes.take(gate, 100).expired).toEqual([]);
    expect(lanes.take(gate, 101).expired.map((each) => each.id)).toEqual([1]);
    expect([lanes.length('a'), lanes.length('b')]).toEqual([0, 0]);
  });

  test('what waits for a lane that is held is refused where the gate refuses, and what stands behind that stays', () => {
    const lanes = new ShardLanes(LIMITS);
    for (const [id, shard] of ['a', 'b'].entries()) lanes.submit(request(id, [shard]));
    lanes.take(always, 0);
    lanes.submit(request(2, ['a']));
    lanes.submit(request(3, ['a', 'b']));
    lanes.submit(request(4, ['b']));
    const gate = (shard: string): 'open' | 'refuse' => (shard === 'a' ? 'refuse' : 'open');
    expect(lanes.refuseHeld(gate).map((each) => each.id)).toEqual([2, 3]);
    expect([lanes.length('a'), lanes.length('b')]).toEqual([0, 1]);
    lanes.release(['a', 'b']);
    expect(lanes.take(always, 0).groups.map(ids)).toEqual([[4]]);
  });

  test('a drained lane holds nothing, and takes new requests', () => {
    const lanes = new ShardLanes(LIMITS);
    lanes.submit(request(1, ['b']));
    lanes.submit(request(2, ['a', 'b']));
    lanes.submit(request(3, ['a']));
    expect(lanes.drain().map((each) => each.id)).toEqual([1, 2, 3]);
    expect([lanes.length('a'), lanes.length('b')]).toEqual([0, 0]);
    expect(lanes.take(always, 1_000)).toEqual({ groups: [], refused: [], expired: [] });
    lanes.submit(request(4, ['a', 'b']));
    expect(lanes.take(always, 0).groups.map(ids)).toEqual([[4]]);
  });

  test('whoever locks a lane comes before the requests that wait', () => {
    const lanes = new ShardLanes(LIMITS);
    lanes.submit(request(1, ['a']));
    lanes.take(always, 0);
    lanes.submit(request(2, ['a']));
    let entered = false;
    lanes.lock('a')(() => {
      entered = true;
    });
    expect(entered).toBe(false);
    lanes.release(['a']);
    expect(entered).toBe(true);
    expect(lanes.take(always, 0).groups).toEqual([]);
    lanes.release(['a']);
    expect(lanes.take(always, 0).groups.map(ids)).toEqual([[2]]);
  });

  test('whatever comes: each request goes once, in order on each shard, and no two rounds share a shard at a time', () => {
    const shards = ['a', 'b', 'c', 'd'];
    const step = fc.oneof(
      fc.record({ submit: fc.subarray(shards, { minLength: 1 }) }),
      fc.record({ finish: fc.nat({ max: 5 }) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const lanes = new ShardLanes({ ...LIMITS, roundRequests: 4 });
        const running: LaneGroup[] = [];
        const gone: number[] = [];
        const order = new Map<string, number[]>();
        let submitted = 0;
        const take = (): void => {
          for (const group of lanes.take(always, -1).groups) {
            for (const other of running) for (const shard of group.shards) expect(other.shards.has(shard)).toBe(false);
            running.push(group);
            for (const each of group.requests) {
              gone.push(each.id);
              for (const shard of each.parts.keys()) order.set(shard, [...(order.get(shard) ?? []), each.id]);
            }
          }
        };
        for (const each of steps) {
          if ('submit' in each) lanes.submit(request(submitted++, each.submit));
          else {
            const [group] = running.splice(each.finish % Math.max(running.length, 1), 1);
            if (group !== undefined) lanes.release(group.shards);
          }
          take();
        }
        while (running.length > 0) {
          lanes.release(running.shift()?.shards ?? []);
          take();
        }
        expect([...gone].sort((a, b) => a - b)).toEqual(Array.from({ length: submitted }, (_, id) => id));
        for (const list of order.values()) expect(list).toEqual([...list].sort((a, b) => a - b));
      }),
      { numRuns: 300 },
    );
  });
});
