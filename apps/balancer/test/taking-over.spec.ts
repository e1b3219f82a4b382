/** What a new leader decides, when, and by whose word. */
import type { FenceReply, NewestRound, NodeShardState } from '#common/contracts/node';
import type { CatalogValue, Result } from '../src/core/kernel/effects';
import type { ShardRecord } from '../src/core/cluster/shard';
import { spawn } from '../src/core/kernel/workflow';
import {
  clusterRecord,
  done,
  EPOCH,
  fenceReply,
  GRACE_MS,
  PartsOfTheCore,
  shardRecord,
  SILENCE,
  stateOf,
} from './support/parts-of-the-core';

const S = ['S0', 'S1', 'S2'];
const VAT = 9;

/** A new leader that has found these shards in the catalog, and fences their servers. */
class TakingOver extends PartsOfTheCore {
  private revision = 100;

  constructor(
    readonly records: readonly ShardRecord[],
    servers: readonly string[] = S,
  ) {
    super();
    const cluster = clusterRecord(
      servers,
      records.map(({ shard }) => shard),
    );
    const entries: CatalogValue[] = records.map((value) => ({ key: `shard.${value.shard}`, value, revision: 2 }));
    if (records.length > 0) entries.push({ key: 'cluster', value: cluster, revision: 1 });
    this.reply('load', () => done(entries));
    this.reply('store', () => done(++this.revision));
    this.reply('listNodes', () => done([]));
    this.reply('census', () => done([]));
    this.reply('startNode', () => done(null));
    this.reply('config', ({ request }) =>
      done({
        instance: 'i',
        shards: request.shards.map(({ shard }) =>
          stateOf(this.shard(shard).record, Math.max(VAT, this.shard(shard).vat)),
        ),
      }),
    );
    this.reply('apply', ({ round }) => done(round.parts.map(({ shard }) => ({ shard, outcomes: [], digest: '1' }))));
    spawn(this.takeOver.lead({ epoch: EPOCH, history: [{ epoch: EPOCH - 2, instance: 'L3', since: 1 }] }));
    this.settle();
  }

  /** The server answers the fence: by itself that it has everything of its shards. */
  report(server: string, changes: Partial<NodeShardState> = {}, reply: Partial<FenceReply> = {}): void {
    const held = this.records.filter(({ replicas }) => replicas.includes(server));
    const shards = held.map((record) => stateOf(record, VAT, changes));
    this.answer('fence', done(fenceReply(shards, reply)), server);
  }

  /** They do not run, and cannot be started. */
  beGone(...servers: string[]): void {
    this.reply('fence', ({ server }) => (servers.includes(server) ? SILENCE : undefined));
    for (const server of servers) this.answer('fence', SILENCE, server);
  }

  get served(): string[] {
    return [...this.cluster.shards.values()].filter(({ resolved }) => resolved).map(({ id }) => id);
  }
  /** On which this leader's first round of the shard builds. */
  decidedVat(id = 'a'): number | undefined {
    const parts = this.asked.flatMap((ask) => (ask.do === 'apply' ? ask.round.parts : []));
    return parts.find(({ shard }) => shard === id)?.vat;
  }
  get rounds(): { server: string; first: number; last: number }[] {
    return this.asked.flatMap((ask) => {
      if (ask.do !== 'apply') return [];
      return ask.round.parts.map(({ firstTerm, lastTerm }) => ({
        server: ask.server,
        first: firstTerm,
        last: lastTerm,
      }));
    });
  }
}

/** A round of the leader before. */
function roundOf(lastTerms: Record<string, number>): NewestRound {
  return { epoch: EPOCH - 1, round: 3, lastTerms, refused: false };
}
const one = (changes: Partial<ShardRecord> = {}): ShardRecord[] => [shardRecord('a', S, changes)];

