/** Heartbeats one by one: who gets them, what an answer and a miss come to, and how a replacement is waited for. */
import type { Ask } from '../src/core/kernel/effects';
import type { FenceReply, NodeShardState, PingReply } from '#common/contracts/node';
import { ClusterNews } from '../src/core/cluster/cluster-news';
import type { ServerState } from '../src/core/cluster/cluster';
import { CopyRequests } from '../src/core/healing/copy-requests';
import { Health } from '../src/core/healing/health';
import { Recovery } from '../src/core/healing/recovery';
import { spawn, wait } from '../src/core/kernel/workflow';
import { SETTINGS } from './simulation/balancer';
import { Bench, FENCED, VAT } from './support/bench';
import { EPOCH, SILENCE } from './support/parts-of-the-core';

const { heartbeatIntervalMs, heartbeatMisses, nodeStartMs } = SETTINGS;

interface Made {
  bench: Bench;
  health: Health;
  /** Servers that know of a later configuration. */
  ahead: string[];
}

function withHealth(servers = 3, shards?: readonly string[]): Made {
  const bench = new Bench(servers, shards);
  const { context, cluster, inSyncSets, divergence, writer, patience, settings, catalog } = bench;
  const requests = new CopyRequests(context, cluster);
  const recovery = new Recovery(context, cluster, inSyncSets, divergence, writer, patience, settings, requests);
  const news = new ClusterNews(context, cluster, catalog, settings);
  const ahead: string[] = [];
  const superseded = (server: string): void => {
    ahead.push(server);
  };
  const health = new Health(context, cluster, inSyncSets, recovery, patience, settings, news, superseded, bench.fenced);
  bench.tick = () => {
    health.tick();
  };
  return { bench, health, ahead };
}

const serverOf = (bench: Bench, name: string): ServerState => bench.cluster.servers.get(name)!;
const pinged = (bench: Bench): string[] => bench.asked('ping').map(({ server }) => server);
const isPing =
  (server: string) =>
  (ask: Ask): boolean =>
    ask.do === 'ping' && ask.server === server;

/** What the server says to a heartbeat, but for this. */
function pong(bench: Bench, server: string, more: Partial<PingReply>): void {
  bench.answer = (ask) => {
    if (!isPing(server)(ask)) return undefined;
    const said = bench.said(ask) as { value: PingReply };
    return { ok: true, value: { ...said.value, ...more } };
  };
}

/** Heartbeats of the server are answered when the test says so. */
function holdPings(bench: Bench, server: string): void {
  const isMeant = isPing(server);
  bench.answer = (ask) => (isMeant(ask) ? null : undefined);
}

const logs = (bench: Bench): { level: string; data: Record<string, unknown> }[] =>
  bench.effects.flatMap((effect) => (effect.do === 'log' && effect.message === 'HEARTBEAT' ? [effect] : []));

