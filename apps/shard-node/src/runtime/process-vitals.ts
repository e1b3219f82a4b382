/** What the process can say of itself: room on the disk of its data, and how late its event loop is. */
import { statfs } from 'node:fs/promises';
import { monitorEventLoopDelay, type IntervalHistogram } from 'node:perf_hooks';
import type { Logger } from '#common/logging/logger';
import type { ProcessVitals } from './replica';

/** How often the loop is looked at. What it measures is the time between two looks, so this much is no delay. */
const LOOK_EVERY_MS = 20;
const NS_PER_MS = 1_000_000;

export class MeasuredVitals implements ProcessVitals {
  private readonly delays: IntervalHistogram;

  /** @param dataDir an existing folder; null when the data lie on somebody else's disk */
  constructor(
    private readonly dataDir: string | null,
    private readonly logger: Logger,
  ) {
    this.delays = monitorEventLoopDelay({ resolution: LOOK_EVERY_MS });
    this.delays.enable();
  }

  async diskFreeBytes(): Promise<number | null> {
    if (this.dataDir === null) return null;
    try {
      // What is kept for the administrator does not help us.
      const { bavail, bsize } = await statfs(this.dataDir);
      return bavail * bsize;
    } catch (error) {
      this.logger.warn({ err: error }, 'cannot read the free disk space');
      return null;
    }
  }

  eventLoopDelayMs(): number | null {
    if (this.delays.count === 0) return null;
    const lateMs = this.delays.percentile(99) / NS_PER_MS - LOOK_EVERY_MS;
    this.delays.reset();
    return Math.max(0, Math.round(lateMs * 10) / 10);
  }

  stop(): void {
    this.delays.disable();
  }
}
