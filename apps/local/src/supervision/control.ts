/**
 * How one launcher is found and stopped by another: a Unix socket that says who listens and understands `stop`. It is
 * surer than a process id in a file, which may name somebody else by now.
 */
import { rmSync, statSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';

const ANSWER_DEADLINE_MS = 2_000;
const STOP_WORD = 'stop\n';

/** What a launcher says of itself. */
export interface LauncherInfo {
  pid: number;
  port: number;
  natsPort: number;
  /** The cluster has been ready. */
  ready: boolean;
  /** Of which folder it is the launcher: see `FolderIdentity`. */
  clusterId: string;
  place: string;
}

/** Where a launcher listens until its process ends. */
export class ControlSocket {
  private server: Server | undefined;
  private path = '';
  /** Of the socket as we made it. */
  private inode: bigint | undefined;

  /** @param onStop called when somebody asks the launcher to stop */
  constructor(
    private readonly info: () => LauncherInfo,
    private readonly onStop: () => void,
  ) {}

  /**
   * Listens at `path`, unless it does so already: the socket may have been removed, or another one put in its place.
   *
   * @throws when the path cannot be listened on
   */
  async listenAt(path: string): Promise<void> {
    if (path === this.path && inodeOf(path) === this.inode && this.inode !== undefined) return;
    // Those who are connected stay so.
    this.server?.close();
    rmSync(path, { force: true });
    const server = createServer((socket) => {
      this.answer(socket);
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(path, resolve);
    });
    server.unref();
    this.server = server;
    this.path = path;
    this.inode = inodeOf(path);
  }

  private answer(socket: Socket): void {
    socket.on('error', () => socket.destroy());
    socket.on('data', (data) => {
      if (data.toString('latin1').includes(STOP_WORD)) this.onStop();
    });
    socket.write(`${JSON.stringify(this.info())}\n`);
  }
}

function inodeOf(path: string): bigint | undefined {
  return statSync(path, { bigint: true, throwIfNoEntry: false })?.ino;
}

/** Who listens at `path`; undefined when nobody does. */
export async function askLauncher(path: string): Promise<LauncherInfo | undefined> {
  const found = await greet(path);
  found?.socket.destroy();
  return found?.info;
}

/**
 * Asks the launcher at `path` to stop and waits until it is gone. Resolves to false when `deadlineMs` passed before.
 * Nobody there: gone already.
 */
export async function stopLauncher(path: string, deadlineMs: number): Promise<boolean> {
  const found = await greet(path);
  if (found === undefined) return true;
  const { socket } = found;
  return new Promise((resolve) => {
    const timer = setTimeout(() => {
      resolve(false);
      socket.destroy();
    }, deadlineMs);
    socket.once('close', () => {
      clearTimeout(timer);
      resolve(true);
    });
    socket.write(STOP_WORD);
  });
}

function greet(path: string): Promise<{ socket: Socket; info: LauncherInfo } | undefined> {
  return new Promise((resolve) => {
    const socket = connect(path);
    const nobody = (): void => {
      socket.destroy();
      resolve(undefined);
    };
    socket.setTimeout(ANSWER_DEADLINE_MS, nobody);
    socket.on('error', nobody);
    socket.once('close', nobody);
    socket.once('data', (data) => {
      socket.setTimeout(0);
      try {
        resolve({ socket, info: JSON.parse(data.toString('utf8')) as LauncherInfo });
      } catch {
        nobody();
      }
    });
  });
}
