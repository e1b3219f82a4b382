/** How a replica is brought in sync: whom it copies from, from where on, what stops it, and when it enters. */
import type { CatchupReply, ConfigReply, DigestReply, PingReply } from '#common/contracts/node';
import type { Result } from '../src/core/kernel/effects';
import type { CoreSettings } from '../src/core/detection/core-settings';
import { wait, spawn } from '../src/core/kernel/workflow';
import {
  clusterRecord,
  done,
  EPOCH,
  PartsOfTheCore,
  shardRecord,
  SILENCE,
  stateOf,
  type Ask,
} from './support/parts-of-the-core';

const SERVERS = ['S0', 'S1', 'S2'];
const VAT = 20;
const HELD_VAT = 15;
const HORIZON_MS = 300;
/** S2 is not in sync. */
const RECORD = shardRecord('a', SERVERS, { inSync: ['S0', 'S1'] });
const PAGE: CatchupReply = { rows: 1, bytes: 10, next: null };
const MORE: CatchupReply = { ...PAGE, next: { key: 1, cat: 1 } };

function failed(code: 'SHARD_UNAVAILABLE' | 'SNAPSHOT_GONE' | 'STORE_FAILED'): Result<never> {
  return { ok: false, error: { code, message: 'no', retryable: true } };
}

/** A leader whose servers do at once what they are asked for, unless the test says otherwise. */
class Copying extends PartsOfTheCore {
  private revision = 1;

  constructor(record = RECORD, settings: Partial<CoreSettings> = {}, others = [] as (typeof RECORD)[]) {
    super(settings);
    const shards = [record, ...others];
    this.serve(
      clusterRecord(
        SERVERS,
        shards.map(({ shard }) => shard),
      ),
      shards,
      VAT,
    );
    this.reply('config', ({ request }) => done(this.stored(request.shards.map(({ shard }) => shard))));
    this.reply('catchup', () => done(PAGE));
    this.reply('digest', () => done(this.digest('1')));
    this.reply('probe', () => done({}));
    this.reply('ping', () => done(this.pulse()));
    this.reply('store', () => done(++this.revision));
  }

  start(): void {
    this.recovery.start(this.server('S2'));
    this.settle();
  }

  /** What the replica reports when it gets the shard's record: unless changed, that `HELD_VAT` is committed. */
  stored(shards: readonly string[] = ['a'], changes: Partial<ReturnType<typeof stateOf>> = {}): ConfigReply {
    return {
      instance: 'i',
      shards: shards.map((id) =>
        stateOf(this.shard(id).record, this.shard(id).vat, { committedVat: HELD_VAT, ...changes }),
      ),
    };
  }
  digest(digest: string): DigestReply {
    return { digest, rows: 1, next: null, records: '' };
  }
  pulse(): PingReply {
    const vitals = { uptimeMs: 1, postgres: 'ok' as const, diskFreeBytes: null, eventLoopDelayMs: null };
    const shards = [...this.cluster.shards.values()].map(({ record, vat }) => stateOf(record, vat));
    return { ...vitals, server: 'S', instance: 'i', epoch: EPOCH, configId: 1, cluster: null, shards };
  }

  /** `source>(from, to]` of every request for pages. */
  get copied(): string[] {
    return this.pages.map(({ request: { source, from, to } }) => `${source}>(${from}, ${to}]`);
  }
  get pages(): Ask<'catchup'>[] {
    return this.asked.filter((ask) => ask.do === 'catchup');
  }
  get isIn(): boolean {
    return this.shard().stateOf('S2') === 'in-sync';
  }
  published(kind: string): Record<string, unknown>[] {
    return this.events.filter((event) => event.kind === kind).map(({ data }) => data);
  }
  /** What may be purged, when the VAT of now is as old as it must be for that. */
  purgeMark(): number {
    this.shard().sample(this.context.nowMs, 1);
    return this.shard().purgeMark(this.context.nowMs + 1, 1);
  }
}

