/**
 * Requests for copies. One without an answer may still arrive, or be carried out right now; what its target holds beyond the start of the
 * copy is dropped then. So who was asked for a copy is taken back as it is (`StrandedShards`) only when all that was asked of it is over.
 * It has carried out a later request, has acknowledged that no earlier one counts, or another process answers in its place.
 */
import type { ErrorBody } from '#common/contracts/errors';
import type { CatchupReply, CatchupRequest } from '#common/contracts/node';
import type { Cluster } from '../cluster/cluster';
import type { StepContext } from '../kernel/step-context';
import type { Result } from '../kernel/effects';
import type { Shard } from '../cluster/shard';
import { all, wait, type Workflow } from '../kernel/workflow';

/** A request, and what is to be done with its answer. */
export interface CopyAsk {
  request: CatchupRequest;
  ended: (outcome: Result<CatchupReply>) => void;
}

export class CopyRequests {
  private nextTurn = 1;

  constructor(
    private readonly context: StepContext,
    private readonly cluster: Cluster,
  ) {}

  /** @param what what is asked of the process `instance` of the target; the turn is given to it here */
  next(
    shard: Shard,
    target: string,
    what: Omit<CatchupRequest, 'turn' | 'epoch' | 'configId' | 'shard'> & { instance: string },
  ): CopyAsk {
    const { epoch, configId } = this.cluster;
    // Also while it is no replica any more, so that nobody knows it as one that is being copied.
    const before = shard.copiesInDoubt.get(target);
    shard.copiesInDoubt.set(target, what.instance);
    return {
      request: { epoch, turn: this.nextTurn++, configId, shard: shard.id, ...what },
      ended: (outcome) => {
        if (!outcome.ok && mayBeUnderWay(outcome.error)) return;
        // Who refuses it may have an earlier one under way.
        if (outcome.ok || before === undefined) shard.copiesInDoubt.delete(target);
        else shard.copiesInDoubt.set(target, before);
      },
    };
  }

  /** A request is under way there, or may be: this process may begin with it at any time. */
  isInDoubt(shard: Shard, server: string): boolean {
    const process = shard.copiesInDoubt.get(server);
    return process !== undefined && process === this.cluster.meantFor(server).instance;
  }

  /** Has these servers carry out none of the requests that are in doubt. Whoever does not confirm it stays in doubt. */
  *callOff(shard: Shard, servers: readonly string[]): Workflow {
    const asks = servers.flatMap((server) => {
      const instance = shard.copiesInDoubt.get(server);
      if (instance === undefined || !this.cluster.isReachable(server)) return [];
      const nothing = { instance, source: server, from: 0, to: 0, maxBytes: 0, isCallOff: true as const };
      const { request, ended } = this.next(shard, server, nothing);
      const ask = this.context.ask('catchup', { server, request, isHurried: true });
      return [{ ask, ended }];
    });
    const outcomes = yield* wait(all(asks.map(({ ask }) => ask)));
    for (const [index, { ended }] of asks.entries()) {
      const outcome = outcomes[index];
      if (outcome !== undefined) ended(outcome);
    }
  }
}

/** The request has not been answered by whom it was for, and may have reached it. */
function mayBeUnderWay({ code, retryable }: ErrorBody): boolean {
  return code === 'OUTCOME_UNKNOWN' || (code === 'NO_LEADER' && !retryable);
}
