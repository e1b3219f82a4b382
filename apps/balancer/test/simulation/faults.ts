/** What goes wrong, and when: drawn from the run's one generator. */
import type { SimBalancer } from './balancer';
import type { Network, SimServer } from './servers';
import type { Scheduler } from './scheduler';
import type { Watch } from './watch';

/** Who leads, and how somebody else gets to. */
export interface Leaders {
  leader: () => SimBalancer | undefined;
  replaceLeader: () => void;
}

const KINDS = ['end', 'restart', 'lose disk', 'pause', 'cut', 'leader ends', 'second leader'] as const;

export class Faults {
  private untilMs = 0;
  /** Those that happen in this run: what only shows when some happen often would be rare if all did. */
  private kinds: readonly (typeof KINDS)[number][] = KINDS;

  constructor(
    private readonly scheduler: Scheduler,
    private readonly network: Network,
    private readonly watch: Watch,
    private readonly leaders: Leaders,
  ) {}

  start(untilMs: number): void {
    const { scheduler } = this;
    this.untilMs = untilMs;
    this.network.weather = {
      lossProbability: scheduler.oneOf([0, 0.005, 0.02]),
      slowProbability: scheduler.oneOf([0, 0.02, 0.08]),
    };
    const chosen = KINDS.filter(() => scheduler.chance(0.6));
    if (chosen.length > 0) this.kinds = chosen;
    scheduler.note(() => `faults: ${this.kinds.join(', ')} ${JSON.stringify(this.network.weather)}`);
    this.next(scheduler.oneOf([60, 150, 350, 700]));
  }

  stop(): void {
    this.network.weather = { lossProbability: 0, slowProbability: 0 };
    this.network.cuts.clear();
    this.scheduler.note(() => 'faults stop');
  }

  private next(meanMs: number): void {
    this.scheduler.after(this.scheduler.between(1, 2 * meanMs), () => {
      if (this.scheduler.nowMs >= this.untilMs) return;
      this.strike(this.scheduler.oneOf(this.kinds), this.scheduler.oneOf([...this.network.servers.values()]));
      this.next(meanMs);
    });
  }

  private strike(kind: (typeof KINDS)[number], server: SimServer): void {
    const { scheduler } = this;
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
        server.pause(scheduler.between(20, 700));
        break;
      case 'cut':
        this.cut(server, scheduler.between(100, 800));
        break;
      case 'leader ends':
        this.leaders.leader()?.crash();
        scheduler.after(scheduler.between(1, 200), () => {
          if (this.leaders.leader() === undefined) this.leaders.replaceLeader();
        });
        break;
      case 'second leader':
        this.secondLeader();
        break;
    }
  }

  private loseDisk(server: SimServer): void {
    if (!this.watch.mayWipe(server.name)) return;
    server.kill();
    server.wipe();
    this.watch.wiped(server.name);
    if (this.scheduler.chance(0.5)) server.start();
  }

  private cut(server: SimServer, ms: number): void {
    const leader = this.leaders.leader();
    if (leader === undefined) return;
    const pair = `${leader.name}>${server.name}`;
    this.scheduler.note(() => `${pair} is cut for ${ms}`);
    this.network.cuts.add(pair);
    this.scheduler.after(ms, () => this.network.cuts.delete(pair));
  }

  /** The old one goes on until it notices, or ends some time later. */
  private secondLeader(): void {
    const old = this.leaders.leader();
    this.leaders.replaceLeader();
    this.scheduler.after(this.scheduler.between(200, 2_000), () => {
      old?.crash();
    });
  }
}
