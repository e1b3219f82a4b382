/** A shard's table, from the schema that `/init` gave. */
import { DataSource, EntitySchema, EntitySchemaOptions, Table, type EntitySchemaColumnOptions } from 'typeorm';
import type { Dtype, TableSchema } from '#common/contracts/schema';
import { ALIVE_TEXT } from '#common/protocol/visibility';

/** The Postgres schema that holds the shards' tables. */
export const SHARDS_SCHEMA = 'shards';

/** The one that holds tables of replicas that were found to be wrong: for people to look at, the last one of each shard. */
export const ASIDE_SCHEMA = 'set_aside';

/** The one that holds tables of a configuration that is not in force yet. */
export const PREPARED_SCHEMA = 'prepared';

/** So begin the names of those whose tables belong to nothing any more. */
export const REPLACED_PREFIX = 'replaced_';

/**
 * How a column of a dtype is stored. The key, the first column, is a bigint. JSON is kept as the text it came as: `jsonb` spells
 * values once more, and a few bytes of it (`1e300`) can come back as hundreds, so that no bound for a row would hold.
 */
const COLUMN_TYPES = {
  Number: 'double precision',
  String: 'text',
  Boolean: 'boolean',
  Timestamp: 'timestamptz',
  JSON: 'json',
} as const satisfies Record<Dtype, string>;

/** One column of a shard's table as the statements need it. */
export interface ShardColumn {
  name: string;
  dtype: Dtype;
  type: string;
}

/** The columns of the schema; the key is first. */
export function shardColumns(schema: TableSchema): [ShardColumn, ...ShardColumn[]] {
  const [key, ...rest] = schema.columns.map((name, index): ShardColumn => {
    const dtype = schema.dtypes[index] ?? 'String';
    return { name, dtype, type: index === 0 ? 'bigint' : COLUMN_TYPES[dtype] };
  });
  if (key === undefined) throw new Error('a schema has at least its key column');
  return [key, ...rest];
}

/** The entity of one shard's table. */
function shardEntity(shard: string, schema: TableSchema, within = SHARDS_SCHEMA): EntitySchema {
  // Properties get names of our own: a column may be called `constructor`.
  const own = shardColumns(schema).map(({ name, dtype, type }, index): [string, EntitySchemaColumnOptions] => {
    const nullable = index > 0 && dtype === 'JSON';
    return [`column${index}`, { type: type as 'text', name, nullable, primary: index === 0 }];
  });
  const options = Object.assign(new EntitySchemaOptions(), {
    name: shard,
    tableName: shard,
    schema: within,
    columns: { ...Object.fromEntries(own), cat: { type: 'bigint', primary: true }, dat: { type: 'bigint' } } as const,
    // Undoing and sending a difference look for the newest births: the table is in their order, a BRIN index costs nothing.
    // Purging looks for deaths, and most versions live.
    indices: [{ columns: ['cat'] }, { columns: ['dat'], where: `"dat" < ${ALIVE_TEXT}` }],
  });
  return new EntitySchema(options);
}

/** Builds the statements that create the table; nothing is sent to the database. */
export async function createTableStatements(
  dataSource: DataSource,
  shard: string,
  schema: TableSchema,
  within = SHARDS_SCHEMA,
): Promise<string[]> {
  const blueprint = new EntityBlueprint({
    ...dataSource.options,
    entities: [shardEntity(shard, schema, within)],
    migrations: [],
  });
  const table = Table.create(await blueprint.metadataOf(shard), dataSource.driver);
  for (const index of table.indices) {
    if (index.columnNames[0] === 'cat') index.type = 'brin';
  }
  const runner = dataSource.createQueryRunner();
  try {
    runner.enableSqlMemory();
    await runner.createTable(table);
    return runner.getMemorySql().upQueries.map((query) => query.query);
  } finally {
    await runner.release();
  }
}

/** A data source that is never connected: it only turns an entity into metadata. */
class EntityBlueprint extends DataSource {
  async metadataOf(entity: string) {
    await this.buildMetadatas();
    return this.getMetadata(entity);
  }
}
