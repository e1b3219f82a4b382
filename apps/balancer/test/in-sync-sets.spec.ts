/** Changes of a shard's in-sync set: what is stored, who gets it, and what is tried again. `evidence.spec.ts` has the whole picture. */
import type { Ask } from '../src/core/kernel/effects';
import type { SetChangeResult } from '../src/core/replicas/in-sync-sets';
import { minimumOf, type Shard } from '../src/core/cluster/shard';
import type { Workflow } from '../src/core/kernel/workflow';
import { Bench, VAT } from './support/bench';
import { EPOCH, SILENCE } from './support/parts-of-the-core';

const RETRY_MS = 250;
const SHARD_KEY = 'shard.sh0';

function withTicks(servers: number, shards?: readonly string[]): Bench {
  const bench = new Bench(servers, shards);
  bench.tick = () => {
    bench.inSyncSets.tick();
  };
  return bench;
}

const asksServer =
  (kind: Ask['do'], ...servers: string[]) =>
  (ask: Ask): boolean =>
    ask.do === kind && 'server' in ask && servers.includes(ask.server);

/** These servers do not answer questions of one kind. */
function silence(bench: Bench, kind: Ask['do'], ...servers: string[]): void {
  const isMeant = asksServer(kind, ...servers);
  bench.answer = (ask) => (isMeant(ask) ? SILENCE : undefined);
}

/** Members that are asked something, in the order in which they are. */
function askedFor(bench: Bench, kind: 'ping' | 'config'): string[] {
  return bench.asked(kind).map(({ server }) => server);
}

const stale = (bench: Bench): string[] => bench.published('shard.stale').map(({ subject }) => subject);

/** The bucket has a value of somebody else: another balancer leads. */
function deposed(ask: Ask): ReturnType<Bench['answer']> {
  if (ask.do === 'store') return { ok: true, value: null };
  if (ask.do === 'readKey') return { ok: true, value: { key: ask.key, value: { by: 9 }, revision: 99 } };
  return undefined;
}

const changes: [string, (bench: Bench) => Workflow<unknown>][] = [
  ['a member that leaves', ({ inSyncSets, shard }): Workflow<unknown> => inSyncSets.demote(shard, ['S2'], 'a test')],
  [
    'a member that is wrong',
    ({ inSyncSets, shard }): Workflow<unknown> => inSyncSets.quarantine(shard, ['S2'], 'a test', false),
  ],
  ['a dispute', ({ inSyncSets, shard }): Workflow<unknown> => inSyncSets.dispute(shard)],
  [
    'the end of a dispute',
    ({ inSyncSets, shard }): Workflow<unknown> => {
      shard.setRecord({ ...shard.record, disputed: true });
      return inSyncSets.endDispute(shard, ['S2']);
    },
  ],
  [
    'a newcomer',
    ({ inSyncSets, shard }): Workflow<unknown> => {
      shard.setRecord({ ...shard.record, inSync: ['S0', 'S1'] });
      return inSyncSets.promote(shard, 'S2', 0);
    },
  ],
  [
    'another record',
    ({ inSyncSets, shard }): Workflow<unknown> =>
      inSyncSets.reshape(shard, (record) => ({ ...record, replicas: ['S0', 'S1'], inSync: ['S0', 'S1'] })),
  ],
];

test('of a shard that an /init replaces no newcomer gets which rounds were given up', () => {
  const bench = new Bench(3);
  const { inSyncSets, shard } = bench;
  shard.setRecord({ ...shard.record, inSync: ['S0', 'S1'] });
  shard.remember([{ epoch: EPOCH, vat: VAT }]);
  // Its copy ends when there is no configuration any more.
  bench.cluster.clear();
  expect(bench.begin(inSyncSets.promote(shard, 'S2', 0)).result).toBe(false);
  expect(bench.asked('config')).toEqual([]);
});

