/** Every process of a cluster on this machine: what is started with what, and in which order it ends. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { LIFELINE_FD, Lifelines } from '#common/process/lifeline';
import { natsServerAnswers, spawnNatsServer } from '#common/nats/nats-server';
import { markedNode } from '#common/process/node-mark';
import { processesRunning, signalProcess } from '#common/process/process-table';
import type { ClaimedDataDir } from './data-dir';
import type { Remark } from './log-tail';
import { EXIT, Refusal } from '../refusal';
import { environmentOf, NATS_HOST } from './service-settings';
import { Supervised, type Watcher } from './supervised';
import type { Terminal } from '../terminal';

const BALANCERS = ['balancer-1', 'balancer-2'];
const NATS_DEADLINE_MS = 30_000;
/** A service gives itself 10 s; past that it hangs. */
const STOP_DEADLINE_MS = 12_000;
const KILLED_DEADLINE_MS = 5_000;
/** The folder that holds the built apps. */
const APPS = join(__dirname, '..', '..', '..');

export interface ClusterPlan {
  dataDir: ClaimedDataDir;
  port: number;
  natsPort: number;
  natsServer: string;
  terminal: Terminal;
  env: NodeJS.ProcessEnv;
}

export class SupervisedCluster implements Watcher {
  private readonly natsServer: Supervised;
  /** One leads, the others stand by for it. */
  private readonly balancers: readonly Supervised[];
  private readonly gateway: Supervised;
  private readonly lifelines = new Lifelines();
  private stopped: Promise<void> | undefined;
  private readonly stopSignal = new AbortController();
  private refusal: Refusal | undefined;

  constructor(private readonly plan: ClusterPlan) {
    const { dataDir, natsServer, natsPort } = plan;
    this.natsServer = new Supervised(
      {
        name: 'nats-server',
        logFile: dataDir.logFile('nats-server'),
        endsWithItsGroup: true,
        spawn: (log) => spawnNatsServer(natsServer, { host: NATS_HOST, port: natsPort, dir: dataDir.natsDir }, log),
      },
      this,
    );
    this.balancers = BALANCERS.map((name) => this.service('balancer', name));
    this.gateway = this.service('gateway', 'gateway');
  }

  /** Aborted when the cluster is to end: waiting is over then. */
  get ending(): AbortSignal {
    return this.stopSignal.signal;
  }

  /** Why the cluster cannot run, if a service refused its configuration. */
  get whyRefused(): Refusal | undefined {
    return this.refusal;
  }

  /** Starts everything; resolves when NATS answers, not when the services do. @throws Refusal when NATS does not */
  async start(): Promise<void> {
    this.natsServer.start();
    for (const balancer of this.balancers) balancer.start();
    this.gateway.start();
    const place = { host: NATS_HOST, port: this.plan.natsPort };
    if ((await natsServerAnswers(place, NATS_DEADLINE_MS, this.ending)) || this.ending.aborted) return;
    const log = this.plan.dataDir.logFile('nats-server');
    throw new Refusal(`nats-server does not answer on port ${this.plan.natsPort}; see ${log}`);
  }

  /**
   * Stops everything from the outside in: first nobody asks any more, then nobody orders, then the shard-nodes, then the wire. Resolves
   * when all of it is gone.
   */
  stop(): Promise<void> {
    this.stopped ??= this.stopAll();
    return this.stopped;
  }

  /** Ends everything at once; `stop` then resolves soon. */
  killAll(): void {
    this.stopSignal.abort();
    for (const service of [this.gateway, ...this.balancers, this.natsServer]) service.kill();
    this.killShardNodes().catch((error: unknown) => {
      this.warn(`the shard-nodes could not be killed: ${String(error)}`);
    });
  }

  /** The cluster must end: somebody has to do something about it first. */
  refuse(refusal: Refusal): void {
    this.refusal ??= refusal;
    this.stopSignal.abort();
  }

  private async stopAll(): Promise<void> {
    this.stopSignal.abort();
    await this.stopOne(this.gateway);
    await Promise.all(this.balancers.map((balancer) => this.stopOne(balancer)));
    await this.stopShardNodes();
    await this.stopOne(this.natsServer);
  }

  private async stopOne(service: Supervised): Promise<void> {
    if ((await service.stop(STOP_DEADLINE_MS)) === 'killed')
      this.warn(`${service.name} did not stop in time and was killed`);
  }

  /** Whoever was started holds a lifeline from its first moment on, so none is overlooked that has only begun to start. */
  private async stopShardNodes(): Promise<void> {
    this.lifelines.release();
    if (!(await this.lifelines.empty(STOP_DEADLINE_MS))) {
      const killed = await this.killShardNodes();
      this.warn(`${killed.join(', ')} did not stop in time and had to be killed`);
      await this.lifelines.empty(KILLED_DEADLINE_MS);
    }
    this.lifelines.close();
  }

  /** Kills every shard-node that runs on our folder, which is ours alone; returns their names. */
  private async killShardNodes(): Promise<string[]> {
    const nodeOf = (command: string): string | undefined => markedNode(command, this.plan.dataDir.serversDir);
    const running = await processesRunning((command) => nodeOf(command) !== undefined);
    for (const { pid } of running) signalProcess(pid, 'SIGKILL');
    return running.map(({ command }) => nodeOf(command) ?? '');
  }

  private service(app: 'balancer' | 'gateway', name: string): Supervised {
    const { dataDir, natsPort, port, env } = this.plan;
    const settings = environmentOf(app, name, env, { dataDir: dataDir.path, port, natsPort });
    return new Supervised(
      {
        name,
        logFile: dataDir.logFile(name),
        // The balancer's shard-nodes outlive it: the next balancer finds them at work.
        endsWithItsGroup: false,
        spawn: (log) => {
          // The name stands behind for whoever lists processes.
          const child = spawn(process.execPath, ['--enable-source-maps', join(APPS, app, 'main.js'), name], {
            detached: true,
            stdio: ['ignore', log, log, 'pipe'],
            // The folder in which the user stood may be removed, and Node.js starts in none that is not there.
            cwd: dataDir.path,
            env: { ...settings, LIFELINE_FD: String(LIFELINE_FD) },
          });
          this.lifelines.hold(child);
          return child;
        },
      },
      this,
    );
  }

  remarked(name: string, { level, text }: Remark): void {
    const { terminal } = this.plan;
    const mark = level === 'error' ? terminal.paint(name, 'red') : terminal.paint(name, 'yellow');
    terminal.say(`${terminal.paint(clock(), 'dim')} ${mark} ${text}`);
  }

  ended(name: string, how: string, pauseMs: number): void {
    this.warn(`${name} exited unexpectedly (${how}); restarting it in ${pauseMs} ms`);
  }

  refused(name: string, why: string): void {
    this.refuse(new Refusal(`${name}: ${why}`, EXIT.config));
  }

  /** Says something on the terminal that concerns the cluster as a whole. */
  warn(text: string): void {
    this.remarked('launcher', { level: 'warn', text });
  }
}

/** The time of day, as logs have it. */
function clock(): string {
  return new Date().toTimeString().slice(0, 8);
}
