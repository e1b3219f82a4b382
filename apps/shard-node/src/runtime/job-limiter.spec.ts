import { JobLimiter } from './job-limiter';

interface Gate {
  open: () => void;
  promise: Promise<void>;
}

function gate(): Gate {
  let open = (): void => undefined;
  const promise = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { open, promise };
}

it('runs as many as it is wide, the others in turn, and refuses what would have to wait too long', async () => {
  const limiter = new JobLimiter('jobs', 2, 2);
  const gates = [gate(), gate(), gate(), gate()];
  const started: number[] = [];
  const jobs = gates.map(({ promise }, index) =>
    limiter.run(async () => {
      started.push(index);
      await promise;
      return index;
    }),
  );
  await expect(limiter.run(async () => 'one too many')).rejects.toMatchObject({ code: 'BUSY', retryable: true });
  expect(started).toEqual([0, 1]);
  gates[1]?.open();
  await jobs[1];
  await Promise.resolve();
  expect(started).toEqual([0, 1, 2]);
  for (const one of gates) one.open();
  expect(await Promise.all(jobs)).toEqual([0, 1, 2, 3]);
});

it('hands its turn over when a job fails', async () => {
  const limiter = new JobLimiter('jobs', 1, 5);
  const failing = limiter.run(() => Promise.reject(new Error('no')));
  const next = limiter.run(async () => 'yes');
  await expect(failing).rejects.toThrow('no');
  expect(await next).toBe('yes');
});