describe.each(changes)('%s', (_, change) => {
  it('is in force, and sent to anybody, only once it is stored', () => {
    const bench = new Bench(3);
    bench.answer = (ask) => (ask.do === 'store' ? null : undefined);
    const changing = change(bench);
    const { record } = bench.shard;
    bench.begin(changing);
    expect(bench.open).toHaveLength(1);
    expect(bench.shard.record).toBe(record);
    expect(bench.asked('config')).toEqual([]);
    bench.resolve(bench.open[0]!);
    expect(bench.shard.record).toMatchObject({ configVersion: record.configVersion + 1, configEpoch: EPOCH });
  });

  it('is neither in force nor sent where another balancer leads by now', () => {
    const bench = new Bench(3);
    bench.answer = deposed;
    const changing = change(bench);
    const { record } = bench.shard;
    bench.begin(changing);
    expect(bench.over).toHaveLength(1);
    expect(bench.shard.record).toBe(record);
    expect([...bench.shard.unacknowledged]).toEqual([]);
    expect(bench.asked('config')).toEqual([]);
    expect(bench.published('shard.stale')).toEqual([]);
  });

  it.each([
    [
      'was replaced',
      (bench: Bench): void => {
        bench.replace('sh0');
      },
    ],
    [
      'is being replaced',
      (bench: Bench): void => {
        bench.cluster.phase = 'configuring';
      },
    ],
  ])('changes nothing of a shard whose configuration %s', (__, replace) => {
    const bench = new Bench(3);
    const changing = change(bench);
    replace(bench);
    bench.begin(changing);
    expect(bench.stored.size).toBe(0);
    expect(bench.asked('config')).toEqual([]);
    expect(bench.published('shard.stale')).toEqual([]);
  });
});

describe('what was decided of rounds is stored by a newcomer before it is a member', () => {
  function withDecision(): { bench: Bench; promoting: Workflow<boolean> } {
    const bench = new Bench(3);
    const { shard, inSyncSets } = bench;
    shard.setRecord({ ...shard.record, inSync: ['S0', 'S1'] });
    shard.remember([{ epoch: 1, vat: 1 }]);
    return { bench, promoting: inSyncSets.promote(shard, 'S2', 0) };
  }

  it('and else it is none', () => {
    const { bench, promoting } = withDecision();
    silence(bench, 'config', 'S2');
    expect(bench.begin(promoting).result).toBe(false);
    expect(askedFor(bench, 'config')).toEqual(['S2']);
    expect(bench.stored.size).toBe(0);
  });

  it('but nobody is sent a shard that is none any more, while another configuration comes into force', () => {
    const { bench, promoting } = withDecision();
    bench.cluster.phase = 'configuring';
    bench.cluster.record = null;
    expect(bench.begin(promoting).result).toBe(false);
    expect(bench.asked('config')).toEqual([]);
  });
});

test('a shard that another one has taken the place of is sent to nobody any more, though members have not stored it', () => {
  const bench = new Bench(3);
  const informing = bench.inSyncSets.inform(bench.shard, ['S1', 'S2']);
  bench.replace('sh0');
  bench.begin(informing);
  expect(bench.asked('config')).toEqual([]);
  expect(bench.stored.size).toBe(0);
});

describe('what changes nothing is not stored', () => {
  const without = (bench: Bench): Shard => {
    const { shard } = bench;
    shard.setRecord({ ...shard.record, inSync: ['S0', 'S1'] });
    return shard;
  };

  it.each<[string, (bench: Bench, shard: Shard) => Workflow<SetChangeResult>]>([
    ['that somebody leaves', ({ inSyncSets }, shard) => inSyncSets.demote(shard, ['S2'], 'a test')],
    ['that somebody was wrong', ({ inSyncSets }, shard) => inSyncSets.quarantine(shard, ['S2'], 'a test', true)],
  ])('%s who has left', (_, change) => {
    const bench = new Bench(3);
    const { record } = without(bench);
    expect(bench.begin(change(bench, bench.shard)).result).toBe('done');
    expect(bench.shard.record).toBe(record);
    expect(bench.effects).toEqual([]);
  });

  it('a record that is as it was', () => {
    const bench = new Bench(3);
    expect(bench.begin(bench.inSyncSets.reshape(bench.shard, (record) => record)).result).toBe(true);
    expect(bench.effects).toEqual([]);
  });

  it('that there is no dispute, or that there is one still', () => {
    const bench = new Bench(3);
    const { shard, inSyncSets } = bench;
    bench.begin(inSyncSets.endDispute(shard, ['S2']));
    expect(bench.effects).toEqual([]);
    bench.begin(inSyncSets.dispute(shard));
    bench.forget();
    bench.begin(inSyncSets.dispute(shard));
    expect(bench.effects).toEqual([]);
  });
});

