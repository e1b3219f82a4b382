/** What a leader does, each time it looks, about servers that an /rm has promised to remove. */
import type { NodeShardState, ReplicaMove } from '#common/contracts/node';
import { Membership } from '../src/core/membership/membership';
import type { MembershipParts } from '../src/core/membership/membership-parts';
import { seededRandom } from '../src/core/kernel/random';
import { Reader } from '../src/core/requests/reader';
import { finishRemovals, removeServers } from '../src/core/membership/removal';
import type { ShardRecord } from '../src/core/cluster/shard';
import { spawn } from '../src/core/kernel/workflow';
import { clusterRecord, done, EPOCH, PartsOfTheCore, shardRecord, SILENCE, stateOf } from './support/parts-of-the-core';

const VAT = 9;

class Removing extends PartsOfTheCore {
  /** Servers that do not hold what they should, by their own report. */
  readonly empty = new Set<string>();
  /** Servers that store no configuration. */
  readonly deaf = new Set<string>();
  readonly membership: Membership;
  private readonly parts: MembershipParts;
  private revision = 100;

  constructor(
    readonly records: readonly ShardRecord[],
    plan: { servers: string[]; leaving: string[]; moves?: ReplicaMove[] },
  ) {
    super();
    const { servers, leaving, moves = [] } = plan;
    const record = clusterRecord(
      servers,
      records.map(({ shard }) => shard),
    );
    this.serve({ ...record, leaving, moves }, records, VAT);
    const { context, cluster, catalog, news, inSyncSets, health, recovery, writer, settings } = this;
    const reader = new Reader(context, cluster, settings, this.fenced);
    const random = seededRandom(1);
    this.parts = { context, cluster, catalog, news, inSyncSets, health, recovery, writer, reader, settings, random };
    this.membership = new Membership(this.parts);
    const vitals = { uptimeMs: 1, postgres: 'ok' as const, diskFreeBytes: null, eventLoopDelayMs: null };
    const pong = { ...vitals, server: 'S', instance: 'i', epoch: EPOCH, configId: 1, cluster: null };
    this.reply('ping', ({ server }) => done({ ...pong, shards: this.heldBy(server) }));
    this.reply('config', ({ server }) =>
      this.deaf.has(server) ? SILENCE : done({ instance: 'i', shards: this.heldBy(server) }),
    );
    this.reply('store', () => done(++this.revision));
    this.reply('removeNode', () => done(null));
  }

  /** It looks once. */
  look(plansAgain = false): void {
    spawn(finishRemovals(this.parts, plansAgain));
    this.pass(100);
  }

  /** An administrator asks for it. */
  remove(...named: string[]): void {
    spawn(removeServers({ n: named.length, servers: named }, this.parts));
    this.pass(100);
  }

  /** Time passes, and the balancer's ticks come. */
  tick(ms: number): void {
    for (let left = ms; left > 0; left -= 50) {
      this.membership.tick();
      this.pass(50);
    }
  }

  get gone(): string[] {
    return this.allAsks('removeNode').map((ask) => ask.replace('removeNode ', ''));
  }
  replicas(id = 'a'): readonly string[] {
    return this.shard(id).record.replicas;
  }
  get stored(): string[] {
    return this.asked.flatMap((ask) => (ask.do === 'store' ? [ask.key] : []));
  }

  private heldBy(server: string): NodeShardState[] {
    const held = [...this.cluster.shards.values()].filter(({ record }) => record.replicas.includes(server));
    const changes = this.empty.has(server) ? { currentTerm: 0, committedVat: 0 } : {};
    return held.map(({ record }) => stateOf(record, VAT, changes));
  }
}

const toS3 = (shard: string, from = 'S0'): ReplicaMove => ({ shard, to: 'S3', from });
const servers = ['S0', 'S1', 'S2', 'S3'];

