/**
 * What `/init`, `/add` and `/rm` may ask for. Pure checks: each returns what is wrong as a sentence for the client, or null.
 */
import type { AddCommand, InitCommand, RmCommand } from '#common/contracts/commands';
import { firstRepeated, KEY_LIMIT, MAX_SERVERS, MAX_SHARDS, type ShardRange } from '#common/contracts/schema';

/** What is wrong with the shards of a configuration, those that exist counted. */
function validateShards(shards: readonly ShardRange[], existing: readonly ShardRange[] = []): string | null {
  const every = [...existing, ...shards];
  if (every.length > MAX_SHARDS) return `${every.length} shards are more than ${MAX_SHARDS}`;
  const twice = firstRepeated(every.map((range) => range.shard));
  if (twice !== undefined) return `shard ${twice} is defined twice`;
  const outside = shards.find(({ low, size }) => size < 1 || low < -KEY_LIMIT || low > KEY_LIMIT - (size - 1));
  if (outside !== undefined) return `shard ${outside.shard} holds no key, or keys outside ±2^53`;
  const ordered = [...every].sort((a, b) => a.low - b.low);
  for (const [index, range] of ordered.entries()) {
    const next = ordered[index + 1];
    if (next !== undefined && next.low - range.low < range.size)
      return `shards ${range.shard} and ${next.shard} overlap`;
  }
  return null;
}

/** What is wrong with the servers' shard lists. */
function validateServers(
  servers: Readonly<Record<string, readonly string[]>>,
  shards: ReadonlySet<string>,
): string | null {
  const names = Object.keys(servers);
  if (names.length > MAX_SERVERS) return `${names.length} servers are more than ${MAX_SERVERS}`;
  const alike = firstRepeated(names.map((name) => name.toLowerCase()));
  if (alike !== undefined) return `two servers are called ${alike}: names must differ in more than their case`;
  for (const [server, held] of Object.entries(servers)) {
    const unknown = held.find((shard) => !shards.has(shard));
    if (unknown !== undefined) return `server ${server} lists the shard ${unknown}, which is not defined`;
    const twice = firstRepeated(held);
    if (twice !== undefined) return `server ${server} lists the shard ${twice} twice`;
  }
  return null;
}

export function validateInit(command: InitCommand): string | null {
  const { n, shards, servers } = command;
  if (shards.length === 0) return 'at least one shard is needed';
  if (servers === null && n !== null && n < 1) return 'N, the number of servers, must be at least 1';
  if ((n ?? 0) > MAX_SERVERS) return `${n ?? 0} servers are more than ${MAX_SERVERS}`;
  const ids = new Set(shards.map((range) => range.shard));
  const fault = validateShards(shards) ?? validateServers(servers ?? {}, ids);
  if (fault !== null || servers === null) return fault;
  const listed = Object.keys(servers).length;
  if (listed === 0 && (n ?? 0) < 1) return 'at least one server is needed';
  if ((n ?? 0) > listed) return null;
  const placed = new Set(Object.values(servers).flat());
  const homeless = shards.find((range) => !placed.has(range.shard));
  return homeless === undefined ? null : `no server lists the shard ${homeless.shard}`;
}

/** The cluster that a change is asked of. */
export interface Standing {
  servers: ReadonlySet<string>;
  shards: readonly ShardRange[];
}

export function validateAdd(command: AddCommand, standing: Standing): string | null {
  const listed = Object.keys(command.servers);
  if (command.n > listed.length) return 'Number of new servers (n) is greater than newly added instances';
  if (command.n < listed.length) return 'Number of new servers (n) is smaller than newly added instances';
  if (listed.length === 0) return 'at least one new server is needed';
  if (standing.servers.size + listed.length > MAX_SERVERS)
    return `the cluster may have no more than ${MAX_SERVERS} servers`;
  const taken = new Set([...standing.servers].map((name) => name.toLowerCase()));
  const inUse = listed.find((name) => taken.has(name.toLowerCase()));
  if (inUse !== undefined) return `server ${inUse} exists already`;
  const ids = new Set([...standing.shards, ...command.newShards].map((range) => range.shard));
  const fault = validateShards(command.newShards, standing.shards) ?? validateServers(command.servers, ids);
  if (fault !== null) return fault;
  const placed = new Set(Object.values(command.servers).flat());
  const homeless = command.newShards.find((range) => !placed.has(range.shard));
  return homeless === undefined ? null : `no new server lists the new shard ${homeless.shard}`;
}

export function validateRm(command: RmCommand, standing: Standing): string | null {
  if (command.servers.length > command.n) return 'Length of server list is more than removable instances';
  if (command.n < 1) return 'at least one server is to be named or n to be at least 1';
  const unknown = command.servers.find((name) => !standing.servers.has(name));
  if (unknown !== undefined) return `there is no server ${unknown}`;
  const twice = firstRepeated(command.servers);
  if (twice !== undefined) return `server ${twice} is named twice`;
  if (command.n > standing.servers.size) return `there are only ${standing.servers.size} servers`;
  if (command.n === standing.servers.size) return 'the last server cannot be removed: its data would be lost';
  return null;
}

/** What distinguishes one `/init` from another. */
export type InitIdentity = Pick<InitCommand, 'n' | 'schema' | 'shards' | 'servers'>;

/** Whether two `/init`s ask for the same. An N that is no more than the servers listed says nothing. */
export function isSameInit(a: InitIdentity, b: InitIdentity): boolean {
  return canonical(a) === canonical(b);
}

function canonical({ n, schema, shards, servers }: InitIdentity): string {
  const ranges = [...shards].sort((a, b) => a.low - b.low).map(({ shard, low, size }) => [shard, low, size]);
  const lists = Object.entries(servers ?? {}).map(([name, held]) => [name, [...held].sort()] as const);
  const sorted = [...lists].sort(([a], [b]) => (a < b ? -1 : 1));
  const wanted = Math.max(n ?? 0, lists.length);
  return JSON.stringify([schema.columns, schema.dtypes, ranges, sorted, wanted]);
}
