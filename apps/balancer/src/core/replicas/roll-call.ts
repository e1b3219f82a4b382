/**
 * Who lives and is whole. Before a configuration is stored that makes a set smaller, those who remain must have shown it. A server
 * that is silent may be dead, and one that answers may have lost its disk, while the one to be left out has everything.
 *
 * What shows it is an answer under our epoch that was asked for now. (An answer to an earlier heartbeat says nothing about now.)
 */
import type { NodeShardState } from '#common/contracts/node';
import { isSameRound } from '#common/protocol/vat-decision';
import type { Cluster } from '../cluster/cluster';
import type { StepContext } from '../kernel/step-context';
import type { Shard } from '../cluster/shard';
import { all, wait, type Suspension, type Workflow } from '../kernel/workflow';

/** What a server holds, by shard; null when it did not answer, could not store anything now, or serves another configuration. */
type Heard = ReadonlyMap<string, NodeShardState> | null;

interface Call {
  sentMs: number;
  waiting: ((heard: Heard) => void)[];
}

export class RollCall {
  private readonly open = new Map<string, Call>();

  constructor(
    private readonly context: StepContext,
    private readonly cluster: Cluster,
  ) {}

  /** Which of the servers show that they hold all of the shard that was acknowledged. */
  *present(shard: Shard, servers: readonly string[]): Workflow<string[]> {
    // What is committed meanwhile need not be in an answer that is under way.
    const { mustHold } = shard;
    return yield* this.showing(shard, servers, (state) => isWhole(state, mustHold));
  }

  /**
   * Which of the servers, members or not, show that they miss nothing of the shard. The term alone does not show it of those that are no
   * members. It may belong to a round that came to nothing under an earlier leader, and whoever leads now, and never heard of that,
   * has used the same terms again. So they must have taken a round of this leader, or the one that it found on all members, or have been
   * sent what is committed.
   */
  *complete(shard: Shard, servers: readonly string[]): Workflow<string[]> {
    const { vat, lastFound } = shard;
    const { epoch } = this.cluster;
    const isOurs = ({ committedVat, newestRound }: NodeShardState): boolean =>
      committedVat >= vat || newestRound?.epoch === epoch || isSameRound(newestRound, lastFound);
    const staying = servers.filter((server) => this.cluster.servers.get(server)?.leaving !== true);
    return yield* this.showing(shard, staying, (state) => isWhole(state, vat) && isOurs(state));
  }

  /** Whether the replica shows that it has everything, and what it was copied from counts still. */
  *isStillWhole(shard: Shard, server: string, copiedSinceMs: number): Workflow<boolean> {
    const present = yield* this.present(shard, [server]);
    return present.includes(server) && shard.divergedMs < copiedSinceMs;
  }

  /**
   * Rounds that were given up while a newcomer was copied it knows nothing of, and copies do not carry that. It must know before it is a
   * member. Should it be the only one that the next leader hears of, the others of these rounds would else be taken for committed.
   * What is decided from here on comes with a round that it takes part in. False when it has not stored that.
   */
  *taught(shard: Shard, servers: readonly string[]): Workflow<boolean> {
    if (shard.epochStarts.length === 0) return true;
    const request = this.cluster.configRequest([shard.config()]);
    const outcomes = yield* wait(all(servers.map((server) => this.context.ask('config', { server, request }))));
    return outcomes.every(({ ok }) => ok);
  }

  private *showing(
    shard: Shard,
    servers: readonly string[],
    isShown: (state: NodeShardState | undefined) => boolean,
  ): Workflow<string[]> {
    const asked = servers.filter((server) => this.cluster.isReachable(server));
    const heard = yield* wait(all(asked.map((server) => this.ask(server))));
    return asked.filter((_, index) => isShown(heard[index]?.get(shard.id)));
  }

  /** One question for all shards that ask at the same moment: a server's flatline concerns many. */
  private ask(server: string): Suspension<Heard> {
    return (resume) => {
      const open = this.open.get(server);
      if (open?.sentMs === this.context.nowMs) {
        open.waiting.push(resume);
        return;
      }
      const call: Call = { sentMs: this.context.nowMs, waiting: [resume] };
      this.open.set(server, call);
      const { epoch, configId } = this.cluster;
      const request = { epoch, configId, vats: {}, marks: {} };
      this.context.request('ping', { server, request }, (outcome) => {
        if (this.open.get(server) === call) this.open.delete(server);
        const heard =
          outcome.ok && outcome.value.postgres === 'ok' && outcome.value.configId === this.cluster.configId
            ? new Map(outcome.value.shards.map((state) => [state.shard, state]))
            : null;
        for (const resume of call.waiting) resume(heard);
      });
    };
  }
}

/** Whether what the replica reports of itself shows that it holds everything that was acknowledged. */
export function isWhole(state: NodeShardState | undefined, mustHold: number): state is NodeShardState {
  return state !== undefined && !state.catchingUp && state.currentTerm >= mustHold;
}
