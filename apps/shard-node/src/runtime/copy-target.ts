/**
 * The target's side of a copy: pages are pulled from the source and stored, the next one on its way while one is being stored.
 *
 * Each page and the cursor behind it become durable together, so that a copy that was broken off, by whatever end, goes on where
 * it was. The leader asks for some bytes at a time, and decides in between whether and from whom it goes on.
 */
import { ShardlineError } from '#common/contracts/errors';
import type { CatchupReply, CatchupRequest, CopyCursor } from '#common/contracts/node';
import { admitCatchUp, admitNextPage, beginCatchUp, storedUpTo, type CatchUpStep } from '../core/catch-up';
import { CopyTurns } from '../core/copy-turns';
import { recordBytes } from '../core/op-records';
import { withShards, type ReplicaState } from '../core/replica-state';
import type { CopySource } from '../ports/copy-source';
import type { VersionPage, WriteTransaction } from '../ports/version-store';
import type { GuardedState } from './guarded-state';

export interface CopyTargetOptions {
  /** Bytes of a page. */
  pageBytes: number;
  /** A request is answered about so soon, however much it asks for: whoever asks has a deadline. */
  catchUpSliceMs: number;
  nowMs: () => number;
}

/** A request that is being carried out. */
interface UnderWay {
  isWanted: boolean;
}

export class CopyTarget {
  private readonly turns = new CopyTurns();
  private readonly underWay = new Map<string, UnderWay>();

  constructor(
    private readonly guarded: GuardedState,
    private readonly source: CopySource,
    private readonly options: CopyTargetOptions,
  ) {}

  /**
   * @throws ShardlineError BUSY while an older request is still being carried out; it ends with its next page then. BAD_REQUEST when a
   * later one, or the very same, has been here before
   */
  async catchUp(request: CatchupRequest): Promise<CatchupReply> {
    const { shard } = request;
    this.turns.admit(request);
    const older = this.underWay.get(shard);
    if (older !== undefined) {
      older.isWanted = false;
      throw new ShardlineError('BUSY', `shard ${shard} is fetching a page already`, true);
    }
    if (request.isCallOff === true) return { rows: 0, bytes: 0, next: null };
    const underWay = { isWanted: true };
    this.underWay.set(shard, underWay);
    try {
      return await this.pull(request, underWay);
    } finally {
      this.underWay.delete(shard);
    }
  }

  private async pull(request: CatchupRequest, underWay: UnderWay): Promise<CatchupReply> {
    const endMs = this.options.nowMs() + this.options.catchUpSliceMs;
    const { after: start } = admitCatchUp(this.guarded.current, request);
    const total = { rows: 0, bytes: 0 };
    let behind: CopyCursor | null = null;
    let page = await this.fetch(request, start);
    for (;;) {
      total.rows += page.count;
      total.bytes += Buffer.byteLength(page.text) + bytesOfRecords(page.records);
      const isEnough = total.bytes >= request.maxBytes || this.options.nowMs() >= endMs || !underWay.isWanted;
      const following = page.next === null || isEnough ? null : this.tryFetch(request, page.next);
      await this.store(request, page, behind);
      const next = await following;
      // Where the source has failed, whoever asks again hears so; what is stored is stored.
      if (next === null) return { ...total, next: page.next };
      behind = page.next;
      page = next;
    }
  }

  private async tryFetch(request: CatchupRequest, after: CopyCursor): Promise<VersionPage | null> {
    try {
      return await this.fetch(request, after);
    } catch {
      return null;
    }
  }

  private async fetch(
    { epoch, shard, source, from, to }: CatchupRequest,
    after: CopyCursor | null,
  ): Promise<VersionPage> {
    const maxBytes = this.options.pageBytes;
    try {
      return await this.source.fetch(source, { epoch, shard, from, to, after, maxBytes });
    } catch (cause) {
      throw failureOfSource(source, cause);
    }
  }

  /** @param behind the page before it, when that was of the same request */
  private store(request: CatchupRequest, page: VersionPage, behind: CopyCursor | null): Promise<void> {
    const { shard: name, epoch } = request;
    const admit = (state: ReplicaState): CatchUpStep =>
      behind === null ? admitCatchUp(state, request) : admitNextPage(state, request, behind);
    return this.guarded.change(
      epoch,
      async (transaction, state) => {
        const step = admit(state);
        if (step.kind === 'drop') await drop(transaction, state, step, request);
        const undone = step.kind === 'undo' ? await transaction.undoAbove(name, step.shard.committedVat) : 0;
        const put = await transaction.putVersions(name, page, request.from === 0);
        transaction.putRecords(name, page.records ?? []);
        const begun = beginCatchUp(step, request);
        const maxRowBytes = Math.max(begun.maxRowBytes, page.largestRowBytes);
        const next = storedUpTo({ ...begun, rows: begun.rows + undone + put, maxRowBytes }, page.next);
        // Durable before the shard serves anybody: what is lost until then is copied again, from the cursor that is left.
        if (page.next !== null) transaction.mayBeLost();
        transaction.saveShard(next);
        return { state: withShards(state, [next]), result: undefined };
      },
      [name],
    );
  }
}

function bytesOfRecords(records: VersionPage['records'] = []): number {
  return records.reduce((bytes, record) => bytes + recordBytes(record), 0);
}

/** Removes what the shard held; a copy that was begun and not ended is not worth being kept. */
async function drop(
  transaction: WriteTransaction,
  { schema }: ReplicaState,
  { shard }: CatchUpStep,
  { setAside }: CatchupRequest,
): Promise<void> {
  const isBegunCopy = shard.catchUp?.from === 0;
  if (setAside !== true || isBegunCopy || schema === null) transaction.clearShard(shard.shard);
  else await transaction.setShardAside(shard.shard, schema);
}

/** So that who asked can distinguish it from a failure of this replica: another source may still have what this one has not. */
function failureOfSource(source: string, cause: unknown): ShardlineError {
  const failure = ShardlineError.from(cause);
  if (failure.code === 'SNAPSHOT_GONE' || failure.code === 'FENCED') return failure;
  return new ShardlineError('SHARD_UNAVAILABLE', `cannot copy from ${source}: ${failure.message}`, true, { cause });
}
