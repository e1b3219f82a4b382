/** Answers on the wire in place of a Docker engine, as a test says: also not at all, or half. A real one cannot be made to do that. */
import { once } from 'node:events';
import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** An answer; `hang`: none, ever; `cut`: the connection ends in the middle of one. */
export type Scripted = { status: number; body?: unknown } | 'hang' | 'cut';

const NOTHING: Record<string, Scripted> = {
  'GET /containers/json': { status: 200, body: [] },
  'GET /volumes': { status: 200, body: { Volumes: null } },
};

export class ScriptedEngine {
  /** What was asked, in its order: method and path. */
  readonly asked: string[] = [];
  /** Connections that wait for an answer which never comes. */
  readonly hanging = new Set<Socket>();
  private readonly server: Server;
  private readonly folder = mkdtempSync(join(tmpdir(), 'shardline-engine-'));

  /** `script`: answers by method and path; a list is used up one by one, its last one stays. */
  private constructor(private readonly script: Record<string, Scripted | Scripted[]>) {
    this.server = createServer((request, response) => {
      request.resume();
      const path = (request.url ?? '').split('?')[0] ?? '';
      const what = `${String(request.method)} ${path}`;
      this.asked.push(what);
      this.answer(this.next(what), response);
    });
  }

  static async start(script: Record<string, Scripted | Scripted[]> = {}): Promise<ScriptedEngine> {
    const engine = new ScriptedEngine({ ...NOTHING, ...script });
    engine.server.listen(engine.path);
    await once(engine.server, 'listening');
    return engine;
  }

  get path(): string {
    return join(this.folder, 'engine.sock');
  }

  get host(): string {
    return `unix://${this.path}`;
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    this.server.close();
    await rm(this.folder, { recursive: true });
  }

  private next(what: string): Scripted {
    const scripted = this.script[what] ?? { status: 404, body: { message: `nothing scripted for ${what}` } };
    if (!Array.isArray(scripted)) return scripted;
    return (scripted.length > 1 ? scripted.shift() : scripted[0]) ?? 'hang';
  }

  private answer(scripted: Scripted, response: ServerResponse): void {
    if (scripted === 'hang') {
      const { socket } = response;
      if (socket === null) return;
      this.hanging.add(socket);
      socket.once('close', () => this.hanging.delete(socket));
      return;
    }
    if (scripted === 'cut') {
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': '1000' });
      response.write('[', () => response.socket?.destroy());
      return;
    }
    const { status, body } = scripted;
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(body === undefined ? undefined : JSON.stringify(body));
  }
}
