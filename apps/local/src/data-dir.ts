/** The folder that holds everything a cluster keeps, and who may use it. */
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { makeFolder } from '#common/process/folders';
import { askLauncher, type LauncherInfo } from './control';
import { EXIT, Refusal } from './refusal';

/** Unix socket paths are limited to 104 bytes on macOS and 108 on Linux, the final NUL included. */
const SOCKET_PATH_LIMIT_BYTES = 100;
/** Says that the folder is ours: `make clean` removes no folder without it. */
const MARKER = 'shardline-data';
const LOCK = 'launcher.json';
/** Claims a folder that a launcher left without clearing up (it was killed); at most a few may try at once. */
const CLAIM_ATTEMPTS = 3;
/** Between claiming the folder and listening on its control socket. */
const STARTING_MS = 5_000;

interface Lock {
  pid: number;
  socketDir: string;
}

/** Where things lie in a data directory. */
export class DataDir {
  constructor(
    /** Absolute. */
    readonly path: string,
    /** As the person wrote it. */
    readonly shown: string,
  ) {}

  get natsDir(): string {
    return join(this.path, 'nats');
  }
  get logDir(): string {
    return join(this.path, 'logs');
  }
  /** One folder per shard-node; the balancer's process launcher names them. */
  get serversDir(): string {
    return join(this.path, 'servers');
  }
  logFile(name: string): string {
    return join(this.logDir, `${name}.log`);
  }

  /** The launcher that uses the folder now; undefined when none does. */
  async launcher(): Promise<(LauncherInfo & { controlSocket: string }) | undefined> {
    const lock = this.readLock();
    if (lock === undefined) return undefined;
    const controlSocket = controlSocketIn(lock.socketDir);
    const info = await askLauncher(controlSocket);
    return info === undefined ? undefined : { ...info, controlSocket };
  }

  /**
   * Makes the folder ours for as long as this process lives.
   *
   * @throws Refusal when another launcher uses it, when it holds something else, or when it cannot be written
   */
  async claim(): Promise<ClaimedDataDir> {
    this.prepare();
    for (let attempt = 1; attempt <= CLAIM_ATTEMPTS; attempt++) {
      const socketDir = socketDirFor(this.path);
      try {
        writeFileSync(join(this.path, LOCK), `${JSON.stringify({ pid: process.pid, socketDir })}\n`, { flag: 'wx' });
        return new ClaimedDataDir(this.path, this.shown, socketDir, attempt > 1);
      } catch (error) {
        removeSocketDir(socketDir, this.path);
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw cannotWrite(this.shown, error);
      }
      const running = await this.launcher();
      if (running !== undefined) {
        const where = `http://127.0.0.1:${running.port}, launcher ${running.pid}`;
        throw new Refusal(
          `a cluster runs on ${this.shown} already (${where}); stop it with "make stop", or choose another --data-dir`,
          EXIT.unavailable,
        );
      }
      if (this.isBeingClaimed()) break;
      this.dropStaleLock();
    }
    throw new Refusal(`another launcher is starting on ${this.shown}`, EXIT.unavailable);
  }

  /** Makes the folder if it is not there. @throws Refusal when it holds something else, or cannot be written */
  prepare(): void {
    try {
      makeFolder(this.path);
      const marker = join(this.path, MARKER);
      if (!existsSync(marker) && readdirSync(this.path).length > 0) {
        throw new Refusal(
          `${this.shown} holds something else; choose another folder with --data-dir`,
          EXIT.unavailable,
        );
      }
      for (const folder of [this.logDir, this.serversDir]) makeFolder(folder);
      writeFileSync(marker, 'Everything in this folder belongs to a Shardline cluster. "make clean" removes it.\n');
    } catch (error) {
      throw error instanceof Refusal ? error : cannotWrite(this.shown, error);
    }
  }

  private isBeingClaimed(): boolean {
    const lock = this.readLock();
    try {
      const ageMs = Date.now() - statSync(join(this.path, LOCK)).mtimeMs;
      return lock !== undefined && ageMs < STARTING_MS && isAlive(lock.pid);
    } catch {
      return false;
    }
  }

  /** By name change, which only one of several can do. */
  private dropStaleLock(): void {
    const lock = this.readLock();
    const aside = join(this.path, `${LOCK}.${process.pid}`);
    try {
      renameSync(join(this.path, LOCK), aside);
      rmSync(aside);
      if (lock !== undefined) removeSocketDir(lock.socketDir, this.path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw cannotWrite(this.shown, error);
    }
  }

  protected readLock(): Lock | undefined {
    try {
      const lock = JSON.parse(readFileSync(join(this.path, LOCK), 'utf8')) as Partial<Lock> | null;
      if (typeof lock?.pid !== 'number' || typeof lock.socketDir !== 'string') return undefined;
      return { pid: lock.pid, socketDir: lock.socketDir };
    } catch {
      return undefined; // not there, or torn by a power cut
    }
  }
}

/** A data directory that this process alone uses. */
export class ClaimedDataDir extends DataDir {
  constructor(
    path: string,
    shown: string,
    private readonly socketDir: string,
    /** The launcher before us was killed; what it had started may still be ending. */
    readonly wasAbandoned: boolean,
  ) {
    super(path, shown);
  }

  get lifelineSocket(): string {
    return join(this.socketDir, 'lifeline');
  }
  get controlSocket(): string {
    return controlSocketIn(this.socketDir);
  }

  /** Gives the folder free; its data stays. */
  release(): void {
    for (const socket of [this.lifelineSocket, this.controlSocket]) rmSync(socket, { force: true });
    removeSocketDir(this.socketDir, this.path);
    if (this.readLock()?.pid === process.pid) rmSync(join(this.path, LOCK), { force: true });
  }
}

function controlSocketIn(socketDir: string): string {
  return join(socketDir, 'control');
}

/** The data directory itself, or a short temporary folder when its path is too long for a socket. */
function socketDirFor(path: string): string {
  const fits = (folder: string): boolean => Buffer.byteLength(join(folder, 'lifeline')) <= SOCKET_PATH_LIMIT_BYTES;
  if (fits(path)) return path;
  const temporary = fits(join(tmpdir(), 'shardline-XXXXXX')) ? tmpdir() : '/tmp';
  return mkdtempSync(join(temporary, 'shardline-'));
}

/** Only a folder that `socketDirFor` made. */
function removeSocketDir(socketDir: string, dataDir: string): void {
  if (socketDir === dataDir || !/^shardline-\w{6}$/.test(socketDir.slice(dirname(socketDir).length + 1))) return;
  rmSync(socketDir, { recursive: true, force: true });
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function cannotWrite(shown: string, error: unknown): Refusal {
  return new Refusal(`cannot write ${shown}: ${(error as Error).message}`, EXIT.unavailable);
}