describe('a new leader', () => {
  it('serves a shard when all of its members have reported what they hold', () => {
    const world = new TakingOver(one());
    for (const server of ['S0', 'S1']) world.report(server);
    world.pass(200);
    expect(world.served).toEqual([]);
    expect(world.takeOver.awaited()).toEqual(['S2']);
    world.report('S2');
    world.pass(50);
    expect(world.served).toEqual(['a']);
    expect(world.decidedVat()).toBe(VAT);
    // Rewritten under our epoch, and not once more when it is decided.
    expect(world.asked.filter((ask) => ask.do === 'store' && ask.key === 'shard.a')).toHaveLength(1);
    expect(world.rounds.map(({ server }) => server)).toEqual(S);
    expect(world.cluster.phase).toBe('serving');
    expect(world.cluster.mark).not.toBeNull();
    expect(world.takeOver.awaited()).toEqual([]);
  });

  it('vouches for nothing where there is no configuration', () => {
    const world = new TakingOver([], []);
    world.pass(GRACE_MS);
    expect(world.cluster.phase).toBe('unconfigured');
    expect(world.cluster.mark).toBeNull();
  });

  it('waits, as long as it looks for records, for whoever may know one', () => {
    const world = new PartsOfTheCore();
    world.reply('load', () => done([]));
    world.reply('listNodes', () => done([]));
    world.reply('census', () => done([{ server: 'S7', configId: 1 }]));
    spawn(world.takeOver.lead({ epoch: EPOCH, history: [] }));
    world.settle();
    expect(world.takeOver.awaited()).toEqual(['S7']);
  });

  it('forgets what earlier leaders decided when every shard has a round of its own', () => {
    const world = new TakingOver(one());
    for (const server of S) world.report(server, { epochStarts: [{ epoch: 2, vat: 3 }] });
    world.pass(50);
    expect(world.shard().epochStarts).toEqual([{ epoch: EPOCH, vat: VAT }]);
  });

  it('decides nothing any more when somebody else leads', () => {
    const world = new TakingOver(one());
    for (const server of ['S0', 'S1']) world.report(server);
    world.cluster.phase = 'steppedDown';
    world.report('S2');
    world.pass(200);
    expect(world.rounds).toEqual([]);
    expect(world.cluster.mark).toBeNull();
  });

  it('vouches for nothing that was stored when somebody else led already', () => {
    const world = new TakingOver(one());
    world.reply('apply', ({ round }) => {
      world.cluster.phase = 'steppedDown';
      return done(round.parts.map(({ shard }) => ({ shard, outcomes: [], digest: '1' })));
    });
    for (const server of S) world.report(server);
    world.pass(200);
    expect(world.cluster.mark).toBeNull();
  });

  it.each<[string, Partial<FenceReply>, Partial<NodeShardState>]>([
    ['the catalog', { mark: { epoch: EPOCH, instance: 'L9', revision: 1 } }, {}],
    ['a round', {}, { newestRound: { ...roundOf({ a: VAT }), epoch: EPOCH } }],
    ['a configuration', {}, { configEpoch: EPOCH }],
  ])('gives way to whoever has used its epoch already: for %s', (_, reply, state) => {
    const world = new TakingOver(one());
    for (const server of ['S0', 'S1']) world.report(server);
    world.report('S2', state, reply);
    world.pass(200);
    expect(world.givenUp).toEqual([`the epoch ${EPOCH} has been used already`]);
    expect(world.served).toEqual([]);
  });
});

describe('a server that does not come', () => {
  const silent = (): TakingOver => {
    const world = new TakingOver(one());
    for (const server of ['S0', 'S1']) world.report(server);
    world.beGone('S2');
    return world;
  };

  it('is started once a second, and no more when it is no part of the cluster', () => {
    const world = silent();
    world.reply('startNode', () => SILENCE);
    world.pass(3_000);
    const started = world.allAsks('startNode').length;
    expect(started).toBeGreaterThanOrEqual(3);
    expect(started).toBeLessThanOrEqual(4);
    world.cluster.removeServer('S2');
    world.pass(100);
    const before = world.asked.length;
    world.pass(3_000);
    expect(world.asked.slice(before).filter((ask) => 'server' in ask && ask.server === 'S2')).toEqual([]);
  });

  it('is not asked any more when somebody else leads', () => {
    const world = silent();
    world.pass(200);
    world.cluster.phase = 'steppedDown';
    world.pass(2_000);
    const before = world.allAsks('startNode', 'fence').length;
    world.pass(3_000);
    expect(world.allAsks('startNode', 'fence')).toHaveLength(before);
  });

  it('and is no part of the cluster any more when it answers is not heard', () => {
    const world = new TakingOver(one());
    for (const server of ['S0', 'S1']) world.report(server);
    world.answer('fence', SILENCE, 'S2');
    world.pass(50);
    expect(world.openAsks('fence')).toEqual(['fence S2']);
    world.cluster.removeServer('S2');
    world.report('S2');
    expect(world.givenUp).toEqual([]);
    expect(world.cluster.servers.has('S2')).toBe(false);
  });
});

