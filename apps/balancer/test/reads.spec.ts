/** Reads: who is asked, who is asked next, what an answer must be to count, and for how long a snapshot is kept. */
import type { RangeRead } from '#common/contracts/commands';
import type { Ask, Result } from '../src/core/kernel/effects';
import { Reader } from '../src/core/requests/reader';
import { Bench, FENCED, VAT } from './support/bench';
import { EPOCH, SILENCE } from './support/parts-of-the-core';

type ReadOne = Extract<Ask, { do: 'readOne' }>;

const SERVERS = ['S0', 'S1', 'S2'];
const ROW = '{"id":1}';
/** The range of one read may be anything; a shard of the bench has ten keys. */
const ALL = { low: -1_000, high: 1_000 };

/** A reader of shards whose replicas answer nothing by themselves. */
class ReadBench extends Bench {
  readonly reader = new Reader(this.context, this.cluster, this.settings, this.fenced);
  private nextRead = 1;

  constructor(shards?: readonly string[]) {
    super(SERVERS.length, shards);
    this.answer = (ask) => (ask.do === 'readOne' ? null : undefined);
    this.tick = () => {
      this.reader.tick();
    };
  }

  /** Sends a read; what is said to it stands in `answerTo`. */
  read(low: number, high = low): number {
    const id = this.nextRead++;
    this.reader.read({ batch: 1, id, low, high });
    this.settle();
    return id;
  }

  answerTo(id: number): object | undefined {
    const answers = this.effects.flatMap((effect) => (effect.do === 'answer' ? [effect.answered] : []));
    return answers.find(({ result }) => result.id === id);
  }

  /** Whom the reader of a range is to ask. */
  plan(low: number, high: number): RangeRead['plan'] {
    const { result } = this.answerTo(this.read(low, high)) as { result: RangeRead };
    return result.plan;
  }

  /** Servers that were asked, in order. */
  get askedServers(): string[] {
    return this.asked('readOne').map(({ server }) => server);
  }

  /** The server that was asked says so. */
  reply(outcome: Result<string | null>, server?: string): void {
    const ask = this.open.find((one) => one.do === 'readOne' && (server ?? one.server) === one.server) as ReadOne;
    this.resolve(ask, outcome);
  }

  /** Whom so many reads go to, one after the other. */
  spread(count = 100): Set<string> {
    this.forget();
    for (let read = 0; read < count; read += 1) {
      this.read(1);
      this.reply({ ok: true, value: null });
    }
    return new Set(this.askedServers);
  }
}

const found = { result: { shards: ['sh0'], count: 1 }, row: ROW };
const refused = (code: string): object => ({ result: { error: { code } } });

let bench: ReadBench;
beforeEach(() => {
  bench = new ReadBench();
});

describe('a read is answered by', () => {
  it('a member of the in-sync set whose data counts and whose server runs, and by all of these in turn', () => {
    expect(bench.spread()).toEqual(new Set(SERVERS));
    bench.shard.suspend('S2', true);
    expect(bench.spread()).toEqual(new Set(['S0', 'S1']));
    expect(bench.plan(0, 9).parts[0]?.servers.sort()).toEqual(['S0', 'S1']);
    bench.shard.suspend('S2', false);
    bench.shard.setRecord({ ...bench.shard.record, inSync: ['S1', 'S2'] });
    expect(bench.spread()).toEqual(new Set(['S1', 'S2']));
    expect(bench.plan(0, 9).parts[0]?.servers.sort()).toEqual(['S1', 'S2']);
    bench.cluster.servers.get('S1')!.starting = true;
    expect(bench.spread()).toEqual(new Set(['S2']));
    expect(bench.plan(0, 9).parts[0]?.servers).toEqual(['S2']);
  });

  it('nobody where there is none of these, as is answered at once', () => {
    for (const server of SERVERS) bench.shard.suspend(server, true);
    for (const [low, high] of [
      [1, 1],
      [0, 9],
    ] as const)
      expect(bench.answerTo(bench.read(low, high))).toMatchObject(refused('SHARD_UNAVAILABLE'));
    expect([bench.askedServers, bench.reader.openSnapshotLeases]).toEqual([[], 0]);
  });

  it('nobody before it is known what is committed', () => {
    bench.shard.resolved = false;
    expect(bench.answerTo(bench.read(1))).toMatchObject(refused('SHARD_UNAVAILABLE'));
    expect(bench.answerTo(bench.read(0, 9))).toMatchObject(refused('SHARD_UNAVAILABLE'));
  });

  it('nobody, with no record, where the key lies in no shard', () => {
    expect(bench.answerTo(bench.read(10))).toEqual({ result: { id: 1, shards: [], count: 0 } });
    expect(bench.askedServers).toEqual([]);
  });
});

