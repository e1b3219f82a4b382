/** One small world: a script, and what goes wrong at which points of it. */
import { illnessOf, shardsToServe } from '../simulation/checkers/wellness';
import { Clients, type KeySpace } from '../simulation/clients';
import { SHARD_KEYS } from '../simulation/shape-changes';
import { JudgedWorld, type WorldMutations } from '../simulation/world';
import { mishapsOf, type Mishap } from './mishaps';
import { PointNetwork, Points, type Fate, type Point } from './points';
import { SCRIPTS, type Script } from './scripts';
import { Stage } from './stage';

/** So long after the last thing that went wrong all must be well again. */
const HEALED_WITHIN_MS = 12_000;
const LOOK_MS = 50;
const SEED = 1;

/** What goes wrong, and before which point. */
export interface Blow {
  mishap: Mishap;
  at: number;
}

export interface Finding {
  /** Script and blows, as `worldOf` reads them. */
  name: string;
  violation: string | null;
  /** The last whole copy of something was lost. */
  isVoid: boolean;
  /** Shards that need not be served at the end, though there is a whole copy: faults have left too little that shows which it is. */
  excused: readonly string[];
  /** All blows fell: else the world is the same as one with fewer. */
  isStruck: boolean;
  points: number;
  simulatedMs: number;
  timeline: readonly string[];
}

function nameOf(script: Script, blows: readonly Blow[]): string {
  return [script.name, ...blows.map(({ mishap, at }) => `${mishap.name}@${at}`)].join(' / ');
}

export function mishapsIn({ init, others }: Script): Mishap[] {
  return mishapsOf([...Object.keys(init.servers ?? {}), ...others]);
}

/** The world of a name. @throws RangeError when there is no such script, or nothing of that kind can go wrong in it */
export function worldOf(name: string): { script: Script; blows: Blow[] } {
  const [scriptName, ...texts] = name.split(' / ');
  const script = SCRIPTS.find((one) => one.name === scriptName);
  if (script === undefined) throw new RangeError(`there is no script ${scriptName}`);
  const blows = texts.map((text) => {
    const [mishapName, at] = text.split('@');
    const mishap = mishapsIn(script).find((one) => one.name === mishapName);
    if (mishap === undefined) throw new RangeError(`there is no ${mishapName} in ${scriptName}`);
    return { mishap, at: Number(at) };
  });
  return { script, blows };
}

