/** I7: VATs, epochs and configuration versions never go back: not on a disk, not in the bucket, not in what leaders show. */
import type { ShardRecord } from '../../../src/core/cluster/shard';
import type { SimBalancer } from '../balancer';
import { diskOf, type Seen } from './seen';
import type { WholeCopies } from './whole-copies';

/** The newest VAT of a shard that some leader has shown, and that leader's epoch. */
export interface ShownVat {
  epoch: number;
  vat: number;
}

interface Disk {
  disk: unknown;
  epoch: number;
  configId: number;
  shards: Map<string, { epoch: number; version: number; committedVat: number; isWhole: boolean }>;
}

export class Progress {
  readonly shown = new Map<string, ShownVat>();
  private readonly stepVats = new Map<string, Map<string, number>>();
  private readonly disks = new Map<string, Disk>();
  private readonly bucket = new Map<string, { epoch: number; configId: number; version: number }>();

  constructor(
    private readonly seen: Seen,
    private readonly copies: WholeCopies,
  ) {}

  /** Another configuration is in force: its shards begin from nothing. */
  reset(): void {
    this.shown.clear();
    this.stepVats.clear();
  }

  /** A leader has handled an event. What it knows of a configuration that is in force no more, clients must not learn. */
  stepped({ name, cluster }: SimBalancer): void {
    if (cluster.configId !== this.seen.configId()) return;
    let vats = this.stepVats.get(name);
    if (vats === undefined) this.stepVats.set(name, (vats = new Map<string, number>()));
    for (const shard of cluster.shards.values()) {
      if (!shard.resolved || vats.get(shard.id) === shard.vat) continue;
      vats.set(shard.id, shard.vat);
      this.shows(name, cluster.epoch, shard.id, shard.vat, shard.record.inSync);
    }
  }

  /** Something was stored in the bucket. With a revision that was used before, a late change may go back: that is the bucket's fault. */
  stored(key: string, value: unknown, isReused: boolean): void {
    const last = this.bucket.get(key) ?? { epoch: 0, configId: 0, version: 0 };
    const { configId = 0, configVersion = 0 } = value as Partial<ShardRecord>;
    // Of a configuration that was replaced, and of a key that was removed with it: it came late, and is nobody's.
    if (key.startsWith('shard.') && configId < this.seen.configId()) return;
    const next =
      key === 'leader'
        ? { epoch: (value as { epoch: number }).epoch, configId: 0, version: 0 }
        : { epoch: 0, configId, version: configVersion };
    if (next.epoch < last.epoch && !isReused)
      this.violate(`the epoch in the bucket went back from ${last.epoch} to ${next.epoch}`);
    const isBack = next.configId === last.configId ? next.version < last.version : next.configId < last.configId;
    if (isBack && !isReused)
      this.violate(
        `the bucket went back on ${key} from ${last.configId}/${last.version} to ${next.configId}/${next.version}`,
      );
    this.bucket.set(key, next);
  }

  /** The bucket was rolled back by a fault: from here on it may begin where it then was. */
  bucketRolledBack(): void {
    this.bucket.clear();
  }

  /** Looks at every disk. */
  check(): void {
    for (const server of this.seen.servers.all) {
      const { epoch, configId, shards } = diskOf(server);
      const now: Disk = { disk: server.disk, epoch, configId, shards: new Map() };
      for (const [id, { configEpoch, configVersion, committedVat, catchUp }] of shards) {
        now.shards.set(id, {
          epoch: configEpoch,
          version: configVersion,
          committedVat: committedVat,
          isWhole: catchUp === null,
        });
      }
      const last = this.disks.get(server.name);
      if (last?.disk === server.disk) this.compare(server.name, last, now);
      this.disks.set(server.name, now);
    }
  }

  private compare(server: string, last: Disk, now: Disk): void {
    if (now.epoch < last.epoch) this.violate(`${server} went back from the epoch ${last.epoch} to ${now.epoch}`);
    if (now.configId < last.configId)
      this.violate(`${server} went back from the configuration ${last.configId} to ${now.configId}`);
    if (now.configId !== last.configId) return;
    for (const [id, before] of last.shards) {
      const after = now.shards.get(id);
      if (after === undefined) continue;
      if (after.epoch < before.epoch || (after.epoch === before.epoch && after.version < before.version)) {
        this.violate(`${server} went back on the configuration of ${id}`);
      }
      // A copy of everything begins from nothing; until it is whole it does not count.
      if (
        before.isWhole &&
        after.isWhole &&
        after.committedVat < before.committedVat &&
        !this.isFullyRecopied(id, server)
      ) {
        this.violate(`${server} went back from VAT ${before.committedVat} to ${after.committedVat} on ${id}`);
      }
    }
  }

  private isFullyRecopied(shard: string, server: string): boolean {
    return this.seen.isBlank(shard, server);
  }

  private shows(balancer: string, epoch: number, shard: string, vat: number, members: readonly string[]): void {
    const last = this.shown.get(shard) ?? { epoch: 0, vat: 0 };
    if (epoch < last.epoch) {
      if (vat > last.vat) {
        this.violate(
          `the deposed ${balancer} committed up to ${vat} on ${shard}, where epoch ${last.epoch} is at ${last.vat}`,
        );
      }
      return;
    }
    if (vat < last.vat) {
      this.violate(`the VAT of ${shard} went back from ${last.vat} (epoch ${last.epoch}) to ${vat} (epoch ${epoch})`);
    }
    this.shown.set(shard, { epoch, vat });
    this.copies.shown(shard, vat, members);
  }

  private violate(what: string): void {
    this.seen.scheduler.violate(`I7: ${what}`);
  }
}