describe('a heartbeat', () => {
  it('goes to every server at the interval, but to none that is dead, being started or leaving', () => {
    const { bench } = withHealth(4);
    serverOf(bench, 'S1').dead = true;
    serverOf(bench, 'S2').starting = true;
    serverOf(bench, 'S3').leaving = true;
    bench.pass(2 * heartbeatIntervalMs);
    expect(pinged(bench)).toEqual(['S0', 'S0']);
  });

  it('reports to in-sync replicas alone what is committed, and of no shard whose VAT is not known', () => {
    const { bench } = withHealth(2, ['a', 'b', 'c']);
    const b = bench.shardOf('b');
    b.setRecord({ ...b.record, inSync: ['S1'] });
    bench.shardOf('c').resolved = false;
    bench.pass(heartbeatIntervalMs);
    const { request } = bench.asked('ping').find(({ server }) => server === 'S0')!;
    expect(request.vats).toEqual({ a: VAT });
    expect(Object.keys(request.marks)).toEqual(['a']);
  });

  it('is published at `debug` while all is well, and at `info` when it shows that a server is back', () => {
    const { bench } = withHealth(1);
    bench.pass(2 * heartbeatIntervalMs);
    expect(logs(bench).map(({ level }) => level)).toEqual(['info', 'debug']);
    bench.forget();
    bench.answer = (ask) => (ask.do === 'ping' ? SILENCE : undefined);
    bench.pass(heartbeatIntervalMs);
    bench.answer = () => undefined;
    bench.pass(heartbeatIntervalMs);
    expect(logs(bench).map(({ level }) => level)).toEqual(['warn', 'info']);
  });

  it('that comes to nothing after a later one was answered says nothing', () => {
    const { bench } = withHealth(1);
    holdPings(bench, 'S0');
    bench.pass(2 * heartbeatIntervalMs);
    const [first, second] = [...bench.open];
    bench.resolve(second!);
    bench.forget();
    bench.resolve(first!, SILENCE);
    expect(logs(bench)).toEqual([]);
    expect(bench.cluster.detector.missesInARow('S0')).toBe(0);
  });

  it('that is answered after a later one says nothing either: what was there may be lost since', () => {
    const { bench } = withHealth(1);
    holdPings(bench, 'S0');
    bench.pass(2 * heartbeatIntervalMs);
    const [first, second] = [...bench.open];
    const before = bench.said(first!);
    bench.loseDisk('S0');
    bench.resolve(second!);
    expect(bench.cluster.serving(bench.shard)).toEqual([]);
    bench.resolve(first!, before);
    expect(bench.cluster.serving(bench.shard)).toEqual([]);
    expect(serverOf(bench, 'S0').holds?.size).toBe(0);
  });

  it('may report what is left of shards that are not there any more', () => {
    const { bench } = withHealth(2);
    bench.node('S1').states.set('gone', { shard: 'gone', currentTerm: 9, copy: null });
    bench.pass(heartbeatIntervalMs);
    expect([...(serverOf(bench, 'S1').holds ?? [])]).toEqual(['sh0', 'gone']);
    expect(bench.shard.inSync).toEqual(['S0', 'S1']);
  });

  it('reports which shards are there, and what may have been forgotten', () => {
    const { bench } = withHealth(2);
    pong(bench, 'S1', {
      shards: [{ shard: 'sh0', forgottenUpTo: 3, currentTerm: VAT, copy: null, rows: 7 } as NodeShardState],
    });
    bench.pass(heartbeatIntervalMs);
    expect(bench.shard.forgottenIds.upTo).toBe(3);
    expect(bench.shard.replicas.get('S1')?.rows).toBe(7);
  });
});

describe('an answer that comes when its server', () => {
  it.each<[string, (bench: Bench, server: ServerState) => void]>([
    [
      'is dead',
      (_, server): void => {
        server.dead = true;
      },
    ],
    [
      'is leaving',
      (_, server): void => {
        server.leaving = true;
      },
    ],
    [
      'was removed',
      (bench): void => {
        bench.cluster.removeServer('S1');
      },
    ],
    [
      'is another one of that name',
      (bench): void => {
        bench.cluster.addServer('S1', 9);
      },
    ],
  ])('%s says nothing', (_, change) => {
    for (const outcome of [undefined, SILENCE, FENCED]) {
      const { bench } = withHealth();
      const server = serverOf(bench, 'S1');
      holdPings(bench, 'S1');
      bench.pass(heartbeatIntervalMs);
      change(bench, server);
      bench.forget();
      bench.loseDisk('S1');
      bench.resolve(bench.open[0]!, outcome);
      expect(bench.effects).toEqual([]);
      expect(bench.over).toEqual([]);
      expect(server.lastAnswerMs).toBeNull();
    }
  });
});

it('gives way when a server has seen a higher epoch', () => {
  const { bench } = withHealth();
  bench.answer = (ask) => (isPing('S1')(ask) ? FENCED : undefined);
  bench.pass(heartbeatIntervalMs);
  expect(bench.over).toHaveLength(1);
  expect(bench.cluster.detector.missesInARow('S1')).toBe(0);
});

describe('the configuration that a server has', () => {
  it('is asked for when it is later than ours', () => {
    const { bench, ahead } = withHealth();
    pong(bench, 'S1', { cluster: { configId: 1, configEpoch: 4, configVersion: 1 } });
    bench.pass(heartbeatIntervalMs);
    expect(ahead).toEqual(['S1']);
    expect(bench.asked('config')).toEqual([]);
  });

  it('is replaced when it is older, as soon as ours is known to be whole', () => {
    const { bench, ahead } = withHealth();
    pong(bench, 'S1', { cluster: { configId: 1, configEpoch: 1, configVersion: 0 } });
    bench.pass(heartbeatIntervalMs);
    expect(bench.asked('config')).toEqual([]);
    bench.cluster.mark = () => ({ epoch: EPOCH, instance: 'L1', revision: 1 });
    bench.pass(heartbeatIntervalMs);
    expect(bench.asked('config')).toMatchObject([{ server: 'S1', request: { cluster: { configId: 1 } } }]);
    expect(ahead).toEqual([]);
  });
});