describe('a replica that has its data', () => {
  it('copies what it lacks, shows the same as its source, and enters', () => {
    const world = new Copying();
    world.start();
    expect(world.isIn).toBe(true);
    expect(world.copied).toEqual([`S0>(${HELD_VAT}, ${VAT}]`]);
    expect(world.openAsks()).toEqual([]);
    for (const server of ['S0', 'S2']) expect(world.shard().replicas.get(server)?.proven?.vat).toBe(VAT);
    expect(world.shard().replicas.get('S1')?.proven).toBeNull();
    expect(world.published('shard.insync')).toMatchObject([{ server: 'S2', source: 'S0', resumed: false, pauseMs: 0 }]);
    expect(world.published('shard.syncing')).toMatchObject([{ cause: 'not in sync', resumed: false }]);
  });

  it.each<[string, Partial<ReturnType<typeof stateOf>>, string]>([
    ['copies everything where its committed VAT is above what is committed', { committedVat: VAT + 1 }, `(0, ${VAT}]`],
    ['resumes a difference that was broken off', { copy: { from: 8, to: 18, after: null } as never }, '(8, 18]'],
    ['resumes a snapshot that was broken off', { copy: { from: 0, to: 18, after: null } as never }, '(0, 18]'],
    [
      'does not resume a copy of more than is committed',
      { copy: { from: 8, to: VAT + 1, after: null } as never },
      `(${HELD_VAT}, ${VAT}]`,
    ],
  ])('%s', (_, state, range) => {
    const world = new Copying();
    world.reply('config', () => done(world.stored(['a'], state)));
    world.reply('catchup', () => undefined);
    world.start();
    expect(world.copied).toEqual([`S0>${range}`]);
  });

  it('publishes that an earlier copy is resumed', () => {
    const world = new Copying();
    world.reply('config', () => done(world.stored(['a'], { copy: { from: 0, to: 18, after: null } as never })));
    world.start();
    expect(world.published('shard.syncing')).toMatchObject([
      { cause: 'not in sync; an earlier copy is resumed', resumed: true },
    ]);
    expect(world.copied).toEqual(['S0>(0, 18]', `S0>(18, ${VAT}]`]);
  });

  it('is believed only for the shard in question', () => {
    const world = new Copying();
    const other = { ...stateOf(shardRecord('b', ['S2']), 99, { committedVat: 3 }) };
    world.reply('config', () => done({ instance: 'i', shards: [other, ...world.stored().shards] }));
    world.start();
    expect(world.copied[0]).toBe(`S0>(${HELD_VAT}, ${VAT}]`);
  });

  it('copies everything where it reports nothing of the shard', () => {
    const world = new Copying();
    world.reply('config', () => done({ instance: 'i', shards: [] }));
    world.reply('catchup', () => undefined);
    world.start();
    expect(world.copied).toEqual([`S0>(0, ${VAT}]`]);
  });

  it.each([
    ['a difference', 8, `(0, ${VAT}]`],
    ['everything', 0, '(0, 18]'],
  ])('and was found to be wrong resumes a copy only of everything: of %s', (_, from, range) => {
    const world = new Copying({ ...RECORD, diverged: ['S2'] });
    world.reply('config', () => done(world.stored(['a'], { copy: { from, to: 18, after: null } as never })));
    world.reply('catchup', () => undefined);
    world.start();
    expect(world.copied).toEqual([`S0>${range}`]);
    expect(world.pages[0]?.request.setAside).toBe(true);
  });
});

