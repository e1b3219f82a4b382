/**
 * The lifeline between the launcher and every service under it, at any depth.
 *
 * The launcher listens on a Unix socket; each service holds a connection to it. However the launcher ends, SIGKILL
 * included, the kernel closes the connection, and the service stops itself. A process id would do the same less surely: it
 * can be used again by another process.
 */
import { connect, createServer, type Server, type Socket } from 'node:net';
import { rmSync } from 'node:fs';

/** Listens for services. `close` lets them all go. */
export class LifelineServer {
  private readonly sockets = new Set<Socket>();
  private constructor(private readonly server: Server) {}

  /** @throws when the path cannot be listened on */
  static async listen(path: string): Promise<LifelineServer> {
    rmSync(path, { force: true });
    const server = createServer();
    const lifeline = new LifelineServer(server);
    server.on('connection', (socket) => {
      lifeline.sockets.add(socket);
      socket.on('close', () => lifeline.sockets.delete(socket));
      socket.on('error', () => socket.destroy());
      socket.resume();
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(path, resolve);
    });
    return lifeline;
  }

  async close(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    await new Promise<void>((resolve) => {
      this.server.close(() => {
        resolve();
      });
    });
  }
}

/**
 * Holds the lifeline at `path`; calls `onCut` once, when it is gone or cannot be had. Without a path there is nothing to
 * watch. Returns a function that lets go without calling `onCut`.
 */
export function holdLifeline(path: string | undefined, onCut: () => void): () => void {
  if (path === undefined) return () => undefined;
  const socket = connect(path);
  let held = true;
  const cut = (): void => {
    if (!held) return;
    held = false;
    onCut();
  };
  socket.on('error', cut);
  socket.on('close', cut);
  socket.resume();
  return () => {
    held = false;
    socket.destroy();
  };
}
