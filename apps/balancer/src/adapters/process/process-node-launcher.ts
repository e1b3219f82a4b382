/**
 * Shard-nodes as processes on this machine.
 *
 *     <dataDir>/servers/<name>/           the node's own folder, with its node.pid
 *     <dataDir>/logs/<name>.log           what it says
 *
 * The balancer may be killed and started again: what runs is found by the pid files, and each is believed only when the
 * process says by its arguments that it is this very node.
 */
import { randomUUID } from 'node:crypto';
import { statSync, type Dirent } from 'node:fs';
import { readdir, rename, rm, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { ShardlineError } from '#common/contracts/errors';
import { IDENTIFIER } from '#common/contracts/schema';
import type { Logger } from '#common/logging/logger';
import { serviceEnvironment } from '#common/process/environment';
import { EXIT } from '#common/process/exit-status';
import { makeFolder } from '#common/process/folders';
import { lastWordIn } from '#common/process/last-word';
import { isCode, signalProcess, waitUntilGone } from '#common/process/process-table';
import type { NodeLauncher } from '../../ports/node-launcher';
import { ServerOrders, STARTING_MS } from '../launching/server-orders';
import { isNode, runningPid, spawnNode, type NodePlace } from './node-command';

const DEFAULT_MAIN = resolve(__dirname, '../../../../shard-node/main.js');
const DEFAULT_STOP_TIMEOUT_MS = 12_000;
const KILL_TIMEOUT_MS = 5_000;
const LOG_LIMIT_BYTES = 32 * 1024 * 1024;
/** No server's name begins with a dot. */
const REMOVED_PREFIX = '.removed-';

export interface ProcessNodeLauncherOptions {
  /** The cluster's folder. */
  dataDir: string;
  /** NATS_URL of the nodes. */
  natsUrl: string;
  logger: Logger;
  /** The program of the shard-node; by default the one that was built with us. */
  mainPath?: string;
  /** Our end of the lifeline of whoever started us, for the nodes. */
  lifelineFd?: number | undefined;
  /** Variables for the nodes, beside those of our environment that are for them (`serviceEnvironment`). */
  env?: NodeJS.ProcessEnv;
  /** How long a node may take to stop by itself before it is killed. */
  stopTimeoutMs?: number;
  /** Before a node that could not start is started again. */
  retryPauseMs?: number;
}

export class ProcessNodeLauncher implements NodeLauncher {
  private readonly dataDir: string;
  private readonly serversDir: string;
  private readonly logger: Logger;
  /** The cluster's folder as it was when the first node was started: device and inode. */
  private folder: string | undefined;
  private readonly stopTimeoutMs: number;
  private readonly orders: ServerOrders;

  constructor(private readonly options: ProcessNodeLauncherOptions) {
    this.dataDir = resolve(options.dataDir);
    this.serversDir = join(this.dataDir, 'servers');
    this.logger = options.logger;
    this.stopTimeoutMs = options.stopTimeoutMs ?? DEFAULT_STOP_TIMEOUT_MS;
    const inWords = (server: string, error: unknown): ShardlineError => this.inWords(server, error);
    this.orders = new ServerOrders(options.logger, inWords, options.retryPauseMs);
  }

  /** @throws ShardlineError STORE_FAILED when the process cannot be started, or the old one cannot be ended */
  start(server: string): Promise<void> {
    const order = this.orders.take(server);
    return this.inTurn(server, async (place) => {
      const old = await runningPid(place);
      if (old !== undefined) await this.kill(place, old);
      await this.spawn(place, order);
    });
  }

  /** @throws ShardlineError STORE_FAILED when the process cannot be ended */
  stop(server: string): Promise<void> {
    this.orders.take(server);
    return this.inTurn(server, (place) => this.end(place));
  }

  /** @throws ShardlineError STORE_FAILED when the process cannot be ended, or its data cannot be removed */
  remove(server: string): Promise<void> {
    this.orders.take(server);
    return this.inTurn(server, async (place) => {
      await this.end(place);
      // Under another name at once: half of its data must never be taken for the data of a later node.
      const removed = join(this.serversDir, `${REMOVED_PREFIX}${randomUUID()}`);
      try {
        await rename(place.dataDir, removed);
      } catch (error) {
        if (!isCode(error, 'ENOENT')) throw error;
      }
      await this.removeLeftovers();
    });
  }

  failureOf(server: string): string | null {
    return this.orders.failureOf(server);
  }

  async list(): Promise<string[]> {
    const names = await this.folders();
    const pids = await Promise.all(names.map((name) => runningPid(this.placeOf(name))));
    return names.filter((_, index) => pids[index] !== undefined);
  }

  known(): Promise<string[]> {
    return this.folders();
  }

  close(): void {
    this.orders.close();
  }

  private async spawn(place: NodePlace, order: number): Promise<void> {
    const { server } = place;
    this.requireSameFolder();
    for (const folder of [place.dataDir, join(this.dataDir, 'logs')]) makeFolder(folder);
    await setAsideLargeLog(place.logFile);
    const command = [process.execPath, this.options.mainPath ?? DEFAULT_MAIN];
    const startedMs = performance.now();
    const logged = await sizeOf(place.logFile);
    const program = { command, env: this.environment(place), lifelineFd: this.options.lifelineFd };
    const pid = await spawnNode(place, program, (status) => {
      // With its launcher gone it ended as it should, and so will we.
      const failed = status !== null && status !== 0 && status !== EXIT.unavailable;
      if (failed && performance.now() - startedMs < STARTING_MS) this.couldNotStart(place, order, status, logged);
    });
    this.logger.info({ server, nodePid: pid }, 'shard-node started');
  }

  /** Nothing is put where another folder lies by now. @throws ShardlineError STORE_FAILED */
  private requireSameFolder(): void {
    if (this.folder === undefined) makeFolder(this.dataDir);
    const found = statSync(this.dataDir, { bigint: true, throwIfNoEntry: false });
    const folder = `${found?.dev}:${found?.ino}`;
    this.folder ??= folder;
    if (folder === this.folder) return;
    throw new ShardlineError('STORE_FAILED', 'the folder of the cluster was moved, removed or replaced');
  }

  private couldNotStart(place: NodePlace, order: number, status: number, logged: number): void {
    const word = lastWordIn(place.logFile, logged);
    const why = word === '' ? `exit status ${status}; see ${place.logFile}` : word;
    this.orders.couldNotStart(place.server, order, { why, isFinal: status === EXIT.config }, async () => {
      if ((await runningPid(place)) === undefined) await this.spawn(place, order);
    });
  }

  private async end(place: NodePlace): Promise<void> {
    const pid = await runningPid(place);
    if (pid === undefined) return;
    signalProcess(pid, 'SIGTERM');
    if (await waitUntilGone(() => isNode(place, pid), this.stopTimeoutMs)) return;
    this.logger.warn({ server: place.server, nodePid: pid }, 'the shard-node did not stop in time: killing it');
    await this.kill(place, pid);
  }

  /** Ends also a process that is paused. */
  private async kill(place: NodePlace, pid: number): Promise<void> {
    signalProcess(pid, 'SIGKILL');
    if (await waitUntilGone(() => isNode(place, pid), KILL_TIMEOUT_MS)) return;
    throw new Error(`process ${pid} of ${place.server} does not end`);
  }

  private inTurn(server: string, work: (place: NodePlace) => Promise<void>): Promise<void> {
    return this.orders.inTurn(server, () => work(this.placeOf(server)));
  }

  /** What the system says names our own files, which mean nothing to clients: they are for the log, and for the terminal. */
  private inWords(server: string, error: unknown): ShardlineError {
    const { code, syscall } = error as NodeJS.ErrnoException;
    if (code === undefined || syscall === undefined) return ShardlineError.from(error, 'STORE_FAILED');
    this.logger.error({ server, err: error }, 'cannot use the files of the shard-node');
    const message = `the files of ${server} cannot be used (${code}); the log of the balancer says which`;
    return new ShardlineError('STORE_FAILED', message, false, { cause: error });
  }

  private placeOf(server: string): NodePlace {
    const dataDir = join(this.serversDir, server);
    return {
      server,
      dataDir,
      pidFile: join(dataDir, 'node.pid'),
      logFile: join(this.dataDir, 'logs', `${server}.log`),
    };
  }

  private environment({ server, dataDir, pidFile }: NodePlace): NodeJS.ProcessEnv {
    const { natsUrl, env = {} } = this.options;
    const own = { SERVER_NAME: server, DATA_DIR: dataDir, PID_FILE: pidFile, NATS_URL: natsUrl };
    return serviceEnvironment('shard-node', process.env, { ...env, ...own });
  }

  /** Somebody may have put a file there that is called like a server. */
  private async folders(): Promise<string[]> {
    const entries = await this.entries();
    return entries.filter((entry) => entry.isDirectory() && IDENTIFIER.test(entry.name)).map(({ name }) => name);
  }

  /** The last of Postgres may still be going away, and our predecessor may have been killed while it removed. */
  private async removeLeftovers(): Promise<void> {
    for (const { name } of await this.entries()) {
      if (!name.startsWith(REMOVED_PREFIX)) continue;
      await rm(join(this.serversDir, name), { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
    }
  }

  private async entries(): Promise<Dirent[]> {
    try {
      return await readdir(this.serversDir, { withFileTypes: true });
    } catch (error) {
      if (isCode(error, 'ENOENT')) return [];
      throw error;
    }
  }
}

/** A node that is started again and again must not fill the disk: one older log is kept beside the current one. */
async function setAsideLargeLog(logFile: string): Promise<void> {
  try {
    if ((await stat(logFile)).size > LOG_LIMIT_BYTES) await rename(logFile, `${logFile}.1`);
  } catch (error) {
    if (!isCode(error, 'ENOENT')) throw error;
  }
}

/** Where what a new process writes begins. */
async function sizeOf(logFile: string): Promise<number> {
  try {
    return (await stat(logFile)).size;
  } catch (error) {
    if (isCode(error, 'ENOENT')) return 0;
    throw error;
  }
}
