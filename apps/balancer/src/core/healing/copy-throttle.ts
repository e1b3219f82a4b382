/**
 * How many bytes a second all copies may take together: a bucket of tokens that fills by the time of events. Whoever copies takes
 * what it may before it asks, one after the other, and puts right afterwards what it really took.
 */
import type { StepContext } from '../kernel/step-context';
import type { CoreSettings } from '../detection/core-settings';
import { Mutex, wait, type Workflow } from '../kernel/workflow';

/** What one request for pages may take at the most. */
export const SLICE_BYTES = 8 * 1024 * 1024;
/** The bucket holds what flows in so much time. */
const BURST_MS = 250;

export class CopyThrottle {
  private tokens = 0;
  private filledMs = -Infinity;
  private readonly turn = new Mutex('copies');

  constructor(
    private readonly context: StepContext,
    private readonly settings: Pick<CoreSettings, 'copyBytesPerS'>,
  ) {}

  /** Waits until bytes may flow; answers how many. To be followed by `took`. */
  *grant(): Workflow<number> {
    if (this.bytesPerS === 0) return SLICE_BYTES;
    // In turn, so that everybody gets its share however many wait.
    yield* wait(this.turn.acquire());
    this.fill();
    while (this.tokens < 1) {
      yield* wait(this.context.sleep(((1 - this.tokens) * 1000) / this.bytesPerS));
      this.fill();
    }
    const granted = Math.min(Math.floor(this.tokens), SLICE_BYTES);
    this.tokens -= granted;
    this.turn.release();
    return granted;
  }

  /** What of a grant was used; more than was granted delays those that come next. */
  took(granted: number, bytes: number): void {
    if (this.bytesPerS > 0) this.tokens += granted - bytes;
  }

  /** 0: as many as there are. */
  private get bytesPerS(): number {
    return this.settings.copyBytesPerS;
  }

  private fill(): void {
    const { nowMs } = this.context;
    const most = Math.max(1, (this.bytesPerS * BURST_MS) / 1000);
    const flown = ((nowMs - this.filledMs) * this.bytesPerS) / 1000;
    this.tokens = Math.min(most, this.tokens + flown);
    this.filledMs = nowMs;
  }
}
