/** I5: of each epoch one balancer alone is listened to, and of an epoch below the one that a replica has seen nobody. */
import { diskOf, type Seen } from './seen';

export class Epochs {
  private readonly leaders = new Map<number, string>();

  constructor(private readonly seen: Seen) {}

  /** A replica has stored what this balancer sent under this epoch. */
  applied(balancer: string, epoch: number, server: string): void {
    const leader = this.leaders.get(epoch) ?? balancer;
    this.leaders.set(epoch, leader);
    if (leader !== balancer) {
      this.seen.scheduler.violate(`I5: ${server} took writes of ${balancer} and of ${leader} under the epoch ${epoch}`);
    }
    this.notFenced(epoch, server, 'a write');
  }

  /** A replica has answered a read of this epoch. */
  read(epoch: number, server: string): void {
    this.notFenced(epoch, server, 'a read');
  }

  private notFenced(epoch: number, server: string, what: string): void {
    const known = this.seen.servers.byName.get(server);
    const stored = known === undefined ? 0 : diskOf(known).epoch;
    if (stored > epoch) {
      this.seen.scheduler.violate(
        `I5: ${server} took ${what} of the epoch ${epoch} and has stored the epoch ${stored}`,
      );
    }
  }
}
