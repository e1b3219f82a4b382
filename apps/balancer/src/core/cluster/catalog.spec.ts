import { BUCKET_KEYS } from '#common/contracts/subjects';
import { Catalog } from './catalog';
import { StepContext } from '../kernel/step-context';
import type { CatalogValue, Effect, Result } from '../kernel/effects';
import { spawn, type Workflow } from '../kernel/workflow';

const NO_ANSWER = { ok: false, error: { code: 'OUTCOME_UNKNOWN', message: 'no answer', retryable: true } } as const;
const CONFLICT = { ok: true, value: null } as const;
const EPOCH = 3;

type Ask = Extract<Effect, { do: 'store' | 'readKey' }>;
type Answer = Result<number | null> | Result<CatalogValue | null>;

/** A catalog whose questions to the bucket are answered by the test, one by one. */
class Questions {
  readonly context = new StepContext();
  readonly stepped: string[] = [];
  readonly catalog: Catalog;

  constructor() {
    this.catalog = new Catalog(this.context, (why) => {
      this.stepped.push(why);
      this.catalog.end();
    });
    this.catalog.lead(EPOCH);
  }

  /** Begins it; what it came to will stand in the array. */
  begin<T>(workflow: Workflow<T>): T[] {
    const outcomes: T[] = [];
    spawn(workflow, (outcome) => outcomes.push(outcome));
    return outcomes;
  }

  /** The one question that is open. */
  question(): Ask {
    const asks = this.context.takeEffects() as Ask[];
    expect(asks).toHaveLength(1);
    return asks[0]!;
  }

  /** Expects this question, and answers it. */
  expectAnd(asked: object, answer: Answer): void {
    const ask = this.question();
    expect(ask).toMatchObject(asked);
    this.context.deliver(ask.token, answer);
  }

  expectSilent(): void {
    expect(this.context.takeEffects()).toEqual([]);
  }

  /** The pause before the next attempt is over. */
  pauseEnds(): void {
    this.expectSilent();
    this.context.nowMs += 1_000;
    this.context.wakeSleepers();
  }
}

const stored = (value: object | null, revision: number, by = EPOCH): Answer => ({
  ok: true,
  value: { key: 'k', value: value === null ? null : { ...value, by }, revision },
});

test('knows the newest revision of all, and the newest of anything but the lease', () => {
  const { catalog } = new Questions();
  catalog.saw('a', 5);
  catalog.saw('b', 3);
  expect([catalog.highest, catalog.newestChange]).toEqual([5, 5]);
  catalog.saw(BUCKET_KEYS.leader, 9);
  expect([catalog.highest, catalog.newestChange]).toEqual([9, 5]);
  catalog.saw('b', 8);
  expect([catalog.highest, catalog.newestChange]).toEqual([9, 8]);
});

describe('a value is put', () => {
  test('in place of the revision that was seen, under the epoch of who puts it', () => {
    const world = new Questions();
    world.catalog.saw('k', 7);
    const outcomes = world.begin(world.catalog.put('k', { is: 1 }));
    world.expectAnd({ do: 'store', key: 'k', expected: 7, value: { is: 1, by: EPOCH } }, { ok: true, value: 8 });
    expect(outcomes).toEqual([true]);
    expect(world.catalog.change('k', {}).expected).toBe(8);
  });

  test('again when it is not known what became of it', () => {
    const world = new Questions();
    const outcomes = world.begin(world.catalog.put('k', { is: 1 }));
    world.expectAnd({ do: 'store' }, NO_ANSWER);
    world.pauseEnds();
    world.expectAnd({ do: 'store', expected: 0, value: { is: 1, by: EPOCH } }, { ok: true, value: 1 });
    expect(outcomes).toEqual([true]);
  });

  test('and counts as put when a conflict turns out to be with the earlier attempt', () => {
    const world = new Questions();
    const outcomes = world.begin(world.catalog.put('k', { is: 1 }));
    world.expectAnd({ do: 'store' }, CONFLICT);
    world.expectAnd({ do: 'readKey', key: 'k' }, NO_ANSWER);
    expect([outcomes, world.stepped]).toEqual([[], []]);
    world.pauseEnds();
    world.expectAnd({ do: 'store' }, CONFLICT);
    world.expectAnd({ do: 'readKey' }, stored({ is: 1 }, 4));
    expect([outcomes, world.stepped]).toEqual([[true], []]);
    expect(world.catalog.change('k', {}).expected).toBe(4);
  });

  test.each([
    ['another value', { is: 2 }, EPOCH],
    ['the same value of another leader', { is: 1 }, EPOCH + 1],
  ])('and who finds %s in its place leads no more, and stores nothing more', (_, value, by) => {
    const world = new Questions();
    const outcomes = world.begin(world.catalog.put('k', { is: 1 }));
    world.expectAnd({ do: 'store' }, CONFLICT);
    world.expectAnd({ do: 'readKey' }, stored(value, 4, by));
    expect(outcomes).toEqual([false]);
    expect(world.stepped).toEqual(['another process changed k in the bucket']);
    expect(world.begin(world.catalog.put('other', { is: 1 }))).toEqual([false]);
    world.expectSilent();
  });

  test('and who is given a revision that was there already leads no more: the bucket was rolled back', () => {
    const world = new Questions();
    world.catalog.saw('other', 9);
    const outcomes = world.begin(world.catalog.put('k', { is: 1 }));
    world.expectAnd({ do: 'store' }, { ok: true, value: 9 });
    expect(outcomes).toEqual([false]);
    expect(world.stepped).toEqual(['the bucket was rolled back to an earlier state']);
  });
});

