/**
 * Shards of which no member serves, while somebody outside of the set may miss nothing: whoever left last has everything as long as
 * nothing was acknowledged without it.
 *
 * It takes a disk that is lost just after its server has shown that it is whole: the set that rests on that is stored already. So
 * those who miss nothing are taken back. So are members that have been copied since their data was gone, when their source is lost
 * before the two could be compared. They must run and show it, whether the record still names them or not: who is silent may have
 * lost its disk, however it left. And nobody may copy them: a member must not drop what it is to be sent again.
 */
import type { Cluster } from '../cluster/cluster';
import type { CopyRequests } from './copy-requests';
import type { StepContext } from '../kernel/step-context';
import type { InSyncSets } from '../replicas/in-sync-sets';
import { RollCall } from '../replicas/roll-call';
import type { Shard } from '../cluster/shard';
import { spawn, type Workflow } from '../kernel/workflow';
import type { Writer } from '../requests/writer';

const PAUSE_MS = 250;

export class StrandedShards {
  private readonly rollCall: RollCall;
  private readonly looked = new Set<Shard>();
  private nextMs = 0;

  constructor(
    private readonly context: StepContext,
    private readonly cluster: Cluster,
    private readonly inSyncSets: InSyncSets,
    private readonly writer: Writer,
    private readonly requests: CopyRequests,
  ) {
    this.rollCall = new RollCall(context, cluster);
  }

  /** Looks for members, at a pace, where none serves. */
  tick(): void {
    if (this.context.nowMs < this.nextMs) return;
    this.nextMs = this.context.nowMs + PAUSE_MS;
    for (const shard of this.inSyncSets.unsettled) {
      if (!this.looked.has(shard) && this.isStranded(shard)) spawn(this.look(shard));
    }
  }

  /** With the write queue held, nothing is acknowledged while somebody shows what it has. */
  private *look(shard: Shard): Workflow {
    this.looked.add(shard);
    yield* this.writer.lockQueue(shard);
    // Somebody may be back by now.
    const found = this.isStranded(shard) ? this.others(shard) : [];
    for (const server of found) shard.returning.add(server);
    try {
      yield* this.requests.callOff(shard, found);
      const others = found.filter((server) => !this.requests.isInDoubt(shard, server));
      const complete = yield* this.rollCall.complete(shard, others);
      if (complete.length > 0) yield* this.takeBack(shard, complete);
    } finally {
      shard.returning.clear();
      this.writer.queues.release([shard.id]);
      this.looked.delete(shard);
    }
  }

  private *takeBack(shard: Shard, servers: readonly string[]): Workflow {
    const isRight = (): Workflow<boolean> => this.isRight(shard, servers);
    if (!(yield* this.inSyncSets.takeBack(shard, servers, isRight))) return;
    for (const server of servers) {
      const data = { cause: 'it misses nothing, and no member serves', shard: shard.id, server, vat: shard.vat };
      this.context.emit({ do: 'publish', event: { kind: 'shard.insync', subject: `${shard.id}/${server}`, data } });
    }
  }

  /** Nothing is acknowledged meanwhile; but whoever has shown something may lose its disk. */
  private *isRight(shard: Shard, shown: readonly string[]): Workflow<boolean> {
    return (yield* this.rollCall.complete(shard, shown)).length === shown.length;
  }

  /** What is acknowledged is known, and no member can serve it. As long as members disagree nobody enters the set. */
  private isStranded(shard: Shard): boolean {
    return shard.decided && shard.record.disputed !== true && this.cluster.serving(shard).length === 0;
  }

  /**
   * Servers that are not known to be wrong, nor being copied. Whether they run, and hold anything, the roll call finds out. As long as no
   * member serves, those that run are outside of the set, or members whose data was gone, and that have been copied since.
   */
  private others(shard: Shard): string[] {
    return [...this.cluster.servers.keys()].filter(
      (server) => !shard.isDiverged(server) && shard.replicas.get(server)?.syncing !== true,
    );
  }
}
