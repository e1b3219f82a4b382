/** The table that the cluster stores, as `/init` gives it. */

/** Data types a column may have. */
export const DTYPES = ['Number', 'String', 'Boolean', 'Timestamp', 'JSON'] as const;
export type Dtype = (typeof DTYPES)[number];

/** Columns with their types; the first column is the key and is a `Number`. */
export interface TableSchema {
  columns: string[];
  dtypes: Dtype[];
}

/** Used when `/init` names no schema. */
export const DEFAULT_SCHEMA: TableSchema = {
  columns: ['Stud_id', 'Stud_name', 'Stud_marks'],
  dtypes: ['Number', 'String', 'String'],
};

/** Column, shard and server names. They are always quoted as well. */
export const IDENTIFIER = /^[A-Za-z_][A-Za-z0-9_\-[\]]{0,62}$/;

/** Columns that every shard table has beside the schema's own; a schema may not use their names, in any case. */
export const RESERVED_COLUMNS = ['cat', 'dat'] as const;

/** Keys are whole numbers within ±KEY_LIMIT, both ends included. */
export const KEY_LIMIT = 2 ** 53;

/** The most servers and shards that a cluster may have; far above what one leader serves well. */
export const MAX_SERVERS = 64;
export const MAX_SHARDS = 1024;

/** A key range `[low, low + size)` of the table. */
export interface ShardRange {
  shard: string;
  low: number;
  size: number;
}
