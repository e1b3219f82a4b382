/** What goes wrong at a point of a small world. */
import { BUCKET } from '../simulation/catalog';
import { diskOf } from '../simulation/checkers/seen';
import { ANYBODY } from '../simulation/network';
import type { JudgedWorld } from '../simulation/world';
import type { Fate, Point } from './points';

/** As long as that somebody is away: longer than the lease, and than a flatline. */
const AWAY_MS = 900;
/** As long as that a leader may hear of nobody but one server, so that nobody is given up. */
const UNSEEN_MS = 400;
/** Past the end of most commands, and of every deadline. */
const LATE_MS = 1_500;
const SOON_MS = 250;
/** Longer than one answer is waited for, and shorter than a flatline. */
const PAUSE_MS = 300;

/** What a mishap came to. */
export interface Struck {
  fate: Fate;
  /** For so long something is still about to come of it. */
  lastsMs: number;
}

export interface Mishap {
  name: string;
  /** A server ends, is away or loses its disk. */
  isOfServer: boolean;
  /** Null: it makes no sense in this world at this point. */
  strike: (world: JudgedWorld, point: Point) => Struck | null;
}

type Kind = Omit<Mishap, 'isOfServer'>;

const done = (lastsMs = 0): Struck => ({ fate: 'arrives', lastsMs });

function cutBoth(world: JudgedWorld, one: string, other: string, ms = AWAY_MS): Struck {
  world.network.cut(one, other, ms);
  world.network.cut(other, one, ms);
  return done(ms);
}

/** It loses its disk; null when it has none, or had the last whole copy of a shard. */
function wipe(world: JudgedWorld, name: string, { ending }: Point): true | null {
  const { servers, watch } = world;
  const server = servers.byName.get(name);
  if (server === undefined || !watch.isSpare(name, ending)) return null;
  server.kill();
  watch.wipe(name, () => {
    server.wipe();
  });
  return true;
}

function ofServer(name: string): Kind[] {
  return [
    {
      name: `${name} ends`,
      strike: ({ servers }) => {
        const server = servers.byName.get(name);
        if (server === undefined || server.process === null) return null;
        server.kill();
        return done();
      },
    },
    {
      name: `${name} restarts`,
      strike: ({ servers }) => {
        const server = servers.byName.get(name);
        if (server === undefined) return null;
        server.start();
        return done(150);
      },
    },
    {
      name: `${name} is empty`,
      strike: (world, point) => {
        if (wipe(world, name, point) === null) return null;
        world.servers.byName.get(name)?.start();
        return done(150);
      },
    },
    { name: `${name} is empty later`, strike: (world, point) => wipe(world, name, point) && done() },
    {
      name: `${name} is away`,
      strike: (world) => (world.servers.byName.has(name) ? cutBoth(world, name, ANYBODY) : null),
    },
    {
      name: `${name} pauses`,
      strike: ({ servers }) => {
        const server = servers.byName.get(name);
        if (server === undefined || server.process === null) return null;
        server.pause(PAUSE_MS);
        return done(PAUSE_MS);
      },
    },
    {
      name: `${name} is far from the leader`,
      strike: (world) => {
        const leader = world.leader();
        return leader === undefined ? null : cutBoth(world, leader.name, name);
      },
    },
    {
      name: `${name} is in doubt`,
      strike: ({ servers }) => {
        const server = servers.byName.get(name);
        if (server === undefined) return null;
        server.doubt(SOON_MS);
        return done(SOON_MS);
      },
    },
    {
      name: `${name} is empty unseen`,
      strike: (world, point) => {
        const { servers, network, scheduler } = world;
        const leader = world.leader();
        if (leader === undefined || wipe(world, name, point) === null) return null;
        for (const other of servers.all) {
          if (other.name === name) continue;
          network.cut(leader.name, other.name, UNSEEN_MS);
          network.cut(name, other.name, UNSEEN_MS);
        }
        servers.byName.get(name)?.start();
        scheduler.after(UNSEEN_MS / 2, () => {
          leader.crash();
        });
        return done(UNSEEN_MS);
      },
    },
  ];
}

