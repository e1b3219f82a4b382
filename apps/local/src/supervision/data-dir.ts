/**
 * The folder that holds everything a cluster keeps, and who may use it.
 *
 * Whoever holds the lock of the folder uses it. `launcher.json` only says how to reach that launcher, and is believed as far as the
 * launcher that answers says that it uses this very folder. Whatever file somebody removes, the lock is held, and the launcher soon
 * puts back what it is found by.
 */
import { randomUUID } from 'node:crypto';
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { FolderLock } from '#common/process/folder-lock';
import { makeFolder } from '#common/process/folders';
import { askLauncher, type LauncherInfo } from './control';
import { EXIT, Refusal } from '../refusal';

/** Unix socket paths are limited to 104 bytes on macOS and 108 on Linux, the final NUL included. */
const SOCKET_PATH_LIMIT_BYTES = 100;
/** Says that the folder is ours: `make clean` removes no folder without it. */
const MARKER = 'shardline-data';
const MARKER_TEXT = 'Everything in this folder belongs to a Shardline cluster. "make clean" removes it.\n';
const NOTE = 'launcher.json';

/** How the launcher that has the lock can be reached. */
interface Note {
  pid: number;
  socketDir: string;
}

/** Which folder it is: a cluster id that copies share, and where it lies, which they do not. */
export interface FolderIdentity {
  clusterId: string;
  /** Device and inode. */
  place: string;
}

/** A launcher that answers, or one that has the lock and does not: it starts or stops, is suspended, or cannot be reached. */
export type FoundLauncher =
  | ({ answers: true; controlSocket: string } & LauncherInfo)
  /** `pid` undefined: nothing says which process it is. */
  | { answers: false; pid: number | undefined };

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
  async launcher(): Promise<FoundLauncher | undefined> {
    if (!this.isUsed()) return undefined;
    const note = this.readNote();
    if (note === undefined) return { answers: false, pid: undefined };
    const controlSocket = controlSocketIn(note.socketDir);
    const info = await askLauncher(controlSocket);
    if (info === undefined) return { answers: false, pid: note.pid };
    const identity = this.identity();
    // The note came from another folder: a backup, a copy.
    if (info.clusterId !== identity.clusterId || info.place !== identity.place)
      return { answers: false, pid: undefined };
    return { answers: true, ...info, controlSocket };
  }

  /** Whether some launcher has the folder's lock. */
  isUsed(): boolean {
    return FolderLock.isHeld(this.path);
  }

  /**
   * Makes the folder ours for as long as this process lives.
   *
   * @throws Refusal when another launcher uses it, when it holds something else, or when it cannot be written
   */
  async claim(): Promise<ClaimedDataDir> {
    this.prepare();
    const lock = await this.acquire();
    if (lock === null) throw await this.inUse();
    try {
      const wasAbandoned = existsSync(join(this.path, NOTE));
      const before = this.readNote();
      if (before !== undefined) removeSocketDir(before.socketDir, this.path);
      // By whatever links it was reached: whoever looks for its processes finds them by one name.
      const claimed = new ClaimedDataDir(realpathSync(this.path), this.shown, { lock, wasAbandoned });
      claimed.restore();
      return claimed;
    } catch (error) {
      lock.release();
      throw cannotWrite(this.shown, error);
    }
  }

  /** Reads the cluster's id, which is made when the folder is. */
  identity(): FolderIdentity {
    const { dev, ino } = statSync(this.path);
    return { clusterId: this.clusterId() ?? '', place: `${dev}:${ino}` };
  }

  private async acquire(): Promise<FolderLock | null> {
    try {
      return await FolderLock.acquire(this.path);
    } catch (error) {
      throw cannotWrite(this.shown, error);
    }
  }

  private async inUse(): Promise<Refusal> {
    const running = await this.launcher();
    const other = 'choose another --data-dir';
    if (running?.answers === true) {
      const where = `http://127.0.0.1:${running.port}, launcher ${running.pid}`;
      const what = `a cluster runs on ${this.shown} already (${where}); stop it with "make stop", or ${other}`;
      return new Refusal(what, EXIT.unavailable);
    }
    const who = running?.pid === undefined ? 'another launcher' : `another launcher, process ${running.pid},`;
    const why = 'it does not answer: it starts, stops, or is suspended';
    return new Refusal(`${who} uses ${this.shown}, and ${why}; wait, end it, or ${other}`, EXIT.unavailable);
  }

  /** Makes the folder if it is not there. @throws Refusal when it holds something else, or cannot be written */
  prepare(): void {
    try {
      makeFolder(this.path);
      const marker = join(this.path, MARKER);
      if (!existsSync(marker) && readdirSync(this.path).some((name) => !isHalfWritten(name))) {
        throw new Refusal(
          `${this.shown} holds something else; choose another folder with --data-dir`,
          EXIT.unavailable,
        );
      }
      if (!existsSync(marker)) this.write(MARKER, MARKER_TEXT);
      this.makeFolders();
    } catch (error) {
      throw error instanceof Refusal ? error : cannotWrite(this.shown, error);
    }
  }

  protected makeFolders(): void {
    for (const folder of [this.logDir, this.serversDir]) makeFolder(folder);
  }

  /** In one go: a power cut leaves the file before or the file after. */
  protected write(name: string, text: string): void {
    const path = join(this.path, name);
    const written = `${path}.${process.pid}`;
    try {
      writeFileSync(written, text);
      renameSync(written, path);
    } catch (error) {
      rmSync(written, { force: true });
      throw error;
    }
  }

  protected clusterId(): string | undefined {
    return /^cluster ([0-9a-f-]{36})$/m.exec(this.read(MARKER))?.[1];
  }

  protected readNote(): Note | undefined {
    try {
      const note = JSON.parse(this.read(NOTE)) as Partial<Note> | null;
      if (typeof note?.pid !== 'number' || typeof note.socketDir !== 'string') return undefined;
      return { pid: note.pid, socketDir: note.socketDir };
    } catch {
      return undefined; // not there, or damaged
    }
  }

  protected read(name: string): string {
    try {
      return readFileSync(join(this.path, name), 'utf8');
    } catch {
      return '';
    }
  }
}

