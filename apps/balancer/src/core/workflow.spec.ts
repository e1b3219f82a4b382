import { all, Mutex, run, running, wait, type Suspension, type Workflow } from './workflow';

/** Something that is resolved by hand. */
function latch<T>(): { suspension: Suspension<T>; open: (value: T) => void } {
  let resume: (value: T) => void = () => undefined;
  return {
    suspension: (then) => {
      resume = then;
    },
    open: (value) => {
      resume(value);
    },
  };
}

describe('workflows', () => {
  test('go on exactly where they waited, in the step in which they are resumed', () => {
    const first = latch<number>();
    const second = latch<number>();
    const seen: number[] = [];
    function* adding(): Workflow<number> {
      const a = yield* wait(first.suspension);
      seen.push(a);
      const b = yield* wait(second.suspension);
      seen.push(b);
      return a + b;
    }
    let result: number | undefined;
    run(adding(), (sum) => {
      result = sum;
    });
    expect(seen).toEqual([]);
    first.open(3);
    expect(seen).toEqual([3]);
    second.open(4);
    expect(result).toBe(7);
  });

  test('a long workflow of waits that end at once does not grow the stack', () => {
    function* counting(): Workflow<number> {
      let sum = 0;
      for (let turn = 0; turn < 200_000; turn += 1) {
        sum += yield* wait<number>((resume) => {
          resume(1);
        });
      }
      return sum;
    }
    let result = 0;
    run(counting(), (sum) => {
      result = sum;
    });
    expect(result).toBe(200_000);
  });

  test('`all` keeps the order of what was asked, whatever order the answers come in', () => {
    const latches = [latch<string>(), latch<string>(), latch<string>()];
    let result: string[] | undefined;
    all(latches.map((each) => each.suspension))((values) => {
      result = values;
    });
    latches[2]?.open('c');
    latches[0]?.open('a');
    expect(result).toBeUndefined();
    latches[1]?.open('b');
    expect(result).toEqual(['a', 'b', 'c']);
  });

  test('`all` of nothing ends at once', () => {
    let ended = false;
    all([])(() => {
      ended = true;
    });
    expect(ended).toBe(true);
  });

  test('a mutex lets one in at a time, in the order of asking', () => {
    const mutex = new Mutex();
    const gates = [latch<null>(), latch<null>(), latch<null>()];
    const log: string[] = [];
    function* visitor(name: string, gate: Suspension<null>): Workflow {
      yield* wait(mutex.acquire());
      log.push(`${name} in`);
      yield* wait(gate);
      log.push(`${name} out`);
      mutex.release();
    }
    let ended = false;
    const names = ['a', 'b', 'c'];
    all(gates.map((gate, index) => running(visitor(names[index] ?? '', gate.suspension))))(() => {
      ended = true;
    });
    expect(log).toEqual(['a in']);
    gates[0]?.open(null);
    expect(log).toEqual(['a in', 'a out', 'b in']);
    gates[1]?.open(null);
    gates[2]?.open(null);
    expect(log).toEqual(['a in', 'a out', 'b in', 'b out', 'c in', 'c out']);
    expect(ended).toBe(true);
    expect(mutex.isHeld).toBe(false);
  });
});
