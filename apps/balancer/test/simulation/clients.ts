/** Clients: each asks one or two things at a time of some gateway, and notes what it is answered. */
import type { Ending, History, Operation } from '#common/testing/history';
import type { SimGateway } from './gateway';
import type { Dice, Scheduler } from './scheduler';

const PAUSE_MS = 30;

/** The keys that there are: `groups` of keys that are written together, `all` in key order. */
export interface KeySpace {
  groups: readonly (readonly number[])[];
  all: readonly number[];
}

/** What the clients find. */
export interface ClientWorld {
  scheduler: Scheduler;
  history: History;
  keys: KeySpace;
  gateways: readonly SimGateway[];
  /** Between two operations of one client, at most. */
  pauseMs: number;
  /** See `Profile.eagerOperations`. */
  eagerOperations: number;
  /** So many operations are begun at most. */
  limit: number;
}

export class Clients {
  private nextToken = 1;
  private stopped = false;
  private begun = 0;
  private readonly dice: Dice;
  /** How many of the operations are reads: where few change anything, what one of them left lies bare for long. */
  private readonly readPercent: number;

  constructor(private readonly world: ClientWorld) {
    this.dice = world.scheduler.dice(2);
    this.readPercent = this.dice.oneOf([15, 32, 32, 60, 85]);
  }

  start(count: number): void {
    for (let number = 1; number <= count; number += 1) this.loop(`client${number}`);
  }

  /** No further operation is begun. */
  stop(): void {
    this.stopped = true;
  }

  /** Reads these keys once more; `done` when that has succeeded. */
  readAll(keys: readonly number[], done: () => void): void {
    this.perform('last', { kind: 'read', keys: [...keys] }, (ending) => {
      if (ending.how === 'seen') done();
      else
        this.world.scheduler.after(PAUSE_MS, () => {
          this.readAll(keys, done);
        });
    });
  }

  /** Writes a row at the key, whatever there is; `done` when that has succeeded. */
  writeOne(key: number, done: () => void): void {
    this.perform('last', { kind: 'write', onConflict: 'replace', keys: [key], tokens: [this.token()] }, (ending) => {
      if (ending.how === 'done') done();
      else
        this.world.scheduler.after(PAUSE_MS, () => {
          this.writeOne(key, done);
        });
    });
  }

  private loop(client: string): void {
    if (this.stopped || this.begun >= this.world.limit) return;
    const { scheduler } = this.world;
    let open = this.dice.between(1, 2);
    this.begun += open;
    const next = (): void => {
      open -= 1;
      if (open === 0)
        scheduler.after(this.dice.between(1, this.longestPauseMs()), () => {
          this.loop(client);
        });
    };
    for (let count = open; count > 0; count -= 1) this.perform(client, this.choose(), next);
  }

  private longestPauseMs(): number {
    const { pauseMs, eagerOperations } = this.world;
    return Math.max(pauseMs, PAUSE_MS * (1 + Math.floor(this.begun / eagerOperations)));
  }

  private perform(client: string, operation: Operation, done: (ending: Ending) => void): void {
    const { scheduler, history, gateways } = this.world;
    const gateway = this.dice.oneOf(gateways);
    const entry = history.call(client, operation);
    scheduler.note(() => `${client} #${entry.id} asks ${gateway.name}: ${JSON.stringify(operation)}`);
    gateway.perform(operation, (ending) => {
      scheduler.note(() => `${client} #${entry.id} ends: ${JSON.stringify(ending)}`);
      history.answer(entry, ending);
      done(ending);
    });
  }

  private choose(): Operation {
    const { dice } = this;
    const { keys } = this.world;
    const group = dice.oneOf(keys.groups);
    const key = dice.oneOf(group);
    if (dice.between(1, 100) <= this.readPercent)
      return { kind: 'read', keys: dice.chance(0.4) ? [key] : rangeOf(dice, keys.all) };
    const draw = dice.between(33, 100);
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

/** Neighbouring keys, at least two of them. */
function rangeOf(dice: Dice, all: readonly number[]): number[] {
  const low = dice.between(0, all.length - 2);
  return all.slice(low, dice.between(low + 1, all.length - 1) + 1);
}
