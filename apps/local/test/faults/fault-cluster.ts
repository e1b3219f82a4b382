/** A whole cluster by the project's own launcher, a proxy between its services and NATS, and ways to hurt each of its parts. */
import { mkdtemp, rm } from 'node:fs/promises';
import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { freePort } from '#common/testing/free-port';
import { waitUntilGone } from '#common/process/process-table';
import { LocalCluster } from '#common/testing/local-cluster';
import { pollUntil } from '#common/waiting/retry';
import type { Chance } from './chance';
import { ask, isReady, statusOf, type ClusterView } from './gateway-client';
import { NatsProxy } from './nats-proxy';
import { SmallDisk } from './small-disk';
import { CONFIGURATION, REPLICAS } from './table';

/** A flatline within 1.2 s, so that faults that must outlast it are short. Everything else is as it comes. */
const SETTINGS = { HEARTBEAT_INTERVAL_MS: '300', HEARTBEAT_MISSES: '4' } as const;
export const FLATLINE_MS = 1_200;
const POLL_MS = 100;

export interface FaultClusterOptions {
  chance: Chance;
  /** The server whose disk can be full, if any. */
  smallDiskOf?: string;
}

export class FaultCluster {
  private constructor(
    /** Holds everything of the run. */
    readonly folder: string,
    private cluster: LocalCluster,
    readonly proxy: NatsProxy,
    /** Undefined where this user may not mount one. */
    readonly smallDisk: SmallDisk | undefined,
  ) {}

  /** Starts and configures one. @throws when it does not come up; nothing is left behind then */
  static async start({ chance, smallDiskOf }: FaultClusterOptions): Promise<FaultCluster> {
    const folder = await mkdtemp(join(tmpdir(), 'shardline-faults-'));
    const natsPort = await freePort();
    const proxy = await NatsProxy.open(natsPort, chance);
    const dataDir = join(folder, 'data');
    const place = { dataDir, natsPort, port: await freePort() };
    const cluster = await LocalCluster.start({ ...place, env: { ...SETTINGS, SERVICES_NATS_URL: proxy.url } });
    const disk = smallDiskOf === undefined ? undefined : SmallDisk.mount(join(dataDir, 'servers', smallDiskOf));
    const started = new FaultCluster(folder, cluster, proxy, disk);
    try {
      await cluster.init(CONFIGURATION);
    } catch (error) {
      await started.destroy();
      throw error;
    }
    return started;
  }

  get baseUrl(): string {
    return this.cluster.baseUrl;
  }

  get natsUrl(): string {
    return this.cluster.natsUrl;
  }

  get dataDir(): string {
    return this.cluster.dataDir;
  }

  /** The process of a shard-node, `gateway` or `nats-server`. @throws when it does not run */
  pidOf(name: string): number {
    return this.cluster.pidOf(name);
  }

  /** The process of a server's Postgres; 0 while it is being started. */
  postgresOf(server: string): number {
    try {
      const file = join(this.dataDir, 'servers', server, 'postgres', 'postmaster.pid');
      return Number(readFileSync(file, 'utf8').split('\n')[0]);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 0;
      throw error;
    }
  }

  /** The balancer that leads, by what it calls itself on the wire and by its process. @throws when nobody does within the time */
  async leader(withinMs = 30_000): Promise<{ name: string; pid: number; epoch: number }> {
    const { leader, epoch } = await this.until((view) => view.leader !== '', withinMs, 'nobody leads');
    const balancers = this.cluster
      .processes()
      .filter(({ args }) => args.some((arg) => arg.endsWith('/balancer/main.js')));
    const found = balancers.find(
      ({ pid }) => leader.endsWith(`-${pid}`) || environmentOf(pid).includes(`BALANCER_ID=${leader}\0`),
    );
    if (found === undefined) throw new Error(`no process of the leader ${leader} was found`);
    return { name: leader, pid: found.pid, epoch };
  }

