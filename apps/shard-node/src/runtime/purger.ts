/** Removes dead versions and forgotten outcomes in the background, a batch at a time, up to the marks that the leader sends. */
import type { PingRequest } from '#common/contracts/node';
import type { Logger } from '#common/logging/logger';
import { withShards, type ReplicaState } from '../core/replica-state';
import { purgeTarget } from '../core/serving';
import type { GuardedState } from './guarded-state';

const BATCH_VERSIONS = 500;
const BATCH_RECORDS = 2000;

/** By shard how far versions may be purged, and in which configuration. */
type Marks = Pick<PingRequest, 'configId' | 'marks'>;

export class Purger {
  private wished: Marks = { configId: 0, marks: {} };
  private running: Promise<void> | null = null;
  private stopped = false;
  /** By shard and configuration: up to where outcomes have been removed in the life of this process. */
  private readonly forgotten = new Map<string, number>();

  constructor(
    private readonly guarded: GuardedState,
    private readonly logger: Logger,
  ) {}

  /** Takes note of newer marks and sees to them when the purge under way is done. */
  wish(wished: Marks): void {
    this.wished = wished;
    if (this.running !== null || this.stopped) return;
    this.running = this.purgeAll().finally(() => {
      this.running = null;
    });
  }

  /** Resolves when the purge under way is done. */
  async idle(): Promise<void> {
    await this.running;
  }

  async stop(): Promise<void> {
    this.stopped = true;
    await this.running;
  }

  private async purgeAll(): Promise<void> {
    for (const shard of this.guarded.current.shards.keys()) {
      try {
        await this.purgeShard(shard);
        await this.forgetIds(shard);
      } catch (error) {
        this.logger.warn({ err: error, shard }, 'could not purge; will retry');
      }
    }
  }

  private async purgeShard(shard: string): Promise<void> {
    const target = await this.announce(shard);
    if (target === null) return;
    let removed = BATCH_VERSIONS;
    while (removed === BATCH_VERSIONS && !this.stopped) {
      removed = await this.guarded.change(null, async (transaction, state) => {
        const held = state.shards.get(shard);
        const mark = held === undefined ? 0 : Math.min(target, held.purgedTo);
        return { state, result: mark === 0 ? 0 : await transaction.purge(shard, mark, BATCH_VERSIONS) };
      });
    }
  }

  /** Nobody counts on outcomes up to the shard's mark any more; that is durable already. */
  private async forgetIds(shard: string): Promise<void> {
    const { configId, shards } = this.guarded.current;
    const name = `${configId} ${shard}`;
    const forgottenUpTo = shards.get(shard)?.forgottenUpTo ?? 0;
    if (forgottenUpTo <= (this.forgotten.get(name) ?? 0)) return;
    let removed = BATCH_RECORDS;
    while (removed === BATCH_RECORDS && !this.stopped) {
      removed = await this.guarded.change(null, async (transaction, state) => {
        const mark = Math.min(forgottenUpTo, state.shards.get(shard)?.forgottenUpTo ?? 0);
        return { state, result: mark === 0 ? 0 : await transaction.forget(shard, mark, BATCH_RECORDS) };
      });
    }
    if (!this.stopped) this.forgotten.set(name, forgottenUpTo);
  }

  /** Nobody may read below the target any more: that is durable before the first version goes. */
  private announce(shard: string): Promise<number | null> {
    const { wished } = this;
    const held = this.guarded.current.shards.get(shard);
    if (held === undefined || purgeTarget(held, markOf(wished, this.guarded.current, shard)) <= held.purgedTo)
      return Promise.resolve(null);
    return this.guarded.change(null, async (transaction, state) => {
      const now = state.shards.get(shard);
      const target = now === undefined ? 0 : purgeTarget(now, markOf(wished, state, shard));
      if (now === undefined || target <= now.purgedTo) return { state, result: null };
      const announced = { ...now, purgedTo: target };
      transaction.saveShard(announced);
      return { state: withShards(state, [announced]), result: target };
    });
  }
}

/** 0 where it was sent for another configuration, which may have a shard of the same name. */
function markOf({ configId, marks }: Marks, state: ReplicaState, shard: string): number {
  return configId === state.configId ? (marks[shard] ?? 0) : 0;
}
