/**
 * Clients: each asks one or two things at a time of a balancer that takes commands, as the gateway would, and notes what it is told.
 *
 * Every change has an id. One of which nobody knows what became of it is mostly asked for again under its id, and is still one
 * operation of the history. What was answered is sometimes asked for again, or asked about: it must be told the same.
 */
import type { ErrorBody } from '#common/contracts/errors';
import type { OperationStatus, RangeRead, ReadPart, WriteDone } from '#common/contracts/commands';
import { splitRows } from '#common/nats/lines';
import type { Ending, Entry, History, Operation } from '#common/testing/history';
import type { Answered, RecordCommand } from '../../src/core/effects';
import type { SimBalancer } from './balancer';
import type { Network } from './servers';
import type { Dice, Scheduler } from './scheduler';

const READ_TIMEOUT_MS = 200;
const PAGE_BYTES = 60;
const PAUSE_MS = 30;
/** No change is repeated later than this after its first call: long before it is forgotten. */
const REPEAT_WITHIN_MS = 800;

/** The keys that there are: `groups` of keys that are written together, `all` in key order. */
export interface KeySpace {
  groups: readonly (readonly number[])[];
  all: readonly number[];
}

/** What the clients find. */
export interface ClientWorld {
  scheduler: Scheduler;
  network: Network;
  history: History;
  keys: KeySpace;
  configId: number;
  /** So many operations are begun at most. */
  limit: number;
  /** Those that take commands now; more than one while an old leader has not noticed. */
  serving: () => SimBalancer[];
}

interface Pending {
  entry: Entry;
  balancer: SimBalancer;
  finish: (ending: Ending) => void;
  /** Told of what a change came to when that was asked for, instead of `finish`. */
  told?: (status: OperationStatus) => void;
}

export class Clients {
  /** Operations that wait for an answer, by the number of their batch. */
  private readonly pending = new Map<number, Pending>();
  private nextBatch = 1;
  private nextToken = 1;
  private stopped = false;
  private begun = 0;
  private readonly dice: Dice;
  private readonly repeatDice: Dice;

  constructor(private readonly world: ClientWorld) {
    this.dice = world.scheduler.dice(2);
    this.repeatDice = world.scheduler.dice(4);
  }

  start(count: number): void {
    for (let number = 1; number <= count; number += 1) this.loop(`client${number}`);
  }

  /** No further operation is begun. */
  stop(): void {
    this.stopped = true;
  }

  /** Reads everything once more; `done` when that has succeeded. */
  readAll(done: () => void): void {
    this.perform('last', { kind: 'read', keys: [...this.world.keys.all] }, (ending) => {
      if (ending.how === 'seen') done();
      else
        this.world.scheduler.after(PAUSE_MS, () => {
          this.readAll(done);
        });
    });
  }

  /** What a balancer answers to one operation. */
  answered(batch: number, answered: Answered): void {
    const pending = this.pending.get(batch);
    if (pending === undefined) {
      this.world.scheduler.violate(`an answer to ${batch}, which does not wait for one`);
      return;
    }
    const { result, row } = answered;
    const { operation } = pending.entry;
    if (result.error !== undefined) this.end(batch, endingOf(result.error));
    else if (pending.told !== undefined) {
      this.pending.delete(batch);
      pending.told((result as unknown as { status: OperationStatus }).status);
    } else if (operation.kind !== 'read')
      this.end(batch, { how: 'done', added: (result as unknown as WriteDone).added });
    else if ('plan' in result) {
      this.pending.delete(batch);
      new RangePull(this.world, pending, (result as unknown as RangeRead).plan).run();
    } else this.end(batch, { how: 'seen', values: [tokenOf(row)] });
  }

  /** What the batch asked for, while it waits. */
  operationOf(batch: number): Operation | undefined {
    return this.pending.get(batch)?.entry.operation;
  }

  /** Its clients learn that nobody knows what became of what it was asked. */
  lost(balancer: SimBalancer): void {
    for (const [batch, pending] of this.pending) if (pending.balancer === balancer) this.end(batch, { how: 'unknown' });
  }

  private end(batch: number, ending: Ending): void {
    const pending = this.pending.get(batch);
    this.pending.delete(batch);
    const { scheduler, network } = this.world;
    scheduler.after(network.delay(), () => pending?.finish(ending));
  }

  private loop(client: string): void {
    if (this.stopped || this.begun >= this.world.limit) return;
    const { scheduler } = this.world;
    let open = this.dice.between(1, 2);
    this.begun += open;
    const next = (): void => {
      open -= 1;
      if (open === 0)
        scheduler.after(this.dice.between(1, PAUSE_MS), () => {
          this.loop(client);
        });
    };
    for (let count = open; count > 0; count -= 1) this.perform(client, this.choose(), next);
  }

