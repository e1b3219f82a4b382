import { StepContext } from './step-context';
import {
  all,
  first,
  Mutex,
  pooled,
  spawn,
  running,
  Signal,
  type Suspension,
  taking,
  wait,
  type Workflow,
} from './workflow';

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
    spawn(adding(), (sum) => {
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
    spawn(counting(), (sum) => {
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
    const mutex = new Mutex('scrub');
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

describe('waits that are over', () => {
  test('leave nobody behind where they waited', () => {
    const signal = new Signal();
    const context = new StepContext();
    let turns = 0;
    function* waiting(): Workflow {
      for (; turns < 1_000; turns += 1) yield* wait(first([signal.next(), context.sleep(50)]));
    }
    spawn(waiting());
    while (turns < 1_000) {
      if (turns % 2 === 0) signal.raise();
      else {
        context.nowMs += 50;
        context.wakeSleepers();
      }
      expect(signal.size).toBeLessThanOrEqual(1);
      expect(context.sleeping).toBeLessThanOrEqual(1);
    }
    expect([signal.size, context.sleeping]).toEqual([0, 0]);
  });

  test('are forgotten within others that are over', () => {
    const signal = new Signal();
    const other = latch<undefined>();
    let came = 0;
    first([first([signal.next(), signal.next()]), other.suspension])(() => {
      came += 1;
    });
    other.open(undefined);
    expect(signal.size).toBe(0);
    signal.raise();
    expect(came).toBe(1);
  });
});

describe('the first of several waits', () => {
  test('counts alone: what comes of another one later is dropped', () => {
    const [early, late, next] = [latch<string>(), latch<string>(), latch<string>()];
    const seen: string[] = [];
    function* procedure(): Workflow {
      seen.push(yield* wait(first([early.suspension, late.suspension])));
      seen.push(yield* wait(next.suspension));
    }
    spawn(procedure());
    early.open('early');
    late.open('late');
    expect(seen).toEqual(['early']);
    next.open('next');
    expect(seen).toEqual(['early', 'next']);
  });

  test('that is over at once leaves nobody waiting at the others', () => {
    const signal = new Signal();
    const atOnce: Suspension<undefined> = (resume) => {
      resume(undefined);
    };
    first([atOnce, signal.next()])(() => undefined);
    expect(signal.size).toBe(0);
  });
});

describe('the order of locks', () => {
  const never: Suspension<undefined> = () => undefined;

  function* holding(kind: 'write queue' | 'configuration' | 'scrub', name: string, then: () => Workflow): Workflow {
    const drop = taking(kind, name);
    yield* then();
    drop();
  }
  function* taken(kind: 'write queue' | 'configuration' | 'scrub', name: string): Workflow {
    taking(kind, name);
    yield* wait(never);
  }

  test('lets a procedure go down it, and take several write queues and configurations by their names', () => {
    const configurations = (): Workflow => holding('configuration', 'a', () => taken('configuration', 'b'));
    expect(() => {
      spawn(holding('scrub', '', () => holding('write queue', 'a', () => holding('write queue', 'b', configurations))));
    }).not.toThrow();
  });

  test.each<[string, () => Workflow]>([
    ['up', () => holding('configuration', 'a', () => taken('write queue', 'a'))],
    ['write queues out of order', () => holding('write queue', 'b', () => taken('write queue', 'a'))],
    ['one that it holds', () => holding('write queue', 'a', () => taken('write queue', 'a'))],
    ['configurations out of order', () => holding('configuration', 'b', () => taken('configuration', 'a'))],
    [
      'one that it waits for',
      () => holding('configuration', 'a', () => wait(all([running(taken('write queue', 'a'))])) as Workflow<never>),
    ],
  ])('is kept by nobody who takes %s', (_, procedure) => {
    expect(() => {
      spawn(procedure());
    }).toThrow('against the order of locks');
  });

  test('is no matter of those that are merely begun, or of what has been released', () => {
    expect(() => {
      spawn(
        holding('configuration', 'a', function* () {
          spawn(taken('write queue', 'a'));
          yield* wait<undefined>((resume) => {
            resume(undefined);
          });
        }),
      );
      function* oneAfterTheOther(): Workflow {
        yield* holding('configuration', 'a', function* () {
          yield* wait<undefined>((resume) => {
            resume(undefined);
          });
        });
        yield* taken('write queue', 'a');
      }
      spawn(oneAfterTheOther());
    }).not.toThrow();
  });

  test('is seen by a mutex that is waited for, too', () => {
    const configuration = new Mutex('configuration', 'a');
    const queue = new Mutex('write queue', 'a');
    function* procedure(): Workflow {
      yield* wait(configuration.acquire());
      yield* wait(queue.acquire());
    }
    expect(() => {
      spawn(procedure());
    }).toThrow('write queue a is taken while configuration a is held');
  });
});

test('works are carried out so many at a time, and come to their results in the order given', () => {
  const finish: ((value: number) => void)[] = [];
  const work = (index: number) =>
    function* (): Workflow<number> {
      return yield* wait<number>((resume) => {
        finish[index] = resume;
      });
    };
  let results: number[] | undefined;
  spawn(pooled(2, [0, 1, 2, 3].map(work)), (done) => {
    results = done;
  });
  expect(Object.keys(finish)).toEqual(['0', '1']);
  finish[1]?.(11);
  expect(Object.keys(finish)).toEqual(['0', '1', '2']);
  finish[2]?.(12);
  finish[3]?.(13);
  expect(results).toBeUndefined();
  finish[0]?.(10);
  expect(results).toEqual([10, 11, 12, 13]);
});