describe('what a copy needs is not purged', () => {
  it('of a difference what died since its beginning, and nothing any more when the replica is in', () => {
    const world = new Copying();
    world.reply('catchup', () => undefined);
    world.start();
    expect(world.purgeMark()).toBe(HELD_VAT);
    world.reply('catchup', () => done(PAGE));
    world.answer('catchup', done(PAGE));
    expect(world.isIn).toBe(true);
    expect(world.purgeMark()).toBe(VAT);
  });

  it('of a snapshot what is visible at its end', () => {
    const world = new Copying();
    world.reply('config', () => done({ instance: 'i', shards: [] }));
    world.reply('catchup', () => undefined);
    world.start();
    world.shard().vat = VAT + 5;
    expect(world.purgeMark()).toBe(VAT);
  });

  const broken = { from: 8, to: 18, after: null } as never;

  it('for a while where it was broken off, which begins when that is first heard of', () => {
    const world = new Copying();
    const report = (): void => {
      world.recovery.learn('S2', world.stored(['a'], { copy: broken }).shards);
    };
    const markAfter = (ms: number): number => world.shard().purgeMark(ms, 1);
    world.shard().sample(0, 1);
    report();
    expect(markAfter(HORIZON_MS - 1)).toBe(8);
    world.context.nowMs = HORIZON_MS - 1;
    report();
    expect(markAfter(HORIZON_MS)).toBe(VAT);
  });

  it('for as long as it is under way, whatever is heard of it', () => {
    const world = new Copying();
    world.reply('catchup', () => undefined);
    world.start();
    world.recovery.learn('S2', world.stored(['a'], { copy: broken }).shards);
    world.context.nowMs += 10 * HORIZON_MS;
    expect(world.purgeMark()).toBe(HELD_VAT);
  });

  it('for replicas that do not belong here, or are not being copied', () => {
    const world = new Copying();
    world.recovery.learn('S9', world.stored(['a'], { copy: broken }).shards);
    world.recovery.learn('S2', [stateOf(shardRecord('z', ['S2']), 3, { copy: broken })]);
    world.recovery.learn('S2', world.stored().shards);
    expect(world.purgeMark()).toBe(VAT);
  });
});

describe('a copy is made from', () => {
  it('a replica that is healthy rather than from one that is suspect', () => {
    const world = new Copying();
    world.cluster.detector.missed('S0', world.cluster.detector.nextPing('S0', 0));
    expect(world.cluster.health('S0')).toBe('suspect');
    world.start();
    expect(world.copied).toEqual([`S1>(${HELD_VAT}, ${VAT}]`]);
  });

  it.each(['SHARD_UNAVAILABLE', 'SNAPSHOT_GONE'] as const)('the next one at once where one fails: %s', (code) => {
    const world = new Copying();
    world.reply('catchup', ({ request }) => (request.source === 'S0' ? failed(code) : done(PAGE)));
    world.start();
    expect(world.copied.slice(0, 2)).toEqual([`S0>(${HELD_VAT}, ${VAT}]`, `S1>(${HELD_VAT}, ${VAT}]`]);
    expect(world.isIn).toBe(true);
  });

  it('nobody where it is the replica itself that cannot store it', () => {
    const world = new Copying();
    world.reply('catchup', () => failed('STORE_FAILED'));
    world.start();
    expect(world.copied).toEqual([`S0>(${HELD_VAT}, ${VAT}]`]);
    expect(world.allAsks('digest')).toEqual([]);
  });

  it('the first one to its end, also when another one has fewer reads by then', () => {
    const world = new Copying();
    let pages = 0;
    world.reply('catchup', () => {
      pages += 1;
      world.shard().countRead('S0', 1);
      return done(pages === 1 ? MORE : PAGE);
    });
    world.start();
    expect(world.pages.map(({ request }) => request.source)).toEqual(['S0', 'S0']);
  });

  it('another one when the first does not serve any more', () => {
    const world = new Copying();
    world.reply('catchup', () => undefined);
    world.start();
    world.server('S0').dead = true;
    world.answer('catchup', done(MORE));
    expect(world.copied).toEqual([`S0>(${HELD_VAT}, ${VAT}]`, `S1>(${HELD_VAT}, ${VAT}]`]);
  });

  it('never the replica itself, should it count again meanwhile', () => {
    const world = new Copying({ ...RECORD, inSync: ['S0'] });
    world.reply('catchup', () => undefined);
    world.start();
    world.shard().setRecord({ ...RECORD, inSync: ['S2'] });
    world.answer('catchup', done(MORE));
    expect(world.openAsks('catchup')).toEqual([]);
  });

  it.each<[string, (world: Copying) => void]>([
    [
      'the shard is gone',
      (world) => {
        world.cluster.shards.delete('a');
      },
    ],
    [
      'it is no replica any more',
      (world) => {
        world.shard().setRecord({ ...RECORD, replicas: ['S0', 'S1'] });
      },
    ],
  ])('nobody when %s', (_, change) => {
    const world = new Copying();
    world.reply('catchup', () => undefined);
    world.start();
    change(world);
    world.answer('catchup', done(MORE));
    expect(world.openAsks('catchup')).toEqual([]);
  });

  it('everything once more when what it was made from is gone, but not forever', () => {
    const world = new Copying();
    world.reply('catchup', () => failed('SNAPSHOT_GONE'));
    world.start();
    const both = (range: string): string[] => [`S0>${range}`, `S1>${range}`];
    expect(new Set(world.copied)).toEqual(new Set([...both(`(${HELD_VAT}, ${VAT}]`), ...both(`(0, ${VAT}]`)]));
    expect(world.copied).toHaveLength(4);
  });
});

