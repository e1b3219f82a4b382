import type { PatienceSettings } from './patience';
import type { SuspicionSettings } from './suspicion';

/** The settings of the core. Times in milliseconds of the event clock. */
export interface CoreSettings {
  balancerId: string;
  /** Distinguishes this process from every other one, also from an earlier one of the same id. */
  instance: string;
  /** How long the leader may lead without having renewed its lease. */
  leaseMs: number;
  heartbeatIntervalMs: number;
  /** So many missed heartbeats in a row are a flatline. */
  heartbeatMisses: number;
  /** When a server that is not given up is suspect: others are asked first. */
  suspicion: SuspicionSettings;
  /** How long one replica may keep the others waiting. */
  patience: PatienceSettings;
  /** How long a node may take from its start to its first answer. */
  nodeStartMs: number;
  /** Requests that may wait for one shard. */
  queueLimit: number;
  /** How long a request may wait for its shards before it is refused. */
  queueWaitMs: number;
  /** A round takes no further request once its rows hold so many bytes. */
  roundBytes: number;
  roundRequests: number;
  /** Bounded loads: no replica serves more than (1 + epsilon) times the mean. */
  loadEpsilon: number;
  /** How long a snapshot is held for a reader that does not say that it still reads. */
  snapshotLeaseMs: number;
  /** How long dead versions are kept for replicas that lag. */
  tombstoneHorizonMs: number;
  /** How long the outcome of a change is remembered by its id. */
  operationHorizonMs: number;
  /** A replica enters the in-sync set when at most so many terms are missing. */
  catchupGapTerms: number;
  /** Bytes a second that all copies may take together; 0: no limit. */
  copyBytesPerS: number;
  /** How long `/add` and `/rm` wait for copies before they answer that it goes on. */
  adminWaitMs: number;
  /** In so much time the replicas of every shard are compared once; 0: only when somebody asks for it. */
  scrubIntervalMs: number;
  /** Replicas of a shard when `/init` leaves the placement to the balancer. */
  defaultReplicas: number;
}
