/**
 * Workflows: procedures of many steps, each waiting for the world, written top to bottom in a core without promises.
 *
 * A workflow is a generator that yields suspensions; whoever resolves a suspension resumes it at once, in the same
 * synchronous step. Nothing here knows of time or I/O, so a run is as deterministic as the events that drive it.
 */
import { Holdings, type LockKind } from './lock-order';

/** Returns how to forget who waits, for when nobody wants to know any more what comes of it. */
export type Forgettable = (forget: () => void) => void;

/** Something to wait for: `resume` is called once, now or later, with what came of it. */
export type Suspension<T> = (resume: (value: T) => void, forgettable?: Forgettable) => void;

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
export function spawn<T>(workflow: Workflow<T>, then: (result: T) => void = () => undefined): void {
  turnOver(workflow, then, new Holdings());
}

/** A workflow as something that another can wait for, so that several may run side by side. */
export function running<T>(workflow: Workflow<T>): Suspension<T> {
  return (resume) => {
    turnOver(workflow, resume, new Holdings(atWork));
  };
}

/** What the workflow holds that is at work in this moment. */
let atWork: Holdings | null = null;

function turnOver<T>(workflow: Workflow<T>, then: (result: T) => void, holdings: Holdings): void {
  const arrived: unknown[] = [undefined];
  let turning = false;
  const resume = (value: unknown): void => {
    arrived.push(value);
    turn();
  };
  const turn = (): void => {
    if (turning) return;
    turning = true;
    const before = atWork;
    atWork = holdings;
    let next: IteratorResult<Suspension<unknown>, T> | undefined;
    try {
      while (arrived.length > 0) {
        next = workflow.next(arrived.shift());
        if (next.done === true) break;
        next.value(resume);
      }
    } finally {
      atWork = before;
    }
    if (next?.done === true) then(next.value);
    else turning = false;
  };
  turn();
}

/** Takes note that the workflow at work takes a lock. Returns how to take note that it is released. */
export function taking(kind: LockKind, name: string): () => void {
  const holdings = atWork;
  if (holdings === null) return () => undefined;
  holdings.check(kind, name);
  return holdings.add(kind, name);
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

/** Carries out all works, so many at a time; results in the order given. */
export function* pooled<T>(limit: number, works: readonly (() => Workflow<T>)[]): Workflow<T[]> {
  const results = new Array<T>(works.length);
  let next = 0;
  function* worker(): Workflow {
    while (next < works.length) {
      const place = next++;
      const work = works[place];
      // Each by itself: what one of them still holds is not held by whoever takes the next one.
      if (work !== undefined) results[place] = yield* wait(running(work()));
    }
  }
  yield* wait(all(Array.from({ length: limit }, () => running(worker()))));
  return results;
}

/** Waits for whichever comes first. The others are forgotten; what they come to all the same is dropped. */
export function first<T>(suspensions: readonly Suspension<T>[]): Suspension<T> {
  return (resume, forgettable) => {
    let isOver = false;
    const forgets: (() => void)[] = [];
    const forgetAll = (): void => {
      isOver = true;
      for (const forget of forgets.splice(0)) forget();
    };
    for (const suspension of suspensions) {
      const settle = (value: T): void => {
        if (isOver) return;
        forgetAll();
        resume(value);
      };
      suspension(settle, (forget) => {
        if (isOver) forget();
        else forgets.push(forget);
      });
    }
    forgettable?.(forgetAll);
  };
}

/** Something that happens now and then, and that several may wait for. */
export class Signal {
  private waiting = new Set<() => void>();

  /** Waits for the next time. */
  next(): Suspension<undefined> {
    return (resume, forgettable) => {
      const wake = (): void => {
        resume(undefined);
      };
      this.waiting.add(wake);
      forgettable?.(() => {
        this.waiting.delete(wake);
      });
    };
  }

  raise(): void {
    const woken = this.waiting;
    this.waiting = new Set();
    for (const wake of woken) wake();
  }

  /** How many wait. */
  get size(): number {
    return this.waiting.size;
  }
}

/** One at a time, in the order asked for. */
export class Mutex {
  private held = false;
  private dropHeld: () => void = () => undefined;
  private readonly queue: (() => void)[] = [];

  /** @param kind where it stands in the order of locks */
  constructor(
    private readonly kind: LockKind,
    private readonly name = '',
  ) {}

  /** Waits for its turn; the holder must `release`. */
  acquire(): Suspension<undefined> {
    return (resume) => {
      const drop = taking(this.kind, this.name);
      const enter = (): void => {
        this.dropHeld = drop;
        resume(undefined);
      };
      if (this.held) this.queue.push(enter);
      else {
        this.held = true;
        enter();
      }
    };
  }

  release(): void {
    this.dropHeld();
    this.dropHeld = () => undefined;
    const next = this.queue.shift();
    if (next === undefined) this.held = false;
    else next();
  }

  get isHeld(): boolean {
    return this.held;
  }
}
