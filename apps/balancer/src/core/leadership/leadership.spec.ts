import fc from 'fast-check';
import { BUCKET_KEYS } from '#common/contracts/subjects';
import { Catalog } from '../cluster/catalog';
import { StepContext } from '../kernel/step-context';
import type { CatalogValue, Effect } from '../kernel/effects';
import { Leadership, type LeaderRecord, type Lease } from './leadership';

const LEASE_MS = 3000;
const TICK_MS = 50;

/** The bucket: one key, every change a compare-and-set. */
class Bucket {
  entry: CatalogValue | null = null;
  revision = 0;

  put(value: unknown, expected: number): number | null {
    if ((this.entry?.revision ?? 0) !== expected) return null;
    this.revision += 1;
    this.entry = { key: BUCKET_KEYS.leader, value: JSON.parse(JSON.stringify(value)), revision: this.revision };
    return this.revision;
  }
}

/** What becomes of one message to the bucket and its answer: how long each takes, and whether it arrives. */
interface Fate {
  thereMs: number;
  backMs: number;
  lost: 'nothing' | 'request' | 'answer';
}

const SMOOTH: Fate = { thereMs: 1, backMs: 1, lost: 'nothing' };
const TIMEOUT_MS = LEASE_MS / 3;

/** A balancer's leadership with a clock of its own, in a world whose time is true. */
class Candidate {
  readonly leases: Lease[] = [];
  deposed: string | null = null;
  isPaused = false;
  /** Cut off from the bucket. */
  isCut = false;
  private readonly context = new StepContext();
  private readonly catalog = new Catalog(this.context, () => undefined);
  readonly leadership: Leadership;

  constructor(
    readonly name: string,
    private readonly world: World,
    private readonly rate: number,
    private readonly offsetMs: number,
  ) {
    const settings = { balancerId: name, instance: name, leaseMs: LEASE_MS };
    const elected = (lease: Lease): void => {
      this.leases.push(lease);
    };
    const deposed = (why: string): void => {
      this.deposed ??= why;
      this.leadership.end();
    };
    this.leadership = new Leadership(this.context, this.catalog, settings, elected, deposed);
  }

  /** Whether it would answer a client at this very moment. */
  get holds(): boolean {
    this.context.nowMs = this.localMs;
    return this.leadership.holds;
  }

  /** Something else is stored in the bucket. */
  saw(key: string, revision: number): void {
    this.catalog.saw(key, revision);
  }

  do(work: () => void): void {
    if (this.isPaused) {
      this.world.after(TICK_MS, () => {
        this.do(work);
      });
      return;
    }
    this.context.nowMs = this.localMs;
    work();
    for (const effect of this.context.takeEffects()) this.perform(effect);
  }

  private get localMs(): number {
    return this.world.nowMs * this.rate + this.offsetMs;
  }

  private perform(effect: Effect): void {
    if (effect.do !== 'store' && effect.do !== 'readKey') throw new Error(`leadership does not ask for ${effect.do}`);
    const { bucket } = this.world;
    this.world.asked[effect.do] += 1;
    const fate = this.world.fate();
    const token = effect.token;
    let isAnswered = false;
    const answer = (outcome: Parameters<StepContext['deliver']>[1]): void => {
      if (isAnswered) return;
      isAnswered = true;
      this.do(() => {
        this.context.deliver(token, outcome);
      });
    };
    this.world.after(TIMEOUT_MS / this.rate, () => {
      answer({ ok: false, error: { code: 'OUTCOME_UNKNOWN', message: 'late', retryable: false } });
    });
    if (fate.lost === 'request' || this.isCut) return;
    this.world.after(fate.thereMs, () => {
      const value = effect.do === 'store' ? bucket.put(effect.value, effect.expected) : bucket.entry;
      if (fate.lost === 'nothing')
        this.world.after(fate.backMs, () => {
          answer({ ok: true, value });
        });
    });
  }
}

/** True time, and everything that is still to happen, in order. */
class World {
  nowMs = 0;
  readonly bucket = new Bucket();
  readonly candidates: Candidate[] = [];
  private readonly queue: { atMs: number; order: number; work: () => void }[] = [];
  private order = 0;
  /** Writes and looks that were asked for. */
  asked = { store: 0, readKey: 0 };
  private fates: Fate[] = [];