describe('by what members report', () => {
  it.each([
    ['S0', 'S1'],
    ['S1', 'S0'],
  ])(
    'one that lags behind what another knows to be committed does not count after the time of grace: %s first',
    (...order) => {
      const world = new TakingOver(one());
      for (const server of order)
        world.report(server, server === 'S0' ? {} : { currentTerm: VAT - 1, committedVat: VAT - 2 });
      world.beGone('S2');
      world.pass(3 * GRACE_MS);
      expect(world.served).toEqual([]);
      // Nobody is to leave, so nobody is asked whether enough would remain.
      expect(world.allAsks('ping')).toEqual([]);
    },
  );

  it('enough whole ones decide after the time of grace, without the one that is silent', () => {
    const world = new TakingOver(one());
    world.reply('ping', () => {
      const vitals = { uptimeMs: 1, postgres: 'ok' as const, diskFreeBytes: null, eventLoopDelayMs: null };
      const shards = [stateOf(world.shard().record, VAT)];
      return done({ ...vitals, server: 'S', instance: 'i', epoch: EPOCH, configId: 1, cluster: null, shards });
    });
    for (const server of ['S0', 'S1']) world.report(server);
    world.beGone('S2');
    world.pass(GRACE_MS - 100);
    expect(world.served).toEqual([]);
    world.pass(200);
    expect(world.served).toEqual(['a']);
    expect(world.shard().inSync).toEqual(['S0', 'S1']);
  });

  it('nothing follows where all members have lost what they held', () => {
    const world = new TakingOver(one());
    for (const server of S) world.report(server, { catchingUp: true });
    world.pass(3 * GRACE_MS);
    expect(world.shard().decided).toBe(false);
  });

  it('a single whole one decides when all have reported, also after the time of grace', () => {
    const world = new TakingOver(one());
    world.beGone(...S);
    world.pass(2 * GRACE_MS);
    world.reply('fence', ({ server }) => {
      const changes = server === 'S0' ? {} : { catchingUp: true, currentTerm: 0, committedVat: 0 };
      return done(fenceReply([stateOf(world.records[0]!, VAT, changes)]));
    });
    world.pass(2_000);
    expect(world.shard().decided).toBe(true);
    expect(world.decidedVat()).toBe(VAT);
  });

  it.each<[string, Partial<ShardRecord>, Partial<NodeShardState>]>([
    ['was found to be wrong', { diverged: ['S2'] }, { committedVat: 50, currentTerm: 50 }],
    ['is being copied', {}, { committedVat: 50, currentTerm: 50, catchingUp: true }],
  ])('one that %s has no word in it', (_, record, state) => {
    const world = new TakingOver(one(record));
    for (const server of ['S0', 'S1']) world.report(server);
    world.report('S2', state);
    world.pass(50);
    expect(world.decidedVat()).toBe(VAT);
  });

  it('one whose terms end below the VAT has lost something, and does not lower it', () => {
    const world = new TakingOver(one());
    world.report('S0');
    world.report('S1');
    world.report('S2', { committedVat: VAT - 2, currentTerm: VAT - 1 });
    world.pass(50);
    expect(world.decidedVat()).toBe(VAT);
  });

  it('a round counts that another shard knows to be committed, though that shard is decided by itself', () => {
    const round = roundOf({ a: VAT, b: 14 });
    const world = new TakingOver([shardRecord('a', ['S0', 'S1']), shardRecord('b', ['S2', 'S3'])], [...S, 'S3']);
    for (const server of ['S0', 'S1']) world.report(server, { committedVat: VAT - 2, newestRound: round });
    for (const server of ['S2', 'S3']) world.report(server, { committedVat: 14, currentTerm: 14, newestRound: round });
    world.pass(50);
    expect(world.served.sort()).toEqual(['a', 'b']);
    expect(world.decidedVat()).toBe(VAT);
  });

  it('a round that was decided not to be committed in one shard is not in another one later, whoever left the first since', () => {
    const round = roundOf({ b: 14, c: 4 });
    const records = [shardRecord('b', ['S0', 'S1']), shardRecord('c', ['S2', 'S3'])];
    const world = new TakingOver(records, [...S, 'S3']);
    world.report('S0', { committedVat: 12, currentTerm: 14, newestRound: round });
    world.report('S1', { committedVat: 12, currentTerm: 12 });
    world.beGone('S2', 'S3');
    world.pass(GRACE_MS + 100);
    expect(world.served).toEqual(['b']);
    expect(world.decidedVat('b')).toBe(12);
    world.shard('b').setRecord({ ...world.shard('b').record, inSync: ['S0'] });
    const late = { committedVat: 1, currentTerm: 4, newestRound: round };
    world.reply('fence', () => done(fenceReply([stateOf(records[1]!, 4, late)])));
    world.pass(2_000);
    expect(world.served).toEqual(['b', 'c']);
    expect(world.decidedVat('c')).toBe(1);
  });

  it('a round does not count over a shard that there is not any more', () => {
    const world = new TakingOver(one());
    for (const server of S) world.report(server, { committedVat: VAT - 2, newestRound: roundOf({ a: VAT, z: 3 }) });
    world.pass(50);
    expect(world.served).toEqual(['a']);
    expect(world.decidedVat()).toBe(VAT - 2);
  });

  it('a shard waits for one of which nobody has reported anything, which may be linked to it, but not forever', () => {
    const world = new TakingOver([shardRecord('a', ['S0', 'S1']), shardRecord('b', ['S2', 'S3'])], [...S, 'S3']);
    world.beGone('S2', 'S3');
    for (const server of ['S0', 'S1']) world.report(server);
    world.pass(GRACE_MS - 100);
    expect(world.served).toEqual([]);
    world.pass(200);
    expect(world.served).toEqual(['a']);
  });

  it.each<[string, Partial<NodeShardState>, Partial<FenceReply>]>([
    ['a shard that there is not', { shard: 'z' }, {}],
    ['another configuration', { configVersion: 9, inSync: ['S2'], committedVat: 99 }, { configId: 9 }],
  ])('nothing follows from %s', (_, state, reply) => {
    const world = new TakingOver(one());
    for (const server of ['S0', 'S1']) world.report(server);
    world.report('S2', state, reply);
    world.pass(50);
    expect(world.shard().inSync).toEqual(S);
    expect(world.decidedVat()).toBe(VAT);
  });
});

