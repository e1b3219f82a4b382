/**
 * What every launcher keeps of its servers, whatever it starts them as: whose turn it is, which order is the newest, and which starts
 * failed.
 */
import { ShardlineError } from '#common/contracts/errors';
import { IDENTIFIER } from '#common/contracts/schema';
import type { Logger } from '#common/logging/logger';

/** A node that ends by itself this soon could not start, on a full disk for example: it is started again after a pause. */
export const STARTING_MS = 15_000;
const DEFAULT_RETRY_PAUSE_MS = 1_000;
/** So many starts in a row that failed are not taken for a moment's trouble. */
const HOPELESS_STARTS = 3;

/** How a node ended that could not start. */
export interface FailedStart {
  /** For people: what it said of it, else its exit status and where to look. */
  why: string;
  /** It would be the same the next time. */
  isFinal: boolean;
}

export class ServerOrders {
  /** The newest thing that is being done to each server; the next one waits for it. */
  private readonly doing = new Map<string, Promise<void>>();
  /** How often each server was started or ended on order: what was to happen after an earlier order happens no more. */
  private readonly orders = new Map<string, number>();
  /** Starts in a row that failed, and how the last one did. */
  private readonly failures = new Map<string, FailedStart & { starts: number }>();
  private readonly retries = new Set<NodeJS.Timeout>();
  private isClosed = false;

  /** `inWords` says to clients what went wrong with a server; `retryPauseMs`: before a node that could not start is started again. */
  constructor(
    private readonly logger: Logger,
    private readonly inWords: (server: string, error: unknown) => ShardlineError,
    private readonly retryPauseMs = DEFAULT_RETRY_PAUSE_MS,
  ) {}

  /** Takes a new order, which ends what earlier ones were still to bring. Returns its number. */
  take(server: string): number {
    const order = (this.orders.get(server) ?? 0) + 1;
    this.orders.set(server, order);
    this.failures.delete(server);
    return order;
  }

  /** Whether no other order has come since. */
  stands(server: string, order: number): boolean {
    return !this.isClosed && this.orders.get(server) === order;
  }

  /**
   * One thing at a time per server, in the order in which they were asked for.
   *
   * @throws ShardlineError BAD_REQUEST when this is no server's name, else what `work` throws, `inWords`
   */
  inTurn(server: string, work: () => Promise<void>): Promise<void> {
    if (!IDENTIFIER.test(server)) {
      return Promise.reject(new ShardlineError('BAD_REQUEST', `${JSON.stringify(server)} is not a server name`));
    }
    const before = this.doing.get(server) ?? Promise.resolve();
    const now = before
      .catch(() => undefined)
      .then(work)
      .catch((error: unknown) => {
        throw this.inWords(server, error);
      });
    this.doing.set(server, now);
    const forget = (): void => {
      if (this.doing.get(server) === now) this.doing.delete(server);
    };
    now.then(forget, forget);
    return now;
  }

  /**
   * A node that was started on this order has ended as it began. It is said at once, and kept for whoever waits for the node; `again` is
   * called in the server's turn after a pause, unless that is in vain or another order has come.
   */
  couldNotStart(server: string, order: number, failure: FailedStart, again: () => Promise<void>): void {
    if (!this.stands(server, order)) return;
    const { why, isFinal } = failure;
    this.failures.set(server, { starts: (this.failures.get(server)?.starts ?? 0) + 1, why, isFinal });
    if (isFinal) this.logger.error({ server, why }, 'the shard-node cannot start');
    else this.startAgain(server, order, why, again);
  }

  /** As `NodeLauncher.failureOf`. */
  failureOf(server: string): string | null {
    const failure = this.failures.get(server);
    return failure !== undefined && (failure.isFinal || failure.starts >= HOPELESS_STARTS) ? failure.why : null;
  }

  /** Nothing is started again any more. */
  close(): void {
    this.isClosed = true;
    for (const retry of this.retries) clearTimeout(retry);
    this.retries.clear();
  }

  /** Until it stays, or something else is ordered: whoever waits for the node would not hear of its end. */
  private startAgain(server: string, order: number, why: string, again: () => Promise<void>): void {
    if (!this.stands(server, order)) return;
    this.logger.warn({ server, why }, 'the shard-node could not start: retrying');
    const attempt = async (): Promise<void> => {
      if (this.stands(server, order)) await again();
    };
    const retry = setTimeout(() => {
      this.retries.delete(retry);
      this.inTurn(server, attempt).catch((error: unknown) => {
        this.startAgain(server, order, String(error), again);
      });
    }, this.retryPauseMs).unref();
    this.retries.add(retry);
  }
}
