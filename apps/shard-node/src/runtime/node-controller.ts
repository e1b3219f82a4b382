/** The verbs of a shard-node on NATS. */
import { Controller, UseFilters, type Type } from '@nestjs/common';
import { MessagePattern, Payload } from '@nestjs/microservices';
import type { CensusReply } from '#common/contracts/node';
import { CENSUS_SUBJECT, nodeSubject } from '#common/contracts/subjects';
import { ShardlineRpcFilter } from '#common/nats/nest-transport';
import type { Replica } from './replica';
import { createVerbs } from './verbs';
import type { WorkInFlight } from '#common/process/work-in-flight';

/** The controller for one server's subjects; its name is known only at run time. */
export function createNodeController(server: string, replica: Replica, work: WorkInFlight): Type {
  const verbs = createVerbs(replica);

  @Controller()
  @UseFilters(new ShardlineRpcFilter())
  class NodeController {
    @MessagePattern(nodeSubject(server, 'apply'))
    apply(@Payload() data: Uint8Array): Promise<Uint8Array> {
      return work.track(verbs.apply(data));
    }

    @MessagePattern(nodeSubject(server, 'read'))
    read(@Payload() data: Uint8Array): Promise<Uint8Array> {
      return work.track(verbs.read(data));
    }

    @MessagePattern(nodeSubject(server, 'copy'))
    copy(@Payload() data: Uint8Array): Promise<Uint8Array> {
      return work.track(verbs.copy(data));
    }

    @MessagePattern(nodeSubject(server, 'config'))
    config(@Payload() data: Uint8Array): Promise<Uint8Array> {
      return work.track(verbs.config(data));
    }

    @MessagePattern(nodeSubject(server, 'ping'))
    ping(@Payload() data: Uint8Array): Promise<Uint8Array> {
      return work.track(verbs.ping(data));
    }

    @MessagePattern(nodeSubject(server, 'fence'))
    fence(@Payload() data: Uint8Array): Promise<Uint8Array> {
      return work.track(verbs.fence(data));
    }

    @MessagePattern(CENSUS_SUBJECT)
    census(): CensusReply {
      return replica.census();
    }

    @MessagePattern(nodeSubject(server, 'catchup'))
    catchup(@Payload() data: Uint8Array): Promise<Uint8Array> {
      return work.track(verbs.catchup(data));
    }

    @MessagePattern(nodeSubject(server, 'digest'))
    digest(@Payload() data: Uint8Array): Promise<Uint8Array> {
      return work.track(verbs.digest(data));
    }

    @MessagePattern(nodeSubject(server, 'probe'))
    probe(@Payload() data: Uint8Array): Promise<Uint8Array> {
      return work.track(verbs.probe(data));
    }

    @MessagePattern(nodeSubject(server, 'operation'))
    operation(@Payload() data: Uint8Array): Promise<Uint8Array> {
      return work.track(verbs.operation(data));
    }
  }
  return NodeController;
}
