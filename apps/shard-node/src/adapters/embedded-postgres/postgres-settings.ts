/** How our Postgres is configured: for six of them on one laptop, and so that what it acknowledged survives a power cut. */

/** The number in the socket's file name. Nothing listens on a port of the network. */
export const SOCKET_PORT = 5432;

/** The only user of the cluster, and its owner. */
export const DATABASE_USER = 'shardline';

/** The database that `initdb` makes. */
export const DATABASE_NAME = 'postgres';

/** Postgres says this on its log when clients may connect. */
export const READY_LINE = 'database system is ready to accept connections';

/** Settings in the order of their sections in the manual. Given on the command line, so they hold for old data too. */
const SETTINGS: Record<string, string> = {
  listen_addresses: '',
  port: String(SOCKET_PORT),
  unix_socket_permissions: '0700',
  superuser_reserved_connections: '1',
  // A write may touch every shard there can be (1,024), each with a table and four indexes, in one transaction: the table of locks has
  // so many places for each connection. It is 5 MiB with 20 of them, and filled only as far as it is used.
  max_locks_per_transaction: '512',

  shared_buffers: '64MB',
  huge_pages: 'off',
  // In the data directory, so that a Postgres that is killed and never started again leaves nothing in /dev/shm.
  dynamic_shared_memory_type: 'mmap',
  work_mem: '8MB',
  maintenance_work_mem: '32MB',
  // Reads go through the page cache; helper processes for reading ahead would be three more per node.
  io_method: 'sync',

  // Nobody runs a query that is worth a second process: no launcher, no workers.
  max_worker_processes: '2',
  max_parallel_workers: '0',
  max_parallel_workers_per_gather: '0',
  max_parallel_maintenance_workers: '0',
  max_logical_replication_workers: '0',

  fsync: 'on',
  synchronous_commit: 'on',
  full_page_writes: 'on',
  // Shardline replicates by itself; Postgres need not write down what a standby would want to know.
  wal_level: 'minimal',
  max_wal_senders: '0',
  max_wal_size: '512MB',
  min_wal_size: '64MB',
  checkpoint_timeout: '15min',

  jit: 'off',
  random_page_cost: '1.1',
  effective_cache_size: '256MB',

  autovacuum_max_workers: '1',
  autovacuum_worker_slots: '1',
  autovacuum_naptime: '60s',
  bgwriter_delay: '500ms',

  log_destination: 'stderr',
  logging_collector: 'off',
  log_line_prefix: '',
  log_error_verbosity: 'terse',
  // A statement's text would carry what clients stored into the log.
  log_min_error_statement: 'panic',
  log_checkpoints: 'off',
  log_timezone: 'UTC',
  timezone: 'UTC',
};

/** On macOS a plain fsync leaves the data in the disk's own cache. */
const PLATFORM_SETTINGS: Record<string, string> =
  process.platform === 'darwin' ? { wal_sync_method: 'fsync_writethrough' } : {};

/** Beside those of the node: for people who look, and for those of a node before that Postgres has not found broken yet. */
const SPARE_CONNECTIONS = 14;

/**
 * Arguments for `postgres`. The data directory stands among them, so that the process can be recognised by them.
 *
 * @param clients connections that the node opens at the most
 */
export function postgresArgs(dataDir: string, socketDir: string, clients: number): string[] {
  const own = { unix_socket_directories: quotePath(socketDir), max_connections: String(clients + SPARE_CONNECTIONS) };
  const all = { ...SETTINGS, ...PLATFORM_SETTINGS, ...own };
  return ['-D', dataDir, ...Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`])];
}

/**
 * Arguments for `initdb`. The built-in C.UTF-8 sorts by code point, as quickly as C, knows the letters of Unicode, and
 * is the same on every platform.
 */
export function initdbArgs(dataDir: string): string[] {
  return [
    `--pgdata=${dataDir}`,
    `--username=${DATABASE_USER}`,
    '--encoding=UTF8',
    '--locale=C',
    '--locale-provider=builtin',
    '--builtin-locale=C.UTF-8',
    // Whoever reaches the socket is let in; its folder lets nobody else in.
    '--auth-local=trust',
    '--auth-host=reject',
  ];
}

/** The setting is a list: a path with a comma or a space must stand in double quotes. */
function quotePath(path: string): string {
  return `"${path.replaceAll('"', '""')}"`;
}
