/** Commands as they arrive on `shardline.cmd.*`; only the leader listens. */
import { Controller, Inject, UseFilters } from '@nestjs/common';
import { MessagePattern, Payload } from '@nestjs/microservices';
import type { Observable } from 'rxjs';
import type {
  AddDone,
  ClusterStatus,
  OperationStatus,
  SnapshotLeasesReply,
  RmDone,
  ScrubDone,
} from '#common/contracts/commands';
import { SUBJECTS } from '#common/contracts/subjects';
import { readMessage, readNothing } from '#common/nats/codec';
import { COMMAND_MESSAGES } from '#common/nats/command-messages';
import { ShardlineRpcFilter } from '#common/nats/nest-transport';
import type { RecordCommand } from '../core/kernel/effects';
import { readCommand } from './admin-shapes';
import { BalancerService } from './balancer.service';
import { readCommands, type NewCommands } from './record-commands';

@Controller()
@UseFilters(ShardlineRpcFilter)
export class CommandsController {
  constructor(@Inject(BalancerService) private readonly balancer: BalancerService) {}

  @MessagePattern(SUBJECTS.cmd.status)
  status(@Payload() data: Uint8Array): ClusterStatus {
    readNothing(data);
    return this.balancer.status();
  }

  @MessagePattern(SUBJECTS.cmd.metrics)
  metrics(@Payload() data: Uint8Array): Promise<string> {
    readNothing(data);
    return this.balancer.metricsText();
  }

  @MessagePattern(SUBJECTS.cmd.init)
  async init(@Payload() data: Uint8Array): Promise<object> {
    await this.balancer.administer({ op: 'init', command: readCommand(COMMAND_MESSAGES.init.request, data) });
    return {};
  }

  @MessagePattern(SUBJECTS.cmd.add)
  async add(@Payload() data: Uint8Array): Promise<AddDone> {
    const result = await this.balancer.administer({
      op: 'add',
      command: readCommand(COMMAND_MESSAGES.add.request, data),
    });
    return (result as { add: AddDone }).add;
  }

  @MessagePattern(SUBJECTS.cmd.rm)
  async rm(@Payload() data: Uint8Array): Promise<RmDone> {
    const result = await this.balancer.administer({
      op: 'rm',
      command: readCommand(COMMAND_MESSAGES.rm.request, data),
    });
    return (result as { rm: RmDone }).rm;
  }

  @MessagePattern(SUBJECTS.cmd.scrub)
  async scrub(@Payload() data: Uint8Array): Promise<ScrubDone> {
    readNothing(data);
    const result = await this.balancer.administer({ op: 'scrub' });
    return (result as { scrub: ScrubDone }).scrub;
  }

  @MessagePattern(SUBJECTS.cmd.write)
  write(@Payload() data: Uint8Array): Observable<Uint8Array> {
    return this.batch(readCommands.write(data));
  }

  @MessagePattern(SUBJECTS.cmd.update)
  update(@Payload() data: Uint8Array): Observable<Uint8Array> {
    return this.batch(readCommands.update(data));
  }

  @MessagePattern(SUBJECTS.cmd.del)
  del(@Payload() data: Uint8Array): Observable<Uint8Array> {
    return this.batch(readCommands.del(data));
  }

  @MessagePattern(SUBJECTS.cmd.read)
  read(@Payload() data: Uint8Array): Observable<Uint8Array> {
    return this.batch(readCommands.read(data));
  }

  @MessagePattern(SUBJECTS.cmd.snapshotLeases)
  snapshotLeases(@Payload() data: Uint8Array): SnapshotLeasesReply {
    return this.balancer.snapshotLeases(readMessage(COMMAND_MESSAGES.snapshotLeases.request, data));
  }

  @MessagePattern(SUBJECTS.cmd.operation)
  async operation(@Payload() data: Uint8Array): Promise<OperationStatus> {
    const { operation } = readMessage(COMMAND_MESSAGES.operation.request, data);
    const result = await this.balancer.replies.one<{ status: OperationStatus }>((batch) => {
      this.balancer.runner.dispatch({ on: 'operation', batch, operation });
    });
    return result.status;
  }

  private batch({ configId, commands }: NewCommands): Observable<Uint8Array> {
    return this.balancer.replies.open(commands.length, (batch) => {
      for (const command of commands) (command as RecordCommand).batch = batch;
      this.balancer.runner.dispatch({ on: 'records', configId, commands: commands as RecordCommand[] });
    });
  }
}
