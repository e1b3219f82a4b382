/** Looks at what balancers, replicas and the bucket do, and says so when it must never be. */
import type { History } from '#common/testing/history';
import type { MemoryVersionStore } from '../../../shard-node/src/adapters/memory/memory-version-store';
import type { ShardState } from '../../../shard-node/src/core/replica-state';
import type { AskTypes, Answered } from '../../src/core/effects';
import type { ShardRecord } from '../../src/core/shard';
import type { BalancerWatcher, SimBalancer } from './balancer';
import type { SimCatalog } from './catalog';
import type { Clients } from './clients';
import type { Network } from './servers';
import type { Scheduler } from './scheduler';
import { tokenOf } from './clients';

/** The newest VAT of a shard that some leader has shown, and that leader's epoch. */
interface ShownVat {
  epoch: number;
  vat: number;
}

/** What a replica must never forget while it keeps its disk. */
interface Remembered {
  disk: unknown;
  epoch: number;
  versions: Map<string, number>;
}

export class Watch implements BalancerWatcher {
  /** A shard's newest in-sync set has lost all of its disks: from here on nothing is promised. */
  isVoid = false;
  clients: Clients | null = null;
  private readonly shown = new Map<string, ShownVat>();
  private readonly stepVats = new Map<SimBalancer, Map<string, number>>();
  /** By token: the newest round that carried its row, and the servers that have that round on their disks. */
  private readonly durable = new Map<string, { order: number; servers: Set<string> }>();
  /** `shard/server` pairs whose disk was lost and that have not been copied since. */
  private readonly blank = new Set<string>();
  private readonly remembered = new Map<string, Remembered>();

  constructor(
    private readonly scheduler: Scheduler,
    private readonly network: Network,
    private readonly catalog: SimCatalog,
    private readonly history: History,
  ) {
    catalog.onShard = (next, before) => {
      this.configured(next, before);
    };
  }

  /** VATs never go back, over take-overs neither. */
  stepped(balancer: SimBalancer): void {
    const { cluster } = balancer;
    const vats = this.stepVats.get(balancer) ?? new Map<string, number>();
    this.stepVats.set(balancer, vats);
    for (const shard of cluster.shards.values()) {
      if (!shard.resolved || vats.get(shard.id) === shard.vat) continue;
      vats.set(shard.id, shard.vat);
      const last = this.shown.get(shard.id) ?? { epoch: 0, vat: 0 };
      if (cluster.epoch >= last.epoch) {
        if (shard.vat < last.vat) {
          this.scheduler.violate(
            `the VAT of ${shard.id} went back from ${last.vat} (epoch ${last.epoch}) to ${shard.vat} (epoch ${cluster.epoch})`,
          );
        }
        this.shown.set(shard.id, { epoch: cluster.epoch, vat: shard.vat });
      } else if (shard.vat > last.vat) {
        this.scheduler.violate(
          `the deposed ${balancer.name} committed up to ${shard.vat} on ${shard.id}, where epoch ${last.epoch} is at ${last.vat}`,
        );
      }
    }
  }

  ended(balancer: SimBalancer): void {
    this.clients?.lost(balancer);
  }

  applied(epoch: number, server: string, round: AskTypes['apply']['ask']['round'], rows: readonly string[]): void {
    const order = epoch * 1_000_000 + round.round;
    for (const row of rows) {
      const token = tokenOf(row)!;
      const known = this.durable.get(token);
      if (known === undefined || known.order < order) this.durable.set(token, { order, servers: new Set([server]) });
      else if (known.order === order) known.servers.add(server);
    }
  }

  /** No write is acknowledged before enough replicas have it. */
  answered(balancer: SimBalancer, batch: number, answered: Answered): void {
    const operation = this.clients?.operationOf(batch);
    if (operation !== undefined && 'tokens' in operation && 'added' in answered.result) {
      const needsAll = operation.kind === 'update' || operation.onConflict !== 'ignore';
      operation.tokens.forEach((token, place) => {
        const record = balancer.cluster.shardOf(operation.keys[place]!)!.record;
        const needed = record.replicas.length - Math.floor(record.replicas.length / 2);
        const count = this.durable.get(token)?.servers.size ?? 0;
        if (needsAll && count < needed) {
          this.scheduler.violate(`${token} was acknowledged with ${count} replicas of ${record.shard}, not ${needed}`);
        }
      });
    }
    this.clients?.answered(batch, answered);
  }

