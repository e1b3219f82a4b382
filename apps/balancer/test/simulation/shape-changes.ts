/**
 * An administrator who changes the cluster's shape while everything goes on: adds servers, with copies of shards or with shards that did
 * not exist, takes servers away, and puts another configuration in the place of the one in force, which drops all rows.
 */
import type { AddCommand, InitCommand, RmCommand } from '#common/contracts/commands';
import type { ShardRange } from '#common/contracts/schema';
import type { AdminCommand } from '../../src/core/kernel/effects';
import type { SimBalancer } from './balancer';
import { SCHEMA } from './rows';
import type { Dice, Scheduler } from './scheduler';
import type { Servers } from './servers';
import type { Watch } from './watch';

/** So many configurations are asked for: a cluster in which all rows are dropped again and again would have nothing to lose. */
const MOST_INITS = 2;
/** One that did not come into force is asked for again; that is the same command. */
const INSISTS = 0.7;

/** `add`: servers with copies of shards. `rm`: a server goes. `grow`: servers with a new shard. `init`: everything from the start. */
export type ShapeChange = 'add' | 'rm' | 'grow' | 'init';

/** Keys of one shard as worlds begin; and up to which key there may be shards. */
export const SHARD_KEYS = 10;

export class ShapeChanges {
  private readonly dice: Dice;
  private nextRequest = 100;
  private nextServer = 0;
  private nextShard = 0;
  private readonly inits: InitCommand[] = [];

  constructor(
    private readonly scheduler: Scheduler,
    private readonly servers: Servers,
    private readonly watch: Watch,
    private readonly leader: () => SimBalancer | undefined,
    private readonly kinds: readonly ShapeChange[],
    /** There are no keys from here on. */
    private readonly keysEnd: number,
    /** Between two commands, on average. */
    private readonly meanMs: number,
  ) {
    this.dice = scheduler.dice(4);
  }

  start(untilMs: number): void {
    this.scheduler.after(this.dice.between(1, 2 * this.meanMs), () => {
      if (this.scheduler.nowMs >= untilMs) return;
      this.ask();
      this.start(untilMs);
    });
  }

  /** Asks whoever leads; what comes of it is that one's affair. */
  private ask(): void {
    const leader = this.leader();
    if (leader?.isServing !== true) return;
    const command = this.choose(this.nextRequest++);
    if (command === null) return;
    this.scheduler.note(() => `/${command.op} ${JSON.stringify(command)}`);
    this.watch.asked(command);
    leader.dispatch({ on: 'admin', command });
  }

  private choose(request: number): AdminCommand | null {
    switch (this.dice.oneOf(this.kinds)) {
      case 'add':
        return { request, op: 'add', command: this.addition() };
      case 'rm':
        return { request, op: 'rm', command: this.removal() };
      case 'grow': {
        const command = this.growth();
        return command === null ? null : { request, op: 'add', command };
      }
      case 'init':
        return this.init(request);
    }
  }

  private init(request: number): AdminCommand | null {
    const last = this.inits.at(-1);
    if (last !== undefined && this.dice.chance(INSISTS)) return { request, op: 'init', command: last };
    if (this.inits.length === MOST_INITS) return null;
    const command = this.replacement();
    this.inits.push(command);
    return { request, op: 'init', command };
  }

  private addition(): AddCommand {
    const shards = [...this.watch.seen.newest.keys()].filter(() => this.dice.chance(0.6));
    return { n: 1, newShards: [], servers: { [`N${this.nextServer++}`]: shards } };
  }

  /** A shard behind the last one, with one or two copies; null when there are no more keys. */
  private growth(): AddCommand | null {
    const ends = [...this.watch.seen.newest.values()].map(({ low, size }) => low + size);
    const low = Math.max(...ends);
    if (low >= this.keysEnd) return null;
    const shard = `new${this.nextShard++}`;
    const names = Array.from({ length: this.dice.between(1, 2) }, () => `N${this.nextServer++}`);
    const newShards = [{ shard, low, size: SHARD_KEYS }];
    return { n: names.length, newShards, servers: Object.fromEntries(names.map((name) => [name, [shard]])) };
  }

  private removal(): RmCommand {
    const { name } = this.dice.oneOf(this.servers.all);
    return { n: 1, servers: [name] };
  }

  /** Other shards over the same keys, some under names that others had, on some of the servers and on new ones. */
  private replacement(): InitCommand {
    const { dice } = this;
    const count = dice.between(1, 3);
    const size = Math.ceil((dice.chance(0.5) ? this.keysEnd : this.keysEnd - SHARD_KEYS) / count);
    const prefix = dice.chance(0.7) ? 'sh' : `i${this.inits.length}sh`;
    const shards: ShardRange[] = Array.from({ length: count }, (_, index) => ({
      ...{ shard: `${prefix}${index}`, low: index * size, size },
    }));
    const names = this.servers.all.map(({ name }) => name).filter(() => dice.chance(0.7));
    while (names.length < 3) names.push(`N${this.nextServer++}`);
    const copies = dice.between(2, 3);
    const servers = Object.fromEntries(names.map((name): [string, string[]] => [name, []]));
    for (const [index, { shard }] of shards.entries())
      for (let copy = 0; copy < copies; copy += 1) servers[names[(index + copy) % names.length] ?? '']?.push(shard);
    return { n: names.length, schema: SCHEMA, shards, servers, allowReinit: true };
  }
}