describe('before it enters', () => {
  /** S2 shows something else than the others, forever. */
  const differing = (world: Copying): void => {
    world.reply('digest', ({ server }) => done(world.digest(server === 'S2' ? '2' : '1')));
  };

  it('everything is copied once more where it differs from its source, and not at once a third time', () => {
    const world = new Copying();
    differing(world);
    world.start();
    expect(world.copied).toEqual([`S0>(${HELD_VAT}, ${VAT}]`, `S0>(0, ${VAT}]`]);
    expect(world.pages.map(({ request }) => request.setAside)).toEqual([undefined, true]);
    expect(world.isIn).toBe(false);
  });

  it('nothing follows from a difference that shows when another shard has its name', () => {
    const world = new Copying();
    world.reply('digest', ({ server }) => {
      world.cluster.shards.delete('a');
      return done(world.digest(server === 'S2' ? '2' : '1'));
    });
    world.start();
    expect(world.published('shard.diverged')).toEqual([]);
  });

  it('nothing follows from its silence', () => {
    const world = new Copying();
    const final: Result<never> = { ok: false, error: { code: 'FENCED', message: 'no', retryable: false } };
    world.reply('digest', ({ server }) => (server === 'S2' ? final : done(world.digest('1'))));
    world.start();
    expect(world.copied).toEqual([`S0>(${HELD_VAT}, ${VAT}]`]);
    expect(world.allAsks('digest')).not.toContain('digest S1');
    expect(world.isIn).toBe(false);
  });

  it('it is not believed to be wrong where the members differ, too', () => {
    const world = new Copying();
    world.reply('digest', ({ server }) => done(world.digest(server.slice(1))));
    world.start();
    expect(world.copied).toEqual([`S0>(${HELD_VAT}, ${VAT}]`]);
    expect(world.shard().record.disputed).toBe(true);
  });

  it('what was written while it was compared is copied before the write queue is taken', () => {
    const world = new Copying();
    world.reply('digest', () => {
      world.shard().vat = VAT + 1;
      return done(world.digest('1'));
    });
    world.start();
    expect(world.pages.map(({ request: { to }, isHurried }) => [to, isHurried])).toEqual([
      [VAT, false],
      [VAT + 1, false],
    ]);
    expect(world.isIn).toBe(true);
  });

  it('it is not waited for forever that writers leave little to copy', () => {
    const world = new Copying();
    world.reply('catchup', ({ isHurried }) => {
      if (!isHurried && world.allAsks('digest').length > 0) world.shard().vat += 50;
      return done(PAGE);
    });
    world.reply('digest', () => {
      world.shard().vat = VAT + 50;
      return done(world.digest('1'));
    });
    world.start();
    expect(world.pages.filter(({ isHurried }) => !isHurried)).toHaveLength(1 + 8);
    expect(world.isIn).toBe(true);
  });

  it('it must have got what was written meanwhile', () => {
    const world = new Copying();
    world.reply('digest', () => {
      world.shard().vat = VAT + 1;
      world.reply('catchup', () => failed('STORE_FAILED'));
      return done(world.digest('1'));
    });
    world.start();
    expect(world.allAsks('probe')).toEqual([]);
    expect(world.isIn).toBe(false);
  });

  it('it must show that it stores things in time; else it stays away for a while, and is not published as in sync', () => {
    const world = new Copying();
    world.reply('probe', () => undefined);
    world.start();
    world.pass(world.settings.patience.floorMs);
    expect(world.patience.mayReturn('S2', world.context.nowMs)).toBe(false);
    expect(world.published('shard.insync')).toEqual([]);
    expect(world.writer.queues.isLocked('a')).toBe(false);
    world.answer('probe', done({}));
    expect(world.isIn).toBe(false);
  });

  it('it is not late for having failed at once', () => {
    const world = new Copying();
    world.reply('probe', () => failed('STORE_FAILED'));
    world.start();
    world.pass(world.settings.patience.floorMs);
    expect(world.patience.mayReturn('S2', world.context.nowMs)).toBe(true);
    expect(world.isIn).toBe(false);
  });
});

