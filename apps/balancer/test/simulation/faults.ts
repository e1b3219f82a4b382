/** What goes wrong, and when: drawn from the run's one generator. */
import type { SimBalancer } from './balancer';
import { BUCKET } from './catalog';
import type { Network, SimServer } from './servers';
import type { Dice, Scheduler } from './scheduler';
import type { Watch } from './watch';

/** Who leads, as far as anybody can tell. */
export interface Leaders {
  leader: () => SimBalancer | undefined;
}

const KINDS = [
  'end',
  'restart',
  'lose disk',
  'pause',
  'cut',
  'leader ends',
  'leader stops',
  'leader pauses',
  'leader loses bucket',
] as const;

export class Faults {
  private readonly dice: Dice;
  private untilMs = 0;
  private struck = 0;
  /** Those that happen in this run: what only shows when some happen often would be rare if all did. */
  private kinds: readonly (typeof KINDS)[number][] = KINDS;

  constructor(
    private readonly scheduler: Scheduler,
    private readonly network: Network,
    private readonly watch: Watch,
    private readonly leaders: Leaders,
    /** So many faults happen at most; the weather is the first. */
    private readonly limit = Number.POSITIVE_INFINITY,
  ) {
    this.dice = scheduler.dice(1);
  }

  /** How many have happened. */
  get count(): number {
    return this.struck;
  }

  start(untilMs: number): void {
    const { scheduler, dice } = this;
    this.untilMs = untilMs;
    const weather = {
      lossProbability: dice.oneOf([0, 0.005, 0.02]),
      slowProbability: dice.oneOf([0, 0.02, 0.08]),
    };
    if (this.mayStrike()) this.network.weather = weather;
    const chosen = KINDS.filter(() => dice.chance(0.6));
    if (chosen.length > 0) this.kinds = chosen;
    scheduler.note(() => `faults: ${this.kinds.join(', ')} ${JSON.stringify(this.network.weather)}`);
    this.next(dice.oneOf([60, 150, 350, 700]));
  }

  stop(): void {
    this.network.weather = { lossProbability: 0, slowProbability: 0 };
    this.network.cuts.clear();
    this.scheduler.note(() => 'faults stop');
  }

  private next(meanMs: number): void {
    this.scheduler.after(this.dice.between(1, 2 * meanMs), () => {
      if (this.scheduler.nowMs >= this.untilMs || !this.mayStrike()) return;
      this.strike(this.dice.oneOf(this.kinds), this.dice.oneOf([...this.network.servers.values()]));
      this.next(meanMs);
    });
  }

  private mayStrike(): boolean {
    if (this.struck >= this.limit) return false;
    this.struck += 1;
    return true;
  }

  private strike(kind: (typeof KINDS)[number], server: SimServer): void {
    const { dice } = this;
    switch (kind) {
      case 'end':
        server.kill();
        break;
      case 'restart':
        server.start();
        break;
      case 'lose disk':
        this.loseDisk(server);
        break;
      case 'pause':
        server.pause(dice.between(20, 700));
        break;
      case 'cut':
        this.cut(server.name, dice.between(100, 800));
        break;
      case 'leader loses bucket':
        this.cut(BUCKET, dice.between(300, 1_500));
        break;
      case 'leader ends':
        this.leaders.leader()?.crash();
        break;
      case 'leader stops':
        this.leaders.leader()?.stop();
        break;
      case 'leader pauses':
        this.leaders.leader()?.pause(dice.between(50, 1_500));
        break;
    }
  }

  private loseDisk(server: SimServer): void {
    if (!this.watch.mayWipe(server.name)) return;
    server.kill();
    server.wipe();
    this.watch.wiped(server.name);
    if (this.dice.chance(0.5)) server.start();
  }

  private cut(from: string, ms: number): void {
    const leader = this.leaders.leader();
    if (leader === undefined) return;
    const pair = `${leader.name}>${from}`;
    this.scheduler.note(() => `${pair} is cut for ${ms}`);
    this.network.cuts.add(pair);
    this.scheduler.after(ms, () => this.network.cuts.delete(pair));
  }
}
