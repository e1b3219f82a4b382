/** Record operations, as the gateway asks them of the leading balancer: one batcher for each kind. */
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
import { ShardlineError } from '#common/contracts/errors';
import { SUBJECTS } from '#common/contracts/subjects';
import { COMMAND_MESSAGES } from '#common/nats/command-messages';
import { joinRows } from '#common/nats/lines';
import type { KeyedRows } from '../../core/record-requests';
import type { OpAnswer } from './batch';
import { LeaderWatch } from '../leader-watch';
import type { Operation } from '../operations';
import { RequestBatcher } from './request-batcher';
import type { Asked, RequestBatcherLimits, BatcherWire } from './batcher-wire';
import { ReplyMux } from './reply-mux';

export type ReadAnswer = PointRead | RangeRead;
/** Room for an operation's id and fingerprint. */
const ID_BYTES = 200;

export type OpKind = 'read' | 'write' | 'update' | 'del';

export class RecordBus {
  private readonly mux: ReplyMux;
  private readonly writes: RequestBatcher<Omit<WriteOp, 'id'>, WriteDone>;
  private readonly updates: RequestBatcher<Omit<UpdateOp, 'id'>, ChangeDone>;
  private readonly deletes: RequestBatcher<Omit<DeleteOp, 'id'>, ChangeDone>;
  private readonly reads: RequestBatcher<Omit<ReadOp, 'id'>, ReadAnswer>;
  private readonly leader: LeaderWatch;
  private connected = true;

  constructor(
    private readonly nats: NatsConnection,
    limits: RequestBatcherLimits,
    observeBatch: (kind: string, ops: number) => void,
  ) {
    this.mux = new ReplyMux(nats);
    this.leader = new LeaderWatch(nats);
    const wire: BatcherWire = {
      publish: (subject, data, reply) => {
        nats.publish(subject, data, { reply });
      },
      mux: this.mux,
      isReady: () => this.connected && !this.leader.isNobodyThere,
      isConnected: () => this.connected,
      whyNobody: () => this.leader.whyNobody,
      epoch: () => this.leader.epoch,
      foundNobody: () => {
        this.leader.foundNobody();
      },
      missAnswer: () => {
        this.leader.missAnswer();
      },
      maxPayload: () => nats.info?.max_payload ?? 1_048_576,
      observeBatch,
    };
    this.writes = new RequestBatcher('write', SUBJECTS.cmd.write, COMMAND_MESSAGES.write.reply, wire, limits);
    this.updates = new RequestBatcher('update', SUBJECTS.cmd.update, COMMAND_MESSAGES.update.reply, wire, limits);
    this.deletes = new RequestBatcher('del', SUBJECTS.cmd.del, COMMAND_MESSAGES.del.reply, wire, limits);
    // A read that nobody answered has changed nothing: there is no reason to wait longer than for a leader.
    const { holdMs, requestTimeoutMs } = limits;
    const readLimits = {
      ...limits,
      requestTimeoutMs: holdMs > 0 ? Math.min(holdMs, requestTimeoutMs) : requestTimeoutMs,
    };
    this.reads = new RequestBatcher('read', SUBJECTS.cmd.read, COMMAND_MESSAGES.read.reply, wire, readLimits);
    for (const batcher of this.batchers()) this.leader.listen(batcher);
  }

  /** In words for clients, for the time that nobody leads. */
  whyNobody(): string {
    return this.leader.whyNobody;
  }

  /** Follows the connection's ups and downs until it is closed. */
  async watchConnection(): Promise<void> {
    for await (const status of this.nats.status()) {
      if (status.type === Events.Disconnect) {
        this.connected = false;
        for (const batcher of this.batchers()) batcher.onDisconnected();
      } else if (status.type === Events.Reconnect) {
        this.connected = true;
        this.leader.onConnected();
        for (const batcher of this.batchers()) batcher.onConnected();
      }
    }
  }

  /** No key may stand twice. Resolves with how many rows were added. @throws ShardlineError as RequestBatcher.request */
  async write(
    operation: Operation,
    configId: number,
    onConflict: WriteOp['onConflict'],
    { keys, rows }: KeyedRows,
  ): Promise<number> {
    operation.sendUnder(configId);
    const text = JSON.stringify(keys);
    const header = { ...nameOf(operation, 'write', [onConflict, text, ...rows]), onConflict, keys };
    const asked = { configId, header, rows: joinRows(rows), headerBytes: text.length };
    const { result } = await this.writes.request(change(operation, asked));
    return result.added;
  }

  /** @throws ShardlineError as RequestBatcher.request */
  async update(operation: Operation, configId: number, key: number, row: string): Promise<void> {
    operation.sendUnder(configId);
    const header = { ...nameOf(operation, 'update', [String(key), row]), key };
    await this.updates.request(change(operation, { configId, header, rows: row }));
  }

  /** @throws ShardlineError as RequestBatcher.request */
  async delete(operation: Operation, configId: number, key: number): Promise<void> {
    operation.sendUnder(configId);
    const header = { ...nameOf(operation, 'delete', [String(key)]), key };
    await this.deletes.request(change(operation, { configId, header }));
  }

  /** The row itself, or where to get the rows. @throws ShardlineError as RequestBatcher.request, but NO_LEADER for OUTCOME_UNKNOWN */
  async read(configId: number, low: number, high: number): Promise<OpAnswer<ReadAnswer>> {
    try {
      return await this.reads.request({ configId, header: { low, high } });
    } catch (thrown) {
      const error = ShardlineError.from(thrown);
      if (error.code !== 'OUTCOME_UNKNOWN') throw error;
      throw new ShardlineError('NO_LEADER', 'the leader does not answer', true, { cause: error });
    }
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

  private batchers(): Pick<RequestBatcher<never, never>, 'onConnected' | 'onDisconnected' | 'onLeader' | 'onNobody'>[] {
    return [this.writes, this.updates, this.deletes, this.reads];
  }
}

/** The fields by which the leader knows a change again. */
function nameOf(
  operation: Operation,
  kind: string,
  asked: readonly string[],
): { operation: string; fingerprint?: string } {
  const fingerprint = operation.fingerprint(kind, asked);
  return { operation: operation.id, ...(fingerprint === undefined ? {} : { fingerprint }) };
}

function change<H>(operation: Operation, asked: Asked<H>): Asked<H> {
  const doubt = (): void => {
    operation.inDoubt = true;
  };
  return { ...asked, headerBytes: (asked.headerBytes ?? 0) + ID_BYTES, arrivedAtMs: operation.arrivedAtMs, doubt };
}