describe('what the catalog says of a shard is believed', () => {
  const lone = (servers = S): TakingOver => new TakingOver(one({ inSync: ['S0'] }), servers);

  it('on the word of one member only after the time of grace', () => {
    const world = lone();
    world.report('S0');
    world.beGone('S1', 'S2');
    world.pass(GRACE_MS - 100);
    expect(world.served).toEqual([]);
    world.pass(200);
    expect(world.shard().decided).toBe(true);
  });

  it('or when most servers have answered, and none of them knows of anything that it does not', () => {
    const world = lone([...S, 'S3', 'S4']);
    world.beGone('S1', 'S2');
    world.report('S0');
    world.report('S3');
    world.pass(100);
    expect(world.served).toEqual([]);
    world.report('S4');
    world.pass(100);
    expect(world.shard().decided).toBe(true);
  });

  it('and when it may be old only on the word of enough replicas that count', () => {
    const replicas = [...S, 'S3'];
    const record = shardRecord('a', replicas, { inSync: ['S0'], joining: ['S2', 'S3'] });
    const world = new TakingOver([record], replicas);
    const forgotten = { mark: { epoch: EPOCH - 1, instance: 'L4', revision: 50 } };
    for (const server of ['S0', 'S2', 'S3']) world.report(server, {}, forgotten);
    world.beGone('S1');
    world.pass(3 * GRACE_MS);
    expect(world.shard().decided).toBe(false);
    world.reply('fence', () => done(fenceReply([stateOf(record, VAT)])));
    world.pass(2_000);
    expect(world.shard().decided).toBe(true);
  });
});

