/**
 * Spreads the cluster's record, and how far the catalog is known, to every server: should the catalog be lost, any of them has it. A
 * server that has an older record, or is in an older configuration, gets it when its heartbeat shows that.
 */
import type { BucketMark, ClusterStamp, PingReply } from '#common/contracts/node';
import { compareClusters } from '#common/protocol/bucket-history';
import type { Catalog } from './catalog';
import type { Cluster } from './cluster';
import type { StepContext } from '../kernel/step-context';
import type { CoreSettings } from '../detection/core-settings';
import { all, running, wait, type Workflow } from '../kernel/workflow';

/** After so many lengths of the lease servers get a newer revision, though nothing but the lease has changed. */
const LEASES_PER_MARK = 2;

export class ClusterNews {
  /** Servers to which the record is on its way. */
  private readonly announcing = new Set<string>();
  private marked = { revision: 0, change: 0, ms: -Infinity };

  constructor(
    private readonly context: StepContext,
    private readonly cluster: Cluster,
    private readonly catalog: Pick<Catalog, 'highest' | 'newestChange'>,
    private readonly settings: Pick<CoreSettings, 'instance' | 'leaseMs'>,
  ) {}

  /** From now on servers hear how far the catalog is known: nothing that is found in it is in doubt any more. */
  vouch(): void {
    this.cluster.mark = () => this.mark();
  }

  /**
   * Renewals of the lease count, too, so that whoever has lived for a while knows that the catalog was there then; but not each of them,
   * since it is stored.
   */
  private mark(): BucketMark {
    const { highest, newestChange } = this.catalog;
    const { nowMs } = this.context;
    if (newestChange > this.marked.change || nowMs - this.marked.ms >= LEASES_PER_MARK * this.settings.leaseMs)
      this.marked = { revision: highest, change: newestChange, ms: nowMs };
    return { epoch: this.cluster.epoch, instance: this.settings.instance, revision: this.marked.revision };
  }

  /** Announces it to every server that can be reached. Returns those that have not confirmed it; their heartbeats show that, and they get it again. */
  *announce(): Workflow<string[]> {
    const servers = [...this.cluster.servers.keys()];
    const confirmed = yield* wait(all(servers.map((server) => running(this.announceTo(server)))));
    return servers.filter((_, index) => confirmed[index] !== true);
  }

  /** A heartbeat was answered: whether the server knows what there is to know. */
  isBehind({ configId, cluster }: Pick<PingReply, 'configId' | 'cluster'>): boolean {
    const { record } = this.cluster;
    if (record === null || this.cluster.mark === null) return false;
    return configId < record.configId || cluster === null || compareClusters(cluster, record) < 0;
  }

  /** It knows of a later record than we do. */
  isAhead<T extends ClusterStamp>(cluster: T | null): cluster is T {
    const { record } = this.cluster;
    return record !== null && cluster !== null && compareClusters(cluster, record) > 0;
  }

  *announceTo(server: string): Workflow<boolean> {
    const { record } = this.cluster;
    // Whoever is just leaving gets nothing any more: it may hang.
    const isLeaving = this.cluster.servers.get(server)?.leaving === true;
    if (record === null || this.announcing.has(server) || isLeaving || !this.cluster.isReachable(server)) return false;
    const request = { ...this.cluster.requestUnder(record, []), cluster: record };
    this.announcing.add(server);
    const outcome = yield* wait(this.context.ask('config', { server, request }));
    this.announcing.delete(server);
    return outcome.ok;
  }
}