describe('what a member holds', () => {
  const states = (...more: Partial<NodeShardState>[]): NodeShardState[] =>
    more.map((state) => ({ shard: 'sh0', currentTerm: VAT, catchingUp: false, ...state }) as NodeShardState);
  const check = ({ bench, health }: Made, held: NodeShardState[]): void => {
    health.checkData(serverOf(bench, 'S2'), held, health.mustHave('S2'));
    bench.settle();
  };

  it.each<[string, NodeShardState[]]>([
    ['nothing', []],
    ['an older term', states({ currentTerm: VAT - 1 })],
    ['a part of a copy', states({ catchingUp: true })],
    ['another shard', states({ shard: 'sh1' })],
  ])('%s: it leaves the set', (_, held) => {
    const made = withHealth();
    check(made, held);
    expect(made.bench.shard.inSync).toEqual(['S0', 'S1']);
    expect(made.bench.published('shard.stale')).toMatchObject([
      { subject: 'sh0/S2', data: { cause: 'its data is gone' } },
    ]);
  });

  it('everything: it stays', () => {
    const made = withHealth();
    check(made, states({}));
    expect(made.bench.effects).toEqual([]);
    expect(made.bench.shard.inSync).toEqual(['S0', 'S1', 'S2']);
  });

  it('nothing, since it has not stored the shard’s record yet: it stays', () => {
    const made = withHealth();
    made.bench.shard.unacknowledged.add('S2');
    check(made, []);
    expect(made.bench.shard.inSync).toEqual(['S0', 'S1', 'S2']);
    expect(made.bench.cluster.serving(made.bench.shard)).toContain('S2');
  });

  it('nothing, where it cannot leave: it counts for nothing, and that is tried once', () => {
    const made = withHealth();
    const { shard } = made.bench;
    shard.setRecord({ ...shard.record, inSync: ['S1', 'S2'] });
    made.bench.loseDisk('S1');
    check(made, []);
    expect(shard.inSync).toEqual(['S1', 'S2']);
    expect(made.bench.cluster.serving(shard)).toEqual(['S1']);
    made.bench.forget();
    serverOf(made.bench, 'S1').dead = true;
    check(made, []);
    expect(made.bench.effects).toEqual([]);
    expect(made.bench.cluster.serving(shard)).toEqual([]);
  });

  it.each([
    ['others serve', []],
    ['nobody serves', ['S0', 'S1']],
  ])('nothing, heartbeat after heartbeat, while %s: that it should leave is asked for once', (_, dead) => {
    const made = withHealth();
    const { shard } = made.bench;
    for (const server of dead) serverOf(made.bench, server).dead = true;
    const { configLock } = shard;
    spawn(wait(configLock.acquire()));
    for (let beat = 0; beat < 3; beat += 1) check(made, []);
    const { queue } = configLock as unknown as { queue: unknown[] };
    expect(queue).toHaveLength(1);
  });

  it('nothing, as it says late: it has left meanwhile, and that says nothing of it when it comes back', () => {
    const made = withHealth();
    const { bench, health } = made;
    const { shard } = bench;
    const mustHave = health.mustHave('S2');
    shard.setRecord({ ...shard.record, inSync: ['S0', 'S1'] });
    health.checkData(serverOf(bench, 'S2'), [], mustHave);
    shard.entering.add('S2');
    expect(shard.voters).toEqual(['S0', 'S1', 'S2']);
  });

  it('must be what was committed when it was asked, of shards alone that it is a member of and whose VAT is known', () => {
    const { bench, health } = withHealth(3, ['a', 'b', 'c']);
    const b = bench.shardOf('b');
    b.setRecord({ ...b.record, inSync: ['S0', 'S1'] });
    bench.shardOf('c').decided = false;
    const mustHave = health.mustHave('S2');
    expect([...mustHave]).toEqual([['a', VAT]]);
    // What is committed while the answer is under way need not be in it.
    bench.shardOf('a').vat = VAT + 1;
    health.checkData(serverOf(bench, 'S2'), states({ shard: 'a' }), mustHave);
    bench.settle();
    for (const shard of ['a', 'c']) expect(bench.shardOf(shard).inSync).toEqual(['S0', 'S1', 'S2']);
  });
});