describe('a shard that is served', () => {
  it('stays so when a replica reports a later record, too late: what has been shown is not taken back', () => {
    const world = new TakingOver([shardRecord('a', ['S0', 'S1'], { inSync: ['S0'] })], ['S0', 'S1']);
    world.report('S0');
    world.beGone('S1');
    world.pass(GRACE_MS + 100);
    expect(world.served).toEqual(['a']);
    const later = stateOf(world.records[0]!, VAT, { configVersion: 9, inSync: ['S1'] });
    world.reply('fence', () => done(fenceReply([later])));
    world.pass(2_000);
    expect(world.cluster.isReachable('S1')).toBe(true);
    expect(world.givenUp).toEqual([]);
    expect(world.shard().inSync).toEqual(['S0']);
    expect(world.cluster.isReadable(world.shard())).toBe(true);
  });
});

it('many shards that are decided together are so in steps, with time for others in between', () => {
  const ids = Array.from({ length: 65 }, (_, index) => String.fromCharCode('a'.charCodeAt(0) + index));
  const world = new TakingOver(
    ids.map((id) => shardRecord(id, ['S0', 'S1'])),
    ['S0', 'S1'],
  );
  const round = roundOf(Object.fromEntries(ids.map((id) => [id, VAT])));
  world.reply('pause', () => undefined);
  for (const server of ['S0', 'S1'])
    world.report(server, { committedVat: VAT - 2, newestRound: round, configVersion: 0 });
  let steps: string[][] = [];
  const proceed = (): void => {
    const before = world.asked.length;
    world.answer('pause', done(null));
    steps.push([...new Set(world.asked.slice(before).map((ask) => ask.do))]);
  };
  world.pass(50);
  for (let turns = 0; turns < 10 && world.served.length === 0; turns += 1) proceed();
  steps = steps.slice(steps.findIndex((asks) => asks.includes('config')) - 1);
  expect(world.served).toHaveLength(65);
  // Decided; sent who belongs to the sets; locked; stored, and announced to all servers that everything is known.
  expect(steps).toEqual([['pause'], ['config', 'pause'], ['pause'], ['apply', 'config']]);
});

describe('what was decided', () => {
  const conflict: Result<null> = done(null);

  it('is not served before it is stored, and no term is used again for that', () => {
    const world = new TakingOver(one());
    let silent = true;
    world.reply('apply', ({ round }) =>
      silent ? SILENCE : done(round.parts.map(({ shard }) => ({ shard, outcomes: [], digest: '1' }))),
    );
    world.reply('ping', () => SILENCE);
    for (const server of S) world.report(server);
    world.pass(200);
    expect(world.served).toEqual([]);
    const before = Math.max(...world.rounds.map(({ last }) => last));
    const count = world.rounds.length;
    silent = false;
    world.pass(2_000);
    expect(world.served).toEqual(['a']);
    expect(Math.min(...world.rounds.slice(count).map(({ first }) => first))).toBeGreaterThan(before);
    expect(world.decidedVat()).toBe(VAT);
  });

  it('waits for a member that has not stored who belongs to the set', () => {
    const world = new TakingOver(one());
    world.reply('config', () => SILENCE);
    world.reply('ping', () => SILENCE);
    for (const server of ['S0', 'S1']) world.report(server);
    world.report('S2', { configVersion: 0 });
    world.pass(500);
    expect(world.rounds).toEqual([]);
    expect(world.served).toEqual([]);
  });

  it('rests on a later record that a replica knows only when the catalog has it', () => {
    const world = new TakingOver(one());
    const later = { configVersion: 7, inSync: ['S0', 'S1'] };
    world.reply('store', ({ key }) =>
      key === 'shard.a' && world.shard().record.configVersion === 7 ? conflict : done(200),
    );
    world.reply('readKey', () => done({ key: 'shard.a', value: { by: 99 }, revision: 300 }));
    world.report('S0', later);
    world.report('S1', later);
    world.report('S2');
    world.pass(200);
    expect(world.rounds).toEqual([]);
    expect(world.givenUp).toHaveLength(1);
  });
});
