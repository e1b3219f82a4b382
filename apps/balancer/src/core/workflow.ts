/**
 * Workflows: procedures of many steps, each waiting for the world, written top to bottom in a core without promises.
 *
 * A workflow is a generator that yields suspensions; whoever resolves a suspension resumes it at once, in the same
 * synchronous step. Nothing here knows of time or I/O, so a run is as deterministic as the events that drive it.
 */

/** Something to wait for: `resume` is called once, now or later, with what came of it. */
export type Suspension<T> = (resume: (value: T) => void) => void;

/** A procedure that ends in a `T`. */
export type Workflow<T = void> = Generator<Suspension<unknown>, T, unknown>;

/** Waits for one suspension, with its type: `const reply = yield* wait(ask(...))`. */
export function* wait<T>(suspension: Suspension<T>): Workflow<T> {
  return (yield suspension) as T;
}

/**
 * Runs a workflow until it ends; `then` gets its result. An exception of the workflow is an exception of the step. What is
 * resolved at once is taken up in a loop, so that a long workflow does not grow the stack.
 */
export function run<T>(workflow: Workflow<T>, then: (result: T) => void = () => undefined): void {
  const arrived: unknown[] = [undefined];
  let turning = false;
  const turn = (): void => {
    if (turning) return;
    turning = true;
    while (arrived.length > 0) {
      const next = workflow.next(arrived.shift());
      if (next.done === true) {
        then(next.value);
        return;
      }
      next.value((value) => {
        arrived.push(value);
        turn();
      });
    }
    turning = false;
  };
  turn();
}

/** A workflow as something that another can wait for, so that several may run side by side. */
export function running<T>(workflow: Workflow<T>): Suspension<T> {
  return (resume) => {
    run(workflow, resume);
  };
}

/** Waits for all, side by side; results in the order given. */
export function all<T>(suspensions: readonly Suspension<T>[]): Suspension<T[]> {
  return (resume) => {
    const results = new Array<T>(suspensions.length);
    let missing = suspensions.length;
    if (missing === 0) {
      resume(results);
      return;
    }
    suspensions.forEach((suspension, index) => {
      suspension((value) => {
        results[index] = value;
        missing -= 1;
        if (missing === 0) resume(results);
      });
    });
  };
}

/** Waits for whichever comes first; what the others come to is dropped. */
export function first<T>(suspensions: readonly Suspension<T>[]): Suspension<T> {
  return (resume) => {
    let isOver = false;
    for (const suspension of suspensions) {
      suspension((value) => {
        if (isOver) return;
        isOver = true;
        resume(value);
      });
    }
  };
}

/** Something that happens now and then, and that several may wait for. */
export class Signal {
  private waiting: (() => void)[] = [];

  /** Waits for the next time. */
  next(): Suspension<undefined> {
    return (resume) => {
      this.waiting.push(() => {
        resume(undefined);
      });
    };
  }

  raise(): void {
    for (const wake of this.waiting.splice(0)) wake();
  }
}

/** One at a time, in the order asked for. */
export class Mutex {
  private held = false;
  private readonly queue: (() => void)[] = [];

  /** Waits for its turn; the holder must `release`. */
  acquire(): Suspension<undefined> {
    return (resume) => {
      if (this.held) {
        this.queue.push(() => {
          resume(undefined);
        });
        return;
      }
      this.held = true;
      resume(undefined);
    };
  }

  release(): void {
    const next = this.queue.shift();
    if (next === undefined) this.held = false;
    else next();
  }

  get isHeld(): boolean {
    return this.held;
  }
}