describe('a member that is wrong and cannot leave', () => {
  it('stays, marked and suspended, until it can', () => {
    const bench = withTicks(3);
    const { shard, inSyncSets } = bench;
    shard.setRecord({ ...shard.record, inSync: ['S0', 'S1'] });
    const done = bench.begin(inSyncSets.quarantine(shard, ['S1'], 'a test', false));
    expect(done.result).toBe('belowMinimum');
    expect(shard.record).toMatchObject({ inSync: ['S0', 'S1'], diverged: ['S1'] });
    expect(bench.cluster.serving(shard)).toEqual(['S0']);
    expect(bench.published('shard.unavailable')).toMatchObject([{ data: { why: 'belowMinimum', missing: ['S1'] } }]);
    bench.begin(inSyncSets.promote(shard, 'S2', 0));
    bench.pass(2 * RETRY_MS);
    expect(shard.inSync).toEqual(['S0', 'S2']);
    expect([...inSyncSets.unsettled]).toEqual([]);
  });
});

it('a set that is as small as it may be does not become smaller, whoever is whole', () => {
  const bench = withTicks(3);
  const { shard, inSyncSets } = bench;
  shard.setRecord({ ...shard.record, inSync: ['S0', 'S1'] });
  expect(bench.begin(inSyncSets.demote(shard, ['S1'], 'a test')).result).toBe('belowMinimum');
  expect(shard.inSync).toEqual(['S0', 'S1']);
  expect(bench.published('shard.unavailable')).toMatchObject([{ data: { why: 'belowMinimum', missing: ['S1'] } }]);
});

describe('members that are taken back', () => {
  const right = (isRight: boolean) =>
    function* (): Workflow<boolean> {
      yield (resume) => {
        resume(undefined);
      };
      return isRight;
    };

  it('get it; nothing is acknowledged before those have stored it that do not run', () => {
    const bench = withTicks(3);
    const { shard, inSyncSets, cluster } = bench;
    shard.setRecord({ ...shard.record, inSync: ['S0'] });
    cluster.servers.get('S2')!.dead = true;
    expect(bench.begin(inSyncSets.takeBack(shard, ['S1', 'S2'], right(true))).result).toBe(true);
    expect(shard.inSync).toEqual(['S0', 'S1', 'S2']);
    expect([...shard.unacknowledged]).toEqual(['S2']);
  });

  it('are not where that is not right any more', () => {
    const bench = withTicks(3);
    const { shard, inSyncSets } = bench;
    shard.setRecord({ ...shard.record, inSync: ['S0'] });
    expect(bench.begin(inSyncSets.takeBack(shard, ['S1'], right(false))).result).toBe(false);
    expect(shard.inSync).toEqual(['S0']);
    expect(bench.stored.size).toBe(0);
  });
});