  /** A disk may go when for each of its shards another in-sync replica still has its own. */
  mayWipe(server: string): boolean {
    return this.catalog.shards().every(({ shard, inSync }) => {
      return (
        !inSync.includes(server) || inSync.some((other) => other !== server && !this.blank.has(`${shard}/${other}`))
      );
    });
  }

  wiped(server: string): void {
    for (const { shard, replicas } of this.catalog.shards()) {
      if (replicas.includes(server)) this.blank.add(`${shard}/${server}`);
    }
  }

  /** Epochs and configuration versions never go back on a disk. */
  async checkDisks(): Promise<void> {
    for (const { name, disk } of this.network.servers.values()) {
      const state = await disk.load();
      const versions = new Map([...state.shards].map(([id, shard]) => [id, shard.configVersion]));
      const last = this.remembered.get(name);
      if (last?.disk === disk) {
        if (state.epoch < last.epoch) this.scheduler.violate(`${name} went back to epoch ${state.epoch}`);
        for (const [id, version] of last.versions) {
          if ((versions.get(id) ?? 0) < version)
            this.scheduler.violate(`${name} went back on the configuration of ${id}`);
        }
      }
      this.remembered.set(name, { disk, epoch: state.epoch, versions });
    }
  }

  /** In-sync replicas show the same versions at the shard's VAT. */
  async checkAgreement(balancer: SimBalancer): Promise<void> {
    for (const shard of balancer.cluster.shards.values()) {
      if (!shard.resolved || (this.shown.get(shard.id)?.epoch ?? 0) > balancer.cluster.epoch) continue;
      const views = new Map<string, string>();
      const { vat } = shard;
      const members = shard.inSync.filter(
        (server) => shard.replicas.get(server)?.suspended === false && !this.blank.has(`${shard.id}/${server}`),
      );
      for (const server of members) {
        const { disk } = this.network.server(server);
        views.set(server, (await disk.copyPage({ shard: shard.id, from: 0, to: vat }, null, 1_000_000)).text);
      }
      if (new Set(views.values()).size <= 1) continue;
      const told = [...views].map(([server, text]) => `${server}: ${text.replaceAll('\n', ' ')}`).join('\n    ');
      this.scheduler.violate(`in-sync replicas of ${shard.id} differ at VAT ${vat}:\n    ${told}`);
    }
  }

  /** Why the cluster is not well, or null. */
  illnessOf(balancer: SimBalancer | undefined): string | null {
    if (balancer === undefined) return 'nobody leads';
    const { cluster } = balancer;
    for (const shard of cluster.shards.values()) {
      const lacking = shard.record.replicas.filter((server) => shard.stateOf(server) !== 'in-sync');
      if (!shard.resolved) return `${shard.id} is not resolved`;
      if (lacking.length > 0) return `${lacking.join()} not in sync on ${shard.id}`;
      if (!cluster.isWritable(shard)) return `${shard.id} takes no writes`;
    }
    const { open } = this.history;
    return open.length > 0 ? `no answer to ${open.map((entry) => `#${entry.id}`).join(' ')}` : null;
  }

  /** A replica has been brought in sync. None ever diverges: what is on the disks here is what was written. */
  said(kind: string, subject: string): void {
    if (kind === 'shard.diverged') this.scheduler.violate(`${subject} is said to hold something else than the others`);
    if (kind === 'shard.insync') this.refill(subject);
  }

  private configured({ shard, inSync }: ShardRecord, before: ShardRecord | undefined): void {
    for (const server of inSync) if (before?.inSync.includes(server) === false) this.refill(`${shard}/${server}`);
    if (inSync.length > 0 && inSync.every((server) => this.blank.has(`${shard}/${server}`))) this.isVoid = true;
  }

  /** A lost disk has everything again, unless it was lost once more meanwhile. */
  private refill(pair: string): void {
    const [shard = '', server = ''] = pair.split('/');
    const state = shardOn(this.network.server(server).disk, shard);
    const isWhole = state?.catchUp === null && state.currentTerm >= (this.shown.get(shard)?.vat ?? 0);
    if (isWhole) this.blank.delete(pair);
  }
}

/** What the disk holds of the shard at this moment. */
function shardOn(disk: MemoryVersionStore, shard: string): ShardState | undefined {
  return (disk as unknown as { contents: { states: Map<string, ShardState> } }).contents.states.get(shard);
}
