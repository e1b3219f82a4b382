/** Counts the requests that are being worked on, so that a stop can wait for them. */
export class WorkInFlight {
  private count = 0;
  private whenIdle: (() => void)[] = [];

  async track<T>(work: Promise<T>): Promise<T> {
    this.count += 1;
    try {
      return await work;
    } finally {
      this.count -= 1;
      if (this.count === 0) for (const resolve of this.whenIdle.splice(0)) resolve();
    }
  }

  /** Resolves when nothing is in flight, at the latest after `timeoutMs`; true in the first case. */
  async idle(timeoutMs: number): Promise<boolean> {
    if (this.count === 0) return true;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<boolean>((resolve) => {
      timer = setTimeout(resolve, timeoutMs, false);
    });
    const idle = new Promise<boolean>((resolve) => {
      this.whenIdle.push(() => {
        resolve(true);
      });
    });
    const ended = await Promise.race([idle, late]);
    clearTimeout(timer);
    return ended;
  }
}
