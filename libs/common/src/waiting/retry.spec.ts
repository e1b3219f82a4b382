import { pollUntil, retryUntilDeadline } from './retry';

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
  const options = { deadlineMs: LONG_MS, firstPauseMs: 1, isRetryable: () => true };

  it('goes on until an attempt succeeds', async () => {
    const { attempt, made } = failing(3, failure);
    expect(await retryUntilDeadline(attempt, options)).toBe('done');
    expect(made()).toBe(4);
  });

  it('ends with what may not be tried again', async () => {
    const { attempt, made } = failing(3, failure);
    const seen: unknown[] = [];
    const isRetryable = (thrown: unknown): boolean => seen.push(thrown) < 2;
    await expect(retryUntilDeadline(attempt, { ...options, isRetryable })).rejects.toBe(failure);
    expect([made(), seen]).toEqual([2, [failure, failure]]);
  });

  it('begins no pause that would end behind the deadline', async () => {
    const { attempt, made } = failing(3, failure);
    const late = { ...options, deadlineMs: LONG_MS, firstPauseMs: LONG_MS };
    await expect(retryUntilDeadline(attempt, late)).rejects.toBe(failure);
    expect(made()).toBe(1);
  });

  it('lets pauses double up to the longest one', async () => {
    const bounded = failing(30, failure);
    const short = { ...options, firstPauseMs: 1, longestPauseMs: 1 };
    expect(await retryUntilDeadline(bounded.attempt, short)).toBe('done');
    const growing = failing(30, failure);
    const soon = { ...options, firstPauseMs: 1, longestPauseMs: LONG_MS, deadlineMs: 200 };
    await expect(retryUntilDeadline(growing.attempt, soon)).rejects.toBe(failure);
    expect(growing.made()).toBeLessThan(10);
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

  it('ends when it is told to', async () => {
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
