/**
 * What clients asked and were answered, and whether there is an order of all of it that explains it.
 *
 * The keys fall into groups; a change touches keys of one group only. Each group is checked as one object by a search in the
 * manner of Wing and Gong: an operation takes effect at one instant between its call and its answer; one whose outcome is
 * not known does so at any time after its call, or never. A range read is, for each group that it covers, a read of several
 * keys at one instant. Operations that change nothing are placed as early as they can be, and only the others tried in every order.
 * So the search finds lost writes, halves of writes, rows that nobody wrote, and mixed snapshots.
 */
import type { OnConflict } from '../contracts/commands';

export type Operation =
  | { kind: 'write'; onConflict: OnConflict; keys: number[]; tokens: string[] }
  | { kind: 'update'; keys: [number]; tokens: [string] }
  | { kind: 'delete'; keys: [number] }
  | { kind: 'read'; keys: number[] };

/** An administrator has all rows of all keys removed, at one instant. */
export interface Clearing {
  kind: 'clear';
  keys: never[];
}

/**
 * `none`: it is known that nothing happened. `refused`: the state of the keys forbade it. `unknown`: it may have happened
 * or may still happen. `seen`: what a read found, in the order of its keys.
 */
export type Ending =
  | { how: 'done'; added: number }
  | { how: 'refused' }
  | { how: 'none' }
  | { how: 'unknown' }
  | { how: 'seen'; values: (string | null)[] };

/** One operation of one client. Times are places in the order of all calls and answers. */
export interface Entry {
  id: number;
  client: string;
  operation: Operation | Clearing;
  called: number;
  answered: number;
  ending: Ending | null;
}

/** Searches that need more than so many steps are given up. */
const SEARCH_LIMIT = 20_000;

export class History {
  readonly entries: Entry[] = [];
  private place = 0;

  call(client: string, operation: Operation | Clearing): Entry {
    const entry = {
      id: this.entries.length,
      client,
      operation,
      called: this.place++,
      answered: Infinity,
      ending: null,
    };
    this.entries.push(entry);
    return entry;
  }

  /** Operations without an answer. */
  get open(): Entry[] {
    return this.entries.filter((entry) => entry.ending === null);
  }

  /** At this very instant all rows go. */
  clear(client: string): void {
    this.answer(this.call(client, { kind: 'clear', keys: [] }), { how: 'done', added: 0 });
  }

  answer(entry: Entry, ending: Ending): void {
    entry.ending = ending;
    if (ending.how !== 'unknown') entry.answered = this.place++;
  }
}

/** Nothing was found wrong, because too many orders are possible. */
export const UNDECIDED = Symbol('undecided');

/** What is wrong with the part of the history that concerns these keys, or null. */
export function faultOf(entries: readonly Entry[], group: readonly number[]): string | null | typeof UNDECIDED {
  const concerned = entries.map((entry) => restrict(entry, group)).filter((entry) => entry !== null);
  const search = new Search(concerned, group);
  const verdict = search.run();
  if (verdict === 'explained') return null;
  if (verdict === 'given up') return UNDECIDED;
  const described = concerned.map(describe).join('\n    ');
  return `no order explains the keys ${group.join()}; stuck at best after ${search.deepest.join(' ')}; of\n    ${described}`;
}

function describe({ id, client, operation, called, answered, ending }: Entry): string {
  const { kind, keys } = operation;
  const policy = kind === 'write' ? ` ${operation.onConflict}` : '';
  const tokens = 'tokens' in operation ? ` ${operation.tokens.join()}` : '';
  const end = ending?.how === 'seen' ? ending.values.map((value) => value ?? '-').join() : JSON.stringify(ending);
  return `#${id} ${client} [${called}, ${answered}] ${kind}${policy} ${keys.join()}${tokens}: ${end}`;
}

/** The operation as far as it touches the group; null when it says nothing about it. */
function restrict(entry: Entry, group: readonly number[]): Entry | null {
  const { operation, ending } = entry;
  if (operation.kind === 'clear') return entry;
  if (ending?.how === 'none' || !operation.keys.some((key) => group.includes(key))) return null;
  if (operation.kind !== 'read') return entry;
  if (ending?.how !== 'seen') return null;
  const places = operation.keys.map((key, place) => (group.includes(key) ? place : -1)).filter((place) => place >= 0);
  const values = places.map((place) => ending.values[place] ?? null);
  return {
    ...entry,
    operation: { kind: 'read', keys: places.map((place) => operation.keys[place] ?? Number.NaN) },
    ending: { how: 'seen', values },
  };
}

/** The values of a group's keys, in the order of the keys. */
type State = readonly (string | null)[];

class Search {
  /** The longest order that was found, as ids. */
  deepest: number[] = [];
  private readonly entries: Entry[];
  private readonly taken: boolean[];
  private readonly order: number[] = [];
  /**
   * From where nothing explains the rest: by which entries with an answer had been taken and where all had led to, which of the others
   * had been taken. With more of those taken there is less left to explain it with.
   */
  private readonly failed = new Map<string, bigint[]>();
  /** Which entries without an answer have been taken, one bit each. */
  private optional = 0n;
  /** How many have an answer; they come first. */
  private readonly answered: number;
  private mustTake: number;
  private steps = 0;

