/** The table that the cluster stores, as `/init` gives it. */
import { z } from 'zod';
import { identifier, key, KEY_LIMIT, wholeNumber } from './shapes';

export { IDENTIFIER, isFreeName, KEY_LIMIT } from './shapes';

/** Data types a column may have. */
export const DTYPES = ['Number', 'String', 'Boolean', 'Timestamp', 'JSON'] as const;
export type Dtype = (typeof DTYPES)[number];

/**
 * Columns that every shard table has beside the schema's own: two are ours, the others are Postgres's. A schema may not use
 * their names, in any case.
 */
export const RESERVED_COLUMNS = ['cat', 'dat', 'tableoid', 'xmin', 'cmin', 'xmax', 'cmax', 'ctid'] as const;

/** The field that stands beside the key in the body of `/update`: the key may not be called so, in any case. */
export const RESERVED_KEY = 'data';

/** Postgres takes 1,600 columns in a table; some are ours. */
export const MAX_COLUMNS = 1_000;

/** What is wrong with the names of a new table's columns, as a sentence for the client; null when nothing is. */
export function faultOfColumns(columns: readonly string[]): string | null {
  const [key] = columns;
  if (key === undefined) return 'schema.columns is empty: the first column is the key';
  if (columns.length > MAX_COLUMNS) {
    return `schema.columns has ${columns.length} names: a table has at most ${MAX_COLUMNS} columns`;
  }
  const seen = new Map<string, string>();
  for (const column of columns) {
    const plain = column.toLowerCase();
    const other = seen.get(plain);
    if (other === column) return `schema.columns names "${column}" twice`;
    if (other !== undefined)
      return `schema.columns names "${other}" and "${column}": names must differ in more than case`;
    if ((RESERVED_COLUMNS as readonly string[]).includes(plain)) {
      return `schema.columns names "${column}", which every table has already: choose another name`;
    }
    seen.set(plain, column);
  }
  if (key.toLowerCase() === RESERVED_KEY) {
    return `schema.columns[0], the key, is called "${key}": so is the row in the body of /update, choose another name`;
  }
  return null;
}

/** The first name that has stood in the list before; undefined without one. */
export function firstRepeated(names: readonly string[]): string | undefined {
  const seen = new Set<string>();
  return names.find((name) => seen.size === seen.add(name).size);
}

/** The most servers and shards that a cluster may have; far above what one leader serves well. */
export const MAX_SERVERS = 64;
export const MAX_SHARDS = 1024;

/** Columns with their types; the first column is the key and is a `Number`. */
export const tableSchema = z
  .strictObject({
    columns: z.array(identifier).min(1).max(MAX_COLUMNS),
    dtypes: z.array(z.enum(DTYPES)),
  })
  .superRefine(({ columns, dtypes }, context) => {
    const fault = faultOfColumns(columns);
    if (fault !== null) context.addIssue(fault);
    if (columns.length !== dtypes.length) context.addIssue('every column needs one dtype');
    if (dtypes[0] !== 'Number') context.addIssue('the first column is the key and must be a Number');
  });
export type TableSchema = z.infer<typeof tableSchema>;

/** Used when `/init` names no schema. */
export const DEFAULT_SCHEMA: TableSchema = {
  columns: ['Stud_id', 'Stud_name', 'Stud_marks'],
  dtypes: ['Number', 'String', 'String'],
};

/** A key range `[low, low + size)` of the table. */
export const shardRange = z.strictObject({ shard: identifier, low: key, size: wholeNumber(1, KEY_LIMIT) });
export type ShardRange = z.infer<typeof shardRange>;