describe('a server that is asked for until it answers', () => {
  const fenced = ({ bench, health }: Made): { result?: FenceReply | null } =>
    bench.begin(health.awaitNode('S1', 1_000));

  it('is given up when the time is over', () => {
    const made = withHealth();
    made.bench.tick = () => undefined;
    made.bench.answer = (ask) => (ask.do === 'fence' ? SILENCE : undefined);
    const done = fenced(made);
    made.bench.pass(900);
    expect(done.result).toBeUndefined();
    made.bench.pass(200);
    expect(done.result).toBeNull();
    expect(made.bench.asked('fence')).toHaveLength(11);
  });

  it('is not asked again when it has seen a higher epoch: we give way', () => {
    const made = withHealth();
    made.bench.answer = (ask) => (ask.do === 'fence' ? FENCED : undefined);
    expect(fenced(made).result).toBeNull();
    expect(made.bench.over).toHaveLength(1);
    expect(made.bench.asked('fence')).toHaveLength(1);
  });

  it('reports ids of configurations', () => {
    const made = withHealth();
    const { bench } = made;
    bench.answer = (ask) =>
      ask.do === 'fence' ? { ok: true, value: { ...bench.fenceReply('S1'), configId: 7, prepared: 8 } } : undefined;
    expect(fenced(made).result).toMatchObject({ configId: 7 });
    expect(bench.cluster.nextConfigId()).toBe(9);
  });
});

describe('a server that is dead', () => {
  const FLATLINE_MS = (heartbeatMisses + 1) * heartbeatIntervalMs;
  /** S2 answers nothing, and cannot be started. */
  function dead(): Made {
    const made = withHealth();
    made.bench.answer = (ask) => {
      if (ask.do === 'startNode') return SILENCE;
      return 'server' in ask && ask.server === 'S2' ? SILENCE : undefined;
    };
    made.bench.pass(FLATLINE_MS);
    return made;
  }

  it('is published: since when it was silent, if it ever said anything', () => {
    expect(dead().bench.published('server.flatline')).toMatchObject([{ subject: 'S2', data: { silentMs: null } }]);
    const { bench } = withHealth();
    bench.pass(heartbeatIntervalMs);
    bench.answer = (ask) => (isPing('S2')(ask) ? SILENCE : undefined);
    bench.pass(FLATLINE_MS);
    const [flatline] = bench.published('server.flatline');
    expect(flatline?.data.silentMs).toBeGreaterThanOrEqual(heartbeatMisses * heartbeatIntervalMs);
  });

  it('leaves its sets, and is started again and again until it answers', () => {
    const { bench } = dead();
    expect(bench.shard.inSync).toEqual(['S0', 'S1']);
    bench.pass(2_500);
    expect(bench.asked('startNode').length).toBeGreaterThanOrEqual(3);
    expect(bench.asked('fence')).toEqual([]);
    bench.answer = () => undefined;
    bench.pass(1_000);
    expect(bench.published('server.respawned')).toMatchObject([{ subject: 'S2' }]);
    expect(serverOf(bench, 'S2')).toMatchObject({ dead: false, starting: false });
  });

  it.each<[string, (bench: Bench) => void]>([
    [
      'leaving',
      (bench): void => {
        serverOf(bench, 'S2').leaving = true;
      },
    ],
    [
      'removed',
      (bench): void => {
        bench.cluster.removeServer('S2');
      },
    ],
    [
      'another one of that name',
      (bench): void => {
        bench.cluster.addServer('S2', 9);
      },
    ],
  ])('is not started any more when it is %s', (_, change) => {
    const { bench } = dead();
    change(bench);
    bench.forget();
    bench.answer = () => undefined;
    bench.pass(nodeStartMs + 3_000);
    expect(bench.asked('startNode')).toEqual([]);
    expect(bench.published('server.respawned')).toEqual([]);
  });
});