describe('the end of a dispute', () => {
  function disputed(): Bench {
    const bench = withTicks(4);
    const { shard } = bench;
    shard.setRecord({ ...shard.record, inSync: ['S0', 'S1', 'S2'], disputed: true });
    return bench;
  }

  it('takes those that were not heard out, and publishes them alone', () => {
    const bench = disputed();
    bench.begin(bench.inSyncSets.endDispute(bench.shard, ['S2', 'S3']));
    expect(bench.shard.record).toMatchObject({ inSync: ['S0', 'S1'] });
    expect(bench.shard.record.disputed).toBeUndefined();
    expect(stale(bench)).toEqual(['sh0/S2']);
  });

  it('waits where too few of the others show that they are whole', () => {
    const bench = disputed();
    silence(bench, 'ping', 'S1');
    bench.loseDisk('S0');
    bench.begin(bench.inSyncSets.endDispute(bench.shard, ['S2']));
    expect(bench.shard.record).toMatchObject({ inSync: ['S0', 'S1', 'S2'], disputed: true });
    expect(stale(bench)).toEqual([]);
  });

  it('is no reason to leave for whoever does not store it', () => {
    const bench = disputed();
    silence(bench, 'config', 'S1');
    bench.begin(bench.inSyncSets.endDispute(bench.shard, []));
    bench.pass(4 * RETRY_MS);
    expect(bench.shard.record).toMatchObject({ inSync: ['S0', 'S1', 'S2'] });
    expect(bench.shard.record.disputed).toBeUndefined();
  });
});

describe('a newcomer', () => {
  function newcomer(servers = 4): Bench {
    const bench = withTicks(servers);
    const { shard } = bench;
    const members = shard.record.replicas.filter((server) => server !== 'S2');
    shard.setRecord({ ...shard.record, inSync: members });
    return bench;
  }
  const promote = (bench: Bench, copiedSinceMs = 0): boolean | undefined =>
    bench.begin(bench.inSyncSets.promote(bench.shard, 'S2', copiedSinceMs)).result;

  it('enters the set', () => {
    const bench = newcomer();
    expect(promote(bench)).toBe(true);
    expect(bench.shard.inSync).toContain('S2');
    expect(bench.cluster.serving(bench.shard)).toContain('S2');
  });

  it('does not where it is no replica any more', () => {
    const bench = newcomer();
    const { shard } = bench;
    shard.setRecord({ ...shard.record, replicas: ['S0', 'S1', 'S3'] });
    expect(promote(bench)).toBe(false);
    expect(shard.record.replicas).toEqual(['S0', 'S1', 'S3']);
    expect(bench.stored.size).toBe(0);
  });

  it('does not where it no longer has everything', () => {
    const bench = newcomer();
    bench.loseDisk('S2');
    expect(promote(bench)).toBe(false);
    expect(bench.stored.size).toBe(0);
  });

  it('does not where members were found to differ since it was begun to be copied', () => {
    const bench = newcomer();
    bench.context.nowMs = 10;
    bench.shard.divergedMs = 5;
    expect(promote(bench, 5)).toBe(false);
    expect(bench.stored.size).toBe(0);
    expect(promote(bench, 6)).toBe(true);
  });

  it.each([
    ['it is out again', 4, ['S0', 'S1', 'S3']],
    ['it counts for nothing', 2, ['S0', 'S1']],
  ])('does not store that it is one: %s', (_, servers, members) => {
    const bench = withTicks(servers);
    const name = servers === 4 ? 'S2' : 'S1';
    const { shard } = bench;
    shard.setRecord({ ...shard.record, inSync: shard.inSync.filter((server) => server !== name) });
    silence(bench, 'config', name);
    // Of two the first is not whole by the time at which the other should leave.
    if (servers === 2)
      bench.answer = (ask) => {
        if (ask.do === 'store') bench.node('S0').postgres = 'down';
        return asksServer('config', name)(ask) ? SILENCE : undefined;
      };
    expect(bench.begin(bench.inSyncSets.promote(shard, name, 0)).result).toBe(false);
    expect(shard.inSync).toEqual(members);
    expect(bench.cluster.serving(shard)).not.toContain(name);
  });

  it('is out again when it has lost everything by the time it gets it', () => {
    const bench = newcomer();
    bench.answer = (ask) => {
      if (ask.do === 'store') bench.loseDisk('S2');
      return undefined;
    };
    expect(promote(bench)).toBe(false);
    expect(bench.shard.inSync).toEqual(['S0', 'S1', 'S3']);
  });

  it('counts for nothing, if it cannot be taken out again', () => {
    const bench = newcomer(3);
    const { shard } = bench;
    shard.setRecord({ ...shard.record, inSync: ['S0', 'S1'] });
    bench.answer = (ask) => {
      if (ask.do !== 'store') return undefined;
      bench.loseDisk('S2');
      // Too few of the others show that they are whole.
      bench.node('S1').postgres = 'down';
      return undefined;
    };
    expect(promote(bench)).toBe(false);
    expect(shard.inSync).toEqual(['S0', 'S1', 'S2']);
    expect(bench.cluster.serving(shard)).toEqual(['S0', 'S1']);
  });
});

