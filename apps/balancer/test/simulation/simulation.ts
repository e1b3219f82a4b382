/** One run of the simulated world: a cluster comes into being, clients work, faults happen and stop, everything is checked. */
import { Clients, type KeySpace } from './clients';
import { Faults } from './faults';
import { profileOf, type Profile } from './profiles';
import { SCHEMA } from './rows';
import { SHARD_KEYS, ShapeChanges } from './shape-changes';
import { JudgedWorld, type WorldMutations } from './world';

/** A world that is drawn from fewer possibilities, so that what shows seldom shows sooner. Of `faults` all may happen. */
export interface Bias extends Partial<Omit<Profile, 'name' | 'weight'>> {
  /** The name of the profile of all worlds. */
  profile?: string;
}

/** What a test breaks on purpose, and the worlds in which it does. */
export type Mutations = WorldMutations & { bias?: Bias };

export interface Verdict {
  seed: number;
  /** The name of the world's profile. */
  profile: string;
  /** What must never be and was; null when all was well. */
  violation: string | null;
  /** The only copies of something were lost, so that nothing was promised; the faults avoid it where they can. */
  isVoid: boolean;
  /** Groups of keys of which the history could not be checked. */
  undecided: number;
  /** All keys were checked together. */
  isStrict: boolean;
  operations: number;
  faults: number;
  simulatedMs: number;
  timeline: readonly string[];
}

/** At most so many faults and operations happen, those that would come first; the run is the same up to there. */
export interface Limits {
  faults?: number;
  operations?: number;
}

/** Runs the world of the seed; `withTimeline` changes nothing but that it is written down. */
export async function simulate(
  seed: number,
  mutations: Mutations = {},
  withTimeline = false,
  limits: Limits = {},
): Promise<Verdict> {
  const { stackTraceLimit } = Error;
  // Refusals are everyday answers here; what they cost would be the search for where they come from.
  Error.stackTraceLimit = withTimeline ? 10 : 0;
  try {
    return await new Simulation(seed, mutations, withTimeline, limits).run();
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}

class Simulation {
  private readonly profile: Profile;
  private readonly world: JudgedWorld;
  /** There are no keys from here on. */
  private keysEnd = 0;

  constructor(
    private readonly seed: number,
    private readonly mutations: Mutations,
    withTimeline: boolean,
    private readonly limits: Limits,
  ) {
    const { profile = process.env.PROFILE ?? null, ...bias } = mutations.bias ?? {};
    this.profile = { ...profileOf(seed, profile), ...bias };
    const { settings, readsMs, checkMs } = this.profile;
    this.world = new JudgedWorld({ seed, mutations, withTimeline, settings, readsMs, checkMs });
  }

  async run(): Promise<Verdict> {
    const { world, profile } = this;
    const { scheduler, network, servers, catalog, watch, gateways, history } = world;
    const keys = await this.configure();
    catalog.forgetStates();
    const limit = this.limits.operations ?? Number.POSITIVE_INFINITY;
    const { pauseMs, eagerOperations } = profile;
    const clients = new Clients({ scheduler, history, keys, gateways, limit, pauseMs, eagerOperations });
    clients.start(scheduler.oneOf(profile.clients));
    const { changes, changesMs } = profile;
    const shape = new ShapeChanges(scheduler, servers, watch, () => world.leader(), changes, this.keysEnd, changesMs);
    const isChanging = scheduler.chance(profile.shapeChanges);
    const faults = new Faults(
      {
        ...{ scheduler, network, servers, catalog, watch, gateways },
        balancers: () => world.living(),
        mayRollBack: () => !isChanging && !watch.hasBlanks,
      },
      profile,
      this.limits.faults,
      this.mutations.bias?.faults ?? null,
    );
    const endMs = scheduler.nowMs + scheduler.oneOf(profile.lastsMs);
    faults.start(endMs);
    if (isChanging) shape.start(endMs);
    await world.runChecked(endMs, () => false);
    faults.stop();
    if (profile.isBusy) await world.heal('while clients go on');
    clients.stop();
    await world.heal('once clients have stopped');
    if (!world.isOver()) await world.useAll(clients, keys);
    return this.judge(keys, faults.count);
  }

  /** A cluster of some shape, without any fault yet. */
  private async configure(): Promise<KeySpace> {
    const { profile } = this;
    const { scheduler } = this.world;
    const names = Array.from({ length: scheduler.oneOf(profile.servers) }, (_, index) => `S${index}`);
    const shards = Array.from({ length: scheduler.oneOf(profile.shards) }, (_, index) => ({
      shard: `sh${index}`,
      low: index * SHARD_KEYS,
      size: SHARD_KEYS,
    }));
    const drawn = scheduler.oneOf(profile.copies);
    const copies = drawn === 'all' ? names.length : Math.min(drawn, names.length);
    const servers: Record<string, string[]> = Object.fromEntries(names.map((name) => [name, []]));
    for (const [index, { shard }] of shards.entries()) {
      const first = profile.isApart ? index * copies : index;
      for (let copy = 0; copy < copies; copy += 1) servers[names[(first + copy) % names.length]!]!.push(shard);
    }
    await this.world.begin({ n: names.length, schema: SCHEMA, shards, servers, allowReinit: false });
    const places = shards.length + (profile.changes.includes('grow') ? 1 : 0);
    this.keysEnd = places * SHARD_KEYS;
    const groups = Array.from({ length: scheduler.oneOf(profile.groups) }, (_, group) =>
      Array.from(
        { length: places },
        (_place, place) => place * SHARD_KEYS + (profile.groups.some((count) => count > 5) ? group : group * 2),
      ),
    );
    return { groups, all: groups.flat().sort((a, b) => a - b) };
  }

  private judge(keys: KeySpace, faults: number): Verdict {
    const { scheduler, history, watch } = this.world;
    const operations = history.entries.length;
    const { undecided, isStrict } = this.world.judge(keys);
    const { isVoid } = watch;
    const { violation, nowMs, timeline } = scheduler;
    return {
      ...{
        seed: this.seed,
        profile: this.profile.name,
        violation: isVoid ? null : violation,
        isVoid,
        undecided,
        isStrict,
        operations,
        faults,
      },
      ...{ simulatedMs: nowMs, timeline: timeline ?? [] },
    };
  }
}
