import { doublingPause, pollUntil, retryTimes, retryUntilDeadline } from './retry';

const LONG_MS = 60_000;

/** Fails so many times with the failure, then succeeds; counts. */
function failing(times: number, failure: Error): { attempt: () => Promise<string>; made: () => number } {
  let made = 0;
  const attempt = async (): Promise<string> => {
    made += 1;
    if (made <= times) throw failure;
    return 'done';
  };
  return { attempt, made: () => made };
}

describe('retrying', () => {
  const failure = new Error('not yet');
  const soon = (): number => 1;

  it('goes on until an attempt succeeds', async () => {
    const { attempt, made } = failing(3, failure);
    expect(await retryUntilDeadline(attempt, LONG_MS, soon)).toBe('done');
    expect(made()).toBe(4);
  });

  it('passes every attempt how much time is left', async () => {
    const passed: number[] = [];
    const attempt = async (leftMs: number): Promise<void> => {
      passed.push(leftMs);
      if (passed.length < 2) throw failure;
    };
    await retryUntilDeadline(attempt, LONG_MS, () => 5);
    expect(passed[0]).toBeLessThanOrEqual(LONG_MS);
    expect(passed[1]).toBeLessThan(LONG_MS - 2);
  });

  it('ends with what may not be tried again', async () => {
    const { attempt, made } = failing(3, failure);
    const seen: unknown[] = [];
    const pauseAfter = (...failed: unknown[]): number | null => (seen.push(failed) < 2 ? 1 : null);
    await expect(retryUntilDeadline(attempt, LONG_MS, pauseAfter)).rejects.toBe(failure);
    expect(made()).toBe(2);
    expect(seen).toEqual([
      [failure, 1],
      [failure, 2],
    ]);
  });

  it('begins no pause that would end behind the deadline', async () => {
    const { attempt, made } = failing(3, failure);
    await expect(retryUntilDeadline(attempt, LONG_MS, () => LONG_MS)).rejects.toBe(failure);
    expect(made()).toBe(1);
  });

  it('makes so many attempts, and asks for no pause behind the last', async () => {
    const { attempt, made } = failing(30, failure);
    const asked: number[] = [];
    const pauseAfter = (_: unknown, failures: number): number => {
      asked.push(failures);
      return 0;
    };
    await expect(retryTimes(attempt, 3, pauseAfter)).rejects.toBe(failure);
    expect([made(), asked]).toEqual([3, [1, 2]]);
    expect(await retryTimes(failing(2, failure).attempt, 3, async () => 0)).toBe('done');
  });

  it('lets pauses double up to the longest one', () => {
    expect([1, 2, 3, 4, 5, 60].map(doublingPause(25, 200))).toEqual([25, 50, 100, 200, 200, 200]);
  });
});

describe('polling', () => {
  it('resolves to what is seen', async () => {
    let looks = 0;
    const look = async (): Promise<string | undefined> => {
      looks += 1;
      return looks < 3 ? undefined : 'there';
    };
    expect(await pollUntil(look, { deadlineMs: LONG_MS, pauseMs: 1 })).toBe('there');
    expect(looks).toBe(3);
  });

  it('looks once, also when there is no time', async () => {
    let looks = 0;
    const look = async (): Promise<undefined> => {
      looks += 1;
    };
    expect(await pollUntil<string>(look, { deadlineMs: 0, pauseMs: LONG_MS })).toBeUndefined();
    expect(looks).toBe(1);
  });

  it('ends when it is stopped', async () => {
    const stop = new AbortController();
    const look = async (): Promise<undefined> => {
      stop.abort();
    };
    expect(await pollUntil<string>(look, { deadlineMs: LONG_MS, pauseMs: 1, signal: stop.signal })).toBeUndefined();
    expect(
      await pollUntil(async () => 'never seen', { deadlineMs: 1, pauseMs: 1, signal: stop.signal }),
    ).toBeUndefined();
  });
});
