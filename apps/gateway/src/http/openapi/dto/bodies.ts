/** Bodies of requests, for the OpenAPI page. What is really taken is decided in `src/core`; field names in any case. */
import { ApiProperty, ApiPropertyOptional, ApiSchema, type ApiPropertyOptions } from '@nestjs/swagger';
import {
  DTYPES,
  IDENTIFIER,
  KEY_LIMIT,
  MAX_COLUMNS,
  MAX_SERVERS,
  MAX_SHARDS,
  RESERVED_COLUMNS,
  RESERVED_KEY,
} from '#common/contracts/schema';

/** A whole number, or the text of one. */
function wholeNumberSchema(minimum: number, maximum: number): { oneOf: object[] } {
  return {
    oneOf: [
      { type: 'integer', minimum, maximum },
      { type: 'string', pattern: '^-?(0|[1-9][0-9]*)$' },
    ],
  };
}

export const KEY_SCHEMA = wholeNumberSchema(-KEY_LIMIT, KEY_LIMIT);
const NAME_SCHEMA = { type: 'string', pattern: IDENTIFIER.source } as const;

const keyProperty = (description: string, example: number): ApiPropertyOptions => ({
  ...KEY_SCHEMA,
  description,
  example,
});

const placementProperty = (description: string, example: Record<string, string[]>): ApiPropertyOptions => ({
  type: 'object',
  description,
  maxProperties: MAX_SERVERS,
  additionalProperties: { type: 'array', items: NAME_SCHEMA, uniqueItems: true },
  example,
});

export const EXAMPLE_ROW = { Stud_id: 2255, Stud_name: 'GHI', Stud_marks: '27' };

/** A row has every column of the schema and no other. */
export const ROW_SCHEMA = {
  type: 'object',
  description: 'One record: every column of the schema, and no other. Values are coerced where nothing is lost.',
  additionalProperties: true,
  example: EXAMPLE_ROW,
} as const;

@ApiSchema({ name: 'TableSchema' })
export class TableSchemaDto {
  @ApiProperty({
    type: 'array',
    minItems: 1,
    maxItems: MAX_COLUMNS,
    uniqueItems: true,
    items: NAME_SCHEMA,
    description:
      `The first column is the key, which may not be called \`${RESERVED_KEY}\`. Names differ in more than case. Taken, in any case: ` +
      RESERVED_COLUMNS.map((name) => `\`${name}\``).join(', '),
    example: ['Stud_id', 'Stud_name', 'Stud_marks'],
  })
  columns!: string[];

  @ApiProperty({
    type: 'array',
    minItems: 1,
    maxItems: MAX_COLUMNS,
    items: { type: 'string', enum: [...DTYPES] },
    description: 'One for each column; the first is `Number`',
    example: ['Number', 'String', 'String'],
  })
  dtypes!: string[];
}

@ApiSchema({ name: 'Shard' })
export class ShardDto {
  @ApiProperty(keyProperty('The first key of the shard', 0))
  Stud_id_low!: number;

  @ApiProperty({ ...NAME_SCHEMA, example: 'sh1' })
  Shard_id!: string;

  @ApiProperty({
    ...wholeNumberSchema(1, KEY_LIMIT),
    description: 'How many keys it spans',
    example: 4096,
  })
  Shard_size!: number;
}

@ApiSchema({ name: 'InitBody' })
export class InitBody {
  @ApiPropertyOptional({
    ...wholeNumberSchema(0, MAX_SERVERS),
    description:
      'Number of servers; smaller than the servers listed it is only a remark, larger and the rest are created',
    example: 3,
  })
  N?: number;

  @ApiPropertyOptional({
    type: TableSchemaDto,
    description: 'Left out: Stud_id Number, Stud_name String, Stud_marks String',
  })
  schema?: TableSchemaDto;

  @ApiProperty({ type: [ShardDto], minItems: 1, maxItems: MAX_SHARDS, example: publishedShards() })
  shards!: ShardDto[];

  @ApiPropertyOptional(
    placementProperty('Which server holds which shards; left out, the balancer decides', {
      Server0: ['sh1', 'sh2'],
      Server1: ['sh2', 'sh3'],
      Server2: ['sh1', 'sh3'],
    }),
  )
  servers?: Record<string, string[]>;
}

@ApiSchema({ name: 'AddBody' })
export class AddBody {
  @ApiProperty({
    ...wholeNumberSchema(1, MAX_SERVERS),
    description: 'Number of new servers, as many as listed; `N` means the same',
    example: 2,
  })
  n!: number;

  @ApiPropertyOptional({
    type: [ShardDto],
    maxItems: MAX_SHARDS,
    description: `Left out: none. A cluster has at most ${MAX_SHARDS} shards in all`,
    example: [{ Stud_id_low: 12288, Shard_id: 'sh5', Shard_size: 4096 }],
  })
  new_shards?: ShardDto[];

  @ApiProperty(
    placementProperty('New servers and their shards; a name with a bracket gets a random, unused id', {
      Server4: ['sh3', 'sh5'],
      'Server[5]': ['sh2', 'sh5'],
    }),
  )
  servers!: Record<string, string[]>;
}

@ApiSchema({ name: 'RmBody' })
export class RmBody {
  @ApiProperty({
    ...wholeNumberSchema(1, MAX_SERVERS),
    description: 'Number of servers to remove; `N` means the same',
    example: 1,
  })
  n!: number;

  @ApiPropertyOptional({
    type: 'array',
    uniqueItems: true,
    items: NAME_SCHEMA,
    description: 'Fewer than `n`: the rest are chosen at random among those whose removal loses nothing',
    example: ['Server4'],
  })
  servers?: string[];
}

@ApiSchema({ name: 'KeyRange' })
export class KeyRangeDto {
  @ApiProperty(keyProperty('The lowest key, included', 1000))
  low!: number;

  @ApiProperty(keyProperty('The highest key, included', 8889))
  high!: number;
}

@ApiSchema({ name: 'WriteBody' })
export class WriteBody {
  @ApiProperty({ type: 'array', items: ROW_SCHEMA })
  data!: Record<string, unknown>[];
}

/** The body of `/read`; the key's name follows the schema. */
export const READ_BODY_SCHEMA = {
  type: 'object',
  required: ['Stud_id'],
  properties: {
    Stud_id: {
      description: 'A range, or the one key to read. The field is called as the schema calls the key.',
      oneOf: [{ $ref: '#/components/schemas/KeyRange' }, ...KEY_SCHEMA.oneOf],
    },
  },
  example: { Stud_id: { low: 1000, high: 8889 } },
};

@ApiSchema({ name: 'UpdateBody' })
export class UpdateBody {
  @ApiProperty(keyProperty('The key of the record. The field is called as the schema calls the key.', 2255))
  Stud_id!: number;

  @ApiProperty({ ...ROW_SCHEMA, description: 'The whole new row, with the same key' })
  data!: Record<string, unknown>;
}

@ApiSchema({ name: 'DeleteBody' })
export class DeleteBody {
  @ApiProperty(keyProperty('The key of the record. The field is called as the schema calls the key.', 2255))
  Stud_id!: number;
}

function publishedShards(): object[] {
  return [0, 4096, 8192].map((low, index) => ({ Stud_id_low: low, Shard_id: `sh${index + 1}`, Shard_size: 4096 }));
}
