/** The shard-nodes on NATS. */
import { ShardlineError } from '#common/contracts/errors';
import type {
  ApplyReply,
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
import { unshareRounds } from '#common/contracts/shared-rounds';
import { readAnswer, readRowsAnswer } from '#common/nats/codec';
import type { NatsConnection } from '#common/nats/connection';
import { encodeLines } from '#common/nats/lines';
import type { Message } from '#common/nats/message';
import { NODE_MESSAGES } from '#common/nats/node-messages';
import { bytesOfRound } from './message-sizes';
import { NodeCalls, type NodeAnswer } from './node-calls';
import { takeCensus } from './census';
import { PointReadBatcher } from './point-read-batcher';
import { ServerBatcher, type BatchSender, type Settled } from './server-batcher';

export interface NatsShardTransportOptions {
  pingTimeoutMs: number;
  applyTimeoutMs: number;
  readTimeoutMs: number;
  /** Of config and fence. */
  adminTimeoutMs: number;
  /** Of a catch-up's pages, and of digests, which may have to scan a whole shard. */
  catchupTimeoutMs: number;
  /** For how long nobody must have listened at a server that is to be taken for gone; unless given, by the kind of NATS. */
  confirmAbsenceMs?: number;
  /** Called for every message that carries rounds or reads: how many of them, and its size. */
  onMessage?: (verb: 'apply' | 'read', parts: number, bytes: number) => void;
}

/** What a table may take to be made or dropped, on a machine that has much else to do: `/init` may make 1,024. */
const TABLE_MS = 40;
const MIB = 1024 * 1024;
/** Below what the broker takes (8 MiB), with room for what our sizes leave out. */
const MESSAGE_BYTES = 7 * MIB;
const APPLY_LIMITS = {
  inFlight: 1,
  messageItems: 256,
  messageBytes: MESSAGE_BYTES,
  queueItems: 1024,
  queueBytes: 64 * MIB,
};
/** The weight of a read is that of its answer, of which a server may keep several in memory. */
const READ_LIMITS = {
  inFlight: 2,
  messageItems: 512,
  messageBytes: 4 * MIB,
  queueItems: 16_384,
  queueBytes: Number.POSITIVE_INFINITY,
};

/** Verbs whose messages carry no rows. */
type PlainVerb = Exclude<keyof typeof NODE_MESSAGES, 'apply' | 'read' | 'copy'>;
type Asked<V extends PlainVerb> = ReturnType<(typeof NODE_MESSAGES)[V]['request']['check']>;
type Answered<V extends PlainVerb> = ReturnType<(typeof NODE_MESSAGES)[V]['reply']['check']>;

interface Apply {
  epoch: number;
  round: RoundPart;
  rows: readonly string[];
}

/**
 * Every call ends within its deadline. It fails with a ShardlineError: what the node answered (`FENCED`, `STORE_FAILED`, …); `NO_LEADER`
 * when nobody listens on the node's subject or its process is found to be gone while the call waits; `OUTCOME_UNKNOWN` when the deadline
 * passed.
 */
export class NatsShardTransport {
  private readonly calls: NodeCalls;
  private readonly applies = new Map<string, ServerBatcher<Apply, PartReply[]>>();
  private readonly reads = new Map<string, PointReadBatcher>();

  constructor(
    private readonly nats: NatsConnection,
    private readonly options: NatsShardTransportOptions,
  ) {
    this.calls = new NodeCalls(nats, options.confirmAbsenceMs);
  }

  async ping(server: string, request: PingRequest): Promise<PingReply> {
    return unshareRounds(await this.ask(server, 'ping', request, this.options.pingTimeoutMs));
  }

  async config(server: string, request: ConfigRequest): Promise<ConfigReply> {
    const isMaking = request.stage === 'prepare' || request.areNew === true;
    const tables = (isMaking ? request.shards.length : 0) + request.drop.length;
    const timeoutMs = this.options.adminTimeoutMs + tables * TABLE_MS;
    return unshareRounds(await this.ask(server, 'config', request, timeoutMs));
  }

  /** Stores something that means nothing: to see how long that takes. */
  probe(server: string, request: ProbeRequest): Promise<ProbeReply> {
    return this.ask(server, 'probe', request, this.options.applyTimeoutMs);
  }

  /** Asks all shard-nodes at once who they are; those that answer within a moment. Never fails because of one that does not. */
  census(): Promise<CensusReply[]> {
    return takeCensus(this.nats);
  }

  async fence(server: string, request: FenceRequest): Promise<FenceReply> {
    return unshareRounds(await this.ask(server, 'fence', request, this.options.adminTimeoutMs));
  }

  /** `isHurried`: the shard's writes wait meanwhile, so it may take no longer than a round. */
  catchup(server: string, request: CatchupRequest, isHurried: boolean): Promise<CatchupReply> {
    const { applyTimeoutMs, catchupTimeoutMs } = this.options;
    return this.ask(
      server,
      'catchup',
      request,
      isHurried ? Math.min(applyTimeoutMs, catchupTimeoutMs) : catchupTimeoutMs,
    );
  }

  digest(server: string, request: DigestRequest): Promise<DigestReply> {
    return this.ask(server, 'digest', request, this.options.catchupTimeoutMs);
  }

  operation(server: string, request: OperationLookup): Promise<OperationLookupReply> {
    return this.ask(server, 'operation', request, this.options.readTimeoutMs);
  }

  /**
   * One round's part for one server, with its rows. Parts that wait for the same server are put into one message: a server has at most
   * one apply in flight, and the next takes everything that came meanwhile.
   *
   * @throws ShardlineError as every call; BUSY when the server does not keep up, and then nothing was sent
   */
  apply(server: string, epoch: number, round: RoundPart, rows: readonly string[]): Promise<PartReply[]> {
    const bytes = bytesOfRound(round, rows);
    if (bytes > MESSAGE_BYTES) return Promise.reject(tooLarge(bytes));
    return this.appliesTo(server).enqueue({ epoch, round, rows }, bytes);
  }

  /**
   * The row of one key at one VAT, or null. Reads that wait for the same server share a message, as `apply`.
   *
   * @throws ShardlineError as `apply`
   */
  readOne(server: string, epoch: number, read: PageRead): Promise<string | null> {
    return this.readsFrom(server).read({ epoch, read });
  }

  private async ask<V extends PlainVerb>(
    server: string,
    verb: V,
    request: Asked<V>,
    timeoutMs: number,
  ): Promise<Answered<V>> {
    const { data, isRepeat } = await this.calls.call(server, verb, JSON.stringify(request), timeoutMs);
    try {
      return readAnswer<Answered<V>>(NODE_MESSAGES[verb].reply as Message<Answered<V>>, data);
    } catch (thrown) {
      const error = ShardlineError.from(thrown);
      // What was asked for the first time may be under way.
      throw isRepeat && verb === 'catchup' ? refusalOfRepeat(server, error) : error;
    }
  }

  private appliesTo(server: string): ServerBatcher<Apply, PartReply[]> {
    let batcher = this.applies.get(server);
    if (batcher === undefined) {
      const sender: BatchSender<Apply, PartReply[]> = {
        send: (rounds) => this.sendRounds(server, rounds),
        mayShare: (first, next) => first.epoch === next.epoch,
      };
      batcher = new ServerBatcher(server, sender, { ...APPLY_LIMITS, queueMs: this.options.applyTimeoutMs });
      this.applies.set(server, batcher);
    }
    return batcher;
  }

  private readsFrom(server: string): PointReadBatcher {
    let reads = this.reads.get(server);
    if (reads === undefined) {
      const { readTimeoutMs } = this.options;
      const limits = { ...READ_LIMITS, queueMs: readTimeoutMs };
      reads = new PointReadBatcher(server, limits, readTimeoutMs, async (payload, count, timeoutMs) => {
        this.options.onMessage?.('read', count, payload.length);
        return (await this.calls.call(server, 'read', payload, timeoutMs)).data;
      });
      this.reads.set(server, reads);
    }
    return reads;
  }

  /**
   * The node takes all rounds of a message or none. One that it refuses for what it is must not fail the others: then the message
   * is sent again in halves, until that one is alone.
   */
  private async sendRounds(
    server: string,
    applies: Apply[],
    sinceMs = performance.now(),
  ): Promise<Settled<PartReply[]>[]> {
    const timeoutMs = Math.max(1, this.options.applyTimeoutMs - (performance.now() - sinceMs));
    try {
      return await this.sendTogether(server, applies, timeoutMs);
    } catch (thrown) {
      if (applies.length === 1 || !isAboutOneRound(thrown)) throw thrown;
    }
    const middle = Math.ceil(applies.length / 2);
    const first = await this.sendHalf(server, applies.slice(0, middle), sinceMs);
    const second = applies.slice(middle);
    if (first.every((each) => each.ok || isAboutOneRound(each.error)))
      return [...first, ...(await this.sendHalf(server, second, sinceMs))];
    const error = new ShardlineError('BUSY', `${server} did not accept the earlier messages`, true);
    return [...first, ...second.map((): Settled<PartReply[]> => ({ ok: false, error }))];
  }

  private async sendHalf(server: string, half: Apply[], sinceMs: number): Promise<Settled<PartReply[]>[]> {
    try {
      return await this.sendRounds(server, half, sinceMs);
    } catch (error) {
      return half.map((): Settled<PartReply[]> => ({ ok: false, error }));
    }
  }

  private async sendTogether(server: string, applies: Apply[], timeoutMs: number): Promise<Settled<PartReply[]>[]> {
    const header = { epoch: applies[0]?.epoch ?? 0, rounds: applies.map(({ round }) => round) };
    const payload = encodeLines(
      header,
      applies.flatMap(({ rows }) => rows),
    );
    this.options.onMessage?.('apply', applies.length, payload.length);
    const answer = await this.calls.call(server, 'apply', payload, timeoutMs);
    const { rounds } = appliedRounds(server, answer);
    const byNumber = new Map(rounds.map(({ round, parts }) => [round, parts]));
    return applies.map(({ round }) => {
      const value = byNumber.get(round.round);
      return value === undefined ? { ok: false, error: missing(server, round.round) } : { ok: true, value };
    });
  }
}

const ABOUT_ONE_ROUND: ReadonlySet<string> = new Set(['BAD_REQUEST', 'BAD_MESSAGE', 'STALE_ROUND', 'UNKNOWN_SHARD']);

/** The node refused the message for what one of its rounds is, and is as it was before. */
function isAboutOneRound(thrown: unknown): boolean {
  return thrown instanceof ShardlineError && ABOUT_ONE_ROUND.has(thrown.code);
}

/** @throws ShardlineError what the node answered */
function appliedRounds(server: string, { data, isRepeat }: NodeAnswer): ApplyReply {
  try {
    return readRowsAnswer(NODE_MESSAGES.apply.reply, data).header;
  } catch (thrown) {
    const error = ShardlineError.from(thrown);
    throw isRepeat ? refusalOfRepeat(server, error) : error;
  }
}

/**
 * What the refusal of a message says that was sent before: that it was not carried out this time. The first time the node may have
 * done so, and have been restarted since, have dropped the shard, or be busy now. That somebody else leads holds all the same.
 */
export function refusalOfRepeat(server: string, error: ShardlineError): ShardlineError {
  if (error.code === 'FENCED') return error;
  const message = `what ${server} did before the connection was lost is not known: ${error.message}`;
  return new ShardlineError('OUTCOME_UNKNOWN', message, false, { cause: error });
}

function tooLarge(bytes: number): ShardlineError {
  const message = `${bytes} bytes of rows and keys do not fit into one message (${MESSAGE_BYTES}): send fewer rows at a time`;
  return new ShardlineError('BAD_REQUEST', message);
}

function missing(server: string, round: number): ShardlineError {
  return new ShardlineError('BAD_MESSAGE', `${server} left out its answer for round ${round}`);
}