it('each server goes as soon as its own copies are there', () => {
  const world = new Removing([shardRecord('a', ['S0', 'S2', 'S3']), shardRecord('b', ['S1', 'S2'])], {
    servers,
    leaving: ['S0', 'S1'],
    moves: [toS3('a'), toS3('b', 'S1')],
  });
  world.look();
  expect(world.gone).toEqual(['S0']);
  expect(world.replicas('b')).toEqual(['S1', 'S2', 'S3']);
});

it('a server that has to stay for now keeps no other one waiting', () => {
  const world = new Removing([shardRecord('a', ['S0', 'S2']), shardRecord('b', ['S1', 'S3'])], {
    servers,
    leaving: ['S0', 'S1'],
  });
  // Nobody would be left of `a` that has its data.
  world.empty.add('S2');
  world.look();
  expect(world.gone).toEqual(['S1']);
  expect(world.replicas('a')).toContain('S0');
});

describe('a copy that was made in place of one that has left its shard', () => {
  /** S0 has left `a`, and waits for its copy of `b`. */
  const moved = (): Removing => {
    const b = shardRecord('b', ['S0', 'S1', 'S2'], { joining: ['S2'], inSync: ['S0', 'S1'] });
    const a = shardRecord('a', ['S1', 'S2', 'S3'], { inSync: ['S1', 'S2'] });
    const world = new Removing([a, b], {
      servers,
      leaving: ['S0'],
      moves: [toS3('a'), { shard: 'b', to: 'S2', from: 'S0' }],
    });
    world.server('S3').dead = true;
    return world;
  };

  it('is not given up when its server dies: it is a replica like any other', () => {
    const world = moved();
    world.look(true);
    expect(world.replicas('a')).toEqual(['S1', 'S2', 'S3']);
    expect(world.stored).toEqual([]);
  });

  it('is not waited for once more', () => {
    const world = moved();
    const { record } = world.shard('b');
    world.shard('b').setRecord({ ...record, joining: [], inSync: record.replicas });
    world.look();
    expect(world.gone).toEqual(['S0']);
  });
});

it('a copy whose server does not run stays what is to be made, when another server is to go', () => {
  const a = shardRecord('a', ['S0', 'S1', 'S2', 'S3'], { joining: ['S3'], inSync: ['S0', 'S1', 'S2'] });
  const world = new Removing([a], { servers: [...servers, 'S4'], leaving: ['S0'], moves: [toS3('a')] });
  world.server('S3').dead = true;
  world.remove('S4');
  expect(world.gone).toEqual(['S4']);
  expect(world.cluster.record?.moves).toEqual([toS3('a')]);
  expect(world.replicas()).toContain('S3');
});

describe('a server that was to take the replica of one that is to go is removed itself', () => {
  /** S0 is to go from `a`, and S3, which is to take it, is no replica yet: it does not store that it is one. */
  const begun = (others: string[]): Removing =>
    new Removing([shardRecord('a', ['S0', 'S1'])], {
      servers: ['S0', 'S1', 'S3', ...others],
      leaving: ['S0'],
      moves: [toS3('a')],
    });

  it('another one takes it', () => {
    const world = begun(['S4']);
    world.remove('S3');
    expect(world.gone).toEqual(['S3']);
    expect(world.cluster.record?.moves).toEqual([{ shard: 'a', to: 'S4', from: 'S0' }]);
    world.look();
    expect(world.gone).toEqual(['S3']);
    expect(world.replicas()).toEqual(['S0', 'S1', 'S4']);
  });

  it('nobody does where no other one is left', () => {
    const world = begun([]);
    world.remove('S3');
    world.look();
    expect([...world.gone].sort()).toEqual(['S0', 'S3']);
    expect(world.replicas()).toEqual(['S1']);
  });
});

it('a copy that is not begun stays what is to be made when another server is removed, though its own does not run', () => {
  const world = new Removing([shardRecord('a', ['S0', 'S1']), shardRecord('b', ['S2', 'S1'])], {
    servers: [...servers, 'S4'],
    leaving: ['S0'],
    moves: [toS3('a')],
  });
  world.server('S3').dead = true;
  world.remove('S2');
  expect(world.cluster.record?.moves).toContainEqual(toS3('a'));
  expect(world.replicas()).not.toContain('S4');
});

