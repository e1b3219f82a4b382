/**
 * The shard-node's own Postgres: made on first use, on a Unix socket, gone when the shard-node is, whatever ended that.
 */
import type { ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { realpath, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from '#common/logging/logger';
import { makeFolder } from '#common/process/folders';
import { spawnGuarded } from '#common/process/guard';
import { retryTimes } from '#common/waiting/retry';
import { findBinaries, PostgresUnavailableError, type PostgresBinaries } from './binaries';
import { ensureCluster } from './create-cluster';
import { endLeftover, killPostmaster } from './leftover';
import { chooseUser, type RunAs } from './run-as';
import { DATABASE_NAME, DATABASE_USER, postgresArgs, READY_LINE, SOCKET_PORT } from './postgres-settings';
import { prepareSocketDir } from './socket-dir';

/** Recovery after a crash replays at most `max_wal_size` of log, a matter of seconds. */
const START_TIMEOUT_MS = 120_000;
const DEFAULT_CLIENTS = 6;
const FAST_STOP_MS = 5_000;
const QUIT_MS = 2_000;
const LOG_TAIL_LINES = 20;
/** Processes of a killed Postgres may hold its shared memory for a moment; a new one refuses to start beside them. */
const BUSY_MEMORY = /shared memory block .* is still in use/;
const BUSY_MEMORY_TRIES = 50;
const BUSY_MEMORY_WAIT_MS = 100;

/** Where clients connect; what `pg` and TypeORM take. `host` is the folder of the socket. */
export interface PostgresConnection {
  host: string;
  port: number;
  user: string;
  database: string;
}

export interface EmbeddedPostgresOptions {
  /** Our own folder; the cluster lives in `postgres` below it. Made if it is missing. */
  dataDir: string;
  logger: Logger;
  /** Connections that are opened at the most; a few more are let in. */
  clients?: number;
  /** How long Postgres may take from its start until it lets clients in. */
  startTimeoutMs?: number;
}

/** How Postgres ended without having been stopped. `lastLines`: the end of its log. */
export interface UnexpectedExit {
  status: number | null;
  lastLines: string[];
}

interface Place {
  clusterDir: string;
  socketDir: string;
  binaries: PostgresBinaries;
  runAs: RunAs;
  clients: number;
}

export class EmbeddedPostgres {
  readonly connection: PostgresConnection;
  private stopping: Promise<void> | undefined;

  private constructor(
    private readonly place: Place,
    private readonly server: RunningServer,
    private readonly logger: Logger,
  ) {
    this.connection = { host: place.socketDir, port: SOCKET_PORT, user: DATABASE_USER, database: DATABASE_NAME };
    this.onExit((exit) => {
      logger.error(exit, 'Postgres exited unexpectedly');
    });
  }

  /**
   * Starts Postgres on the data in `dataDir`, which is made if there is none; resolves when clients may connect.
   *
   * @throws PostgresUnavailableError with one line for people, when it cannot run on this machine, or did not start on the data: then
   * with the end of its log
   */
  static async start(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
    const startedAt = performance.now();
    const { logger, startTimeoutMs = START_TIMEOUT_MS, clients = DEFAULT_CLIENTS } = options;
    const place = { ...(await prepare(options.dataDir, logger)), clients };
    const server = await startServer(place, startTimeoutMs, logger);
    logger.info({ tookMs: Math.round(performance.now() - startedAt), clusterDir: place.clusterDir }, 'Postgres is up');
    return new EmbeddedPostgres(place, server, logger);
  }

  /** Calls back once, when Postgres ends without `stop`, also if that has happened already. */
  onExit(listener: (exit: UnexpectedExit) => void): void {
    void this.server.ended.then((exit) => {
      if (this.stopping === undefined) listener(exit);
    });
  }

  /** Whether clients find it: a cleaner of files may have removed its socket. */
  get isFound(): boolean {
    return existsSync(join(this.place.socketDir, `.s.PGSQL.${SOCKET_PORT}`));
  }

  /** Has it end as if by itself: open transactions are rolled back. `onExit` follows. */
  abandon(): void {
    this.server.signal('SIGINT');
  }

  /** Ends Postgres: open transactions are rolled back, clients are disconnected. Resolves when it is gone. */
  stop(): Promise<void> {
    this.stopping ??= this.end();
    return this.stopping;
  }

  private async end(): Promise<void> {
    this.server.signal('SIGINT');
    if (!(await this.server.endsWithin(FAST_STOP_MS))) {
      this.logger.warn('Postgres did not stop in time: sent SIGQUIT, so it recovers at its next start');
      this.server.signal('SIGQUIT');
      if (!(await this.server.endsWithin(QUIT_MS))) await killPostmaster(this.place.clusterDir, this.logger);
    }
    await rm(this.place.socketDir, { recursive: true, force: true });
  }
}

async function prepare(givenDir: string, logger: Logger): Promise<Omit<Place, 'clients'>> {
  makeFolder(givenDir);
  // A Postgres that runs already is known by the path it was started with, so there must be one spelling.
  const dataDir = await realpath(givenDir);
  const clusterDir = join(dataDir, 'postgres');
  const binaries = await findBinaries();
  const runAs = await chooseUser(binaries.postgres, dataDir);
  await endLeftover(clusterDir, logger);
  await ensureCluster(clusterDir, binaries, runAs, logger);
  return { clusterDir, socketDir: await prepareSocketDir(dataDir, runAs), binaries, runAs };
}

async function startServer(place: Place, timeoutMs: number, logger: Logger): Promise<RunningServer> {
  let lastLines: readonly string[] = [];
  const start = async (): Promise<RunningServer> => {
    const server = new RunningServer(place, logger);
    const why = await server.readyWithin(timeoutMs);
    if (why === undefined) return server;
    lastLines = server.lastLines;
    throw new PostgresUnavailableError(
      `Postgres did not start on ${place.clusterDir}: ${why}; ${lastLines.join(' | ')}`,
    );
  };
  return retryTimes(start, BUSY_MEMORY_TRIES, () =>
    lastLines.some((line) => BUSY_MEMORY.test(line)) ? BUSY_MEMORY_WAIT_MS : null,
  );
}

/** The process, its log, its start and its end. */
class RunningServer {
  readonly lastLines: string[] = [];
  readonly ended: Promise<UnexpectedExit>;
  private readonly ready: Promise<true>;
  private readonly child: ChildProcess;

  constructor(
    place: Place,
    private readonly logger: Logger,
  ) {
    const { program, args, ...as } = place.runAs.invoke(
      place.binaries.postgres,
      postgresArgs(place.clusterDir, place.socketDir, place.clients),
    );
    const child = spawnGuarded(program, args, 'QUIT', {
      ...as,
      cwd: '/',
      stdout: 'pipe',
      detached: true,
    });
    this.child = child;
    this.ended = new Promise((done) => {
      child.once('error', (error) => {
        this.lastLines.push(error.message);
        done({ status: null, lastLines: this.lastLines });
      });
      // Not `exit`: that is the guard's alone, and the processes of Postgres may outlive it for a moment.
      child.once('close', (status) => {
        done({ status, lastLines: this.lastLines });
      });
    });
    this.ready = this.readLog(child);
  }

  /** Undefined when clients may connect; otherwise why not, and Postgres is ended. */
  async readyWithin(timeoutMs: number): Promise<string | undefined> {
    const outcome = await within(timeoutMs, Promise.race([this.ready, this.ended]));
    if (outcome === true) return undefined;
    if (outcome !== undefined) return `it ended with ${String(outcome.status)}`;
    this.child.stdin?.end();
    await this.endsWithin(FAST_STOP_MS);
    return `not ready within ${timeoutMs} ms`;
  }

  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  async endsWithin(timeoutMs: number): Promise<boolean> {
    return (await within(timeoutMs, this.ended)) !== undefined;
  }

  /** Hands Postgres's log on; resolves when it says that it is ready. */
  private readLog(child: ChildProcess): Promise<true> {
    return new Promise((ready) => {
      for (const stream of [child.stdout, child.stderr]) {
        if (stream === null) continue;
        createInterface({ input: stream }).on('line', (line) => {
          this.lastLines.push(line);
          if (this.lastLines.length > LOG_TAIL_LINES) this.lastLines.shift();
          this.handOn(line);
          if (line.includes(READY_LINE)) ready(true);
        });
      }
    });
  }

  private handOn(line: string): void {
    if (/^(WARNING|ERROR|FATAL|PANIC):/.test(line)) this.logger.warn({ postgres: line }, 'Postgres says');
    else this.logger.debug({ postgres: line }, 'Postgres says');
  }
}

/** What the promise resolves to; undefined when that takes longer. */
async function within<T>(timeoutMs: number, promise: Promise<T>): Promise<T | undefined> {
  const overdue = new AbortController();
  try {
    return await Promise.race([promise, delay(timeoutMs, undefined, { signal: overdue.signal })]);
  } finally {
    overdue.abort();
  }
}
