/** The shard-nodes as the balancer sees them. Every call ends within its deadline. */
import type {
  CatchupReply,
  CatchupRequest,
  CensusReply,
  ConfigReply,
  ConfigRequest,
  DigestReply,
  DigestRequest,
  FenceReply,
  FenceRequest,
  OperationLookup,
  OperationLookupReply,
  PageRead,
  PartReply,
  PingReply,
  PingRequest,
  ProbeReply,
  ProbeRequest,
  RoundPart,
} from '#common/contracts/node';

/**
 * What a call may fail with (as ShardlineError): what the node answered (`FENCED`, `STORE_FAILED`, …); `NO_LEADER` when nobody
 * listens on the node's subject or its process is found to be gone while the call waits; `OUTCOME_UNKNOWN` when the
 * deadline passed.
 */
export interface ShardTransport {
  ping(server: string, request: PingRequest): Promise<PingReply>;
  config(server: string, request: ConfigRequest): Promise<ConfigReply>;
  /** Asks all shard-nodes at once who they are; those that answer within a moment. Never fails because of one that does not. */
  census(): Promise<CensusReply[]>;
  /** Stores something that means nothing: to see how long that takes. */
  probe(server: string, request: ProbeRequest): Promise<ProbeReply>;
  fence(server: string, request: FenceRequest): Promise<FenceReply>;
  /** `isHurried`: the shard's writes wait meanwhile, so it may take no longer than a round. */
  catchup(server: string, request: CatchupRequest, isHurried: boolean): Promise<CatchupReply>;
  digest(server: string, request: DigestRequest): Promise<DigestReply>;
  operation(server: string, request: OperationLookup): Promise<OperationLookupReply>;
  /**
   * One round's part for one server, with its rows. Parts that wait for the same server are put into one message: a server
   * has at most one apply in flight, and the next takes everything that came meanwhile.
   */
  apply(server: string, epoch: number, round: RoundPart, rows: readonly string[]): Promise<PartReply[]>;
  /** The row of one key at one VAT, or null. Reads that wait for the same server share a message, as `apply`. */
  readOne(server: string, epoch: number, read: PageRead): Promise<string | null>;
}
