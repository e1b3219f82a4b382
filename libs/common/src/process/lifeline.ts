/**
 * The lifeline between the launcher and every service under it, at any depth.
 *
 * The launcher listens on a Unix socket; each service holds a connection to it and says once who it is. However the
 * launcher ends, SIGKILL included, the kernel closes the connection, and the service stops itself. A process id would do
 * the same less surely: it can be used again by another process.
 *
 * It works the other way round too: a connection closes when its service is gone, so the launcher knows when all are. When
 * the launcher wants them to stop it closes its half only, and sees the other half close.
 */
import { connect, createServer, type Server, type Socket } from 'node:net';
import { rmSync } from 'node:fs';

/** A name longer than this is not one of ours. */
const HELLO_LIMIT_BYTES = 1024;

/** Who holds a lifeline. */
export interface Member {
  name: string;
  pid: number;
}

/** Listens for services. */
export class LifelineServer {
  private readonly sockets = new Map<Socket, Member | undefined>();
  private readonly waiting = new Set<() => void>();

  private constructor(private readonly server: Server) {}

  /** A path that something else left there is taken over. @throws when the path cannot be listened on */
  static async listen(path: string): Promise<LifelineServer> {
    rmSync(path, { force: true });
    const server = createServer({ allowHalfOpen: true });
    const lifeline = new LifelineServer(server);
    server.on('connection', (socket) => {
      lifeline.add(socket);
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(path, resolve);
    });
    return lifeline;
  }

  /** Those that hold on now and have said who they are. */
  members(): Member[] {
    return [...this.sockets.values()].filter((member) => member !== undefined);
  }

  /** Asks all to stop and lets nobody new in. */
  release(): void {
    this.server.close();
    for (const socket of this.sockets.keys()) socket.end();
  }

  /** Resolves to true when nobody holds on any more, to false when `deadlineMs` have passed. */
  async empty(deadlineMs: number): Promise<boolean> {
    if (this.sockets.size === 0) return true;
    return new Promise((resolve) => {
      const end = (answer: boolean): void => {
        clearTimeout(timer);
        this.waiting.delete(check);
        resolve(answer);
      };
      const check = (): void => {
        if (this.sockets.size === 0) end(true);
      };
      const timer = setTimeout(() => {
        end(false);
      }, deadlineMs);
      this.waiting.add(check);
    });
  }

  /** Kills those that still hold on. Who holds on lives, so the process ids are theirs. */
  killRest(): Member[] {
    const rest = this.members();
    for (const { pid } of rest) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // it ended in this moment
      }
    }
    return rest;
  }

  /** Lets everybody go at once. */
  async close(): Promise<void> {
    for (const socket of this.sockets.keys()) socket.destroy();
    if (!this.server.listening) return;
    await new Promise<void>((resolve) => {
      this.server.close(() => {
        resolve();
      });
    });
  }

  private add(socket: Socket): void {
    this.sockets.set(socket, undefined);
    let hello = '';
    socket.setEncoding('utf8');
    socket.on('data', (text: string) => {
      if (this.sockets.get(socket) !== undefined) return;
      hello += text;
      const end = hello.indexOf('\n');
      if (end !== -1) this.sockets.set(socket, memberOf(hello.slice(0, end)));
      else if (hello.length > HELLO_LIMIT_BYTES) socket.destroy();
    });
    socket.on('end', () => socket.end());
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      this.sockets.delete(socket);
      for (const check of this.waiting) check();
    });
  }
}

function memberOf(hello: string): Member | undefined {
  try {
    const said: unknown = JSON.parse(hello);
    if (typeof said !== 'object' || said === null || !('name' in said) || !('pid' in said)) return undefined;
    const { name, pid } = said;
    return typeof name === 'string' && Number.isSafeInteger(pid) && Number(pid) > 1
      ? { name, pid: Number(pid) }
      : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Holds the lifeline at `path` in the name `name`; calls `onCut` once, when the launcher asks to stop, is gone, or cannot be
 * reached. The connection stays open until this process ends, which tells the launcher so. Without a path there is nothing to
 * watch. Returns a function that lets go without calling `onCut`.
 */
export function holdLifeline(path: string | undefined, name: string, onCut: () => void): () => void {
  if (path === undefined) return () => undefined;
  const socket = connect({ path, allowHalfOpen: true });
  let held = true;
  const cut = (): void => {
    if (!held) return;
    held = false;
    onCut();
  };
  socket.on('error', cut);
  socket.on('end', cut);
  socket.on('close', cut);
  socket.resume();
  socket.write(`${JSON.stringify({ name, pid: process.pid })}\n`);
  return () => {
    held = false;
    socket.destroy();
  };
}
