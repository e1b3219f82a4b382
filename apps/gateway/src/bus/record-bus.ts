/** Record operations, as the gateway asks them of the leading balancer: one outbox for each kind. */
import { Events, type NatsConnection } from 'nats';
import type {
  ChangeDone,
  DeleteOp,
  PointRead,
  RangeRead,
  ReadOp,
  UpdateOp,
  WriteDone,
  WriteOp,
} from '#common/contracts/commands';
import { SUBJECTS } from '#common/contracts/subjects';
import { joinRows } from '#common/nats/lines';
import type { KeyedRows } from '../core/record-requests';
import type { Outcome } from './batch';
import { Outbox, type OutboxLimits, type OutboxWire } from './outbox';
import { ReplyMux } from './reply-mux';

export type ReadAnswer = PointRead | RangeRead;
export type OpKind = 'read' | 'write' | 'update' | 'del';

export class RecordBus {
  private readonly mux: ReplyMux;
  private readonly writes: Outbox<Omit<WriteOp, 'id'>, WriteDone>;
  private readonly updates: Outbox<Omit<UpdateOp, 'id'>, ChangeDone>;
  private readonly deletes: Outbox<Omit<DeleteOp, 'id'>, ChangeDone>;
  private readonly reads: Outbox<Omit<ReadOp, 'id'>, ReadAnswer>;
  private connected = true;

  constructor(
    private readonly nats: NatsConnection,
    limits: OutboxLimits,
    observeBatch: (kind: string, ops: number) => void,
  ) {
    this.mux = new ReplyMux(nats);
    const wire: OutboxWire = {
      publish: (subject, data, reply) => {
        nats.publish(subject, data, { reply });
      },
      mux: this.mux,
      isConnected: () => this.connected,
      maxPayload: () => nats.info?.max_payload ?? 1_048_576,
      observeBatch,
    };
    this.writes = new Outbox('write', SUBJECTS.cmd.write, false, wire, limits);
    this.updates = new Outbox('update', SUBJECTS.cmd.update, false, wire, limits);
    this.deletes = new Outbox('del', SUBJECTS.cmd.del, false, wire, limits);
    this.reads = new Outbox('read', SUBJECTS.cmd.read, true, wire, limits);
  }

  /** Follows the connection's ups and downs until it is closed. */
  async watchConnection(): Promise<void> {
    for await (const status of this.nats.status()) {
      if (status.type === Events.Disconnect) {
        this.connected = false;
        for (const outbox of this.outboxes()) outbox.onDisconnected();
      } else if (status.type === Events.Reconnect) {
        this.connected = true;
        for (const outbox of this.outboxes()) outbox.onConnected();
      }
    }
  }

  /** No key may stand twice. Resolves with how many rows were added. @throws ShardlineError as Outbox.submit */
  async write(configId: number, onConflict: WriteOp['onConflict'], { keys, rows }: KeyedRows): Promise<number> {
    const { result } = await this.writes.submit(configId, { onConflict, keys }, joinRows(rows), keys);
    return result.added;
  }

  /** @throws ShardlineError as Outbox.submit */
  async update(configId: number, key: number, row: string): Promise<void> {
    await this.updates.submit(configId, { key }, row);
  }

  /** @throws ShardlineError as Outbox.submit */
  async delete(configId: number, key: number): Promise<void> {
    await this.deletes.submit(configId, { key });
  }

  /** The row itself, or where to get the rows. @throws ShardlineError as Outbox.submit */
  read(configId: number, low: number, high: number): Promise<Outcome<ReadAnswer>> {
    return this.reads.submit(configId, { low, high });
  }

  /** How many operations of each kind have no answer yet. */
  underWay(): Record<OpKind, number> {
    return {
      read: this.reads.underWay,
      write: this.writes.underWay,
      update: this.updates.underWay,
      del: this.deletes.underWay,
    };
  }

  private outboxes(): Pick<Outbox<never, never>, 'onConnected' | 'onDisconnected'>[] {
    return [this.writes, this.updates, this.deletes, this.reads];
  }
}
