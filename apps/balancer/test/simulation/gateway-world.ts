/** What gateways live among, and how answers find them. */
import type { Operation } from '#common/testing/history';
import type { Answered } from '../../src/core/kernel/effects';
import type { SimBalancer } from './balancer';
import type { Network } from './network';
import type { Scheduler } from './scheduler';
import type { Servers } from './servers';

/** What the gateways find. */
export interface GatewayWorld {
  scheduler: Scheduler;
  network: Network;
  servers: Servers;
  post: Post;
  /** The configuration that is in force, for those who check what gateways answer. */
  configId: () => number;
  /** Changes carry a name, and may be repeated. */
  named: boolean;
  /** Those that take commands now; more than one while an old leader has not noticed. */
  serving: () => SimBalancer[];
  /** A replica has answered a read under this epoch. */
  read: (epoch: number, server: string) => void;
}

/** Where answers of balancers find the operations that wait for them. */
export class Post {
  private readonly waiting = new Map<
    number,
    { gateway: string; operation: Operation; take: (answered: Answered) => void }
  >();
  private nextBatch = 1;

  constructor(private readonly network: Network) {}

  /** Waits for answers to a message; returns its number. */
  expect(gateway: string, operation: Operation, take: (answered: Answered) => void): number {
    const batch = this.nextBatch++;
    this.waiting.set(batch, { gateway, operation, take });
    return batch;
  }

  operationOf(batch: number): Operation | undefined {
    return this.waiting.get(batch)?.operation;
  }

  /** An answer leaves the balancer. */
  answer(balancer: string, batch: number, answered: Answered): void {
    const { gateway, take } = this.waiting.get(batch)!;
    this.network.send(balancer, gateway, () => {
      take(answered);
    });
  }
}

/** What a gateway knows of the cluster: which configuration it is in, as a leader has answered it last. */
export class KnownTable {
  configId = 1;

  constructor(private readonly world: GatewayWorld) {}

  /** The configuration has changed: whoever leads says to which one. */
  ask(): void {
    const [leader] = this.world.serving();
    if (leader !== undefined) this.configId = leader.cluster.configId;
  }
}
