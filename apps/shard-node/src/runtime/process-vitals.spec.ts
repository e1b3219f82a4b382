import { mkdtemp, rm, statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
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
    await delay(100);
    const until = performance.now() + 400;
    while (performance.now() < until);
    await delay(100);
    expect(vitals.eventLoopDelayMs()).toBeGreaterThan(200);
    await delay(100);
    expect(vitals.eventLoopDelayMs()).toBeLessThan(200);
  });
});
