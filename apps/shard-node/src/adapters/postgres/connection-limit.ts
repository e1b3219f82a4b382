/** Whether a Postgres that somebody else runs lets in as many connections as the node opens. */
import { Client } from 'pg';
import { ConfigError } from '#common/config/env';
import { connectionsOf } from '../../config/connections';

const TIMEOUT_MS = 10_000;

/** What the server, the database and the role allow; a negative limit is none. The last two do not hold for superusers. */
const LIMITS = `
  SELECT current_setting('max_connections')::int AS server,
    current_setting('superuser_reserved_connections')::int
      + coalesce(current_setting('reserved_connections', true)::int, 0) AS reserved,
    CASE WHEN rolsuper THEN -1 ELSE datconnlimit END AS database,
    CASE WHEN rolsuper THEN -1 ELSE rolconnlimit END AS role
  FROM pg_database, pg_roles WHERE datname = current_database() AND rolname = current_user`;

interface Limits {
  server: number;
  reserved: number;
  database: number;
  role: number;
}

/**
 * Fewer would be noticed when there is most to do: by heartbeats that find no connection.
 *
 * @throws ConfigError with one line, when too few are let in; whatever `pg` throws when nothing can be asked
 */
export async function requireConnections(url: string, poolSize: number): Promise<void> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: TIMEOUT_MS, query_timeout: TIMEOUT_MS });
  client.on('error', () => undefined); // reported by the query
  await client.connect();
  try {
    const [limits] = (await client.query<Limits>(LIMITS)).rows;
    const needed = connectionsOf(poolSize);
    const fault = limits === undefined ? undefined : tooFew(limits, needed);
    if (fault === undefined) return;
    const what = `POOL_SIZE is ${poolSize}, for which the node opens ${needed} connections, but the Postgres of DATABASE_URL`;
    throw new ConfigError(`wrong configuration: ${what} ${fault}`);
  } finally {
    await client.end();
  }
}

function tooFew({ server, reserved, database, role }: Limits, needed: number): string | undefined {
  const free = server - reserved;
  if (free < needed) return `allows ${free} (max_connections is ${server}, ${reserved} of them reserved)`;
  if (database >= 0 && database < needed) return `allows ${database} to this database`;
  if (role >= 0 && role < needed) return `allows ${role} to this role`;
  return undefined;
}