it('a server that is removed while it takes a replica is replaced alone, and not who was to leave for it as well', () => {
  const world = new Removing([shardRecord('a', ['S0', 'S1', 'S3'], { inSync: ['S0', 'S1'], joining: ['S3'] })], {
    servers: [...servers, 'S4'],
    leaving: ['S0'],
    moves: [toS3('a')],
  });
  world.remove('S3');
  const moves = world.cluster.record?.moves ?? [];
  expect(moves.map(({ from }) => from)).toEqual(['S0', 'S3']);
  expect(world.replicas()).toEqual(['S0', 'S1', 'S3', moves[1]!.to]);
});

it('nothing is begun as long as a shard that would lose a replica has none that serves', () => {
  const world = new Removing([shardRecord('a', ['S0', 'S1'])], { servers, leaving: ['S0'], moves: [toS3('a')] });
  for (const server of ['S0', 'S1']) world.shard().suspend(server, true);
  world.look();
  expect(world.stored).toEqual([]);
  expect(world.replicas()).toEqual(['S0', 'S1']);
  for (const server of ['S0', 'S1']) world.shard().suspend(server, false);
  world.look();
  expect(world.replicas()).toContain('S3');
});

it('nothing more is begun when somebody else is found to lead', () => {
  const world = new Removing([shardRecord('a', ['S0', 'S1'])], { servers, leaving: ['S2', 'S3'] });
  world.reply('store', () => done(null));
  world.reply('readKey', () => done({ key: 'cluster', value: { by: 99 }, revision: 300 }));
  world.look();
  expect(world.givenUp).toHaveLength(1);
  expect(world.asked.at(-1)?.do).toBe('readKey');
});

it('so it is where that is found when a server is to stay after all', () => {
  const world = new Removing([shardRecord('a', ['S0', 'S1'])], { servers, leaving: ['S0'] });
  const later: string[] = [];
  world.reply('store', ({ key }) => {
    if (key === 'cluster') later.push(key);
    if (later.length === 1) world.empty.add('S1');
    return done(later.length > 1 ? null : 200 + world.asked.length);
  });
  world.reply('readKey', () => done({ key: 'cluster', value: { by: 99 }, revision: 300 }));
  world.look();
  expect(world.givenUp).toHaveLength(1);
  expect(world.asked.at(-1)?.do).toBe('readKey');
});

describe('a copy whose server does not run is given up', () => {
  /** S0 is to go from `a`, and S3, which was to take it, does not run. */
  const begun = (others: string[]): Removing => {
    const a = shardRecord('a', ['S0', 'S1', 'S2', 'S3'], { joining: ['S3'], inSync: ['S0', 'S1', 'S2'] });
    const world = new Removing([a], { servers: [...servers, ...others], leaving: ['S0'], moves: [toS3('a')] });
    world.server('S3').dead = true;
    return world;
  };

  it('also where no other server can take it', () => {
    const world = begun([]);
    world.look(true);
    expect(world.gone).toEqual(['S0']);
    expect(world.replicas()).toEqual(['S1', 'S2']);
  });

  it('and leaves its shard, also when that is not possible at first', () => {
    const world = begun(['S4']);
    for (const server of servers) world.empty.add(server);
    world.look(true);
    expect(world.replicas()).toContain('S3');
    world.empty.clear();
    world.look(true);
    expect([...world.replicas()].sort()).toEqual(['S0', 'S1', 'S2', 'S4']);
  });
});

it('a copy that nobody could take at first is stored when somebody can: the next leader makes it, too', () => {
  const records = [shardRecord('a', ['S0', 'S1']), shardRecord('b', ['S0', 'S1'])];
  const world = new Removing(records, { servers, leaving: ['S0'], moves: [toS3('a')] });
  world.look(true);
  expect(world.cluster.record?.moves).toEqual([toS3('a'), { shard: 'b', to: 'S2', from: 'S0' }]);
  const { length } = world.stored;
  world.look(true);
  expect(world.stored).toHaveLength(length);
});

