/** A whole cluster for tests: the launcher as it was built, on free ports, in a temporary folder. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { waitUntilGone } from '../process/process-table';
import { freePort } from './free-port';
import { freshBuild } from './fresh-build';
import { killNow, processesWith, type FoundProcess } from './processes';

const START_DEADLINE_MS = 90_000;
const STOP_DEADLINE_MS = 60_000;
const GONE_DEADLINE_MS = 30_000;

export interface LocalClusterOptions {
  /** For every service, beside our own environment. */
  env?: Record<string, string>;
  /** Where the launcher is started; in our own folder without it. */
  cwd?: string | undefined;
  /** Keep the data here instead of in a temporary folder; it is then not removed. */
  dataDir?: string;
  port?: number;
  natsPort?: number;
  /** The body of a `POST /init` to send when the cluster is ready. */
  init?: unknown;
}

export class LocalCluster {
  private constructor(
    private readonly launcher: ChildProcess,
    private readonly ownsDataDir: boolean,
    readonly dataDir: string,
    readonly port: number,
    readonly natsPort: number,
    /** What the launcher has written so far, line by line. */
    readonly output: string[],
  ) {}

  /**
   * Starts one and waits for the line that says that it is ready.
   *
   * @throws with what the launcher said when it is not ready in time; nothing is left behind then
   */
  static async start(options: LocalClusterOptions = {}): Promise<LocalCluster> {
    const dist = await freshBuild();
    const dataDir = options.dataDir ?? join(await mkdtemp(join(tmpdir(), 'shardline-')), 'data');
    const port = options.port ?? (await freePort());
    const natsPort = options.natsPort ?? (await freePort());
    const where = ['--port', String(port), '--nats-port', String(natsPort), '--data-dir', dataDir];
    const launcher = spawn(process.execPath, [join(dist, 'apps/local/main.js'), 'run', ...where], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...options.env },
      cwd: options.cwd,
      detached: true,
    });
    const output: string[] = [];
    const cluster = new LocalCluster(launcher, options.dataDir === undefined, dataDir, port, natsPort, output);
    try {
      await cluster.untilReady();
      if (options.init !== undefined) await cluster.init(options.init);
    } catch (error) {
      await cluster.destroy();
      throw error;
    }
    return cluster;
  }

  get baseUrl(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  get natsUrl(): string {
    return `nats://127.0.0.1:${this.natsPort}`;
  }

  /** The launcher's process. */
  get pid(): number {
    if (this.launcher.pid === undefined) throw new Error('the launcher did not start');
    return this.launcher.pid;
  }

  /**
   * The process of a shard-node (`Server0`), or of `gateway`, `balancer-1`, `balancer-2`, `nats-server`.
   *
   * @throws when it does not run
   */
  pidOf(name: string): number {
    if (name === 'gateway' || name.startsWith('balancer-') || name === 'nats-server') {
      const found = this.processes().find(({ args }) =>
        name === 'nats-server'
          ? args.some((arg) => arg.endsWith('/nats-server')) && !(args[0] ?? '').endsWith('/sh')
          : args.at(-1) === name && (args.at(-2) ?? '').endsWith('/main.js'),
      );
      if (found === undefined) throw new Error(`no process of ${name} runs`);
      return found.pid;
    }
    return Number(readFileSync(join(this.dataDir, 'servers', name, 'node.pid'), 'utf8').trim());
  }

  /** The name of the balancer that leads. @throws when no gateway knows one */
  async leader(): Promise<string> {
    const answer = await fetch(`${this.baseUrl}/status`);
    const { leader } = (await answer.json()) as { leader?: string };
    if (leader === undefined) throw new Error(`GET /status answered ${answer.status} and names no leader`);
    return leader;
  }

  /** Sends SIGKILL to one process. */
  kill(name: string): void {
    process.kill(this.pidOf(name), 'SIGKILL');
  }

  /** Every process of this cluster that lives: the launcher, the services, Postgres and NATS. */
  processes(): FoundProcess[] {
    return processesWith(this.dataDir);
  }

  /** `POST /init`. @throws when it is refused */
  async init(body: unknown): Promise<void> {
    const headers = { 'content-type': 'application/json' };
    const answer = await fetch(`${this.baseUrl}/init`, { method: 'POST', headers, body: JSON.stringify(body) });
    if (!answer.ok) throw new Error(`POST /init answered ${answer.status}: ${await answer.text()}`);
  }

  /** Ends the cluster as Ctrl-C would, waits until all of it is gone, and removes a temporary data directory. Returns the exit status. */
  async stop(): Promise<number | null> {
    const status = await this.end('SIGTERM');
    await this.untilGone();
    await this.removeData();
    return status;
  }

  /** As `stop`, and the data stays: start another cluster with its `dataDir`. */
  async stopAndKeep(): Promise<number | null> {
    const status = await this.end('SIGTERM');
    await this.untilGone();
    return status;
  }

  /** As a power cut: SIGKILL to every process at once. The data stays. */
  async kill9(): Promise<void> {
    killNow(this.processes());
    await this.untilGone();
  }

  /** SIGKILL to the launcher alone. */
  async killLauncher(): Promise<void> {
    await this.end('SIGKILL');
  }

  /** Resolves when no process of the cluster lives. @throws with those that do when that takes too long */
  async untilGone(deadlineMs = GONE_DEADLINE_MS): Promise<void> {
    let left: FoundProcess[] = [];
    const isThere = async (): Promise<boolean> => {
      left = this.processes();
      return left.length > 0;
    };
    if (await waitUntilGone(isThere, deadlineMs)) return;
    throw new Error(`still there: ${left.map(({ args }) => args.join(' ')).join('\n')}`);
  }

  /** Whatever state it is in: nothing is left of it. For `afterAll`. */
  async destroy(): Promise<void> {
    await this.kill9();
    await this.removeData();
  }

  private async untilReady(): Promise<void> {
    const { stdout, stderr } = this.launcher;
    if (stdout === null || stderr === null) throw new Error('the launcher has no output');
    const timer = AbortSignal.timeout(START_DEADLINE_MS);
    await new Promise<void>((resolve, reject) => {
      const fail = (what: string): void => {
        reject(new Error(`${what}:\n${this.output.join('\n')}`));
      };
      for (const stream of [stdout, stderr]) {
        createInterface({ input: stream }).on('line', (line) => {
          this.output.push(line);
          if (line.startsWith('Shardline ')) resolve();
        });
      }
      this.launcher.once('close', (status) => {
        fail(`the launcher ended with ${status ?? 'a signal'}`);
      });
      timer.addEventListener('abort', () => {
        fail(`the launcher was not ready within ${START_DEADLINE_MS} ms`);
      });
    });
  }

  private async end(signal: 'SIGTERM' | 'SIGKILL'): Promise<number | null> {
    if (this.launcher.exitCode !== null || this.launcher.signalCode !== null) return this.launcher.exitCode;
    const exit = once(this.launcher, 'exit', { signal: AbortSignal.timeout(STOP_DEADLINE_MS) });
    this.launcher.kill(signal);
    await exit;
    return this.launcher.exitCode;
  }

  private async removeData(): Promise<void> {
    if (this.ownsDataDir) await rm(join(this.dataDir, '..'), { recursive: true, force: true });
  }
}
