/** The verbs of a shard-node on NATS. */
import { Controller, UseFilters, type Type } from '@nestjs/common';
import { MessagePattern, Payload } from '@nestjs/microservices';
import { ShardlineError } from '#common/contracts/errors';
import type {
  CatchupReply,
  CensusReply,
  ConfigReply,
  DigestReply,
  FenceReply,
  OperationLookupReply,
  PingReply,
} from '#common/contracts/node';
import { CENSUS_SUBJECT, nodeSubject } from '#common/contracts/subjects';
import { encodeRawLines } from '#common/nats/lines';
import { ShardlineRpcFilter } from '#common/nats/nest-transport';
import { parseMessage } from './messages';
import type { Replica } from './replica';
import type { WorkInFlight } from '#common/process/work-in-flight';

/** Larger answers than this would not get through the broker. */
const MAX_ANSWER_BYTES = 8 * 1024 * 1024;

/** The controller for one server's subjects; its name is known only at run time. */
export function createNodeController(server: string, replica: Replica, work: WorkInFlight): Type {
  @Controller()
  @UseFilters(new ShardlineRpcFilter())
  class NodeController {
    @MessagePattern(nodeSubject(server, 'apply'))
    async apply(@Payload() data: Uint8Array): Promise<Uint8Array> {
      const { request, rows } = parseMessage.apply(data);
      return encodeRawLines(await work.track(replica.apply(request, rows)), '');
    }

    @MessagePattern(nodeSubject(server, 'read'))
    async read(@Payload() data: Uint8Array): Promise<Uint8Array> {
      const { header, text } = await work.track(replica.read(parseMessage.read(data)));
      return fitting(encodeRawLines(header, text));
    }

    @MessagePattern(nodeSubject(server, 'copy'))
    async copy(@Payload() data: Uint8Array): Promise<Uint8Array> {
      const { header, text } = await work.track(replica.copy(parseMessage.copy(data)));
      return fitting(encodeRawLines(header, text));
    }

    @MessagePattern(nodeSubject(server, 'config'))
    async config(@Payload() data: Uint8Array): Promise<ConfigReply> {
      return work.track(replica.config(parseMessage.config(data)));
    }

    @MessagePattern(nodeSubject(server, 'ping'))
    async ping(@Payload() data: Uint8Array): Promise<PingReply> {
      return work.track(replica.ping(parseMessage.ping(data)));
    }

    @MessagePattern(nodeSubject(server, 'fence'))
    async fence(@Payload() data: Uint8Array): Promise<FenceReply> {
      return work.track(replica.fence(parseMessage.fence(data)));
    }

    @MessagePattern(CENSUS_SUBJECT)
    census(): CensusReply {
      return replica.census();
    }

    @MessagePattern(nodeSubject(server, 'catchup'))
    async catchup(@Payload() data: Uint8Array): Promise<CatchupReply> {
      return work.track(replica.catchup(parseMessage.catchup(data)));
    }

    @MessagePattern(nodeSubject(server, 'digest'))
    async digest(@Payload() data: Uint8Array): Promise<DigestReply> {
      return work.track(replica.digest(parseMessage.digest(data)));
    }

    @MessagePattern(nodeSubject(server, 'operation'))
    async operation(@Payload() data: Uint8Array): Promise<OperationLookupReply> {
      return work.track(replica.operation(parseMessage.operation(data)));
    }
  }
  return NodeController;
}

function fitting(answer: Uint8Array): Uint8Array {
  if (answer.length <= MAX_ANSWER_BYTES) return answer;
  throw new ShardlineError('BAD_REQUEST', `the answer has ${answer.length} bytes: ask for fewer pages at once`);
}