it('a copy that is there is not given up because its server is being started again', () => {
  const b = shardRecord('b', ['S0', 'S1']);
  const plan = {
    servers: [...servers, 'S4'],
    leaving: ['S0'],
    moves: [toS3('a'), { shard: 'b', to: 'S4', from: 'S0' }],
  };
  const world = new Removing([shardRecord('a', ['S0', 'S1', 'S2', 'S3']), b], plan);
  world.server('S3').starting = true;
  world.look(true);
  expect(world.replicas('a')).toContain('S3');
  expect(world.cluster.record?.moves).toEqual(plan.moves);
});

it('a server keeps its data until those who remain have stored that it has left', () => {
  const world = new Removing([shardRecord('a', ['S0', 'S1'])], { servers, leaving: ['S0'] });
  world.deaf.add('S1');
  world.look();
  expect(world.replicas()).toEqual(['S1']);
  expect(world.gone).toEqual([]);
  world.deaf.clear();
  world.inSyncSets.tick();
  world.pass(300);
  world.look();
  expect(world.gone).toEqual(['S0']);
});

it('a server keeps its data where the one that remains loses its own, also those that it has not reported yet', () => {
  const world = new Removing([shardRecord('a', ['S0', 'S1'])], { servers, leaving: ['S0'] });
  world.server('S0').holds = new Set();
  world.reply('store', ({ key }) => {
    if (key === 'shard.a') world.empty.add('S1');
    return done(200 + world.asked.length);
  });
  // It confirms that it stores the configuration, and has nothing of the shard when it is asked the next time.
  world.reply('config', ({ request }) =>
    done({ instance: 'i', shards: request.shards.map(() => stateOf(world.shard().record, VAT)) }),
  );
  world.look();
  expect(world.replicas()).toEqual(['S1']);
  expect(world.gone).toEqual([]);
  // It stays a member of the cluster all the time.
  expect(world.stored).toEqual(['shard.a']);
});

it('a server that was to hold one shard alone goes from that one', () => {
  const records = [shardRecord('a', ['S1', 'S2']), shardRecord('b', ['S1', 'S2'])];
  const world = new Removing(records, { servers, leaving: ['S3'], moves: [{ shard: 'b', to: 'S3' }] });
  world.look();
  expect(world.gone).toEqual(['S3']);
  const data = { cause: '/rm', shards: ['b'] };
  expect(world.events).toEqual([{ kind: 'server.removed', subject: 'S3', data }]);
});

describe('a server that is to go and does not run', () => {
  it('stays a replica until another one is there in its place', () => {
    const world = new Removing([shardRecord('a', ['S0', 'S1', 'S2'], { inSync: ['S1', 'S2'] })], {
      servers,
      leaving: ['S0'],
      moves: [toS3('a')],
    });
    world.server('S0').dead = true;
    world.look();
    expect(world.replicas()).toEqual(['S0', 'S1', 'S2', 'S3']);
  });

  it('has no word any more where members disagree; one that runs has', () => {
    const world = new Removing([shardRecord('a', ['S0', 'S1', 'S2'], { disputed: true })], {
      servers: [...servers, 'S4'],
      leaving: ['S0', 'S1'],
      moves: [toS3('a'), { shard: 'a', to: 'S4', from: 'S1' }],
    });
    world.server('S0').dead = true;
    world.look();
    expect(world.replicas()).toEqual(['S1', 'S2', 'S3', 'S4']);
  });
});

/** The server reports the shard to the new leader. */
function hear(world: Removing, server: string): void {
  world.cluster.reports.add(server, { configId: 1, shards: [{ shard: 'a' } as never] });
}