describe('a replica that cannot answer', () => {
  it('is not asked again: another one is, until there is none; whoever is no member is not asked for that', () => {
    bench.shard.setRecord({ ...bench.shard.record, inSync: ['S0', 'S1'] });
    const read = bench.read(1);
    bench.reply(SILENCE);
    expect(bench.answerTo(read)).toBeUndefined();
    bench.reply(SILENCE);
    expect(bench.askedServers.sort()).toEqual(['S0', 'S1']);
    expect(bench.answerTo(read)).toMatchObject(refused('SHARD_UNAVAILABLE'));
  });

  it('makes the read wait for one that was asked before and is late', () => {
    bench.shard.setRecord({ ...bench.shard.record, inSync: ['S0', 'S1'] });
    const read = bench.read(1);
    bench.pass(2_000);
    const [first, second] = bench.askedServers;
    bench.reply(SILENCE, second);
    expect(bench.answerTo(read)).toBeUndefined();
    bench.reply({ ok: true, value: ROW }, first);
    expect(bench.answerTo(read)).toMatchObject(found);
  });

  it('because another balancer leads, ends this one’s lead: nobody is answered', () => {
    const read = bench.read(1);
    bench.reply(FENCED);
    expect(bench.over).toHaveLength(1);
    expect([bench.answerTo(read), bench.askedServers.length]).toEqual([undefined, 1]);
  });
});

describe('what a replica says', () => {
  it('does not count when replicas were found to differ after it was asked: all may be asked again', () => {
    bench.context.nowMs = 1_000;
    const read = bench.read(1);
    bench.pass(100);
    bench.shard.divergedMs = bench.context.nowMs;
    bench.pass(100);
    bench.reply({ ok: true, value: 'wrong' });
    expect(bench.answerTo(read)).toBeUndefined();
    bench.reply({ ok: true, value: ROW });
    expect(bench.answerTo(read)).toMatchObject(found);
  });

  it('counts when they were found to differ before that', () => {
    bench.context.nowMs = 1_000;
    bench.shard.divergedMs = 999;
    const read = bench.read(1);
    bench.reply({ ok: true, value: ROW });
    expect(bench.answerTo(read)).toMatchObject(found);
  });
});

