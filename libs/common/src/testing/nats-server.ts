/** A real nats-server with JetStream for tests: a free port, files in a temporary folder. */
import { execFileSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { natsServerAnswers, spawnNatsServer } from '../nats/nats-server';
import { provideNatsServer } from '../nats/nats-server-binary';
import { freePort } from './free-port';
import { processesWith } from './processes';

const HOST = '127.0.0.1';
const START_DEADLINE_MS = 15_000;
const STOP_DEADLINE_MS = 5_000;

export class TestNatsServer {
  private child: ChildProcess | undefined;
  private constructor(
    private readonly binary: string,
    private readonly dir: string,
    readonly port: number,
  ) {}

  /** Starts one and waits until it answers. */
  static async start(): Promise<TestNatsServer> {
    const binary = await provideNatsServer();
    const dir = await mkdtemp(join(tmpdir(), 'shardline-nats-'));
    const server = new TestNatsServer(binary, dir, await freePort());
    await server.run();
    return server;
  }

  /** What goes into NATS_URL. */
  get url(): string {
    return `nats://${HOST}:${this.port}`;
  }

  /** Ends it gracefully and removes its files. */
  async stop(): Promise<void> {
    await this.end('SIGTERM');
    await rm(this.dir, { recursive: true, force: true });
  }

  /** Ends it as a power cut would; its files stay. */
  async kill(): Promise<void> {
    await this.end('SIGKILL');
  }

  /** Starts it again after `kill`, or kills it first: the same port, the same files. */
  async restart(): Promise<void> {
    await this.kill();
    await this.run();
  }

  /** Ends it gracefully, changes something in the folder of its files, and starts it again. */
  async restartWith(change: (dir: string) => void): Promise<void> {
    await this.end('SIGTERM');
    change(this.dir);
    await this.run();
  }

  /**
   * Lets it stand still (its connections stay open, nothing moves) until `resume`. The signal takes its time: what runs on another core
   * may answer until then. @throws when it goes on running
   */
  pause(): void {
    this.signal('SIGSTOP');
    const endMs = performance.now() + STOP_DEADLINE_MS;
    while (!this.isStopped()) {
      if (performance.now() > endMs) throw new Error(`nats-server runs on ${STOP_DEADLINE_MS} ms after SIGSTOP`);
    }
  }

  resume(): void {
    this.signal('SIGCONT');
  }

  private async run(): Promise<void> {
    this.child = spawnNatsServer(this.binary, { host: HOST, port: this.port, dir: this.dir });
    if (await natsServerAnswers({ host: HOST, port: this.port }, START_DEADLINE_MS)) return;
    await this.kill();
    throw new Error(`nats-server did not answer on port ${this.port} within ${START_DEADLINE_MS} ms`);
  }

  private async end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const child = this.child;
    this.child = undefined;
    if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    // TERM goes to the guard, which passes it on and waits; KILL must reach the server itself too.
    process.kill(signal === 'SIGKILL' ? -child.pid : child.pid, signal);
    await gone;
  }

  private isStopped(): boolean {
    const pids = processesWith(this.dir).map(({ pid }) => pid);
    const states = execFileSync('ps', ['-o', 'stat=', '-p', pids.join()], { encoding: 'utf8' });
    return states
      .trim()
      .split('\n')
      .every((state) => state.startsWith('T'));
  }

  private signal(signal: 'SIGSTOP' | 'SIGCONT'): void {
    if (this.child?.pid !== undefined) process.kill(-this.child.pid, signal);
  }
}