describe('as long as nobody knows what a shard has acknowledged', () => {
  const unresolved = (leaving: string[], replicas: string[]): Removing => {
    const world = new Removing([shardRecord('a', replicas)], { servers, leaving });
    world.shard().resolved = false;
    world.shard().decided = false;
    return world;
  };

  it('no server goes that holds something of it, though its record does not name it', () => {
    const world = unresolved(['S3'], ['S0', 'S1', 'S2']);
    world.server('S3').holds = new Set(['a']);
    world.look();
    expect(world.gone).toEqual([]);
    world.shard().resolved = true;
    world.look();
    expect(world.gone).toEqual(['S3']);
  });

  it('its record is not changed on the word of too few: who is silent may know a later one', () => {
    const world = unresolved(['S1'], ['S0', 'S1', 'S2']);
    world.server('S1').dead = true;
    world.server('S2').dead = true;
    hear(world, 'S0');
    world.look(true);
    expect(world.stored).not.toContain('shard.a');
    expect(world.replicas()).toEqual(['S0', 'S1', 'S2']);
    world.server('S2').dead = false;
    hear(world, 'S2');
    world.look();
    expect(world.replicas()).toEqual(['S0', 'S1', 'S2', 'S3']);
  });
});

it.each([
  ['a replica that never was in sync has no word in that', false, ['S2'], ['S0', 'S1', 'S2']],
  ['and once it is known one replica is enough', true, [], ['S0', 'S1', 'S2', 'S3']],
])('%s', (_, isKnown, joining, replicas) => {
  const a = shardRecord('a', ['S0', 'S1', 'S2'], { joining, inSync: ['S0'] });
  const world = new Removing([a], { servers, leaving: ['S1'], moves: [toS3('a', 'S1')] });
  world.shard().decided = world.shard().resolved = isKnown;
  world.server('S1').dead = true;
  world.server('S2').dead = isKnown;
  for (const server of ['S0', 'S2']) hear(world, server);
  world.look();
  expect(world.replicas()).toEqual(replicas);
});

describe('a leader looks by itself', () => {
  it('as soon as it serves, and not before', () => {
    const world = new Removing([shardRecord('a', ['S0', 'S1'])], { servers, leaving: ['S3'] });
    world.cluster.phase = 'takingOver';
    world.tick(2_000);
    expect(world.gone).toEqual([]);
    world.cluster.phase = 'serving';
    world.tick(100);
    expect(world.gone).toEqual(['S3']);
  });

  it('twice a second', () => {
    const world = new Removing([shardRecord('a', ['S0', 'S1'])], { servers: ['S0', 'S1'], leaving: ['S0'] });
    // It has to stay.
    world.empty.add('S1');
    world.tick(2_000);
    expect(world.allAsks('ping')).toEqual(Array.from({ length: 4 }, () => 'ping S1'));
  });

  it('not while a command is being carried out, and makes up for nothing after that', () => {
    const world = new Removing([shardRecord('a', ['S0', 'S1'])], { servers: ['S0', 'S1'], leaving: ['S0'] });
    world.empty.add('S1');
    world.reply('listNodes', () => done([]));
    const command = { n: 1, newShards: [], servers: { N0: ['a'] } };
    world.membership.carryOut({ request: 1, op: 'add', command });
    world.tick(3_000);
    expect(world.openAsks('startNode')).toEqual(['startNode N0']);
    world.answer('startNode', SILENCE);
    world.pass(100);
    expect(world.allAsks('ping')).toEqual([]);
  });

  it('for another server in place of one that does not run only when that had as long to come back as an administrator waits', () => {
    const a = shardRecord('a', ['S0', 'S1', 'S2', 'S3'], { joining: ['S3'], inSync: ['S0', 'S1', 'S2'] });
    const world = new Removing([a], { servers: [...servers, 'S4'], leaving: ['S0'], moves: [toS3('a')] });
    world.membership.resume();
    world.tick(world.settings.adminWaitMs + 500);
    world.server('S3').dead = true;
    world.tick(world.settings.adminWaitMs - 1_000);
    expect(world.replicas()).toEqual(['S0', 'S1', 'S2', 'S3']);
    world.tick(1_500);
    expect(world.replicas()).toEqual(['S0', 'S1', 'S2', 'S4']);
  });
});