describe('the last of it is copied with the write queue held', () => {
  /** Something is written after the last difference, and until the write queue is held. */
  class Hurried extends Copying {
    constructor(settings: Partial<CoreSettings> = {}, record = RECORD) {
      super(record, settings);
      this.reply('probe', () => {
        this.shard().vat = VAT + 1;
        return done({});
      });
    }
  }
  const hurried = (world: Copying): Ask<'catchup'>[] => world.pages.filter(({ isHurried }) => isHurried);

  it('and the replica enters when it has that', () => {
    const world = new Hurried();
    world.start();
    expect(hurried(world).map(({ request: { from, to } }) => [from, to])).toEqual([[VAT, VAT + 1]]);
    expect(world.isIn).toBe(true);
    expect(world.writer.queues.isLocked('a')).toBe(false);
  });

  it('without the throttle, in one answer', () => {
    const world = new Hurried({ copyBytesPerS: 100 });
    world.start();
    world.pass(1_000);
    expect(hurried(world)[0]?.request.maxBytes).toBeGreaterThan(1_000);
    expect(world.pages[0]?.request.maxBytes).toBeLessThanOrEqual(100);
    expect(world.isIn).toBe(true);
  });

  it('and where that fails it does not enter', () => {
    const world = new Hurried();
    world.reply('catchup', ({ isHurried }) => (isHurried ? failed('STORE_FAILED') : done(PAGE)));
    world.start();
    expect(world.isIn).toBe(false);
    expect(world.writer.queues.isLocked('a')).toBe(false);
  });

  it('nor when members were found to differ since it began', () => {
    const world = new Hurried();
    world.context.nowMs = 100;
    world.reply('catchup', () => {
      world.shard().divergedMs = world.context.nowMs;
      return done(PAGE);
    });
    world.reply('ping', () => undefined);
    world.start();
    expect(world.allAsks('ping')).toEqual([]);
    expect(world.isIn).toBe(false);
  });

  it.each<[string, (world: Copying) => void]>([
    [
      'has died',
      (world) => {
        world.server('S2').dead = true;
      },
    ],
    [
      'is no replica any more',
      (world) => {
        world.shard().setRecord({ ...RECORD, replicas: ['S0', 'S1'] });
      },
    ],
  ])('and writers do not wait for one that %s meanwhile', (_, change) => {
    const world = new Hurried();
    spawn(wait(world.shard().configLock.acquire()));
    world.reply('catchup', ({ isHurried }) => {
      if (isHurried) change(world);
      return done(PAGE);
    });
    world.start();
    expect(hurried(world)).toHaveLength(1);
    expect(world.shard().writers).toEqual(['S0', 'S1']);
  });

  it('also of a member whose data were gone, which counts again then', () => {
    const world = new Hurried({}, { ...RECORD, inSync: SERVERS });
    world.shard().replicas.get('S2')!.suspended = true;
    world.start();
    expect(world.isIn).toBe(true);
    expect(world.published('shard.insync')).toHaveLength(1);
  });
});

test('nothing is copied as long as nobody knows what the shard has acknowledged', () => {
  const world = new Copying();
  Object.assign(world.shard(), { resolved: false, decided: false });
  world.start();
  expect(world.asked).toEqual([]);
  // A first round that waits for a member which is gone for good ends only when another one has taken its place.
  world.shard().decided = true;
  world.start();
  expect(world.isIn).toBe(true);
});

