/** Work that waits its turn: at most `width` jobs run at once, at most `limit` wait. */
import { ShardlineError } from '#common/contracts/errors';

export class JobLimiter {
  private running = 0;
  private readonly waiting: (() => void)[] = [];

  constructor(
    private readonly name: string,
    private readonly width: number,
    private readonly limit: number,
  ) {}

  /** @throws ShardlineError BUSY when too many wait already, or whatever `job` throws */
  async run<T>(job: () => Promise<T>): Promise<T> {
    if (this.running < this.width) this.running += 1;
    else await this.turn();
    try {
      return await job();
    } finally {
      this.passOn();
    }
  }

  /** Waits until a job that ends hands its turn over. */
  private turn(): Promise<void> {
    if (this.waiting.length >= this.limit) {
      throw new ShardlineError('BUSY', `${this.waiting.length} ${this.name} are waiting already`, true);
    }
    return new Promise((resolve) => this.waiting.push(resolve));
  }

  private passOn(): void {
    const next = this.waiting.shift();
    if (next === undefined) this.running -= 1;
    else next();
  }
}