const OF_LEADER: readonly Kind[] = [
  {
    name: 'leader ends',
    strike: (world) => {
      const leader = world.leader();
      leader?.crash();
      return leader === undefined ? null : done();
    },
  },
  {
    name: 'leader pauses',
    strike: (world) => {
      world.leader()?.pause(AWAY_MS);
      return done(AWAY_MS);
    },
  },
  {
    name: 'leader without bucket',
    strike: (world) => {
      const leader = world.leader();
      return leader === undefined ? null : cutBoth(world, leader.name, BUCKET);
    },
  },
  {
    name: 'leader deaf to bucket',
    strike: (world) => {
      const leader = world.leader();
      if (leader === undefined) return null;
      world.network.cut(BUCKET, leader.name, AWAY_MS);
      return done(AWAY_MS);
    },
  },
];

/** While the bucket alone knows that another configuration is in force, it takes that with it: then the one before is right again. */
function isAcknowledged({ servers, watch }: JudgedWorld): boolean {
  return servers.all.some((server) => diskOf(server).configId >= watch.seen.configId());
}

/**
 * Every member that a shard has ever had knows who the members are now. Where one does not, and is the only one to answer later, nobody
 * can notice that a bucket was rolled back (docs/protocol.md, "What remains").
 */
function isKnownToAll({ servers, watch }: JudgedWorld): boolean {
  return [...watch.seen.newest.values()].every(({ replicas, joining, inSync }) => {
    const copies = replicas.filter((name) => !joining.includes(name));
    return copies.every((name) => inSync.includes(name) && servers.byName.get(name)?.process !== null);
  });
}

const OF_BUCKET: readonly Kind[] = [
  {
    name: 'bucket lost',
    strike: (world) => {
      if (!isAcknowledged(world)) return null;
      world.catalog.lose();
      return done();
    },
  },
  ...[60, 300, 2_000].map((ms): Kind => ({
    name: `bucket back ${ms}`,
    strike: (world) => {
      if (!isAcknowledged(world) || !isKnownToAll(world)) return null;
      world.catalog.rollBack(ms);
      return done();
    },
  })),
  { name: 'bucket away', strike: (world) => cutBoth(world, BUCKET, ANYBODY) },
];

const OF_MESSAGE: readonly Kind[] = [
  { name: 'lost', strike: () => ({ fate: 'lost', lastsMs: 0 }) },
  { name: 'late', strike: () => ({ fate: { lateMs: LATE_MS }, lastsMs: LATE_MS + SOON_MS }) },
  { name: 'again', strike: () => ({ fate: { againMs: LATE_MS }, lastsMs: LATE_MS + SOON_MS }) },
  {
    name: 'all of these late',
    strike: ({ network }, { kind, to }) => {
      if (kind === '') return null;
      network.strike('late', kind, ANYBODY, to, AWAY_MS);
      return { fate: { lateMs: LATE_MS }, lastsMs: AWAY_MS + LATE_MS + 2 * SOON_MS };
    },
  },
  {
    name: 'all of these lost',
    strike: ({ network }, { kind, to }) => {
      if (kind === '') return null;
      network.strike('lost', kind, ANYBODY, to, AWAY_MS);
      return { fate: 'lost', lastsMs: AWAY_MS };
    },
  },
  { name: 'again soon', strike: () => ({ fate: { againMs: SOON_MS }, lastsMs: SOON_MS }) },
];

const OF_ALL: Kind = {
  name: 'power cut',
  strike: (world) => {
    const { servers } = world;
    for (const balancer of world.living()) balancer.crash();
    for (const server of servers.all) if (server.process !== null) server.start();
    return done(SOON_MS);
  },
};

/** Everything that may go wrong in a world with these servers. */
export function mishapsOf(servers: readonly string[]): Mishap[] {
  const others = [...OF_LEADER, ...OF_BUCKET, ...OF_MESSAGE, OF_ALL].map((one) => ({ ...one, isOfServer: false }));
  return [...others, ...servers.flatMap(ofServer).map((one) => ({ ...one, isOfServer: true }))];
}