  after(ms: number, work: () => void): void {
    this.queue.push({ atMs: this.nowMs + ms, order: this.order++, work });
  }

  /** The fates of the next messages; then all goes smoothly. */
  expect(fates: readonly Fate[]): void {
    this.fates = [...fates];
  }

  fate(): Fate {
    return this.fates.shift() ?? SMOOTH;
  }

  join(name: string, rate = 1, offsetMs = 0): Candidate {
    const candidate = new Candidate(name, this, rate, offsetMs);
    this.candidates.push(candidate);
    const tick = (): void => {
      candidate.do(() => {
        candidate.leadership.tick();
      });
      this.after(TICK_MS, tick);
    };
    tick();
    return candidate;
  }

  /** Every message to the bucket is on its way for so long. */
  slowDown(thereMs: number): void {
    this.fate = () => ({ ...SMOOTH, thereMs });
  }

  /** Runs on; `check` sees the world after every event. */
  run(ms: number, check: () => void = () => undefined): void {
    const endMs = this.nowMs + ms;
    for (;;) {
      this.queue.sort((a, b) => a.atMs - b.atMs || a.order - b.order);
      const next = this.queue[0];
      if (next === undefined || next.atMs > endMs) break;
      this.queue.shift();
      this.nowMs = next.atMs;
      next.work();
      check();
    }
    this.nowMs = endMs;
  }

  get holders(): string[] {
    return this.candidates.filter((candidate) => candidate.holds).map(({ name }) => name);
  }
}

/** Some arrive when whoever sent them has long given them up, and asked for the same again. */
const fate: fc.Arbitrary<Fate> = fc.record({
  thereMs: fc.oneof(fc.integer({ min: 1, max: 1500 }), fc.integer({ min: 1_000, max: 6_000 })),
  backMs: fc.integer({ min: 1, max: 1500 }),
  lost: fc.constantFrom('nothing', 'nothing', 'nothing', 'request', 'answer'),
});

