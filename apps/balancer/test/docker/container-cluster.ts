/** A cluster whose shard-nodes are containers: NATS, a balancer and a gateway as processes of this machine. */
import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { natsServerAnswers, spawnNatsServer } from '#common/nats/nats-server';
import { provideNatsServer } from '#common/nats/nats-server-binary';
import { serviceEnvironment } from '#common/process/environment';
import { waitUntilGone } from '#common/process/process-table';
import { freePort } from '#common/testing/free-port';
import { freshBuild } from '#common/testing/fresh-build';
import { docker, engineHost, removeCluster, testedImage } from './engine-under-test';

const START_DEADLINE_MS = 60_000;
const STOP_DEADLINE_MS = 30_000;
/** A new server's files are synced before it answers, which takes its time on a busy disk. */
const SETTINGS = { NODE_START_TIMEOUT_MS: '120000', NODE_ADMIN_TIMEOUT_MS: '30000', ADMIN_TIMEOUT_MS: '180000' };

export class ContainerCluster {
  readonly name = `docker-test-${randomBytes(4).toString('hex')}`;
  private readonly children: ChildProcess[] = [];
  private folder = '';
  private port = 0;
  private nats = '';

  /** Starts one, and waits until it has a leader. @throws with the balancer's log; nothing is left behind then */
  static async start(): Promise<ContainerCluster> {
    const cluster = new ContainerCluster();
    try {
      await cluster.run();
    } catch (error) {
      const log = await readFile(join(cluster.folder, 'balancer.log'), 'utf8').catch(() => '');
      await cluster.destroy();
      throw new Error(`the cluster did not start; the balancer's log: ${log.slice(-2000)}`, { cause: error });
    }
    return cluster;
  }

  get baseUrl(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  get natsUrl(): string {
    return this.nats;
  }

  /** The container that runs now, or ran last, as this server. @throws when there is none */
  async containerOf(server: string): Promise<string> {
    return docker('inspect', '--format', '{{.Id}}', `${this.name}-${server}`);
  }

  /** The volume of that container. */
  async volumeOf(server: string): Promise<string> {
    return docker('inspect', '--format', '{{range .Mounts}}{{.Name}} {{end}}', `${this.name}-${server}`);
  }

  /** Ends all of it and removes what it has made. */
  async destroy(): Promise<void> {
    for (const child of this.children.reverse()) await end(child);
    await removeCluster(this.name);
    if (this.folder !== '') await rm(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }

  private async run(): Promise<void> {
    const dist = await freshBuild();
    this.folder = await mkdtemp(join(tmpdir(), 'shardline-docker-'));
    // Containers reach this machine at their network's gateway, and nobody from outside does.
    await docker('network', 'create', '--label', `io.shardline.cluster=${this.name}`, this.name);
    const host = await docker('network', 'inspect', this.name, '--format', '{{(index .IPAM.Config 0).Gateway}}');
    const place = { host, port: await freePort(), dir: join(this.folder, 'nats') };
    this.children.push(spawnNatsServer(await provideNatsServer(), place));
    if (!(await natsServerAnswers(place, START_DEADLINE_MS))) throw new Error(`NATS does not answer on ${host}`);
    this.nats = `nats://${host}:${place.port}`;
    this.port = await freePort();
    const docked = { LAUNCHER: 'docker', CLUSTER_NAME: this.name, DOCKER_NETWORK: this.name };
    const engine = { DOCKER_HOST: engineHost(), DOCKER_IMAGE: testedImage(), DOCKER_TIMEOUT_MS: '60000' };
    this.service(dist, 'balancer', { ...docked, ...engine });
    this.service(dist, 'gateway', { PORT: String(this.port) });
    if (!(await waitUntilGone(async () => !(await this.isReady()), START_DEADLINE_MS))) throw new Error('no leader');
  }

  private service(dist: string, app: 'balancer' | 'gateway', settings: NodeJS.ProcessEnv): void {
    mkdirSync(this.folder, { recursive: true });
    const log = openSync(join(this.folder, `${app}.log`), 'a');
    const env = serviceEnvironment(app, process.env, { ...SETTINGS, ...settings, NATS_URL: this.nats });
    const main = join(dist, 'apps', app, 'main.js');
    this.children.push(spawn(process.execPath, [main], { env, stdio: ['ignore', log, log] }));
    closeSync(log);
  }

  /** Whether a leader answers, also that there is no configuration yet. */
  private async isReady(): Promise<boolean> {
    const answer = await fetch(`${this.baseUrl}/readyz`).catch(() => undefined);
    return answer?.ok === true;
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_DEADLINE_MS);
  await ended;
  clearTimeout(timer);
}
