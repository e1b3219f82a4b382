/**
 * The balancer without the world around it: `step(event)` takes what happened and returns what is to be done, synchronously and
 * without any other input. Time is a field of the event, randomness an injected seeded generator.
 *
 * What is asked for in an effect with a token comes back as an `answered` event with that token.
 */
import type { ClusterStatus, ReadDoneReply, ReadDoneRequest } from '#common/contracts/commands';
import type { ErrorBody } from '#common/contracts/errors';
import type { RoundOp } from '#common/contracts/node';
import { Catalog } from './catalog';
import { Cluster } from './cluster';
import { Desk } from './desk';
import type { CoreEvent, Effect, RecordCommand } from './effects';
import type { RingHash } from './hash-ring';
import { Health } from './health';
import { InSyncSets } from './in-sync-sets';
import { Membership } from './membership';
import type { Random } from './random';
import { Reader } from './reader';
import { Recovery } from './recovery';
import type { CoreSettings } from './settings';
import type { LaneRequest, RequestPart } from './shard-lane';
import { statusOf } from './status';
import { TakeOver } from './take-over';
import { run } from './workflow';
import { Writer } from './writer';

/** A hash for the rings, and what it is called. */
export interface NamedRingHash {
  name: string;
  hash: RingHash;
}

export class BalancerCore {
  private readonly desk = new Desk();
  private readonly cluster: Cluster;
  private readonly writer: Writer;
  private readonly reader: Reader;
  private readonly recovery: Recovery;
  private readonly health: Health;
  private readonly membership: Membership;
  private readonly takeOver: TakeOver;

  constructor(
    private readonly settings: CoreSettings,
    private readonly ring: NamedRingHash,
    random: Random,
  ) {
    const stepDown = (why: string): void => {
      this.stepDown(why);
    };
    const { desk } = this;
    const cluster = new Cluster(settings.heartbeatMisses, settings.suspicion, ring.hash);
    const catalog = new Catalog(desk, stepDown);
    const inSyncSets = new InSyncSets(desk, cluster, catalog);
    this.cluster = cluster;
    this.writer = new Writer(desk, cluster, inSyncSets, settings, stepDown);
    this.reader = new Reader(desk, cluster, settings, stepDown);
    this.recovery = new Recovery(desk, cluster, inSyncSets, this.writer, settings);
    this.health = new Health(desk, cluster, inSyncSets, this.recovery, settings, stepDown);
    const { writer, reader, recovery, health } = this;
    this.takeOver = new TakeOver(desk, cluster, catalog, inSyncSets, health, writer, settings);
    this.membership = new Membership({
      ...{ desk, cluster, catalog, inSyncSets, health, recovery, writer, reader, settings, random },
    });
  }

  /** Handles one event. The effects are to be begun in the order in which they stand. */
  step(event: CoreEvent): Effect[] {
    if (this.cluster.phase === 'steppedDown') return [];
    this.desk.nowMs = event.nowMs;
    this.handle(event);
    this.writer.flush();
    return this.hasSteppedDown() ? withoutAnswers(this.desk.take()) : this.desk.take();
  }

  private hasSteppedDown(): boolean {
    return this.cluster.phase === 'steppedDown';
  }

  /** What `/status` shows; changes nothing. */
  status(nowMs: number): ClusterStatus {
    return statusOf(this.cluster, this.settings, this.ring.name, nowMs);
  }

  /** The end of reads, and the renewal of others: answered at once, and without effects. */
  readDone(request: ReadDoneRequest, nowMs: number): ReadDoneReply {
    this.desk.nowMs = nowMs;
    return this.reader.done(request);
  }

  /** Numbers for the metrics. */
  gauges(): { openTickets: number; waiting: Record<string, number> } {
    const waiting: Record<string, number> = {};
    for (const shard of this.cluster.inKeyOrder()) waiting[shard.id] = this.writer.lanes.length(shard.id);
    return { openTickets: this.reader.openTickets, waiting };
  }

  private handle(event: CoreEvent): void {
    switch (event.on) {
      case 'start':
        run(this.takeOver.lead(event.catalog), () => {
          this.begin();
        });
        break;
      case 'records':
        for (const command of event.commands) this.record(command, event.configId);
        break;
      case 'admin':
        this.membership.submit(event.command);
        break;
      case 'answered':
        this.desk.deliver(event.token, event.outcome);
        break;
      case 'tick':
        this.tick();
        break;
    }
  }