/** Runs a world to its end. */
export async function explore(
  script: Script,
  blows: readonly Blow[],
  mutations: WorldMutations = {},
  withTimeline = false,
): Promise<Finding> {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = withTimeline ? 10 : 0;
  try {
    return await new Exploration(script, blows, mutations, withTimeline).run();
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}

class Exploration {
  private readonly points: Points;
  private readonly world: JudgedWorld;
  private struck = 0;
  private wasRefused = false;
  /** Until then something is about to happen. */
  private busyUntilMs = 0;

  constructor(
    private readonly script: Script,
    private readonly blows: readonly Blow[],
    mutations: WorldMutations,
    withTimeline: boolean,
  ) {
    this.points = new Points(script.isAboutRounds);
    this.world = new JudgedWorld({
      ...{
        seed: SEED,
        mutations: this.countLaunches(mutations),
        withTimeline,
        settings: {},
        readsMs: 0,
        checkMs: LOOK_MS,
      },
      makeNetwork: (scheduler) => new PointNetwork(scheduler, this.points),
    });
  }

  async run(): Promise<Finding> {
    const { world, points, script } = this;
    const { scheduler, history, gateways, catalog } = world;
    await world.begin(script.init);
    catalog.forgetStates();
    const keys = keysOf(script);
    const pace = { pauseMs: 40, eagerOperations: 15, limit: Number.POSITIVE_INFINITY };
    const clients = new Clients({ scheduler, history, keys, gateways, ...pace });
    clients.start(script.grows ? 2 : 1);
    await world.runChecked(scheduler.nowMs + 100, () => false);
    points.reached = (point) => this.reach(point);
    points.start();
    const stage = new Stage(world);
    await script.play(stage);
    this.busyUntilMs = Math.max(this.busyUntilMs, scheduler.nowMs);
    await this.settle();
    points.stop();
    world.network.heal();
    clients.stop();
    await world.heal('once clients have stopped');
    if (!world.isOver()) await world.useAll(clients, keys);
    const served = shardsToServe(world.watch.seen, world.watch.copies, world.leader());
    const excused = [...world.watch.seen.newest.keys()].filter((shard) => !served.includes(shard));
    if (!world.isOver()) this.expectGranted(stage);
    world.judge(keys);
    const { violation, nowMs, timeline } = scheduler;
    const { isVoid } = world.watch;
    return {
      ...{
        name: nameOf(script, this.blows),
        violation: isVoid ? null : violation,
        isVoid,
        excused: isVoid ? [] : excused,
      },
      ...{ isStruck: this.struck === this.blows.length && !this.wasRefused, points: points.count },
      ...{ simulatedMs: nowMs, timeline: timeline ?? [] },
    };
  }

  /** Until all is well, and nothing more comes of what went wrong. */
  private async settle(): Promise<void> {
    const { world } = this;
    const { scheduler, watch } = world;
    const illness = (): string | null => illnessOf(world.leader(), null, watch.seen, watch.copies);
    while (!world.isOver()) {
      const ill = illness();
      if (ill === null && scheduler.nowMs >= this.busyUntilMs) return;
      if (scheduler.nowMs > this.busyUntilMs + HEALED_WITHIN_MS) {
        scheduler.violate(`I8: not well ${HEALED_WITHIN_MS} ms after the last fault, while clients go on: ${ill}`);
        return;
      }
      await world.runChecked(scheduler.nowMs + LOOK_MS, () => false);
    }
  }

  /**
   * What an administrator was answered to be done is, and no shard has fewer replicas than it was to keep, as long as no server was away or
   * refused that could have taken one. A bucket that is rolled back may undo both.
   */
  private expectGranted({ granted, asked }: Stage): void {
    const { scheduler, servers, watch } = this.world;
    const records = [...watch.seen.newest.values()];
    const isHindered = this.blows.some(({ mishap }) => mishap.isOfServer) || granted.length < asked;
    const mayLack = isHindered || watch.seen.isBucketRolledBack();
    for (const { shard, replicas } of records)
      if (replicas.length < this.script.copies && !mayLack)
        scheduler.violate(`I8: ${shard} is left with ${replicas.join()}`);
    const gone = granted.flatMap((wish) => ('command' in wish && wish.op === 'rm' ? wish.command.servers : []));
    for (const name of gone) {
      const isMember = records.some(({ replicas }) => replicas.includes(name));
      if (watch.seen.isBucketRolledBack() || (!isMember && !servers.byName.has(name))) continue;
      scheduler.violate(`${name} is still there, and was removed`);
    }
  }

  private reach(point: Point): Fate {
    let fate: Fate = 'arrives';
    const { scheduler } = this.world;
    scheduler.note(() => `-- ${point.place}: ${point.from} > ${point.to} ${point.label()}`);
    for (const { mishap, at } of this.blows) {
      if (at !== point.place) continue;
      scheduler.note(() => `!! ${mishap.name}`);
      const struck = mishap.strike(this.world, point);
      this.struck += 1;
      if (struck === null) this.wasRefused = true;
      else {
        this.busyUntilMs = Math.max(this.busyUntilMs, scheduler.nowMs + struck.lastsMs);
        if (struck.fate !== 'arrives') fate = struck.fate;
      }
    }
    return fate;
  }

  /** A leader has processes started and removed by no message: these are points, too. */
  private countLaunches(mutations: WorldMutations): WorldMutations {
    const carry =
      mutations.interceptAsk ??
      ((ask, carryOut, answer): void => {
        carryOut(ask, answer);
      });
    return {
      ...mutations,
      interceptAsk: (ask, carryOut, answer) => {
        if (ask.do === 'startNode' || ask.do === 'removeNode')
          this.points.pass(
            'leader',
            'launcher',
            '',
            () => `${ask.do} ${ask.server}`,
            ask.do === 'removeNode' ? ask.server : null,
          );
        carry(ask, carryOut, answer);
      },
    };
  }
}

/** Two keys of each shard that there will be. */
function keysOf({ init, grows }: Script): KeySpace {
  const places = init.shards.length + (grows ? 1 : 0);
  const groups = [0, 2].map((key) => Array.from({ length: places }, (_, place) => place * SHARD_KEYS + key));
  return { groups, all: groups.flat().sort((a, b) => a - b) };
}
