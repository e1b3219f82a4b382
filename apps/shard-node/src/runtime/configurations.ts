/**
 * Configurations of a replica: the one in force, and the one that is prepared beside it. What was prepared comes into force with one
 * transaction; what it takes the place of is removed behind that.
 */
import type { ConfigReply, ConfigRequest } from '#common/contracts/node';
import type { Logger } from '#common/logging/logger';
import { identityAfter, preparedBy, refuseOlder, refuseOtherProcess } from '../core/cluster-knowledge';
import { emptyShard, reportShards, withShards, type NodeIdentity, type ReplicaState } from '../core/replica-state';
import { planConfig } from '../core/serving';
import type { VersionStore, WriteTransaction } from '../ports/version-store';
import type { Change, GuardedState } from './guarded-state';

/** What is reported of it, but for the process. */
type Taken = Omit<ConfigReply, 'instance'>;

/** A transaction holds a lock for each table that it makes, and their number is bounded. */
const TABLES_AT_ONCE = 64;

export class Configurations {
  private sweeping: Promise<void> | null = null;
  /** The newest thing that is being prepared or discarded; the next waits for it. */
  private preparing: Promise<unknown> = Promise.resolve();
  private sweepAgain = false;

  constructor(
    private readonly store: VersionStore,
    private readonly guarded: GuardedState,
    private readonly logger: Logger,
    /** Of this process. */
    private readonly instance: string,
  ) {}

  /**
   * @throws ShardlineError ALREADY_CONFIGURED when the replica holds a later configuration; SHARD_UNAVAILABLE when another process is
   * meant; BAD_REQUEST
   */
  async adopt(request: ConfigRequest): Promise<Taken> {
    refuseOtherProcess(this.instance, request);
    if (request.stage !== undefined) {
      const { stage } = request;
      const done = this.preparing.then(() => (stage === 'prepare' ? this.prepare(request) : this.discard(request)));
      this.preparing = done.catch(() => undefined);
      return done;
    }
    await this.takeFirst(request);
    const { configId } = this.guarded.current;
    const replaced = configId === request.configId ? request.drop : [...this.guarded.current.shards.keys()];
    const reply = await this.guarded.change(
      request.epoch,
      (transaction, state) => {
        refuseOlder(state, request.configId);
        const isPrepared = state.prepared?.cluster.configId === request.configId;
        return isPrepared ? activate(transaction, state, request) : configure(transaction, state, request);
      },
      replaced,
    );
    if (configId !== request.configId) this.sweep();
    return reply;
  }

  /** What is too much for one transaction: each part is a configuration of its own, and what is done is not done again. */
  private async takeFirst(request: ConfigRequest): Promise<void> {
    const { shards, configId, prepared } = this.guarded.current;
    if (prepared?.cluster.configId === request.configId) return;
    const missing = request.shards.filter(({ shard }) => configId !== request.configId || !shards.has(shard));
    const parts: Pick<ConfigRequest, 'shards' | 'drop'>[] = [
      ...inParts(request.drop).map((drop) => ({ shards: [], drop })),
      ...inParts(missing).map((some) => ({ shards: some, drop: [] })),
    ];
    if (parts.length < 2) return;
    for (const part of parts) {
      await this.guarded.change(
        request.epoch,
        (transaction, state) => {
          refuseOlder(state, request.configId);
          return configure(transaction, state, { ...request, ...part });
        },
        configId === request.configId ? part.drop : [...shards.keys()],
      );
    }
  }

  /** Removes what no configuration needs any more, in the background. */
  sweep(): void {
    if (this.sweeping !== null) {
      this.sweepAgain = true;
      return;
    }
    this.sweepAgain = false;
    this.sweeping = this.store
      .sweep()
      .catch((error: unknown) => {
        this.logger.warn({ err: error }, 'could not remove unused tables yet');
      })
      .finally(() => {
        this.sweeping = null;
        if (this.sweepAgain) this.sweep();
      });
  }

