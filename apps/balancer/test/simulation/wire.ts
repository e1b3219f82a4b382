/**
 * What the simulated network carries is what the real one carries: every request and every answer goes through the bytes, the definitions
 * and the code that the services use. What is not in a message's definition arrives nowhere.
 */
import { ShardlineError } from '#common/contracts/errors';
import type {
  ApplyReply,
  ApplyRequest,
  CatchupReply,
  CatchupRequest,
  CensusReply,
  ConfigReply,
  ConfigRequest,
  CopyReply,
  CopyRequest,
  DigestReply,
  DigestRequest,
  FenceReply,
  FenceRequest,
  NodeReadReply,
  NodeReadRequest,
  OperationLookup,
  OperationLookupReply,
  PingReply,
  PingRequest,
  ProbeReply,
  ProbeRequest,
} from '#common/contracts/node';
import { unshareRounds } from '#common/contracts/shared-rounds';
import type { NodeVerb } from '#common/contracts/subjects';
import { readAnswer, readMessage, readRowsAnswer } from '#common/nats/codec';
import { encodeLines, type RawLines } from '#common/nats/lines';
import { CENSUS_REPLY, NODE_MESSAGES } from '#common/nats/node-messages';
import { jsonBytes } from '#common/nats/text';
import { createVerbs, type Verbs } from '../../../shard-node/src/runtime/verbs';
import type { Replica } from '../../../shard-node/src/runtime/replica';

/** A replica as those see it who ask it over the network. */
export class WiredReplica {
  private readonly verbs: Verbs;

  constructor(private readonly replica: Replica) {
    this.verbs = createVerbs(replica);
  }

  /** @throws ShardlineError as every verb: what the replica says, or BAD_MESSAGE where one of the two cannot read the other */
  async apply(request: ApplyRequest, rows: readonly string[]): Promise<ApplyReply> {
    const data = await this.answerOf('apply', encodeLines(request, rows));
    return readRowsAnswer(NODE_MESSAGES.apply.reply, data).header;
  }
  async read(request: NodeReadRequest): Promise<RawLines<NodeReadReply>> {
    return readRowsAnswer(NODE_MESSAGES.read.reply, await this.answerOf('read', encodeLines(request, [])));
  }
  async copy(request: CopyRequest): Promise<RawLines<CopyReply>> {
    return readRowsAnswer(NODE_MESSAGES.copy.reply, await this.answerOf('copy', encodeLines(request, [])));
  }
  async ping(request: PingRequest): Promise<PingReply> {
    return unshareRounds(readAnswer(NODE_MESSAGES.ping.reply, await this.answerOf('ping', jsonBytes(request))));
  }
  async config(request: ConfigRequest): Promise<ConfigReply> {
    return unshareRounds(readAnswer(NODE_MESSAGES.config.reply, await this.answerOf('config', jsonBytes(request))));
  }
  async fence(request: FenceRequest): Promise<FenceReply> {
    return unshareRounds(readAnswer(NODE_MESSAGES.fence.reply, await this.answerOf('fence', jsonBytes(request))));
  }
  async catchup(request: CatchupRequest): Promise<CatchupReply> {
    return readAnswer(NODE_MESSAGES.catchup.reply, await this.answerOf('catchup', jsonBytes(request)));
  }
  async digest(request: DigestRequest): Promise<DigestReply> {
    return readAnswer(NODE_MESSAGES.digest.reply, await this.answerOf('digest', jsonBytes(request)));
  }
  async operation(request: OperationLookup): Promise<OperationLookupReply> {
    return readAnswer(NODE_MESSAGES.operation.reply, await this.answerOf('operation', jsonBytes(request)));
  }
  async probe(request: ProbeRequest): Promise<ProbeReply> {
    return readAnswer(NODE_MESSAGES.probe.reply, await this.answerOf('probe', jsonBytes(request)));
  }
  census(): Promise<CensusReply> {
    return Promise.resolve(readMessage(CENSUS_REPLY, jsonBytes(this.replica.census())));
  }

  /** A failure travels as an answer does. */
  private async answerOf(verb: NodeVerb, request: Uint8Array): Promise<Uint8Array> {
    try {
      return await this.verbs[verb](request);
    } catch (thrown) {
      const error = ShardlineError.from(thrown);
      // Here the failure still has its stack, which is what a defect is found by.
      if (error.code === 'INTERNAL') throw error;
      return jsonBytes({ error: error.toBody() });
    }
  }
}