  /** Resolves when `pidNow` names another process than `pid`. @throws when that takes too long */
  async untilReplaced(pidNow: () => number, pid: number, withinMs = 30_000): Promise<void> {
    const isOld = async (): Promise<boolean> => [pid, 0].includes(pidNow());
    if (!(await waitUntilGone(isOld, withinMs)))
      throw new Error(`nobody replaced process ${pid} within ${withinMs} ms`);
  }

  /** Resolves when somebody leads in a later epoch. */
  async newLeader(afterEpoch: number, withinMs = 60_000): Promise<void> {
    await this.until((view) => view.epoch > afterEpoch, withinMs, `no leader after epoch ${afterEpoch}`);
  }

  /** Resolves when every replica of every shard is in sync and every shard can be written. @throws with what is missing */
  async untilWhole(withinMs: number): Promise<ClusterView> {
    const endMs = performance.now() + withinMs;
    let view = await this.until(isWhole, withinMs, 'not whole');
    while (!(await isReady(this.baseUrl)) || !isWhole(view)) {
      if (performance.now() > endMs) throw new Error(`not ready within ${withinMs} ms though whole: ${describe(view)}`);
      await delay(POLL_MS);
      view = await this.until(isWhole, Math.max(1, endMs - performance.now()), 'not whole');
    }
    return view;
  }

  /** `/status` once it is as wanted. @throws with what it was at last, when that takes too long */
  async until(isWanted: (view: ClusterView) => boolean, withinMs: number, complaint: string): Promise<ClusterView> {
    let last: ClusterView | undefined;
    const look = async (): Promise<ClusterView | undefined> => {
      last = (await statusOf(this.baseUrl)) ?? last;
      return last !== undefined && isWanted(last) ? last : undefined;
    };
    const seen = await pollUntil(look, { deadlineMs: withinMs, pauseMs: POLL_MS });
    if (seen !== undefined) return seen;
    throw new Error(
      `${complaint} after ${Math.round(withinMs)} ms: ${last === undefined ? 'no /status' : describe(last)}`,
    );
  }

  /** Whether changes that come again under their Idempotency-Key are known: such a gateway names the operation in its answer. */
  async knowsOperations(): Promise<boolean> {
    const data = { Stud_id: 4095, Stud_name: 'probe', Stud_marks: '' };
    const reply = await ask(this.baseUrl, {
      method: 'POST',
      path: '/write?onConflict=replace',
      body: { data: [data] },
    });
    return typeof reply === 'object' && reply.headers.has('operation-id');
  }

  /**
   * As a power cut: SIGKILL to everything at once, and a new start on the same data.
   *
   * @param meanwhile what becomes of the folder of NATS in between
   */
  async cutPowerAndStartAgain(meanwhile?: (natsDir: string) => Promise<void>): Promise<void> {
    const { dataDir, natsPort, port } = this.cluster;
    await this.cluster.kill9();
    await meanwhile?.(join(dataDir, 'nats'));
    const env = { ...SETTINGS, SERVICES_NATS_URL: this.proxy.url };
    this.cluster = await LocalCluster.start({ dataDir, natsPort, port, env });
  }

  /** Ends everything and removes its data. */
  async destroy(): Promise<void> {
    await this.end();
    await rm(this.folder, { recursive: true, force: true });
  }

  /** Ends everything; data and logs stay, those on a disk of memory excepted. */
  async end(): Promise<void> {
    await this.cluster.kill9();
    await this.proxy.close();
    await this.smallDisk?.unmount();
  }
}

function isWhole({ servers, shards }: ClusterView): boolean {
  return (
    Object.keys(servers).length === CONFIGURATION.N &&
    shards.length === CONFIGURATION.shards.length &&
    shards.every(
      ({ inSync, replicas }) => inSync.length === REPLICAS && replicas.every(({ state }) => state === 'in-sync'),
    )
  );
}

function describe({ leader, epoch, shards }: ClusterView): string {
  const described = shards.map(
    (shard) => `${shard.Shard_id} ${shard.replicas.map(({ server, state }) => `${server} ${state}`).join(', ')}`,
  );
  return `${leader} leads in epoch ${epoch}; ${described.join('; ')}`;
}

/** Where there is no /proc a balancer is known by its process id in its name only. */
function environmentOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'latin1');
  } catch {
    return '';
  }
}