describe('a replica that takes longer than is usual', () => {
  const { floorMs } = new Bench(1).settings.patience;

  it('is not waited for: another one is asked, and the first answer counts', () => {
    bench.pass(100);
    const read = bench.read(1);
    bench.pass(floorMs);
    expect(bench.askedServers).toHaveLength(1);
    bench.pass(100);
    expect(bench.askedServers).toHaveLength(2);
    bench.reply({ ok: true, value: ROW }, bench.askedServers[1]);
    expect(bench.answerTo(read)).toMatchObject(found);
    bench.reply({ ok: true, value: 'late' });
    expect(bench.askedServers).toHaveLength(2);
    expect(bench.effects.filter((effect) => effect.do === 'answer')).toHaveLength(1);
  });

  it('is waited for where that has become usual: everything may be slow for a while', () => {
    bench.pass(100);
    bench.read(1);
    bench.pass(floorMs);
    bench.reply({ ok: true, value: ROW });
    bench.forget();
    bench.read(1);
    bench.pass(2 * floorMs);
    expect(bench.askedServers).toHaveLength(1);
    bench.pass(2 * floorMs);
    expect(bench.askedServers.length).toBeGreaterThan(1);
  });

  it('does not make that usual: the next one is not waited for any longer', () => {
    bench.pass(100);
    bench.read(1);
    bench.pass(10 * floorMs);
    for (const server of bench.askedServers) bench.reply({ ok: true, value: ROW }, server);
    bench.forget();
    bench.read(1);
    bench.pass(floorMs + 100);
    expect(bench.askedServers).toHaveLength(2);
  });
});

describe('the reader of a range', () => {
  it('gets for each shard what of the range lies in it', () => {
    const wide = new ReadBench(['sh0', 'sh1', 'sh2']);
    const parts = (low: number, high: number): object[] =>
      wide.plan(low, high).parts.map((part) => [part.shard, part.low, part.high, part.vat]);
    expect(parts(5, 25)).toEqual([
      ['sh0', 5, 9, VAT],
      ['sh1', 10, 19, VAT],
      ['sh2', 20, 25, VAT],
    ]);
    expect(parts(ALL.low, ALL.high)).toEqual([
      ['sh0', 0, 9, VAT],
      ['sh1', 10, 19, VAT],
      ['sh2', 20, 29, VAT],
    ]);
    expect(parts(12, 13)).toEqual([['sh1', 12, 13, VAT]]);
  });

  /** Up to where versions may be purged, when everything has been committed up to 20 for long. */
  function mark(): number {
    bench.shard.vat = 20;
    const { tombstoneHorizonMs } = bench.settings;
    for (const at of [0, tombstoneHorizonMs]) bench.shard.sample(bench.context.nowMs + at, tombstoneHorizonMs);
    return bench.shard.purgeMark(bench.context.nowMs + tombstoneHorizonMs, tombstoneHorizonMs);
  }

  it('keeps what was committed then from being purged as long as it renews its lease', () => {
    const { snapshotLeaseMs } = bench.settings;
    const { snapshotLease, ttlMs } = bench.plan(0, 9);
    expect(ttlMs).toBe(snapshotLeaseMs);
    for (let times = 0; times < 3; times += 1) {
      bench.pass(snapshotLeaseMs - 100);
      expect(bench.reader.updateLeases({ release: [], renew: [snapshotLease] })).toEqual({ epoch: EPOCH, unknown: [] });
    }
    expect([mark(), bench.reader.openSnapshotLeases]).toEqual([VAT, 1]);
    expect(bench.reader.updateLeases({ release: [snapshotLease], renew: [] })).toEqual({ epoch: EPOCH, unknown: [] });
    expect([mark(), bench.reader.openSnapshotLeases]).toEqual([20, 0]);
  });

  it('keeps nothing any more when it is silent for too long, and hears so when it comes back', () => {
    const { snapshotLease } = bench.plan(0, 9);
    bench.pass(bench.settings.snapshotLeaseMs - 100);
    expect(mark()).toBe(VAT);
    bench.pass(200);
    expect([mark(), bench.reader.openSnapshotLeases]).toEqual([20, 0]);
    expect(bench.reader.updateLeases({ release: [], renew: [snapshotLease] })).toEqual({
      epoch: EPOCH,
      unknown: [snapshotLease],
    });
  });

  it('hears that what it has read does not count where replicas were found to differ since', () => {
    const { snapshotLease } = bench.plan(0, 9);
    bench.shard.divergedMs = bench.context.nowMs;
    expect(bench.reader.updateLeases({ release: [snapshotLease], renew: [] }).unknown).toEqual([snapshotLease]);
  });
});
