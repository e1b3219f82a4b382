/** Commands as they arrive on `shardline.cmd.*`; only the leader listens. */
import { Controller, Inject, UseFilters } from '@nestjs/common';
import { MessagePattern, Payload } from '@nestjs/microservices';
import type { Observable } from 'rxjs';
import type {
  AddDone,
  ClusterStatus,
  DeleteOp,
  OperationName,
  OperationRequest,
  OperationStatus,
  ReadDoneReply,
  ReadDoneRequest,
  ReadOp,
  RecordBatch,
  RmDone,
  ScrubDone,
  UpdateOp,
  WriteOp,
} from '#common/contracts/commands';
import { SUBJECTS } from '#common/contracts/subjects';
import { parseJson } from '#common/nats/connection';
import { decodeLines } from '#common/nats/lines';
import { ShardlineRpcFilter } from '#common/nats/nest-transport';
import type { RecordCommand } from '../core/effects';
import { addCommand, initCommand, rmCommand } from './admin-shapes';
import { BalancerService } from './balancer.service';

/** One operation of a batch as the core takes it, `rows` being the lines that belong to it. */
type Translate<Op> = (op: Op, nextRows: (count: number) => string[]) => Command;
type Command = RecordCommand extends infer C ? (C extends RecordCommand ? Omit<C, 'batch'> : never) : never;

@Controller()
@UseFilters(ShardlineRpcFilter)
export class CommandsController {
  constructor(@Inject(BalancerService) private readonly balancer: BalancerService) {}

  @MessagePattern(SUBJECTS.cmd.status)
  status(): ClusterStatus {
    return this.balancer.status();
  }

  @MessagePattern(SUBJECTS.cmd.metrics)
  metrics(): Promise<string> {
    return this.balancer.metricsText();
  }

  @MessagePattern(SUBJECTS.cmd.init)
  async init(@Payload() data: Uint8Array): Promise<object> {
    await this.balancer.administer({ op: 'init', command: initCommand(data) });
    return {};
  }

  @MessagePattern(SUBJECTS.cmd.add)
  async add(@Payload() data: Uint8Array): Promise<AddDone> {
    const result = await this.balancer.administer({ op: 'add', command: addCommand(data) });
    return (result as { add: AddDone }).add;
  }

  @MessagePattern(SUBJECTS.cmd.rm)
  async rm(@Payload() data: Uint8Array): Promise<RmDone> {
    const result = await this.balancer.administer({ op: 'rm', command: rmCommand(data) });
    return (result as { rm: RmDone }).rm;
  }

  @MessagePattern(SUBJECTS.cmd.scrub)
  async scrub(): Promise<ScrubDone> {
    const result = await this.balancer.administer({ op: 'scrub' });
    return (result as { scrub: ScrubDone }).scrub;
  }

  @MessagePattern(SUBJECTS.cmd.write)
  write(@Payload() data: Uint8Array): Observable<Uint8Array> {
    return this.batch<WriteOp>(data, ({ id, onConflict, keys, ...name }, nextRows) => {
      return { op: 'write', id, onConflict, keys, rows: nextRows(keys.length), ...named(name) };
    });
  }

  @MessagePattern(SUBJECTS.cmd.update)
  update(@Payload() data: Uint8Array): Observable<Uint8Array> {
    return this.batch<UpdateOp>(data, ({ id, key, ...name }, nextRows) => ({
      op: 'update',
      id,
      key,
      row: nextRows(1)[0] ?? '',
      ...named(name),
    }));
  }

  @MessagePattern(SUBJECTS.cmd.del)
  del(@Payload() data: Uint8Array): Observable<Uint8Array> {
    return this.batch<DeleteOp>(data, ({ id, key, ...name }) => ({ op: 'delete', id, key, ...named(name) }));
  }

  @MessagePattern(SUBJECTS.cmd.read)
  read(@Payload() data: Uint8Array): Observable<Uint8Array> {
    return this.batch<ReadOp>(data, ({ id, low, high }) => ({ op: 'read', id, low, high }));
  }

  @MessagePattern(SUBJECTS.cmd.readDone)
  readDone(@Payload() data: Uint8Array): ReadDoneReply {
    return this.balancer.readDone(parseJson<ReadDoneRequest>(data));
  }

  @MessagePattern(SUBJECTS.cmd.operation)
  async operation(@Payload() data: Uint8Array): Promise<OperationStatus> {
    const { operation } = parseJson<OperationRequest>(data);
    const result = await this.balancer.replies.one<{ status: OperationStatus }>((batch) => {
      this.balancer.runner.dispatch({ on: 'operation', batch, operation });
    });
    return result.status;
  }

  private batch<Op>(data: Uint8Array, translate: Translate<Op>): Observable<Uint8Array> {
    const { header, rows } = decodeLines<RecordBatch<Op>>(data);
    let taken = 0;
    const nextRows = (count: number): string[] => {
      taken += count;
      return rows.slice(taken - count, taken);
    };
    const { configId, ops } = header;
    const commands = ops.map((op) => translate(op, nextRows));
    return this.balancer.replies.open(ops.length, (batch) => {
      for (const command of commands) (command as RecordCommand).batch = batch;
      this.balancer.runner.dispatch({ on: 'records', configId, commands: commands as RecordCommand[] });
    });
  }
}

function named({ operation, print }: OperationName): OperationName {
  return { ...(operation === undefined ? {} : { operation }), ...(print === undefined ? {} : { print }) };
}
