/** What an batcher is given: bounds, a connection with a leader behind it, and what is asked. */
import type { ReplyMux } from './reply-mux';

/** Bounds of an batcher. */
export interface RequestBatcherLimits {
  /** Operations that may be under way at once, and the bytes of their rows. */
  maxOps: number;
  maxBytes: number;
  /** Operations in one message. */
  batchOps: number;
  /** Messages out that are not answered in full; one that takes long counts no more. */
  batchesInFlight: number;
  /** How long an operation waits for a leader, a shard or room. */
  holdMs: number;
  /** How long an operation that was sent waits for its answer, from its arrival on; at least `holdMs`. */
  requestTimeoutMs: number;
}

/** What an batcher needs of the connection and of the leader. */
export interface BatcherWire {
  publish(subject: string, data: Uint8Array, reply: string): void;
  readonly mux: ReplyMux;
  /** False while the connection is being re-established, or nobody leads: nothing is sent then. */
  isReady(): boolean;
  /** False while the connection is being re-established. */
  isConnected(): boolean;
  /** In words for clients, for the time that nobody leads. */
  whyNobody(): string;
  /** Whom a message would reach now; 0 when that is not known. */
  epoch(): number;
  /** A message found nobody who listens. */
  foundNobody(): void;
  /** A message has had no answer for a while. */
  missAnswer(): void;
  /** Bytes that fit into one message. */
  maxPayload(): number;
  observeBatch(kind: string, ops: number): void;
}

/** What is asked: the header's part and the rows of one operation. */
export interface Asked<H> {
  configId: number;
  header: H;
  rows?: string;
  /** Bytes that the header takes beyond the usual. */
  headerBytes?: number;
  /** When it arrived, where that was before now. */
  arrivedAtMs?: number;
  /** Called when it may have been carried out without an answer that says so. */
  doubt?: () => void;
}