test('a member whose data is gone is not copied before the first round of the epoch, which it takes no part in, is stored', () => {
  const world = new Copying(shardRecord('a', SERVERS));
  world.shard().suspend('S2', true);
  world.shard().resolved = false;
  world.start();
  expect(world.asked).toEqual([]);
  world.shard().resolved = true;
  world.start();
  expect(world.isIn).toBe(true);
});

test('nothing is copied as long as there is no configuration', () => {
  const world = new Copying();
  world.cluster.record = null;
  world.start();
  world.pass(1_000);
  expect(world.asked).toEqual([]);
});

describe('a server', () => {
  const THREE = ['a', 'b', 'c'].map((id) => shardRecord(id, SERVERS, { inSync: ['S0', 'S1'] }));
  const of3 = (): Copying => new Copying(THREE[0], {}, THREE.slice(1));

  it('is copied two shards at a time, however often it is begun', () => {
    const world = of3();
    world.reply('config', () => undefined);
    world.start();
    world.start();
    expect(world.openAsks('config')).toEqual(['config S2', 'config S2']);
  });

  it('gets no copies as long as it misses its heartbeats', () => {
    const world = new Copying();
    world.cluster.detector.answered('S2', world.cluster.detector.nextPing('S2', 0), 0, {
      ...{ postgres: 'ok', diskFreeBytes: null, eventLoopDelayMs: null },
    });
    world.cluster.detector.missed('S2', world.cluster.detector.nextPing('S2', 0));
    world.start();
    expect(world.asked).toEqual([]);
  });

  it('is published, once, as back with all its replicas, if it was missed', () => {
    const world = of3();
    world.server('S2').downSinceMs = 0;
    world.reply('catchup', () => undefined);
    world.start();
    world.pass(100);
    expect(world.published('server.recovered')).toEqual([]);
    world.reply('catchup', () => done(PAGE));
    world.answer('catchup', done(PAGE));
    world.answer('catchup', done(PAGE));
    world.start();
    expect(world.published('server.recovered')).toMatchObject([{ durationMs: 100 }]);
    expect(world.server('S2').recovering).toBe(false);
  });

  it('is not published as back when nobody missed it', () => {
    const world = of3();
    world.start();
    world.start();
    expect(world.isIn).toBe(true);
    expect(world.published('server.recovered')).toEqual([]);
  });

  it('is not published as back as long as a shard of it has nobody to copy from', () => {
    const world = new Copying();
    world.server('S2').downSinceMs = 0;
    for (const server of ['S0', 'S1']) world.server(server).dead = true;
    world.start();
    expect(world.asked).toEqual([]);
    expect(world.published('server.recovered')).toEqual([]);
  });

  it('that has died is not asked again, nor published as back', () => {
    const world = of3();
    world.server('S2').downSinceMs = 0;
    world.reply('catchup', () => undefined);
    world.start();
    world.server('S2').dead = true;
    for (const shard of world.cluster.shards.values()) shard.setRecord({ ...shard.record, inSync: SERVERS });
    const before = world.asked.length;
    world.answer('catchup', failed('STORE_FAILED'));
    world.answer('catchup', failed('STORE_FAILED'));
    world.pass(2_000);
    expect(world.asked).toHaveLength(before);
    expect(world.published('server.recovered')).toEqual([]);
    expect(world.server('S2').recovering).toBe(false);
  });

  it('that has died is not begun with again while shards of it are missing', () => {
    const world = of3();
    world.reply('catchup', () => undefined);
    world.start();
    world.server('S2').dead = true;
    const before = world.asked.length;
    world.answer('catchup', failed('STORE_FAILED'));
    world.answer('catchup', failed('STORE_FAILED'));
    world.pass(2_000);
    expect(world.asked).toHaveLength(before);
  });

  it('that was replaced by another one of its name is left to that', () => {
    const world = new Copying();
    world.server('S2').downSinceMs = 0;
    world.reply('config', () => undefined);
    world.start();
    world.cluster.removeServer('S2');
    world.health.admit(world.cluster.addServer('S2', 7));
    world.reply('config', () => done(world.stored()));
    world.answer('config', SILENCE);
    world.pass(2_000);
    expect(world.copied).toEqual([]);
    world.start();
    expect(world.isIn).toBe(true);
    expect(world.published('server.recovered')).toEqual([]);
  });
});
