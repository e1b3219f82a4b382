/**
 * Spreads the cluster's record, and how far the catalog is known, to every server: should the catalog be lost, any of them can tell. A
 * server that has an older record, or is in an older configuration, is told when its heartbeat says so.
 */
import type { ClusterStamp, ConfigRequest, PingReply } from '#common/contracts/node';
import { compareClusters } from '#common/protocol/bucket-history';
import type { Cluster } from './cluster';
import type { Desk } from './desk';
import { all, running, wait, type Workflow } from './workflow';

export class ClusterNews {
  /** Servers that are being told. */
  private readonly telling = new Set<string>();

  constructor(
    private readonly desk: Desk,
    private readonly cluster: Cluster,
  ) {}

  /** Tells every server that can be asked. Returns those that have not confirmed it; they are told again with their heartbeats. */
  *tellAll(): Workflow<string[]> {
    const servers = [...this.cluster.servers.keys()];
    const told = yield* wait(all(servers.map((server) => running(this.tell(server)))));
    return servers.filter((_, index) => told[index] !== true);
  }

  /** A heartbeat was answered: whether the server knows what there is to know. */
  isBehind({ configId, cluster }: Pick<PingReply, 'configId' | 'cluster'>): boolean {
    const { record } = this.cluster;
    if (record === null || this.cluster.mark === null) return false;
    return configId < record.configId || cluster === null || compareClusters(cluster, record) < 0;
  }

  /** It knows of a later record than we do. */
  isAhead(cluster: ClusterStamp | null): boolean {
    const { record } = this.cluster;
    return record !== null && cluster !== null && compareClusters(cluster, record) > 0;
  }

  *tell(server: string): Workflow<boolean> {
    if (this.telling.has(server) || !this.cluster.isReachable(server)) return false;
    const request = this.news();
    if (request === null) return false;
    this.telling.add(server);
    const outcome = yield* wait(this.desk.ask('config', { server, request }));
    this.telling.delete(server);
    return outcome.ok;
  }

  private news(): ConfigRequest | null {
    const { record } = this.cluster;
    const request = this.cluster.configRequest([]);
    return record === null || request === null ? null : { ...request, cluster: record };
  }
}
