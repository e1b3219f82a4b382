/**
 * Which requests for copies have been here. One that comes after a later one has been given up by the leader, whatever became of the
 * later one. The replica may be in sync by now, and what it holds must not be dropped. It is known of this process alone, which is
 * enough: a request names the process that it is for.
 */
import { ShardlineError } from '#common/contracts/errors';
import type { CatchupRequest } from '#common/contracts/node';

export class CopyTurns {
  /** The highest turn of each shard, under the highest epoch. */
  private epoch = 0;
  private readonly highest = new Map<string, number>();

  /** @throws ShardlineError BAD_REQUEST when it comes late, or once more */
  admit({ epoch, turn, shard }: Pick<CatchupRequest, 'epoch' | 'turn' | 'shard'>): void {
    if (epoch > this.epoch) {
      this.epoch = epoch;
      this.highest.clear();
    }
    if (epoch < this.epoch || turn <= (this.highest.get(shard) ?? 0))
      throw new ShardlineError('BAD_REQUEST', `a request for a copy of shard ${shard} comes late`);
    this.highest.set(shard, turn);
  }
}
