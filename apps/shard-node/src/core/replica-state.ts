/** What a replica knows of itself and of its shards. Immutable: a change is a new object, taken over once it is durable. */
import { ShardlineError } from '#common/contracts/errors';
import type {
  BucketMark,
  ClusterRecord,
  CopyCursor,
  CopyProgress,
  EpochStart,
  NewestRound,
  NodeShardState,
  ShardConfig,
  FenceRequest,
} from '#common/contracts/node';
import type { TableSchema } from '#common/contracts/schema';

/** The pages `(from, to]` of another replica that are being stored; until the last one the shard serves nobody. */
export interface CatchUp {
  from: number;
  to: number;
  /** Where the last page came from; empty before the first. */
  source: string;
  /** The last that is stored; null before the first page. */
  after: CopyCursor | null;
}

/** The newest request for a copy that was taken: older ones come late. */
interface CopyTurn {
  epoch: number;
  turn: number;
}

/** One shard of a replica, without its rows. */
export interface ShardState {
  shard: string;
  low: number;
  size: number;
  /** The highest term seen, committed or not. */
  currentTerm: number;
  /** Everything up to here is known to be committed. */
  committedVat: number;
  /** Versions that died at or before this term may be gone. */
  purgedTo: number;
  /** Outcomes of ops that are stored under this term or a lower one are forgotten, and may be gone. */
  forgottenUpTo: number;
  newestRound: NewestRound | null;
  epochStarts: readonly EpochStart[];
  configEpoch: number;
  configVersion: number;
  inSync: readonly string[];
  replicas: readonly string[];
  joining: readonly string[];
  diverged: readonly string[];
  disputed: boolean;
  /** Versions that live, the newest round's included. */
  rows: number;
  /** No row of the shard came in with more bytes than this. */
  maxRowBytes: number;
  catchUp: CatchUp | null;
  copyTurn: CopyTurn;
}

/** A configuration of the cluster that is to come into force, with its shards as they begin; their tables are made. */
export interface Prepared {
  cluster: ClusterRecord;
  /** Of the leader who had it prepared. */
  epoch: number;
  shards: readonly ShardConfig[];
}

/** The replica as a whole. `configId` is 0 and `schema` null before the first configuration. */
export interface NodeIdentity {
  server: string;
  /** Requests of a lower epoch are refused. */
  epoch: number;
  /** The process that has fenced this replica under the epoch; null: nobody has yet, or did not say who it is. */
  epochBy: string | null;
  configId: number;
  schema: TableSchema | null;
  /** The cluster's newest record that it got; null before, and after an update from a release that sent none. */
  cluster: ClusterRecord | null;
  mark: BucketMark | null;
  prepared: Prepared | null;
}

export interface ReplicaState extends NodeIdentity {
  shards: ReadonlyMap<string, ShardState>;
}

/** A shard that was just created. */
export function emptyShard(config: ShardConfig): ShardState {
  return {
    shard: config.shard,
    low: config.low,
    size: config.size,
    currentTerm: 0,
    committedVat: 0,
    purgedTo: 0,
    forgottenUpTo: 0,
    newestRound: null,
    epochStarts: config.epochStarts ?? [],
    configEpoch: config.configEpoch,
    configVersion: config.configVersion,
    ...membersOf(config),
    rows: 0,
    maxRowBytes: 0,
    catchUp: null,
    copyTurn: { epoch: 0, turn: 0 },
  };
}

/** A node that never got any record. */
export function blankIdentity(server: string): NodeIdentity {
  return { server, epoch: 0, epochBy: null, configId: 0, schema: null, cluster: null, mark: null, prepared: null };
}

type Members = 'inSync' | 'replicas' | 'joining' | 'diverged' | 'disputed';

/** Who holds the shard, of its configuration. */
export function membersOf({
  inSync,
  replicas,
  joining,
  diverged = [],
  disputed,
}: Pick<ShardConfig, Members>): Pick<ShardState, Members> {
  return {
    inSync: [...inSync],
    replicas: [...replicas],
    joining: [...joining],
    diverged: [...diverged],
    disputed: disputed === true,
  };
}

/** What the replica reports of one of its shards. */
export function reportShard(state: ShardState): NodeShardState {
  return {
    shard: state.shard,
    currentTerm: state.currentTerm,
    committedVat: state.committedVat,
    purgedTo: state.purgedTo,
    forgottenUpTo: state.forgottenUpTo,
    newestRound: state.newestRound,
    epochStarts: state.epochStarts,
    catchingUp: state.catchUp !== null,
    copy: state.catchUp && reportCopy(state.catchUp),
    low: state.low,
    size: state.size,
    configEpoch: state.configEpoch,
    configVersion: state.configVersion,
    inSync: [...state.inSync],
    replicas: [...state.replicas],
    joining: [...state.joining],
    diverged: [...state.diverged],
    ...(state.disputed ? { disputed: true as const } : {}),
    rows: state.rows,
  };
}

function reportCopy({ source, from, to, after }: CatchUp): CopyProgress | null {
  return after === null ? null : { source, from, to, after };
}

/** What the replica reports of all of its shards. */
export function reportShards(state: ReplicaState): NodeShardState[] {
  return [...state.shards.values()].map(reportShard);
}

/** The state with some shards replaced. */
export function withShards(state: ReplicaState, changed: Iterable<ShardState>): ReplicaState {
  const shards = new Map(state.shards);
  for (const shard of changed) shards.set(shard.shard, shard);
  return { ...state, shards };
}

/** @throws ShardlineError UNKNOWN_SHARD */
export function shardOf(shards: ReadonlyMap<string, ShardState>, name: string): ShardState {
  const shard = shards.get(name);
  if (shard === undefined) throw new ShardlineError('UNKNOWN_SHARD', `this replica does not hold shard ${name}`);
  return shard;
}

/**
 * The fence. A request of a lower epoch comes from a leader that leads no more.
 *
 * @returns the epoch to be stored before the request is answered, or null when it is the stored one
 * @throws ShardlineError FENCED
 */
export function admitEpoch(identity: NodeIdentity, epoch: number): number | null {
  if (epoch < identity.epoch) {
    const why = `epoch ${epoch} is over, this replica has seen ${identity.epoch}`;
    throw new ShardlineError('FENCED', why, false, { epoch: identity.epoch });
  }
  return epoch > identity.epoch ? epoch : null;
}

/**
 * The identity once this process has fenced the replica; null when it stays as it is. A bucket that was rolled back gives an epoch away a
 * second time. What its first owner has sent may still be on its way here, so nobody else is let in under it.
 *
 * @throws ShardlineError FENCED
 */
export function fencedBy<T extends NodeIdentity>(
  identity: T,
  { epoch, by }: Pick<FenceRequest, 'epoch' | 'by'>,
): T | null {
  const raised = admitEpoch(identity, epoch);
  if (raised !== null) return { ...identity, epoch, epochBy: by ?? null };
  if (by === undefined || by === identity.epochBy) return null;
  if (identity.epochBy === null) return { ...identity, epochBy: by };
  throw new ShardlineError('FENCED', `the epoch ${epoch} is that of another process`, false, { epoch });
}
