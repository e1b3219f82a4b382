/**
 * Tables of configurations that are over. The transaction that takes them out of force only renames the schema that they stand in, which
 * costs the same for one as for a thousand; they are dropped afterwards, a few at a time, since a transaction holds a lock for each.
 */
import { randomUUID } from 'node:crypto';
import { ASIDE_SCHEMA, PREPARED_SCHEMA, REPLACED_PREFIX, SHARDS_SCHEMA } from '../entities/shard-entity';
import { quoteName } from './shard-statements';

const TABLES_AT_ONCE = 32;

/** Takes what was prepared out of reach. The schema may not be there: then nothing was prepared yet. */
export function discardStatements(): string[] {
  return [`CREATE SCHEMA IF NOT EXISTS ${PREPARED_SCHEMA}`, renamed(PREPARED_SCHEMA)];
}

/** Puts what was prepared in the place of everything that is served or set aside. */
export function activateStatements(): string[] {
  return [
    `CREATE SCHEMA IF NOT EXISTS ${PREPARED_SCHEMA}`,
    `CREATE SCHEMA IF NOT EXISTS ${ASIDE_SCHEMA}`,
    renamed(SHARDS_SCHEMA),
    renamed(ASIDE_SCHEMA),
    `ALTER SCHEMA ${PREPARED_SCHEMA} RENAME TO ${SHARDS_SCHEMA}`,
  ];
}

/** Drops what is out of reach. `query` answers the rows of one statement. */
export async function sweepReplaced(
  query: (text: string, values?: unknown[]) => Promise<{ name: string }[]>,
): Promise<void> {
  const schemas = await query('SELECT nspname AS name FROM pg_namespace WHERE starts_with(nspname, $1)', [
    REPLACED_PREFIX,
  ]);
  for (const { name } of schemas) {
    for (;;) {
      const listing = 'SELECT tablename AS name FROM pg_tables WHERE schemaname = $1 LIMIT $2';
      const tables = await query(listing, [name, TABLES_AT_ONCE]);
      if (tables.length === 0) break;
      const listed = tables.map((table) => `${quoteName(name)}.${quoteName(table.name)}`).join(', ');
      await query(`DROP TABLE IF EXISTS ${listed}`);
    }
    await query(`DROP SCHEMA IF EXISTS ${quoteName(name)}`);
  }
}

function renamed(schema: string): string {
  return `ALTER SCHEMA ${schema} RENAME TO ${REPLACED_PREFIX}${randomUUID().replaceAll('-', '')}`;
}
