/** What stands in each replica's own Postgres, read past all of Shardline and compared with what clients are shown. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { Client } from 'pg';
import { ask, statusOf, type ClusterView } from './gateway-client';
import { CONFIGURATION, shardOf, type Row } from './table';

/** While a change that nobody waits for any more still lands, replicas cannot be compared. */
const TRIES = 10;

/** All rows that clients are shown, in key order, and what is wrong with the replicas, measured by them. */
export interface Comparison {
  rows: Row[];
  faults: string[];
}

/** Compares every in-sync replica at its shard's VAT with what a read of everything shows. @throws when the cluster does not answer */
export async function compareReplicas(baseUrl: string, dataDir: string): Promise<Comparison> {
  for (let attempt = 1; ; attempt += 1) {
    const before = await viewOf(baseUrl);
    const comparison = await compareOnce(baseUrl, dataDir, before);
    const after = await viewOf(baseUrl);
    if (stateOf(before) === stateOf(after)) return comparison;
    if (attempt === TRIES)
      throw new Error(`the shards do not come to rest: ${stateOf(before)}, then ${stateOf(after)}`);
  }
}

async function compareOnce(baseUrl: string, dataDir: string, view: ClusterView): Promise<Comparison> {
  const rows = await allRows(baseUrl);
  const faults: string[] = [];
  for (const { Stud_id: key } of rows)
    if (shardOf(key) === 'none') faults.push(`a row with the key ${key} lies in no shard`);
  for (const { Shard_id: shard, VAT: vat, inSync } of view.shards) {
    const shown = rows.filter(({ Stud_id: key }) => shardOf(key) === shard);
    for (const server of inSync) {
      const difference = differenceOf(shown, await replicaRows(dataDir, server, shard, vat));
      if (difference !== '') faults.push(`${server} differs in ${shard} at VAT ${vat}: ${difference}`);
    }
  }
  return { rows, faults };
}

async function viewOf(baseUrl: string): Promise<ClusterView> {
  const view = await statusOf(baseUrl);
  if (view === undefined) throw new Error('/status does not answer');
  return view;
}

/** Changes whenever a change is committed, or a replica comes or goes. */
function stateOf({ epoch, shards }: ClusterView): string {
  return `epoch ${epoch}, ${shards.map(({ Shard_id: id, VAT: vat, inSync }) => `${id} VAT ${vat} ${inSync.join()}`).join('; ')}`;
}

async function allRows(baseUrl: string): Promise<Row[]> {
  const high = CONFIGURATION.shards.reduce((sum, { Shard_size: size }) => sum + size, 0) - 1;
  const reply = await ask(baseUrl, { method: 'POST', path: '/read', body: { Stud_id: { low: 0, high } } });
  if (typeof reply === 'string' || reply.status !== 200) {
    throw new Error(`the read of everything was answered ${typeof reply === 'string' ? reply : reply.text}`);
  }
  return (JSON.parse(reply.text) as { data: Row[] }).data;
}

/** The rows of a shard that are visible at `vat` on one server. */
async function replicaRows(dataDir: string, server: string, shard: string, vat: number): Promise<Row[]> {
  return withPostgres(dataDir, server, async (postgres) => {
    const { rows } = await postgres.query<Row & { Stud_id: string }>(
      `SELECT "Stud_id", "Stud_name", "Stud_marks" FROM shards."${shard}" WHERE cat <= $1 AND dat > $1 ORDER BY "Stud_id"`,
      [vat],
    );
    return rows.map((row) => ({ ...row, Stud_id: Number(row.Stud_id) }));
  });
}

/** Runs `use` with a connection to the Postgres of one server. */
export async function withPostgres<T>(
  dataDir: string,
  server: string,
  use: (postgres: Client) => Promise<T>,
): Promise<T> {
  const host = join(dataDir, 'servers', server, 'socket');
  const socket = readdirSync(host).find((name) => /^\.s\.PGSQL\.\d+$/.test(name));
  const port = Number(socket?.split('.').pop());
  const postgres = new Client({ host, port, user: 'shardline', database: 'postgres' });
  await postgres.connect();
  try {
    return await use(postgres);
  } finally {
    await postgres.end();
  }
}

/** The first differences as text; empty when there are none. */
function differenceOf(shown: readonly Row[], held: readonly Row[]): string {
  const heldByKey = new Map(held.map((row) => [row.Stud_id, row]));
  const shownByKey = new Map(shown.map((row) => [row.Stud_id, row]));
  const keys = [...new Set([...shownByKey.keys(), ...heldByKey.keys()])];
  const differing = keys
    .filter((key) => JSON.stringify(shownByKey.get(key)) !== JSON.stringify(heldByKey.get(key)))
    .map((key) => `${key} is ${nameOf(shownByKey.get(key))} to clients and ${nameOf(heldByKey.get(key))} there`);
  if (differing.length === 0 && held.length !== shown.length)
    return `${held.length} rows there, ${shown.length} to clients`;
  return differing.slice(0, 5).join(', ') + (differing.length > 5 ? ` and ${differing.length - 5} more` : '');
}

function nameOf(row: Row | undefined): string {
  return row === undefined ? 'not there' : row.Stud_name;
}