  /** Resolves when nothing is being removed. */
  async idle(): Promise<void> {
    while (this.sweeping !== null) await this.sweeping;
  }

  /** The tables first, then that they are there: what is half made is never taken for a configuration. */
  private async prepare(request: ConfigRequest): Promise<Taken> {
    const { epoch, shards, schema, configId } = request;
    const { prepared } = this.guarded.current;
    // The same request may come twice.
    if (prepared?.epoch === epoch && prepared.cluster.configId === configId) {
      return { shards: reportShards(this.guarded.current) };
    }
    await this.clear(epoch, (state) => preparedBy(state, request));
    for (const names of inParts(shards.map(({ shard }) => shard))) {
      await this.guarded.change(epoch, async (transaction, state) => {
        await transaction.prepareTables(names, schema);
        return { state, result: undefined };
      });
    }
    return this.guarded.change(epoch, async (transaction, state) => {
      const next = { ...state, prepared: preparedBy(state, request) };
      transaction.saveIdentity(next);
      return { state: next, result: { shards: reportShards(next) } };
    });
  }

  /** Another configuration than the one that is meant may be prepared by now. */
  private async discard({ epoch, configId }: ConfigRequest): Promise<Taken> {
    if (this.guarded.current.prepared?.cluster.configId !== configId) {
      return { shards: reportShards(this.guarded.current) };
    }
    return this.clear(epoch, () => undefined);
  }

  private async clear(epoch: number, check: (state: ReplicaState) => unknown): Promise<Taken> {
    const reply = await this.guarded.change(epoch, async (transaction, state) => {
      check(state);
      transaction.discardPrepared();
      const next = { ...state, prepared: null };
      transaction.saveIdentity(next);
      return { state: next, result: { shards: reportShards(next) } };
    });
    this.sweep();
    return reply;
  }
}

function inParts<T>(list: readonly T[]): T[][] {
  const parts: T[][] = [];
  for (let from = 0; from < list.length; from += TABLES_AT_ONCE) parts.push(list.slice(from, from + TABLES_AT_ONCE));
  return parts;
}

async function activate(
  transaction: WriteTransaction,
  state: ReplicaState,
  request: ConfigRequest,
): Promise<Change<Taken>> {
  const begun = (state.prepared?.shards ?? []).map(emptyShard);
  transaction.activatePrepared(begun, request.schema);
  const identity = identityAfter(state, request);
  transaction.saveIdentity(identity);
  const activated: ReplicaState = { ...identity, shards: new Map(begun.map((shard) => [shard.shard, shard])) };
  return configure(transaction, activated, request);
}

async function configure(
  transaction: WriteTransaction,
  state: ReplicaState,
  request: ConfigRequest,
): Promise<Change<Taken>> {
  const { schema } = request;
  const plan = planConfig(state, request);
  const gone = plan.dropAll ? [...state.shards.keys()] : plan.drop;
  for (const shard of gone) transaction.dropShard(shard);
  const identity = identityAfter(state, request);
  saveNews(transaction, state, identity);
  for (const shard of plan.create) await transaction.createShard(shard, schema);
  for (const shard of plan.update) transaction.saveShard(shard);
  const shards = new Map([...state.shards].filter(([shard]) => !gone.includes(shard)));
  const next = withShards({ ...identity, shards }, [...plan.create, ...plan.update]);
  return { state: next, result: { shards: reportShards(next) } };
}

/** Stores what is new of the identity. */
function saveNews(transaction: WriteTransaction, before: NodeIdentity, after: NodeIdentity): void {
  const { configId, cluster, prepared, mark } = after;
  const isSame = configId === before.configId && cluster === before.cluster && prepared === before.prepared;
  if (!isSame) transaction.saveIdentity(after);
  else if (mark !== null && mark !== before.mark) transaction.saveMark(mark);
}
