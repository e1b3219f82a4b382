/** What servers reported to a new leader when they were fenced, and whether a later record of a shard can still be missed. */
import type { FenceReply, NodeShardState } from '#common/contracts/node';
import { answersNeeded } from '#common/protocol/in-sync-set';
import type { ShardRecord } from './shard';

/** The report of one server. */
interface Report {
  configId: number;
  shards: ReadonlyMap<string, NodeShardState>;
}

export class ServerReports {
  private readonly reports = new Map<string, Report>();

  add(server: string, { configId, shards }: Pick<FenceReply, 'configId' | 'shards'>): void {
    this.reports.set(server, { configId, shards: new Map(shards.map((state) => [state.shard, state])) });
  }

  has(server: string): boolean {
    return this.reports.has(server);
  }

  /** How many servers have reported. */
  get size(): number {
    return this.reports.size;
  }

  /** Undefined when it did not report the shard: its disk was lost, or it is no replica any more. */
  stateOf({ shard, configId }: Pick<ShardRecord, 'shard' | 'configId'>, server: string): NodeShardState | undefined {
    const report = this.reports.get(server);
    return report?.configId === configId ? report.shards.get(shard) : undefined;
  }

  /**
   * Whether no server can know a later record of the shard than this one, which is the newest that was reported. Each later one was stored
   * by members that all know it. So many of this record's copies have reported the shard that one of them would be among those; whoever
   * has lost its disk, or was removed and added again, knows nothing and stands for nobody. Or nobody at all is left to be heard.
   *
   * @param servers all of the cluster
   */
  isNewest(record: ShardRecord, servers: Iterable<string>): boolean {
    const copies = record.replicas.filter((server) => !record.joining.includes(server));
    const reporting = copies.filter((server) => this.stateOf(record, server) !== undefined);
    if (reporting.length >= answersNeeded(copies.length)) return true;
    return [...servers].every((server) => this.reports.has(server));
  }
}