describe('a value is removed', () => {
  test('by a compare-and-set, and that is never asked for where nothing is known to be', () => {
    const world = new Questions();
    expect(world.begin(world.catalog.put('k', null))).toEqual([true]);
    world.expectSilent();
    world.catalog.saw('k', 2);
    const outcomes = world.begin(world.catalog.put('k', null));
    world.expectAnd({ do: 'store', key: 'k', value: null, expected: 2 }, { ok: true, value: 3 });
    expect(outcomes).toEqual([true]);
    expect(world.catalog.change('k', {}).expected).toBe(0);
    expect(world.catalog.highest).toBe(2);
  });

  test('and has been when a conflict turns out to be with the earlier attempt', () => {
    const world = new Questions();
    world.catalog.saw('k', 2);
    const outcomes = world.begin(world.catalog.put('k', null));
    world.expectAnd({ do: 'store' }, CONFLICT);
    world.expectAnd({ do: 'readKey' }, { ok: true, value: null });
    expect([outcomes, world.stepped]).toEqual([[true], []]);
  });
});

describe('a value that is right only for a time', () => {
  const before = { was: 1 };
  const after = { is: 2 };

  /** It was asked for, no answer came, and it is right no more: `before` is rewritten. */
  function withdrawing(): { world: Questions; outcomes: string[] } {
    const world = new Questions();
    world.catalog.saw('k', 5);
    function* never(): Workflow<boolean> {
      yield* [];
      return false;
    }
    const outcomes = world.begin(world.catalog.replace('k', before, after, never));
    world.expectAnd({ do: 'store', value: { is: 2, by: EPOCH }, expected: 5 }, NO_ANSWER);
    world.pauseEnds();
    return { world, outcomes };
  }
  const WITHDRAWAL = { do: 'store', value: { was: 1, by: EPOCH }, expected: 5 };

  test.each([
    ['is stored like any other when it is answered at once', { ok: true, value: 6 } as const, null, 'stored'],
    ['is not when somebody else leads', CONFLICT, stored({ else: 3 }, 6, EPOCH + 1), 'over'],
  ])('%s', (_, answer, read, outcome) => {
    const world = new Questions();
    const unasked = (): Workflow<boolean> => {
      throw new Error('nothing was in doubt');
    };
    const outcomes = world.begin(world.catalog.replace('k', before, after, unasked));
    world.expectAnd({ do: 'store', value: { is: 2, by: EPOCH } }, answer);
    if (read !== null) world.expectAnd({ do: 'readKey' }, read);
    expect(outcomes).toEqual([outcome]);
    world.expectSilent();
  });

  test('is withdrawn by the value before it, so that no earlier attempt comes true later', () => {
    const { world, outcomes } = withdrawing();
    world.expectAnd(WITHDRAWAL, { ok: true, value: 6 });
    expect(outcomes).toEqual(['withdrawn']);
    world.expectSilent();
    expect(world.catalog.change('k', {}).expected).toBe(6);
  });

  test('is stored when the first attempt came true', () => {
    const { world, outcomes } = withdrawing();
    world.expectAnd(WITHDRAWAL, CONFLICT);
    world.expectAnd({ do: 'readKey' }, stored(after, 6));
    expect([outcomes, world.stepped]).toEqual([['stored'], []]);
  });

  test('is withdrawn when an earlier attempt to do so came true', () => {
    const { world, outcomes } = withdrawing();
    world.expectAnd(WITHDRAWAL, NO_ANSWER);
    world.pauseEnds();
    world.expectAnd(WITHDRAWAL, CONFLICT);
    world.expectAnd({ do: 'readKey' }, stored(before, 6));
    world.expectAnd({ do: 'readKey' }, stored(before, 6));
    expect([outcomes, world.stepped]).toEqual([['withdrawn'], []]);
  });

  test('is asked for again as long as the bucket does not answer what it holds', () => {
    const { world, outcomes } = withdrawing();
    world.expectAnd(WITHDRAWAL, CONFLICT);
    world.expectAnd({ do: 'readKey' }, NO_ANSWER);
    world.expectAnd({ do: 'readKey' }, NO_ANSWER);
    expect([outcomes, world.stepped]).toEqual([[], []]);
    world.pauseEnds();
    world.expectAnd(WITHDRAWAL, { ok: true, value: 6 });
    expect(outcomes).toEqual(['withdrawn']);
  });

  test('is nobody’s business any more when somebody else has changed it', () => {
    const { world, outcomes } = withdrawing();
    world.expectAnd(WITHDRAWAL, CONFLICT);
    world.expectAnd({ do: 'readKey' }, stored({ else: 3 }, 6, EPOCH + 1));
    world.expectAnd({ do: 'readKey' }, stored({ else: 3 }, 6, EPOCH + 1));
    expect(world.stepped).toEqual(['another process changed k in the bucket']);
    world.pauseEnds();
    expect(outcomes).toEqual(['over']);
    world.expectSilent();
  });

  test('nor when the bucket was rolled back', () => {
    const { world, outcomes } = withdrawing();
    world.expectAnd(WITHDRAWAL, { ok: true, value: 5 });
    expect(outcomes).toEqual(['over']);
    expect(world.stepped).toEqual(['the bucket was rolled back to an earlier state']);
  });
});
