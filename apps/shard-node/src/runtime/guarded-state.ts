/**
 * The replica's state in memory, and the only way to change it: one transaction at a time, taken over once it is durable.
 *
 * When a transaction fails in a way that leaves open what is stored, the state is reloaded before anything else is done.
 */
import { ShardlineError } from '#common/contracts/errors';
import { admitEpoch, type ReplicaState } from '../core/replica-state';
import type { VersionStore, WriteTransaction } from '../ports/version-store';
import { JobLimiter } from './job-limiter';

/** What a change answers, and the state it leads to. */
export interface Change<T> {
  state: ReplicaState;
  result: T;
}

export class GuardedState {
  private readonly writes: JobLimiter;
  private inDoubt = false;
  /** Shards whose rows are being replaced by a transaction under way: what is read of them meanwhile may be half of both. */
  private readonly replaced = new Set<string>();

  private constructor(
    private readonly store: VersionStore,
    private state: ReplicaState,
    queueLimit: number,
  ) {
    this.writes = new JobLimiter('writes', 1, queueLimit);
  }

  static async load(store: VersionStore, queueLimit: number): Promise<GuardedState> {
    return new GuardedState(store, await store.load(), queueLimit);
  }

  /** The newest durable state, as far as it is known. */
  get current(): ReplicaState {
    return this.state;
  }

  /** Resolves when `current` can be relied on. @throws ShardlineError STORE_FAILED */
  async settled(): Promise<void> {
    if (this.inDoubt) await this.writes.run(() => this.reloadInDoubt());
  }

  isBeingReplaced(shard: string): boolean {
    return this.replaced.has(shard);
  }

  /**
   * Performs `work` on the state as it then is; a higher epoch is stored with it.
   *
   * @param replaces shards of which the work removes rows that a reader may be reading
   * @throws ShardlineError FENCED, BUSY, STORE_FAILED, or what `work` throws; then nothing has changed
   */
  change<T>(
    epoch: number | null,
    work: (transaction: WriteTransaction, state: ReplicaState) => Promise<Change<T>>,
    replaces: readonly string[] = [],
  ): Promise<T> {
    return this.writes.run(async () => {
      await this.reloadInDoubt();
      for (const shard of replaces) this.replaced.add(shard);
      try {
        const { state, result } = await this.store.transact((transaction) => this.perform(transaction, epoch, work));
        this.state = state;
        return result;
      } catch (thrown) {
        throw await this.failed(thrown);
      } finally {
        for (const shard of replaces) this.replaced.delete(shard);
      }
    });
  }

  private async perform<T>(
    transaction: WriteTransaction,
    epoch: number | null,
    work: (transaction: WriteTransaction, state: ReplicaState) => Promise<Change<T>>,
  ): Promise<Change<T>> {
    const raised = epoch === null ? null : admitEpoch(this.state, epoch);
    if (raised === null) return work(transaction, this.state);
    const state = { ...this.state, epoch: raised, epochBy: null };
    transaction.saveIdentity(state);
    return work(transaction, state);
  }

  /** A refusal leaves everything as it was; anything else leaves open what the store holds. */
  private async failed(thrown: unknown): Promise<ShardlineError> {
    const failure = ShardlineError.from(thrown);
    if (failure.code !== 'STORE_FAILED' && failure.code !== 'INTERNAL') return failure;
    this.inDoubt = true;
    try {
      await this.reloadInDoubt();
    } catch {
      // Still in doubt: the next one to come tries again. The first failure is the one to report.
    }
    return failure;
  }

  private async reloadInDoubt(): Promise<void> {
    if (!this.inDoubt) return;
    this.state = await this.store.load();
    this.inDoubt = false;
  }
}
