/**
 * The shard-node's own Postgres, started again when it ends by itself: what was committed is there, and the node has all of
 * its replicas still. So many failures in a row are too many: then somebody else has to look after it.
 *
 * The data have one owner: who has the lock of their folder, which the operating system holds, also for a process that is suspended.
 * Where another folder has been put in the place of the one that is locked, what is there now is somebody else's.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { CannotStartError } from '#common/process/cannot-start';
import { FolderLock } from '#common/process/folder-lock';
import { makeFolder } from '#common/process/folders';
import { doublingPause, pollUntil } from '#common/waiting/retry';
import {
  EmbeddedPostgres,
  type EmbeddedPostgresOptions,
  type PostgresConnection,
  type UnexpectedExit,
} from './embedded-postgres';

/** When Postgres is started again. */
export interface RestartPolicy {
  /** Failures in a row, in living or in starting, that are borne; 0: none is. */
  tries: number;
  /** Before the first try; twice as long before each of the next ones. */
  pauseMs: number;
}

const LONGEST_PAUSE_MS = 5_000;
/** A Postgres that has lived so long has not failed in a row. */
const SETTLED_MS = 30_000;
/** A process that was killed a moment ago has it that long at the most. */
const LOCK_WAIT_MS = 3_000;
const LOCK_POLL_MS = 50;
/** How often it is looked whether clients still find it. */
const LOOK_MS = 1_000;

export class PostgresSupervisor {
  readonly connection: PostgresConnection;
  private looking: NodeJS.Timeout | undefined;
  private failuresInARow = 0;
  private startedAt = performance.now();
  private readonly stopping = new AbortController();
  private restarting: Promise<void> | null = null;
  private readonly givenUp: Promise<string>;
  private giveUp: (why: string) => void = () => undefined;

  private constructor(
    private postgres: EmbeddedPostgres,
    private readonly options: EmbeddedPostgresOptions,
    private readonly policy: RestartPolicy,
    private readonly lock: FolderLock,
  ) {
    this.connection = postgres.connection;
    this.givenUp = new Promise((resolve) => (this.giveUp = resolve));
    this.watch();
  }

  /**
   * Claims the data and starts Postgres on them.
   *
   * @throws CannotStartError when another process has them, or as `EmbeddedPostgres.start`
   */
  static async start(options: EmbeddedPostgresOptions, policy: RestartPolicy): Promise<PostgresSupervisor> {
    makeFolder(options.dataDir);
    const lock = await claim(options.dataDir);
    try {
      return new PostgresSupervisor(await EmbeddedPostgres.start(options), options, policy, lock);
    } catch (error) {
      lock.release();
      throw error;
    }
  }

  /** Calls back once, when Postgres is gone and is not started again: why. */
  onGivenUp(listener: (why: string) => void): void {
    void this.givenUp.then(listener);
  }

  /** Ends Postgres for good. Resolves when it is gone. */
  async stop(): Promise<void> {
    this.stopping.abort();
    await this.restarting;
    clearInterval(this.looking);
    await this.postgres.stop();
    this.lock.release();
  }

  private get isStopping(): boolean {
    return this.stopping.signal.aborted;
  }

  private watch(): void {
    this.startedAt = performance.now();
    const { postgres } = this;
    this.looking = setInterval(() => {
      if (postgres.isFound) return;
      clearInterval(this.looking);
      this.options.logger.warn('the socket of Postgres was removed: restarting Postgres');
      postgres.abandon();
    }, LOOK_MS).unref();
    postgres.onExit((exit) => {
      clearInterval(this.looking);
      if (!this.isStopping) this.restarting = this.restart(exit);
    });
  }

  /**
   * Never rejects. A loop of its own, and not `retryTimes`: failures are counted over several lives of Postgres, not over one call, and a
   * stop may come in a pause.
   */
  private async restart(exit: UnexpectedExit): Promise<void> {
    if (performance.now() - this.startedAt >= SETTLED_MS) this.failuresInARow = 0;
    let why = `it ended with ${String(exit.status)}; ${exit.lastLines.slice(-3).join(' | ')}`;
    while (!this.isStopping) {
      this.failuresInARow += 1;
      if (this.failuresInARow > this.policy.tries) {
        this.giveUp(`Postgres failed ${this.failuresInARow} times in a row: ${why}`);
        return;
      }
      try {
        if (!(await this.pause())) return;
        this.requireOwnFolder();
        this.postgres = await EmbeddedPostgres.start(this.options);
        if (this.postgres.connection.host !== this.connection.host) {
          this.giveUp('its socket cannot be where it was');
          return;
        }
        this.watch();
        return;
      } catch (error) {
        if (error instanceof FolderReplaced) {
          this.giveUp(error.message);
          return;
        }
        why = error instanceof Error ? error.message : String(error);
        this.options.logger.error({ err: error, failuresInARow: this.failuresInARow }, 'Postgres does not restart');
      }
    }
  }

  /** False when nothing is wanted any more. */
  private async pause(): Promise<boolean> {
    const pauseMs = doublingPause(this.policy.pauseMs, LONGEST_PAUSE_MS)(this.failuresInARow);
    this.options.logger.warn({ pauseMs, failuresInARow: this.failuresInARow }, 'restarting Postgres');
    try {
      await delay(pauseMs, undefined, { signal: this.stopping.signal });
      return true;
    } catch {
      return false; // `stop` has cut it short
    }
  }

  /** @throws FolderReplaced */
  private requireOwnFolder(): void {
    const { dataDir } = this.options;
    if (!this.lock.isAt(dataDir)) throw new FolderReplaced(dataDir);
  }
}

/** @throws CannotStartError when another process has the data and keeps them */
async function claim(dataDir: string): Promise<FolderLock> {
  const look = async (): Promise<FolderLock | undefined> => (await FolderLock.acquire(dataDir)) ?? undefined;
  const lock = await pollUntil(look, { deadlineMs: LOCK_WAIT_MS, pauseMs: LOCK_POLL_MS });
  if (lock !== undefined) return lock;
  const what = `another process has the data in ${dataDir} (it holds the lock of that folder)`;
  throw new CannotStartError(`${what}: end it first, also when it is suspended`);
}

/** What lies where the data were is not ours. */
class FolderReplaced extends Error {
  constructor(dataDir: string) {
    super(`${dataDir} was moved, removed or replaced`);
  }
}
