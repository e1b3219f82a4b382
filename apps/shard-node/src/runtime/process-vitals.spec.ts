import { mkdtemp, rm, statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setImmediate as turn } from 'node:timers/promises';
import { createLogger } from '#common/logging/logger';
import { MeasuredVitals } from './process-vitals';

const logger = createLogger('test', 'silent');

describe('what a process says of itself', () => {
  let dir: string;
  let vitals: MeasuredVitals | undefined;

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'shardline-'));
  });

  afterEach(async () => {
    vitals?.stop();
    await rm(dir, { recursive: true, force: true });
  });

  it('the room on the disk of its data', async () => {
    vitals = new MeasuredVitals(dir, logger);
    const { blocks, bsize } = await statfs(dir);
    const free = await vitals.diskFreeBytes();
    expect(free).toBeGreaterThan(0);
    expect(free).toBeLessThanOrEqual(blocks * bsize);
  });

  it('nothing of a disk that is not its own, or that cannot be looked at', async () => {
    vitals = new MeasuredVitals(null, logger);
    expect(await vitals.diskFreeBytes()).toBeNull();
    vitals.stop();
    vitals = new MeasuredVitals(join(dir, 'not-there'), logger);
    expect(await vitals.diskFreeBytes()).toBeNull();
  });

  it('how late its event loop was since it was asked last', async () => {
    vitals = new MeasuredVitals(dir, logger);
    // The time between two looks is what is measured, so one must lie before the block and one behind it.
    await untilLookedAt();
    const until = performance.now() + 400;
    while (performance.now() < until);
    await untilLookedAt();
    expect(vitals.eventLoopDelayMs()).toBeGreaterThan(200);
    // On a busy machine the next looks may be late themselves, but not all of them unless the block is still counted.
    let lateMs: number | null = null;
    for (let looks = 0; (lateMs === null || lateMs >= 200) && looks < 10; looks += 1) {
      await untilLookedAt();
      lateMs = vitals.eventLoopDelayMs();
    }
    expect(lateMs).toBeLessThan(200);
  });
});

/** Until whoever looks at the event loop as often as this one does has done so: two looks of one include one of the other. */
async function untilLookedAt(): Promise<void> {
  const looks = monitorEventLoopDelay({ resolution: 20 });
  looks.enable();
  while (looks.count < 2) await turn();
  looks.disable();
}
