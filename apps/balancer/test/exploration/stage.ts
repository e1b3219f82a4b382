/** What a script may do. */
import type { AdminRequest } from '../../src/core/kernel/effects';
import type { SimBalancer } from '../simulation/balancer';
import type { JudgedWorld } from '../simulation/world';

/** An administrator waits so long for an answer, and asks again so often. */
const PATIENCE_MS = 1_200;
const ATTEMPTS = 3;
const PAUSE_MS = 50;

export class Stage {
  /** Answered with success, in this order. */
  readonly granted: AdminRequest[] = [];
  /** How many wishes there were. */
  asked = 0;
  private nextRequest = 2;

  constructor(private readonly world: JudgedWorld) {}

  pass(ms: number): Promise<void> {
    return this.world.runChecked(this.world.scheduler.nowMs + ms, () => false);
  }

  end(server: string): void {
    this.world.servers.byName.get(server)?.kill();
  }

  start(server: string): void {
    this.world.servers.byName.get(server)?.start();
  }

  loseDisk(name: string): void {
    const server = this.world.servers.byName.get(name);
    if (server === undefined || !this.world.watch.isSpare(name)) return;
    server.kill();
    this.world.watch.wipe(name, () => {
      server.wipe();
    });
    server.start();
  }

  /** Asks whoever leads, and again as long as there is no answer, or one that says to. */
  async ask(wish: AdminRequest): Promise<void> {
    const { world } = this;
    const { scheduler, watch } = world;
    this.asked += 1;
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      const giveUpMs = scheduler.nowMs + PATIENCE_MS;
      await world.runChecked(giveUpMs, () => world.leader()?.isServing === true);
      const leader = world.leader();
      if (leader?.isServing !== true) continue;
      const request = this.dispatch(leader, wish);
      await world.runChecked(giveUpMs, () => watch.administration.has(request) || !leader.isAlive);
      const outcome = watch.administration.get(request);
      if (outcome?.ok === true) {
        this.granted.push(wish);
        return;
      }
      if (outcome?.ok === false && !outcome.error.retryable) return;
      await this.pass(PAUSE_MS);
    }
  }

  /** Asks whoever leads, and does not wait for an answer. */
  begin(wish: AdminRequest): void {
    const leader = this.world.leader();
    if (leader?.isServing === true) this.dispatch(leader, wish);
  }

  private dispatch(leader: SimBalancer, wish: AdminRequest): number {
    const { scheduler, watch } = this.world;
    const request = this.nextRequest++;
    const command = { request, ...wish };
    scheduler.note(() => `/${command.op} ${JSON.stringify(command)}`);
    watch.asked(command);
    leader.dispatch({ on: 'admin', command });
    return request;
  }
}
