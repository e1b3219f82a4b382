/** What a request brings a replica of the cluster as a whole, and which requests come from a configuration that is over. */
import { ShardlineError } from '#common/contracts/errors';
import type {
  BucketMark,
  ClusterRecord,
  ClusterStamp,
  ConfigRequest,
  FenceReply,
  FenceRequest,
} from '#common/contracts/node';
import { compareClusters, compareMarks } from '#common/protocol/bucket-history';
import { reportShards, type NodeIdentity, type Prepared, type ReplicaState } from './replica-state';

/**
 * Data of a later configuration are never given up for an earlier one: a leader that knows only of that has a bucket that was rolled back.
 *
 * @throws ShardlineError ALREADY_CONFIGURED
 */
export function refuseOlder(state: NodeIdentity, configId: number): void {
  if (configId >= state.configId) return;
  const why = `${state.server} holds configuration ${state.configId}, which is newer than ${configId}`;
  throw new ShardlineError('ALREADY_CONFIGURED', why);
}

/**
 * What makes tables whole ones, with nothing in them or with a copy, is for the process that reported what it has. When it comes late, or twice,
 * another one may run here, without the disk on which it has been carried out already.
 *
 * @throws ShardlineError SHARD_UNAVAILABLE
 */
export function refuseOtherProcess(own: string, { instance = own }: { instance?: string }): void {
  if (instance !== own) throw new ShardlineError('SHARD_UNAVAILABLE', 'the process that was meant has ended', true);
}

/** The identity after a request of the configuration in force, or of one that comes into force with it. */
export function identityAfter(
  { server, epoch, epochBy, cluster, mark, prepared }: NodeIdentity,
  request: ConfigRequest,
): NodeIdentity {
  const { configId, schema } = request;
  const isOver = prepared !== null && prepared.cluster.configId <= configId;
  // Whoever sends a shard alone puts in force what was prepared with its record: should the bucket be lost, that must be known.
  const received = request.cluster ?? prepared?.cluster;
  return {
    server,
    epoch,
    epochBy,
    configId,
    schema,
    cluster: newerCluster(cluster, received, configId),
    mark: newMark(mark, request.mark) ?? mark,
    prepared: isOver ? null : prepared,
  };
}

/** What is to be kept of a configuration that is being prepared. @throws ShardlineError BAD_REQUEST, ALREADY_CONFIGURED */
export function preparedBy(state: NodeIdentity, { cluster, shards, epoch, configId }: ConfigRequest): Prepared {
  if (cluster?.configId !== configId) throw new ShardlineError('BAD_REQUEST', 'a configuration without its record');
  const newest = Math.max(state.configId, state.prepared?.cluster.configId ?? 0);
  if (configId < newest || configId === state.configId) {
    throw new ShardlineError('ALREADY_CONFIGURED', `${state.server} knows of configuration ${newest} already`);
  }
  return { cluster, epoch, shards };
}

/** The mark that is sent, if it is newer than the one that is held; else null. */
export function newMark(held: BucketMark | null, received: BucketMark | undefined): BucketMark | null {
  if (received === undefined) return null;
  return held === null || compareMarks(received, held) > 0 ? received : null;
}

export function stampOf(cluster: ClusterRecord | null): ClusterStamp | null {
  if (cluster === null) return null;
  const { configId, configEpoch, configVersion } = cluster;
  return { configId, configEpoch, configVersion };
}

/** What a fence is answered with, but for the process. */
export function fenceReport(state: ReplicaState, { known }: Pick<FenceRequest, 'known'>): Omit<FenceReply, 'instance'> {
  const { configId, cluster, mark, prepared } = state;
  const isNews = cluster !== null && (known === undefined || compareClusters(cluster, known) > 0);
  return {
    configId,
    prepared: prepared?.cluster.configId ?? null,
    shards: reportShards(state),
    cluster: isNews ? cluster : null,
    mark,
  };
}

function newerCluster(
  held: ClusterRecord | null,
  received: ClusterRecord | undefined,
  configId: number,
): ClusterRecord | null {
  const kept = held?.configId === configId ? held : null;
  if (received?.configId !== configId) return kept;
  return kept === null || compareClusters(received, kept) > 0 ? received : kept;
}
