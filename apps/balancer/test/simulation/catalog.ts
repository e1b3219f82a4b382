/** The simulated bucket: durable, every change a compare-and-set; requests and answers may come late or not at all. */
import type { LeaderRecord } from '../../src/core/leadership';
import type { ShardRecord } from '../../src/core/shard';
import type { CatalogValue, Outcome } from '../../src/core/effects';
import type { Network } from './servers';
import type { Scheduler } from './scheduler';

const TIMEOUT_MS = 130;
/** The bucket's name where who is cut off from whom is noted. */
export const BUCKET = 'bucket';

export class SimCatalog {
  private readonly entries = new Map<string, CatalogValue>();
  private revision = 0;
  /** Told of every new configuration of a shard, with the one before. */
  onShard: (next: ShardRecord, before: ShardRecord | undefined) => void = () => undefined;

  constructor(
    private readonly scheduler: Scheduler,
    private readonly network: Network,
  ) {}

  load(by: string, done: (outcome: Outcome<CatalogValue[]>) => void): void {
    this.ask(by, () => [...this.entries.values()], done);
  }

  get(by: string, key: string, done: (outcome: Outcome<CatalogValue | null>) => void): void {
    this.ask(by, () => this.entries.get(key) ?? null, done);
  }

  store(
    by: string,
    key: string,
    value: unknown,
    expected: number,
    done: (outcome: Outcome<number | null>) => void,
  ): void {
    const put = (): number | null => {
      const revision = this.put(key, value, expected);
      this.scheduler.note(() => `${by} stores ${key} = ${JSON.stringify(value)}: ${revision ?? 'conflict'}`);
      return revision;
    };
    this.ask(by, put, done);
  }

  /** Does the work at some moment between now and the answer; both may get lost on their way. */
  private ask<T>(by: string, work: () => T, done: (outcome: Outcome<T>) => void): void {
    const { scheduler, network } = this;
    let isSettled = false;
    const settle = (outcome: Outcome<T>): void => {
      if (!isSettled) done(outcome);
      isSettled = true;
    };
    scheduler.after(TIMEOUT_MS, () => {
      settle({
        ok: false,
        error: { code: 'OUTCOME_UNKNOWN', message: 'the bucket does not answer', retryable: false },
      });
    });
    const isLost = (): boolean => network.isLost() || network.cuts.has(`${by}>${BUCKET}`);
    if (isLost()) return;
    scheduler.after(network.delay(), () => {
      const found = work();
      if (!isLost())
        scheduler.after(network.delay(), () => {
          settle({ ok: true, value: found });
        });
    });
  }

  /** Every shard's configuration. */
  shards(): ShardRecord[] {
    return [...this.entries.values()]
      .filter(({ key }) => key.startsWith('shard.'))
      .map(({ value }) => value as ShardRecord);
  }

  private put(key: string, value: unknown, expected: number): number | null {
    const before = this.entries.get(key);
    if ((before?.revision ?? 0) !== expected) return null;
    this.revision += 1;
    if (value === null) this.entries.delete(key);
    else this.entries.set(key, { key, value: structuredClone(value), revision: this.revision });
    if (value !== null) this.check(key, value, before?.value);
    return this.revision;
  }

  private check(key: string, value: unknown, before: unknown): void {
    if (key === 'leader' && before !== undefined && (value as LeaderRecord).epoch < (before as LeaderRecord).epoch) {
      this.scheduler.violate('the epoch went back in the catalog');
    }
    if (!key.startsWith('shard.')) return;
    const next = value as ShardRecord;
    const last = before as ShardRecord | undefined;
    if (last !== undefined && next.configVersion < last.configVersion) {
      this.scheduler.violate(`the configuration of ${next.shard} went back to version ${next.configVersion}`);
    }
    this.onShard(next, last);
  }
}