describe('the lease', () => {
  it('goes to one of those who want it, at once when nobody has led yet', () => {
    const world = new World();
    world.join('a');
    world.join('b');
    world.run(200);
    expect(world.holders).toHaveLength(1);
    expect(world.candidates.flatMap(({ leases }) => leases)).toMatchObject([{ epoch: 1, cause: 'nobody has led yet' }]);
  });

  it('stays where it is while it is renewed', () => {
    const world = new World();
    const [a] = [world.join('a'), world.join('b', 1.04), world.join('c', 0.96)];
    world.run(60_000, () => {
      if (world.nowMs > 100) expect(world.holders).toEqual(['a']);
    });
    expect(a.leases).toHaveLength(1);
  });

  it('goes on to another within two lengths of it when the leader stands still, and what comes back is deposed', () => {
    const world = new World();
    const [a, b] = [world.join('a'), world.join('b')];
    world.run(10_123);
    a.isPaused = true;
    const pausedMs = world.nowMs;
    while (!b.holds && world.nowMs < pausedMs + 3 * LEASE_MS) world.run(TICK_MS);
    expect(world.nowMs - pausedMs).toBeLessThanOrEqual(2 * LEASE_MS);
    expect(b.leases).toMatchObject([{ epoch: 2, cause: 'the lease ran out' }]);
    a.isPaused = false;
    expect(a.holds).toBe(false);
    world.run(2000);
    expect(a.deposed).toBe('b leads under epoch 2');
    expect(world.holders).toEqual(['b']);
  });

  it('says since which revision each reign is, from its first renewal on', () => {
    const world = new World();
    const a = world.join('a');
    world.run(1_500);
    a.do(() => {
      a.leadership.release(() => undefined);
    });
    world.run(10);
    const b = world.join('b');
    world.run(1_500);
    const { history } = world.bucket.entry?.value as LeaderRecord;
    expect(history).toMatchObject([
      { epoch: 1, instance: 'a', since: 1 },
      { epoch: 2, instance: 'b' },
    ]);
    expect(b.leases[0]?.history).toEqual(history);
    expect(history?.[1]?.since).toBeGreaterThan(1);
  });

  it('goes on at once when it is released', () => {
    const world = new World();
    const [a, b] = [world.join('a'), world.join('b')];
    world.run(1500);
    let isDone = false;
    a.do(() => {
      a.leadership.release(() => {
        isDone = true;
      });
    });
    expect(a.holds).toBe(false);
    b.do(() => {
      b.leadership.hint();
    });
    world.run(20);
    expect(isDone).toBe(true);
    expect(b.leases).toMatchObject([{ epoch: 2, cause: 'the leader handed over' }]);
  });

  it('lets the next leader begin above an epoch that a replica has seen', () => {
    const world = new World();
    const [a, b] = [world.join('a'), world.join('b')];
    world.run(1500);
    a.do(() => {
      a.leadership.release(() => undefined, 41);
    });
    world.run(2 * LEASE_MS);
    expect(b.leases).toMatchObject([{ epoch: 42, cause: 'the leader handed over' }]);
  });

  it('is not lost with an answer: what was stored is recognised', () => {
    const world = new World();
    const a = world.join('a');
    world.run(100);
    world.expect([{ ...SMOOTH, lost: 'answer' }]);
    world.run(20_000);
    expect(a.leases).toHaveLength(1);
    expect(a.deposed).toBeNull();
    expect(a.holds).toBe(true);
    expect((world.bucket.entry?.value as LeaderRecord).epoch).toBe(1);
  });

  it('is over for a leader that is cut off from the bucket before another has it, at any speed of their clocks', () => {
    // The closest case is that in which the other one has seen the last renewal at once.
    for (let momentMs = 0; momentMs < 1100; momentMs += 50) {
      const world = new World();
      const slow = world.join('slow', 0.955);
      world.run(10_000 + momentMs);
      const fast = world.join('fast', 1.045);
      world.run(10);
      slow.isCut = true;
      world.run(2 * LEASE_MS, () => {
        expect(world.holders.length).toBeLessThanOrEqual(1);
      });
      expect(fast.holds).toBe(true);
    }
  });

  it('is given its full time again when the bucket was out of reach, since nobody could renew it', () => {
    const world = new World();
    const [a, b] = [world.join('a'), world.join('b')];
    world.run(10_000);
    const lost: Fate = { ...SMOOTH, lost: 'request' };
    world.expect(Array.from({ length: 12 }, () => lost));
    world.run(30_000);
    expect(a.leases).toHaveLength(1);
    expect(b.leases).toHaveLength(0);
    expect(a.holds).toBe(true);
  });

  it('is not counted from a later claim than the one that was stored', () => {
    const world = new World();
    const slow = world.join('a', 0.955);
    // The first claim is given up, and arrives when it has been looked whether it has; the second one finds it there.
    const late: Fate[] = [
      { thereMs: 1_500, backMs: 1, lost: 'nothing' },
      { thereMs: 400, backMs: 600, lost: 'nothing' },
    ];
    world.expect(late);
    world.run(1_510);
    expect(world.bucket.entry).not.toBeNull();
    world.expect([]);
    const fast = world.join('b', 1.045);
    const check = (): void => {
      if (slow.leases.length > 0) slow.isCut = true;
      if (slow.holds && fast.holds) throw new Error(`both hold the lease at ${world.nowMs}`);
    };
    world.run(10_000, check);
    expect([slow.leases.length, fast.leases.length]).toEqual([1, 1]);
  });

  it('goes on as soon as it has run out, at whatever moment the leader stands still', () => {
    for (let momentMs = 0; momentMs < 4_000; momentMs += 250) {
      const world = new World();
      const [a, b] = [world.join('a'), world.join('b')];
      world.run(10_000 + momentMs);
      a.isPaused = true;
      const pausedMs = world.nowMs;
      while (!b.holds && world.nowMs < pausedMs + 3 * LEASE_MS) world.run(TICK_MS);
      // Seen a third of the lease after it was written at the latest, and waited for from then on.
      expect(world.nowMs - pausedMs).toBeLessThanOrEqual((1.2 + 1 / 3) * LEASE_MS + 3 * TICK_MS);
    }
  });

  it('goes on no later than it has run out, though the next look would not be due', () => {
    const world = new World();
    const a = world.join('a');
    world.run(1_010);
    a.isCut = true;
    const b = world.join('b');
    const seenMs = world.nowMs;
    while (!b.holds && world.nowMs < seenMs + 3 * LEASE_MS) world.run(TICK_MS);
    expect(world.nowMs - seenMs).toBeLessThanOrEqual(1.2 * LEASE_MS + 3 * TICK_MS);
  });

  it('is taken in the moment in which it is released, when that is announced while it is stored', () => {
    const world = new World();
    const [a, b] = [world.join('a'), world.join('b')];
    world.run(1_500);
    world.expect([{ ...SMOOTH, thereMs: 15 }]);
    a.do(() => {
      a.leadership.release(() => undefined);
    });
    b.do(() => {
      b.leadership.hint();
    });
    world.run(25);
    expect(b.leases).toMatchObject([{ epoch: 2, cause: 'the leader handed over' }]);
  });

  it('is not renewed before its time when the leader hears that its key is written', () => {
    const world = new World();
    const a = world.join('a');
    world.run(1_500);
    const { store } = world.asked;
    for (let time = 0; time < 10; time += 1) {
      a.do(() => {
        a.leadership.hint();
      });
      world.run(2);
    }
    expect(world.asked.store).toBe(store);
  });

  it('is asked for once at a time, however long the bucket takes', () => {
    const world = new World();
    world.slowDown(900);
    world.join('a');
    world.run(850);
    expect(world.asked).toEqual({ store: 0, readKey: 1 });
  });

  it('is not touched by a standby that ends', () => {
    const world = new World();
    const [a, b] = [world.join('a'), world.join('b')];
    world.run(1_500);
    const { store } = world.asked;
    let isDone = false;
    b.do(() => {
      b.leadership.release(() => {
        isDone = true;
      });
    });
    expect(isDone).toBe(true);
    expect(world.asked.store).toBe(store);
    world.run(5_000);
    expect([a.holds, a.deposed]).toEqual([true, null]);
  });

  it('is not taken by one that ended while it asked for it', () => {
    const world = new World();
    world.expect([SMOOTH, { ...SMOOTH, backMs: 500 }]);
    const a = world.join('a');
    world.run(100);
    a.do(() => {
      a.leadership.release(() => undefined);
    });
    world.run(1_000);
    expect(world.bucket.entry).not.toBeNull();
    expect([a.leases.length, a.holds]).toEqual([0, false]);
  });

  it.each<['store' | 'readKey', string]>([
    ['store', 'renewed'],
    ['readKey', 'looked who had written it'],
  ])('is over with one word: what comes (%s) to a leader that ended while it %s is followed by nothing', (asked) => {
    const world = new World();
    const a = world.join('a');
    world.run(1_500);
    world.slowDown(200);
    const writeAsAnother = (): void => {
      const { value, revision } = world.bucket.entry!;
      world.bucket.put({ ...(value as LeaderRecord), instance: 'b', epoch: 2 }, revision);
    };
    if (asked === 'readKey') writeAsAnother();
    const before = world.asked[asked];
    while (world.asked[asked] === before) world.run(TICK_MS);
    a.do(() => {
      a.leadership.end();
    });
    if (asked === 'store') writeAsAnother();
    const { readKey } = world.asked;
    world.run(5_000);
    expect(world.asked.readKey).toBe(readKey);
    expect(a.deposed).toBeNull();
  });

  it('is not given up because the look at it fails that follows a renewal whose answer was lost', () => {
    const world = new World();
    const a = world.join('a');
    world.run(200);
    world.expect([{ ...SMOOTH, lost: 'answer' }, SMOOTH, { ...SMOOTH, lost: 'request' }]);
    world.run(20_000);
    expect([a.deposed, a.holds, a.leases.length]).toEqual([null, true, 1]);
  });

  it('is over when the bucket has forgotten it', () => {
    const world = new World();
    const a = world.join('a');
    world.run(1_500);
    world.bucket.entry = null;
    world.run(LEASE_MS);
    expect(a.deposed).toBe('the bucket knows of no leader any more');
    expect(a.holds).toBe(false);
  });

  it('is over when the bucket was rolled back to an earlier renewal of it: what was lost behind that would be forgotten', () => {
    const world = new World();
    const a = world.join('a');
    world.run(200);
    const { entry, revision } = world.bucket;
    world.run(LEASE_MS);
    expect(a.deposed).toBeNull();
    Object.assign(world.bucket, { entry, revision });
    world.run(LEASE_MS);
    expect(a.deposed).toBe('the bucket was rolled back to an earlier state');
  });

  it('and when only something else was lost, of which the revision is given again', () => {
    const world = new World();
    const a = world.join('a');
    world.run(200);
    a.saw('cluster', world.bucket.revision + 1);
    world.run(LEASE_MS);
    expect(a.deposed).toBe('the bucket was rolled back to an earlier state');
  });

  it('as soon as it sees that, however fast others use up the revisions that were lost', () => {
    const world = new World();
    const a = world.join('a');
    world.run(200);
    const { entry, revision } = world.bucket;
    world.run(LEASE_MS);
    Object.assign(world.bucket, { entry, revision });
    const { readKey } = world.asked;
    world.run(LEASE_MS, () => {
      if (world.asked.readKey > readKey) world.bucket.revision = Math.max(world.bucket.revision, 1_000);
    });
    expect(a.deposed).toBe('the bucket was rolled back to an earlier state');
  });

  it('and not when something else was stored behind a renewal, and was answered first', () => {
    const world = new World();
    const a = world.join('a');
    world.run(200);
    world.slowDown(500);
    world.run(1_000);
    a.saw('cluster', world.bucket.revision + 2);
    world.run(500);
    world.bucket.revision += 1;
    world.run(2 * LEASE_MS);
    expect(a.deposed).toBeNull();
  });

  it('is no present one where this process wrote it under another epoch, before the bucket was rolled back', () => {
    const world = new World();
    const a = world.join('a');
    const record = { epoch: 9, balancer: 'a', instance: 'a', leaseMs: LEASE_MS, renewal: 4 };
    world.bucket.put(record, 0);
    world.run(LEASE_MS);
    expect(a.leases).toEqual([]);
    world.run(LEASE_MS);
    expect(a.leases).toMatchObject([{ epoch: 10, cause: 'the lease ran out' }]);
  });

  it('is never held by two at one moment, and no epoch is led twice, whatever becomes of messages, clocks and processes', () => {
    const someone = fc.record({
      rate: fc.double({ min: 0.955, max: 1.045, noNaN: true }),
      offsetMs: fc.nat(1_000_000),
    });
    const turn = fc.record({
      who: fc.nat(2),
      pauseMs: fc.integer({ min: 0, max: 8000 }),
      fates: fc.array(fate, { maxLength: 8 }),
      forMs: fc.integer({ min: 100, max: 8000 }),
    });
    fc.assert(
      fc.property(
        fc.array(someone, { minLength: 2, maxLength: 3 }),
        fc.array(turn, { maxLength: 8 }),
        (people, turns) => {
          const world = new World();
          people.forEach(({ rate, offsetMs }, index) => world.join(`b${index}`, rate, offsetMs));
          const check = (): void => {
            if (world.holders.length > 1)
              throw new Error(`${world.holders.join(' and ')} hold the lease at ${world.nowMs}`);
          };
          for (const { who, pauseMs, fates, forMs } of turns) {
            const candidate = world.candidates[who % world.candidates.length]!;
            candidate.isPaused = true;
            world.after(pauseMs, () => {
              candidate.isPaused = false;
            });
            world.expect(fates);
            world.run(forMs, check);
          }
          const epochs = world.candidates.flatMap(({ leases }) => leases.map(({ epoch }) => epoch));
          expect(new Set(epochs).size).toBe(epochs.length);
          world.run(20_000, check);
          const living = world.candidates.filter(({ deposed }) => deposed === null);
          if (living.length > 0) expect(world.holders).toHaveLength(1);
        },
      ),
      { numRuns: 60 },
    );
  });
});
