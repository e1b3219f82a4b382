/**
 * Which changes are being carried out, by the ids that clients know them by. One may come twice: by the network, or from a client that
 * asks again before it has an answer. What becomes of the second says nothing of the first, so of neither it may be said that nothing
 * was changed before all of them have been answered; nor later, when nobody knows what became of one of them.
 */
import type { ErrorBody } from '#common/contracts/errors';
import { NOBODY_KNOWS } from './refusals';

/** So many are remembered of which nobody knows what became. */
const DOUBTFUL_LIMIT = 10_000;

export class ChangesUnderWay {
  /** Nothing stands under `undefined`, here and below: what has no id is no repetition. */
  private readonly counts = new Map<string | undefined, number>();
  /** The oldest first. */
  private readonly doubtful = new Set<string | undefined>();

  /** @param id undefined: the change has none, and is asked for once */
  begin(id: string | undefined): void {
    if (id !== undefined) this.counts.set(id, (this.counts.get(id) ?? 0) + 1);
  }

  /** It was carried out, or refused for what the records are. */
  end(id: string | undefined): void {
    const left = (this.counts.get(id) ?? 0) - 1;
    if (left > 0) this.counts.set(id, left);
    else this.counts.delete(id);
  }

  /** It ends with an error. Returns what may be said of it. */
  fail(id: string | undefined, error: ErrorBody): ErrorBody {
    this.end(id);
    const answered = this.errorFor(id, error);
    if (id !== undefined && answered.code === NOBODY_KNOWS.code) this.doubt(id);
    return answered;
  }

  /** What may be said of a change that was not begun. Errors that may pass say that nothing was changed. */
  errorFor(id: string | undefined, error: ErrorBody): ErrorBody {
    if (!error.retryable) return error;
    return this.counts.has(id) || this.doubtful.has(id) ? NOBODY_KNOWS : error;
  }

  private doubt(id: string): void {
    this.doubtful.delete(id);
    this.doubtful.add(id);
    if (this.doubtful.size <= DOUBTFUL_LIMIT) return;
    for (const oldest of this.doubtful) {
      this.doubtful.delete(oldest);
      return;
    }
  }
}
