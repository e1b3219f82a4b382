/** An administrator who adds servers and takes servers away while everything goes on. */
import type { AddCommand, RmCommand } from '#common/contracts/commands';
import type { SimBalancer } from './balancer';
import type { Dice, Scheduler } from './scheduler';
import type { Servers } from './servers';
import type { Watch } from './watch';

const MEAN_MS = 500;

export class ShapeChanges {
  private readonly dice: Dice;
  private nextRequest = 100;
  private nextServer = 0;

  constructor(
    private readonly scheduler: Scheduler,
    private readonly servers: Servers,
    private readonly watch: Watch,
    private readonly leader: () => SimBalancer | undefined,
  ) {
    this.dice = scheduler.dice(4);
  }

  start(untilMs: number): void {
    this.scheduler.after(this.dice.between(1, 2 * MEAN_MS), () => {
      if (this.scheduler.nowMs >= untilMs) return;
      this.ask();
      this.start(untilMs);
    });
  }

  /** Asks whoever leads; what comes of it is that one's affair. */
  private ask(): void {
    const leader = this.leader();
    if (leader?.isServing !== true) return;
    const request = this.nextRequest++;
    if (this.dice.chance(0.5)) {
      const command = this.addition();
      this.scheduler.note(() => `/add ${JSON.stringify(command)}`);
      leader.dispatch({ on: 'admin', command: { request, op: 'add', command } });
    } else {
      const command = this.removal();
      this.scheduler.note(() => `/rm ${JSON.stringify(command)}`);
      leader.dispatch({ on: 'admin', command: { request, op: 'rm', command } });
    }
  }

  private addition(): AddCommand {
    const shards = [...this.watch.seen.newest.keys()].filter(() => this.dice.chance(0.6));
    const name = `N${this.nextServer++}`;
    return { n: 1, newShards: [], servers: { [name]: shards } };
  }

  private removal(): RmCommand {
    const { name } = this.dice.oneOf(this.servers.all);
    return { n: 1, servers: [name] };
  }
}