it('another record is in force only after those who remain have shown that they are whole', () => {
  const bench = withTicks(3);
  const { shard } = bench;
  bench.loseDisk('S0');
  const done = bench.begin(
    bench.inSyncSets.reshape(shard, (record) => ({ ...record, replicas: ['S0', 'S1'], inSync: ['S0', 'S1'] })),
  );
  expect(minimumOf({ replicas: ['S0', 'S1'], joining: [] })).toBe(1);
  expect(done.result).toBe(true);
  bench.node('S1').postgres = 'down';
  const none = bench.begin(
    bench.inSyncSets.reshape(shard, (record) => ({ ...record, replicas: ['S1'], inSync: ['S1'] })),
  );
  expect(none.result).toBe(false);
  expect(shard.record.replicas).toEqual(['S0', 'S1']);
});

describe('sending to members', () => {
  it('asks whoever is believed to run; who is not stays unacknowledged', () => {
    const bench = withTicks(3);
    bench.cluster.servers.get('S2')!.starting = true;
    const informed = bench.begin(bench.inSyncSets.inform(bench.shard, ['S1', 'S2']));
    expect(askedFor(bench, 'config')).toEqual(['S1']);
    expect([...bench.shard.unacknowledged]).toEqual(['S2']);
    expect(informed.result).toBe(false);
    bench.cluster.servers.get('S2')!.starting = false;
    bench.pass(2 * RETRY_MS);
    expect(bench.shard.unacknowledged.size).toBe(0);
  });

  it('takes no answer for a sign that the shard is there which reports another one', () => {
    const bench = withTicks(3, ['sh0', 'sh1']);
    bench.node('S2').states.delete('sh0');
    bench.begin(bench.inSyncSets.inform(bench.shard, ['S2']));
    expect(bench.shard.inSync).toEqual(['S0', 'S1']);
  });

  it.each([
    ['has lost everything', { currentTerm: 0 }],
    ['misses the newest term', { currentTerm: VAT - 1 }],
    ['is being copied', { catchingUp: true }],
  ])('takes a member out that %s', (_, state) => {
    for (const isDecided of [true, false]) {
      const bench = withTicks(3);
      const { shard } = bench;
      shard.decided = isDecided;
      // What was committed under the last leader is not known yet, but what some replica knows to be committed is a part of it.
      if (!isDecided) [shard.vat, shard.heardVat] = [0, VAT];
      bench.node('S2').states.set('sh0', { ...bench.node('S2').states.get('sh0'), ...state });
      bench.begin(bench.inSyncSets.inform(shard, ['S2']));
      expect(shard.inSync).toEqual(['S0', 'S1']);
    }
  });

  it('believes one that is to be fully re-copied: its copy waits for the shard, and must not be waited for', () => {
    const bench = withTicks(2);
    const { shard } = bench;
    bench.loseDisk('S1');
    shard.replicas.get('S1')!.suspended = true;
    shard.setRecord({ ...shard.record, disputed: true });
    expect(bench.begin(bench.inSyncSets.inform(shard, ['S1'])).result).toBe(true);
  });

  it('sends nothing of a configuration that is gone', () => {
    const bench = withTicks(3);
    const { shard, inSyncSets } = bench;
    bench.answer = (ask) => (ask.do === 'store' ? null : undefined);
    bench.begin(inSyncSets.demote(shard, ['S2'], 'a test'));
    bench.cluster.clear();
    bench.resolve(bench.open[0]!);
    expect(bench.asked('config')).toEqual([]);
  });
});

