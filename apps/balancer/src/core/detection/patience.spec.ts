import fc from 'fast-check';
import { Patience, WakingClock } from './patience';

const SETTINGS = { floorMs: 500, pauseMs: 1_000, longestPauseMs: 60_000 };

describe('how long a replica may stay behind', () => {
  it('is the floor as long as nothing is known', () => {
    expect(new Patience(SETTINGS).limitMs(0, 0)).toBe(500);
  });

  it('is more where the others took long themselves', () => {
    expect(new Patience(SETTINGS).limitMs(400, 0)).toBe(800);
  });

  it('is well above the latest that came within the last seconds, and never below the floor', () => {
    const delays = fc.array(fc.nat(3_000), { minLength: 1, maxLength: 50 });
    fc.assert(
      fc.property(delays, fc.nat(5_000), (ms, agoMs) => {
        const patience = new Patience(SETTINGS);
        ms.forEach((delay) => {
          patience.learn(delay, 0);
        });
        const limitMs = patience.limitMs(0, agoMs);
        return limitMs >= 500 && limitMs >= 2 * Math.max(...ms);
      }),
    );
  });

  it('comes back to the floor when answers come early again', () => {
    const patience = new Patience(SETTINGS);
    patience.learn(1_000, 0);
    for (let nowMs = 0; nowMs <= 60_000; nowMs += 100) patience.learn(5, nowMs);
    expect(patience.limitMs(0, 60_000)).toBe(500);
  });
});

describe('a replica that was too late', () => {
  /** How long it stays away each time when it is too late again so long after it may return. */
  function pauses(times: number, goodMs: number): number[] {
    const patience = new Patience(SETTINGS);
    let nowMs = 0;
    return Array.from({ length: times }, () => {
      patience.wasLate('S1', nowMs);
      const fromMs = nowMs;
      while (!patience.mayReturn('S1', nowMs)) nowMs += 100;
      const pauseMs = nowMs - fromMs;
      nowMs += goodMs;
      return pauseMs;
    });
  }

  it('stays away for twice as long each time, up to a bound', () => {
    expect(pauses(9, 100)).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000]);
  });

  it('begins afresh when it was in time for ten times as long', () => {
    expect(pauses(3, 10_000)).toEqual([1_000, 1_000, 1_000]);
    expect(pauses(3, 9_900)).toEqual([1_000, 2_000, 4_000]);
  });

  it('is late once, for however many of its shards it is reported', () => {
    const patience = new Patience(SETTINGS);
    for (let shard = 0; shard < 10; shard += 1) patience.wasLate('S1', shard);
    expect(patience.mayReturn('S1', 1_000)).toBe(true);
    expect(patience.mayReturn('S1', 999)).toBe(false);
  });

  it('is another one when it has been restarted, and nobody else', () => {
    const patience = new Patience(SETTINGS);
    patience.wasLate('S1', 0);
    expect(patience.mayReturn('S2', 0)).toBe(true);
    patience.forget('S1');
    expect(patience.mayReturn('S1', 0)).toBe(true);
  });
});

test('the clock stands still while nobody ticks, and before somebody does', () => {
  const clock = new WakingClock();
  expect(clock.at(5_000)).toBe(0);
  for (const nowMs of [0, 50, 100]) clock.tick(nowMs);
  expect(clock.at(150)).toBe(150);
  expect(clock.at(5_000)).toBe(200);
  clock.tick(5_000);
  expect(clock.at(5_040)).toBe(240);
});