  private perform(client: string, operation: Operation, done: (ending: Ending) => void): void {
    const { scheduler, history } = this.world;
    const balancer = this.anyBalancer();
    if (balancer === undefined) {
      scheduler.after(PAUSE_MS, () => {
        done({ how: 'none' });
      });
      return;
    }
    const entry = history.call(client, operation);
    const startedMs = scheduler.nowMs;
    const ended = (ending: Ending): void => {
      if (ending.how === 'unknown' && operation.kind !== 'read' && this.mayRepeat(startedMs)) this.repeat(entry, ended);
      else {
        scheduler.note(() => `${client} #${entry.id} ends: ${JSON.stringify(ending)}`);
        history.answer(entry, ending);
        done(ending);
        if (this.repeatDice.chance(0.1)) this.askAgain(entry, ending, startedMs);
      }
    };
    this.send(entry, balancer, ended);
  }

  private anyBalancer(): SimBalancer | undefined {
    const serving = this.world.serving();
    return serving.length === 0 ? undefined : this.world.scheduler.oneOf(serving);
  }

  private send(entry: Entry, balancer: SimBalancer, finish: (ending: Ending) => void): void {
    const { scheduler, network, configId } = this.world;
    const { id, client, operation } = entry;
    const batch = this.nextBatch++;
    this.pending.set(batch, { entry, balancer, finish });
    scheduler.note(() => `${client} #${id} asks ${balancer.name}: ${JSON.stringify(operation)}`);
    scheduler.after(network.delay(), () => {
      if (balancer.isAlive) balancer.dispatch({ on: 'records', configId, commands: [commandOf(batch, entry)] });
      else if (this.pending.has(batch)) this.end(batch, { how: 'none' });
    });
  }

  private mayRepeat(startedMs: number): boolean {
    return this.world.scheduler.nowMs - startedMs < REPEAT_WITHIN_MS && this.repeatDice.chance(0.8);
  }

  /** Asks for a change again whose first outcome nobody knows: that nothing came of the repeat says nothing about it. */
  private repeat(entry: Entry, ended: (ending: Ending) => void): void {
    this.world.scheduler.after(this.repeatDice.between(1, PAUSE_MS), () => {
      const balancer = this.anyBalancer();
      if (balancer === undefined) ended({ how: 'unknown' });
      else {
        this.send(entry, balancer, (ending) => {
          ended(ending.how === 'none' ? { how: 'unknown' } : ending);
        });
      }
    });
  }

  /** Asks for a change again that was answered, or what became of it. */
  private askAgain(entry: Entry, first: Ending, startedMs: number): void {
    const balancer = this.anyBalancer();
    const isAnswered = first.how === 'done' || first.how === 'refused';
    const isOld = this.world.scheduler.nowMs - startedMs >= REPEAT_WITHIN_MS;
    if (!isAnswered || isOld || balancer === undefined) return;
    const compare = (again: Ending | { how: string }): void => {
      if (JSON.stringify(again) !== JSON.stringify(first))
        this.world.scheduler.violate(
          `#${entry.id} ended ${JSON.stringify(first)}, and later it was told ${JSON.stringify(again)}`,
        );
    };
    if (this.repeatDice.chance(0.5)) {
      this.send(entry, balancer, (ending) => {
        if (ending.how !== 'none' && ending.how !== 'unknown') compare(ending);
      });
      return;
    }
    const batch = this.nextBatch++;
    const told = ({ outcome, added }: OperationStatus): void => {
      // How many rows it was is not told when one of the shards cannot be looked at.
      if (outcome === 'committed')
        compare(added === undefined && first.how === 'done' ? first : { how: 'done', added });
      else compare({ how: outcome });
    };
    this.pending.set(batch, { entry, balancer, finish: () => undefined, told });
    this.world.scheduler.after(this.world.network.delay(), () => {
      if (balancer.isAlive) balancer.dispatch({ on: 'operation', batch, operation: nameOf(entry) });
    });
  }

  private choose(): Operation {
    const { dice } = this;
    const { keys } = this.world;
    const group = dice.oneOf(keys.groups);
    const key = dice.oneOf(group);
    const draw = dice.between(1, 100);
    if (draw <= 12) return { kind: 'read', keys: [key] };
    if (draw <= 32) return { kind: 'read', keys: rangeOf(dice, keys.all) };
    if (draw <= 42) return { kind: 'delete', keys: [key] };
    if (draw <= 55) return { kind: 'update', keys: [key], tokens: [this.token()] };
    const onConflict = dice.oneOf(['error', 'error', 'ignore', 'replace', 'replace'] as const);
    const written = draw <= 70 ? [key] : group.filter((one) => one === key || dice.chance(0.7));
    return { kind: 'write', onConflict, keys: written, tokens: written.map(() => this.token()) };
  }