  private begin(): void {
    if (this.cluster.phase === 'steppedDown') return;
    const { balancerId } = this.settings;
    const data = { cause: 'take-over', epoch: this.cluster.epoch, shards: this.cluster.shards.size };
    this.desk.emit({ do: 'publish', event: { kind: 'leader.elected', subject: balancerId, data } });
    this.desk.emit({ do: 'serve' });
  }

  private tick(): void {
    this.desk.wakeSleepers();
    this.health.tick();
    this.reader.expire();
    for (const shard of this.cluster.inKeyOrder()) {
      if (shard.resolved) shard.sample(this.desk.nowMs, this.settings.tombstoneHorizonMs);
    }
    this.recovery.startAll();
  }

  private record(command: RecordCommand, configId: number): void {
    const refusal = this.refusalOf(configId);
    if (refusal !== null) this.refuse(command, refusal);
    else if (command.op === 'read') this.reader.submit(command);
    else this.change(command);
  }

  private refusalOf(configId: number): ErrorBody | null {
    if (this.cluster.phase === 'unconfigured') {
      return {
        code: 'NOT_CONFIGURED',
        message: 'the cluster has no configuration yet: POST /init first',
        retryable: false,
      };
    }
    if (configId === this.cluster.configId && this.cluster.phase === 'serving') return null;
    return { code: 'CONFIG_CHANGED', message: 'the configuration has changed', retryable: true };
  }

  /** Splits a change by shards and queues it. */
  private change(command: Exclude<RecordCommand, { op: 'read' }>): void {
    const parts = new Map<string, RequestPart>();
    const keys = command.op === 'write' ? command.keys : [command.key];
    for (const [index, key] of keys.entries()) {
      const shard = this.cluster.shardOf(key);
      if (shard === undefined) {
        const code = command.op === 'write' ? 'KEY_OUT_OF_RANGE' : 'KEY_NOT_FOUND';
        this.refuse(command, { code, message: `the key ${key} lies in no shard`, retryable: false });
        return;
      }
      addToPart(parts, shard.id, command, key, index);
    }
    if (parts.size > 1) for (const { op } of parts.values()) if (op.op === 'create') op.spans = true;
    const bytes = sizeOf(command);
    const request: LaneRequest = { batch: command.batch, id: command.id, parts, bytes, arrivedMs: this.desk.nowMs };
    if (parts.size > 0) this.writer.submit(request);
    else {
      const result = { id: command.id, added: 0 };
      this.desk.emit({ do: 'answer', batch: command.batch, answered: { result } });
    }
  }

  private refuse(command: RecordCommand, error: ErrorBody): void {
    this.desk.emit({ do: 'answer', batch: command.batch, answered: { result: { id: command.id, error } } });
  }

  private stepDown(why: string): void {
    if (this.cluster.phase === 'steppedDown') return;
    this.cluster.phase = 'steppedDown';
    const event = { kind: 'leader.lost' as const, subject: this.settings.balancerId, data: { cause: why } };
    this.desk.emit({ do: 'publish', event });
    this.desk.emit({ do: 'stepDown', why });
  }
}

/** Behind the word that it no longer leads, a balancer answers nothing: it does not know any more. */
function withoutAnswers(effects: readonly Effect[]): Effect[] {
  const end = effects.findIndex((effect) => effect.do === 'stepDown');
  return effects.slice(0, end + 1);
}

function addToPart(
  parts: Map<string, RequestPart>,
  shard: string,
  command: Exclude<RecordCommand, { op: 'read' }>,
  key: number,
  index: number,
): void {
  if (command.op === 'update') parts.set(shard, { op: { op: 'update', key }, rows: [command.row] });
  else if (command.op === 'delete') parts.set(shard, { op: { op: 'delete', key }, rows: [] });
  else {
    const part = parts.get(shard) ?? { op: newCreate(command.onConflict), rows: [] };
    if (part.op.op === 'create') part.op.keys.push(key);
    part.rows.push(command.rows[index] ?? '');
    parts.set(shard, part);
  }
}

function newCreate(onConflict: 'error' | 'ignore' | 'replace'): RoundOp {
  return { op: 'create', onConflict, keys: [] };
}

function sizeOf(command: Exclude<RecordCommand, { op: 'read' }>): number {
  if (command.op === 'delete') return 32;
  if (command.op === 'update') return command.row.length + 32;
  return command.rows.reduce((bytes, row) => bytes + row.length + 16, 32);
}