describe('a shard that waits', () => {
  /** S2 should leave, and nobody shows that it is whole. */
  function waiting(): Bench {
    const bench = withTicks(3);
    silence(bench, 'ping', 'S0', 'S1', 'S2');
    bench.cluster.servers.get('S2')!.dead = true;
    const { result } = bench.begin(bench.inSyncSets.demote(bench.shard, ['S2'], 'flatline'));
    expect(result).toBe('unproven');
    bench.forget();
    return bench;
  }

  it('is tried again four times a second, and published once', () => {
    const bench = waiting();
    bench.pass(10_000);
    expect(askedFor(bench, 'ping').length).toBeGreaterThanOrEqual(2 * 38);
    expect(askedFor(bench, 'ping').length).toBeLessThanOrEqual(2 * 41);
    expect(bench.published('shard.unavailable')).toEqual([]);
  });

  it('is looked at with the next tick when it begins to wait', () => {
    const bench = withTicks(3);
    // Two ticks after a moment at which whoever waits since the start would have been looked at.
    bench.pass(10 * RETRY_MS + 100);
    bench.inSyncSets.sendSoon(bench.shard, ['S1']);
    bench.pass(1);
    expect(askedFor(bench, 'config')).toEqual(['S1']);
  });

  it('is not asked about twice at once', () => {
    const bench = waiting();
    bench.answer = (ask) => (ask.do === 'ping' ? null : undefined);
    bench.pass(2_000);
    expect(bench.open).toHaveLength(2);
  });

  it('goes on when enough show that they are whole, and waits no longer', () => {
    const bench = waiting();
    bench.answer = () => undefined;
    bench.pass(2 * RETRY_MS);
    expect(bench.shard.inSync).toEqual(['S0', 'S1']);
    bench.pass(2 * RETRY_MS);
    expect([...bench.inSyncSets.unsettled]).toEqual([]);
  });

  it('is forgotten when its configuration is replaced', () => {
    const bench = waiting();
    bench.replace('sh0');
    bench.pass(1_000);
    expect(bench.effects).toEqual([]);
    expect([...bench.inSyncSets.unsettled]).toEqual([]);
  });

  it('for a member that has not stored its configuration, takes that out as soon as enough others are whole', () => {
    const bench = withTicks(3);
    const { shard, inSyncSets } = bench;
    silence(bench, 'config', 'S2');
    bench.node('S1').postgres = 'down';
    bench.begin(inSyncSets.inform(shard, ['S2']));
    bench.pass(2 * RETRY_MS);
    expect(shard.inSync).toEqual(['S0', 'S1', 'S2']);
    bench.node('S1').postgres = 'ok';
    bench.pass(2 * RETRY_MS);
    expect(shard.inSync).toEqual(['S0', 'S1']);
    expect(stale(bench)).toEqual(['sh0/S2']);
  });
});

it('a shard that comes into being waits for those alone that have not stored it', () => {
  const bench = withTicks(3);
  bench.inSyncSets.sendSoon(bench.shard, ['S1', 'S7']);
  expect([...bench.shard.unacknowledged]).toEqual(['S1']);
  bench.pass(2 * RETRY_MS);
  expect(askedFor(bench, 'config')).toEqual(['S1']);
  expect(bench.stored.has(SHARD_KEY)).toBe(false);
  const other = withTicks(3);
  other.inSyncSets.sendSoon(other.shard, []);
  expect([...other.inSyncSets.unsettled]).toEqual([]);
});