/** A data directory that this process alone uses. */
export class ClaimedDataDir extends DataDir {
  private readonly id: string;
  private socketDir: string;
  private readonly lock: FolderLock;
  /** The launcher before us was killed; what it had started may still be ending. */
  readonly wasAbandoned: boolean;

  constructor(path: string, shown: string, { lock, wasAbandoned }: { lock: FolderLock; wasAbandoned: boolean }) {
    super(path, shown);
    this.id = super.clusterId() ?? randomUUID();
    this.socketDir = socketDirFor(path);
    this.lock = lock;
    this.wasAbandoned = wasAbandoned;
  }

  get controlSocket(): string {
    return controlSocketIn(this.socketDir);
  }

  /** The folder that is locked lies where it did; else somebody has moved, removed or replaced it. */
  isInPlace(): boolean {
    return this.lock.isAt(this.path);
  }

  /**
   * Puts back what is missing or is not ours of what the folder is known by, and we are found by.
   *
   * @throws when it cannot be written
   */
  restore(): void {
    this.makeFolders();
    if (super.clusterId() !== this.id) this.write(MARKER, `${MARKER_TEXT}cluster ${this.id}\n`);
    if (!existsSync(this.socketDir)) this.socketDir = socketDirFor(this.path);
    const note = `${JSON.stringify({ pid: process.pid, socketDir: this.socketDir })}\n`;
    if (this.read(NOTE) !== note) this.write(NOTE, note);
  }

  /** Gives the folder free; its data stays. */
  release(): void {
    rmSync(this.controlSocket, { force: true });
    removeSocketDir(this.socketDir, this.path);
    // Where another folder has taken its place, the file there is not ours.
    if (this.isInPlace()) rmSync(join(this.path, NOTE), { force: true });
    this.lock.release();
  }

  protected override clusterId(): string {
    return this.id;
  }
}

function controlSocketIn(socketDir: string): string {
  return join(socketDir, 'control');
}

/** The data directory itself, or a short temporary folder when its path is too long for a socket. */
function socketDirFor(path: string): string {
  const fits = (folder: string): boolean => Buffer.byteLength(join(folder, 'control')) <= SOCKET_PATH_LIMIT_BYTES;
  if (fits(path)) return path;
  const temporary = fits(join(tmpdir(), 'shardline-XXXXXX')) ? tmpdir() : '/tmp';
  return mkdtempSync(join(temporary, 'shardline-'));
}

/** A first start that was killed, or found no room, may have left it. */
function isHalfWritten(name: string): boolean {
  return new RegExp(`^${MARKER}\\.\\d+$`).test(name);
}

/** Only a folder that `socketDirFor` made. */
function removeSocketDir(socketDir: string, dataDir: string): void {
  if (socketDir === dataDir || !/^shardline-\w{6}$/.test(socketDir.slice(dirname(socketDir).length + 1))) return;
  rmSync(socketDir, { recursive: true, force: true });
}

function cannotWrite(shown: string, error: unknown): Refusal {
  return new Refusal(`cannot write ${shown}: ${(error as Error).message}`, EXIT.unavailable);
}
