/** What checkers look at: the disks themselves, and rules of their own about them. Nothing here uses the code that is checked. */
import type { NodeIdentity, ShardState } from '../../../../shard-node/src/core/replica-state';
import type { ShardRecord } from '../../../src/core/cluster/shard';
import type { SimBalancer } from '../balancer';
import type { Scheduler } from '../scheduler';
import type { Servers, SimServer } from '../servers';

export interface Version {
  key: number;
  cat: number;
  dat: number;
  row: string;
}

/** What a disk holds of a shard. */
export interface DiskShard {
  state: ShardState;
  table: Table;
}

type Table = ReadonlyMap<string, Version>;

/** By table and VAT: the rows that it shows. A table that is stored is never changed, only replaced. */
const shownBy = new WeakMap<Table, Map<number, string>>();

export interface DiskView {
  epoch: number;
  /** Of which configuration of the cluster the shards are. */
  configId: number;
  shards: ReadonlyMap<string, ShardState>;
}

interface Contents {
  identity: Pick<NodeIdentity, 'epoch' | 'configId' | 'prepared'>;
  states: Map<string, ShardState>;
  tables: Map<string, Table>;
}

function contentsOf(server: SimServer): Contents {
  return (server.disk as unknown as { contents: Contents }).contents;
}

export function diskOf(server: SimServer): DiskView {
  const { identity, states } = contentsOf(server);
  return { epoch: identity.epoch, configId: identity.configId, shards: states };
}

/** What a server's disk holds of a shard of this configuration; null: nothing, or there is no such server. */
export function shardOn(server: SimServer | undefined, shard: string, configId: number): DiskShard | null {
  if (server === undefined) return null;
  const { identity, states, tables } = contentsOf(server);
  if (identity.configId !== configId) return null;
  const state = states.get(shard);
  const table = tables.get(shard);
  return state === undefined || table === undefined ? null : { state, table };
}

/** Whether the server's disk has the tables of this configuration, which it has not put in force yet. */
export function isPrepared(server: SimServer | undefined, shard: string, configId: number): boolean {
  const prepared = server === undefined ? null : contentsOf(server).identity.prepared;
  return prepared?.cluster.configId === configId && prepared.shards.some((config) => config.shard === shard);
}

/** The shard's rows at a VAT, in key order: born by then, and not dead by then. */
export function rowsAt(disk: DiskShard | null, vat: number): Version[] {
  if (disk === null) return [];
  return [...disk.table.values()].filter(({ cat, dat }) => !(cat > vat) && dat > vat).sort((a, b) => a.key - b.key);
}

/** The same as a text that is another one for other rows, or for rows of other changes. */
export function shownAt(disk: DiskShard | null, vat: number): string {
  if (disk === null) return '';
  let shown = shownBy.get(disk.table);
  if (shown === undefined) shownBy.set(disk.table, (shown = new Map<number, string>()));
  let text = shown.get(vat);
  if (text === undefined) {
    const rows = rowsAt(disk, vat).map(({ cat, row }) => `${cat}${row}`);
    shown.set(vat, (text = rows.join(' ')));
  }
  return text;
}

/** Half of the copies, rounded up; replicas that were never in sync are no copies yet. */
export function fewestOf({ replicas, joining }: ShardRecord): number {
  const copies = replicas.filter((server) => !joining.includes(server)).length;
  return copies % 2 === 0 ? copies / 2 : (copies + 1) / 2;
}

/** What every checker may look at. */
export interface Seen {
  scheduler: Scheduler;
  servers: Servers;
  balancers: () => readonly SimBalancer[];
  /** Which configuration of the cluster is in force: what a disk holds of another one is nobody's. */
  configId: () => number;
  /** By shard: the configuration that was written last, whatever the bucket says by now. */
  newest: ReadonlyMap<string, ShardRecord>;
  /** Whether a fault has lost the bucket, or rolled it back. */
  isBucketRolledBack: () => boolean;
  /** How often the replica has left the shard's in-sync set; what it holds after it came back it has copied. */
  departures: (shard: string, server: string) => number;
  /** Whether the replica has lost its disk and has not got everything again since. */
  isBlank: (shard: string, server: string) => boolean;
}
