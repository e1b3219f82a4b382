/** The simulated bucket: durable, every change a compare-and-set; requests and answers may come late, twice or not at all. */
import type { CatalogValue, Result } from '../../src/core/kernel/effects';
import type { ShardRecord } from '../../src/core/cluster/shard';
import type { Network } from './network';
import type { Scheduler } from './scheduler';

const TIMEOUT_MS = 130;
/** Older states that are kept, for rolling the bucket back to one of them. */
const STATES_KEPT = 60;
/** The bucket's name where it is said who is cut off from whom. */
export const BUCKET = 'bucket';
/** The kind of a request that stores the configuration of a shard. */
export const STORE_SHARD = 'store shard';

/** What is stored, and the text that it is stored as. */
interface Entry extends CatalogValue {
  text: string;
}

type State = ReadonlyMap<string, Entry>;

/** Whoever wants to know what is stored. */
export interface CatalogWatcher {
  /** `isReused`: another value had the revision that was expected, before the bucket was rolled back or lost. */
  stored(key: string, value: unknown, isReused: boolean): void;
  rollBack(): void;
}

export class SimCatalog {
  private state: State = new Map();
  private revision = 0;
  private highestRevision = 0;
  /** Revisions up to here may stand for two values. */
  private givenTwiceUpTo = 0;
  private states: { atMs: number; state: State }[] = [];
  watcher: CatalogWatcher | null = null;

  constructor(
    private readonly scheduler: Scheduler,
    private readonly network: Network,
  ) {}

  load(by: string, done: (outcome: Result<CatalogValue[]>) => void): void {
    this.ask({ by, what: 'load' }, () => [...this.state.values()].map(copied), done);
  }

  get(by: string, key: string, done: (outcome: Result<CatalogValue | null>) => void): void {
    const read = (): CatalogValue | null => {
      const entry = this.state.get(key);
      return entry === undefined ? null : copied(entry);
    };
    this.ask({ by, what: `get ${key}` }, read, done);
  }

  store(
    by: string,
    key: string,
    value: unknown,
    expected: number,
    done: (outcome: Result<number | null>) => void,
  ): void {
    const text = value === null ? null : JSON.stringify(value);
    const put = (): number | null => {
      const revision = this.put(key, text, expected);
      this.scheduler.note(() => `${by} stores ${key} = ${text ?? 'nothing'}: ${revision ?? 'conflict'}`);
      return revision;
    };
    this.ask({ by, what: `store ${key}`, kind: key.startsWith('shard.') ? STORE_SHARD : '' }, put, done);
  }

  /** Every shard's configuration. */
  shards(): ShardRecord[] {
    return [...this.state.values()]
      .filter(({ key }) => key.startsWith('shard.'))
      .map(({ value }) => value as ShardRecord);
  }

  /** What is stored under a key, as the world sees it. */
  valueOf(key: string): unknown {
    return this.state.get(key)?.value;
  }

  /** A backup from so long ago is put back, with the revisions of then; the world's state of that time is its oldest one. */
  rollBack(ms: number): void {
    const past = this.states.filter(({ atMs }) => atMs <= this.scheduler.nowMs - ms);
    const older = past[past.length - 1] ?? this.states[0];
    if (older === undefined) return;
    this.scheduler.note(() => `the bucket is rolled back to its state at ${older.atMs}`);
    this.state = older.state;
    // What is written from now on gets revisions that others had before.
    this.givenTwiceUpTo = this.highestRevision;
    this.revision = Math.max(0, ...[...older.state.values()].map(({ revision }) => revision));
    this.watcher?.rollBack();
  }

  /** Everything is gone, and revisions begin again. */
  lose(): void {
    this.scheduler.note(() => 'the bucket is lost');
    this.state = new Map();
    this.revision = 0;
    this.givenTwiceUpTo = this.highestRevision;
    this.watcher?.rollBack();
  }

  /** From here on the states that the bucket goes through are kept, to be rolled back to. */
  forgetStates(): void {
    this.states = [{ atMs: this.scheduler.nowMs, state: this.state }];
  }

  private put(key: string, text: string | null, expected: number): number | null {
    if ((this.state.get(key)?.revision ?? 0) !== expected) return null;
    this.revision += 1;
    const isReused = Math.max(expected, 1) <= this.givenTwiceUpTo;
    this.highestRevision = Math.max(this.highestRevision, this.revision);
    const next = new Map(this.state);
    if (text === null) next.delete(key);
    else next.set(key, { key, value: JSON.parse(text), text, revision: this.revision });
    this.state = next;
    this.states.push({ atMs: this.scheduler.nowMs, state: next });
    if (this.states.length > STATES_KEPT) this.states.splice(1, 1);
    if (text !== null) this.watcher?.stored(key, next.get(key)?.value, isReused);
    return this.revision;
  }

  /** Does the work when the request arrives, each time that it does. */
  private ask<T>(
    { by, what, kind = '' }: { by: string; what: string; kind?: string },
    work: () => T,
    done: (outcome: Result<T>) => void,
  ): void {
    const request = { from: by, to: BUCKET, timeoutMs: TIMEOUT_MS, label: () => what, kind };
    this.network.ask<T>(
      request,
      (reply) => {
        reply({ ok: true, value: work() });
      },
      done,
    );
  }
}

/** As somebody gets it who asks: nobody shares it with anybody. */
function copied({ key, text, revision }: Entry): CatalogValue {
  return { key, value: JSON.parse(text), revision };
}
