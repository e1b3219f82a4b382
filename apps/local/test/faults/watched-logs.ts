/** What must never stand in a log, and events that must never be sent, whatever fault there was. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from 'nats';

/** A service that ends by an exception of its own; a 500 to a client. */
const DEFECTS = /"msg":"(uncaught exception|unhandled rejection)"|"code":"INTERNAL"/;
const DIVERGED = 'shardline.event.shard.diverged';

export class WatchedLogs {
  private readonly seen = new Set<string>();
  private lastDivergence = 0;

  constructor(
    private readonly dataDir: string,
    private readonly natsUrl: string,
  ) {}

  /** What came since the last look. @throws when the broker does not answer */
  async look(): Promise<string[]> {
    return [...this.defects(), ...(await this.divergence())];
  }

  private defects(): string[] {
    const folder = join(this.dataDir, 'logs');
    const lines = readdirSync(folder).flatMap((name) =>
      readFileSync(join(folder, name), 'utf8')
        .split('\n')
        .filter((line) => DEFECTS.test(line))
        .map((line) => `${name}: ${line.slice(0, 600)}`),
    );
    const fresh = lines.filter((line) => !this.seen.has(line));
    for (const line of fresh) this.seen.add(line);
    return fresh;
  }

  /** Nobody changed a replica behind its back: they must all do alike. */
  private async divergence(): Promise<string[]> {
    const nats = await connect({ servers: this.natsUrl, timeout: 5_000 });
    try {
      const manager = await nats.jetstreamManager();
      const found = await manager.streams.getMessage('SHARDLINE_EVENTS', { last_by_subj: DIVERGED }).catch(() => null);
      if (found === null || found.seq <= this.lastDivergence) return [];
      this.lastDivergence = found.seq;
      return [`a replica diverged: ${found.string()}`];
    } finally {
      await nats.close();
    }
  }
}