  private token(): string {
    return `w${this.nextToken++}`;
  }
}

/** A range read after its plan: pages from the replicas, then the leader's word that it still leads. */
class RangePull {
  private readonly rows = new Map<number, string>();

  constructor(
    private readonly world: ClientWorld,
    private readonly pending: Pending,
    private readonly plan: RangeRead['plan'],
  ) {}

  run(): void {
    this.part(0);
  }

  private part(index: number): void {
    const part = this.plan.parts[index];
    if (part === undefined) this.confirm();
    else this.page(index, part, part.low, part.servers);
  }

  private page(index: number, part: ReadPart, low: number, [server, ...others]: readonly string[]): void {
    if (server === undefined) {
      this.finish({ how: 'none' });
      return;
    }
    const { shard, vat, high } = part;
    const request = { epoch: this.plan.epoch, reads: [{ shard, vat, low, high }], maxBytes: PAGE_BYTES };
    const label = (): string => `read #${this.pending.entry.id} ${shard} [${low}, ${high}] at ${vat}`;
    const call = { from: this.pending.entry.client, server, label, timeoutMs: READ_TIMEOUT_MS };
    this.world.network.call({ ...call, work: (replica) => replica.read(request) }, (outcome) => {
      if (!outcome.ok) {
        this.page(index, part, low, others);
        return;
      }
      for (const row of splitRows(outcome.value.text)) this.keep(row);
      const next = outcome.value.header.pages[0]?.next ?? null;
      if (next === null) this.part(index + 1);
      else this.page(index, part, next, [server, ...others]);
    });
  }

  private keep(text: string): void {
    const { id, mark } = JSON.parse(text) as { id: number; mark: string };
    if (this.rows.has(id)) this.world.scheduler.violate(`a range read found the key ${id} twice`);
    this.rows.set(id, mark);
  }

  private confirm(): void {
    const { scheduler, network } = this.world;
    const { balancer, entry } = this.pending;
    scheduler.after(network.delay(), () => {
      if (!balancer.isAlive) {
        this.finish({ how: 'none' });
        return;
      }
      const { ticket } = this.plan;
      const word = balancer.readDone({ done: [ticket], keep: [] });
      const isCurrent = word?.unknown.length === 0;
      const values = entry.operation.keys.map((key) => this.rows.get(key) ?? null);
      this.finish(isCurrent ? { how: 'seen', values } : { how: 'none' });
    });
  }

  private finish(ending: Ending): void {
    this.pending.finish(ending);
  }
}

function commandOf(batch: number, entry: Entry): RecordCommand {
  const { operation } = entry;
  const { keys } = operation;
  const rows = 'tokens' in operation ? operation.tokens.map((token, place) => rowOf(keys[place]!, token)) : [];
  const request = { batch, id: 1 };
  const name = { operation: nameOf(entry), print: JSON.stringify(keys) };
  switch (operation.kind) {
    case 'write':
      return { ...request, ...name, op: 'write', onConflict: operation.onConflict, keys, rows };
    case 'update':
      return { ...request, ...name, op: 'update', key: keys[0], row: rows[0]! };
    case 'delete':
      return { ...request, ...name, op: 'delete', key: keys[0] };
    case 'read':
      return { ...request, op: 'read', low: keys[0], high: keys[keys.length - 1]! };
  }
}

/** By what the balancer and the replicas know the operation again. */
function nameOf({ id }: Entry): string {
  return `op${id}`;
}

function rowOf(key: number, token: string): string {
  return JSON.stringify({ id: key, mark: token });
}

/** The token in a row's text. */
export function tokenOf(row: string | undefined): string | null {
  return row === undefined ? null : (JSON.parse(row) as { mark: string }).mark;
}

/** Neighbouring keys, at least two of them. */
function rangeOf(dice: Dice, all: readonly number[]): number[] {
  const low = dice.between(0, all.length - 2);
  return all.slice(low, dice.between(low + 1, all.length - 1) + 1);
}

/** What an error says about what happened. */
function endingOf({ code }: ErrorBody): Ending {
  if (code === 'KEY_EXISTS' || code === 'KEY_NOT_FOUND') return { how: 'refused' };
  if (code === 'SHARD_UNAVAILABLE' || code === 'BUSY' || code === 'CONFIG_CHANGED') return { how: 'none' };
  return { how: 'unknown' };
}