  constructor(
    entries: readonly Entry[],
    private readonly group: readonly number[],
  ) {
    // Those that have an answer first: what has no answer is only taken where it must be.
    this.entries = [...entries].sort((a, b) => a.answered - b.answered || a.called - b.called);
    this.taken = this.entries.map(() => false);
    this.answered = this.entries.filter((entry) => entry.answered !== Infinity).length;
    this.mustTake = this.answered;
  }

  run(): 'explained' | 'impossible' | 'given up' {
    const found = this.extend(this.group.map(() => null));
    if (found) return 'explained';
    return this.steps > SEARCH_LIMIT ? 'given up' : 'impossible';
  }

  private extend(state: State): boolean {
    if (this.mustTake === 0) return true;
    this.steps += 1;
    if (this.steps > SEARCH_LIMIT) return false;
    const first = this.taken.indexOf(false);
    // What changes nothing can as well be next as later, if it can be next at all: no other order need be tried.
    for (let index = this.open(first, first); index !== null; index = this.open(index + 1, first)) {
      const entry = this.entries[index];
      if (entry === undefined || !changesNothing(entry) || stateAfter(entry, state, this.group) === null) continue;
      return this.take(index, entry, state);
    }
    // Most searches never turn back; only those that have need to know where.
    if (this.failed.size > 0 && this.isHopeless(this.nameOf(state, first))) return false;
    for (let index = this.open(first, first); index !== null; index = this.open(index + 1, first)) {
      const entry = this.entries[index];
      if (entry === undefined || changesNothing(entry)) continue;
      const next = stateAfter(entry, state, this.group);
      if (next !== null && this.take(index, entry, next)) return true;
    }
    const name = this.nameOf(state, first);
    this.failed.set(name, [...(this.failed.get(name) ?? []), this.optional]);
    return false;
  }

  private isHopeless(name: string): boolean {
    return this.failed.get(name)?.some((optional) => (optional & this.optional) === optional) === true;
  }

  /**
   * The next entry from `index` on that may come next, or null. None may that was called after another one ended that has not been taken:
   * the first of those is `first`.
   */
  private open(index: number, first: number): number | null {
    const { entries, taken } = this;
    const firstEnd = entries[first]?.answered ?? Infinity;
    for (let place = index; place < entries.length; place += 1) {
      if (taken[place] !== true && (entries[place]?.called ?? Infinity) <= firstEnd) return place;
    }
    return null;
  }

  /** Which entries with an answer have been taken, up to the first that has not and beyond, and where all has led to. */
  private nameOf(state: State, first: number): string {
    let name = `${first}`;
    for (let index = first; index < this.answered; index += 1) if (this.taken[index] === true) name += `,${index}`;
    return `${name} ${state.join()}`;
  }

  private take(index: number, entry: Entry, next: State): boolean {
    const isOptional = entry.answered === Infinity;
    const before = this.optional;
    this.taken[index] = true;
    this.order.push(entry.id);
    if (isOptional) this.optional |= 1n << BigInt(index - this.answered);
    else this.mustTake -= 1;
    if (this.extend(next)) return true;
    if (this.order.length > this.deepest.length) this.deepest = [...this.order];
    this.optional = before;
    if (!isOptional) this.mustTake += 1;
    this.order.pop();
    this.taken[index] = false;
    return false;
  }
}

/** It has an answer, and leaves every state in which it may happen as it is. */
function changesNothing({ operation, ending }: Entry): boolean {
  if (ending === null || operation.kind === 'clear') return false;
  return operation.kind === 'read' || ending.how === 'refused' || (ending.how === 'done' && ending.added === 0);
}

/** The state to which the operation leads from this one, given what its client was answered; null when it cannot happen there. */
function stateAfter({ operation, ending }: Entry, state: State, group: readonly number[]): State | null {
  if (operation.kind === 'clear') return group.map(() => null);
  const valueOf = (key: number): string | null => state[group.indexOf(key)] ?? null;
  if (operation.kind === 'read') {
    const values = ending?.how === 'seen' ? ending.values : [];
    return operation.keys.every((key, place) => valueOf(key) === values[place]) ? state : null;
  }
  const living = operation.keys.filter((key) => valueOf(key) !== null).length;
  const mayHappen = operation.kind === 'write' ? operation.onConflict !== 'error' || living === 0 : living === 1;
  if (ending?.how === 'refused') return mayHappen ? null : state;
  if (!mayHappen) return null;
  const next = [...state];
  let added = 0;
  operation.keys.forEach((key, place) => {
    const keeps = operation.kind === 'write' && operation.onConflict === 'ignore' && valueOf(key) !== null;
    if (keeps) return;
    next[group.indexOf(key)] = 'tokens' in operation ? (operation.tokens[place] ?? null) : null;
    added += 1;
  });
  return ending?.how === 'done' && ending.added !== added ? null : next;
}
