/** Answers, for the OpenAPI page. */
import { ApiExtraModels, ApiProperty, ApiPropertyOptional, ApiSchema } from '@nestjs/swagger';
import { SUSPECT_CAUSES } from '#common/contracts/commands';
import { ROW_SCHEMA, ShardDto, TableSchemaDto } from './bodies';

const success = { type: 'string', enum: ['success'] } as const;
const successful = { type: 'string', enum: ['successful'] } as const;

@ApiSchema({ name: 'Done' })
export class DoneAnswer {
  @ApiProperty({ type: 'string' })
  message!: string;

  @ApiProperty(success)
  status!: string;
}

@ApiSchema({ name: 'Failure' })
export class FailureAnswer {
  @ApiProperty({ type: 'string', pattern: '^<Error> ', description: 'What is wrong, and what to do about it' })
  message!: string;

  @ApiProperty({ type: 'string', enum: ['failure'] })
  status!: string;
}

@ApiSchema({ name: 'Added' })
export class AddedAnswer {
  @ApiProperty({ type: 'integer', description: 'Servers now', example: 5 })
  N!: number;

  @ApiProperty({ type: 'string', example: 'Add Server:4 and Server:58127' })
  message!: string;

  @ApiProperty(successful)
  status!: string;
}

@ApiSchema({ name: 'RemovedServers' })
export class RemovedServers {
  @ApiProperty({ type: 'integer', description: 'Servers left', example: 4 })
  N!: number;

  @ApiProperty({ type: 'array', items: { type: 'string' }, example: ['Server4'] })
  servers!: string[];
}

@ApiSchema({ name: 'Removed' })
export class RemovedAnswer {
  @ApiProperty({ type: RemovedServers })
  message!: RemovedServers;

  @ApiProperty(successful)
  status!: string;
}

@ApiSchema({ name: 'ScrubbedShard' })
export class ScrubbedShardDto {
  @ApiProperty({ type: 'string' })
  Shard_id!: string;

  @ApiProperty({ type: 'integer', description: 'The VAT at which the replicas were compared' })
  VAT!: number;

  @ApiProperty({ type: 'array', items: { type: 'string' }, description: 'Servers that were compared' })
  compared!: string[];

  @ApiProperty({ type: 'array', items: { type: 'string' }, description: 'Servers that could not be compared' })
  missing!: string[];

  @ApiProperty({ type: 'array', items: { type: 'string' }, description: 'Servers that are now fully re-copied' })
  diverged!: string[];
}

@ApiSchema({ name: 'Scrubbed' })
export class ScrubbedAnswer {
  @ApiProperty({ type: 'string', example: 'Compared the replicas of 3 shards: 0 replicas differ' })
  message!: string;

  @ApiProperty({ type: [ScrubbedShardDto] })
  shards!: ScrubbedShardDto[];

  @ApiProperty(success)
  status!: string;
}

@ApiSchema({ name: 'Proof' })
export class ProofDto {
  @ApiProperty({ type: 'string', format: 'date-time' })
  at!: string;

  @ApiProperty({ type: 'integer', description: 'The VAT at which it was compared' })
  VAT!: number;
}

@ApiExtraModels(ProofDto)
@ApiSchema({ name: 'Replica' })
export class ReplicaDto {
  @ApiProperty({ type: 'string' })
  server!: string;

  @ApiProperty({ type: 'string', enum: ['in-sync', 'syncing', 'stale'] })
  state!: string;

  @ApiProperty({
    oneOf: [{ $ref: '#/components/schemas/Proof' }, { type: 'null' }],
    description:
      'When all that it shows was last found to be the same as on another replica; null when not yet under this leader',
  })
  lastProvenIdentical!: ProofDto | null;
}

@ApiSchema({ name: 'RingArc' })
export class RingArcDto {
  @ApiProperty({ type: 'integer', description: 'The first slot' })
  from!: number;

  @ApiProperty({ type: 'integer', description: 'The last slot, included' })
  to!: number;

  @ApiProperty({ type: 'string' })
  server!: string;
}

@ApiSchema({ name: 'ShardStatus' })
export class ShardStatusDto extends ShardDto {
  @ApiProperty({ type: 'integer', description: 'The highest acknowledged term' })
  VAT!: number;

  @ApiProperty({ type: [ReplicaDto], description: 'MapT: where its replicas are, and in which state' })
  replicas!: ReplicaDto[];

  @ApiProperty({ type: 'array', items: { type: 'string' } })
  inSync!: string[];

  @ApiProperty({ type: 'integer' })
  minInSync!: number;

  @ApiProperty({ type: 'integer' })
  configVersion!: number;

  @ApiProperty({ type: 'boolean' })
  writable!: boolean;

  @ApiProperty({ type: 'boolean' })
  readable!: boolean;

  @ApiProperty({
    oneOf: [{ type: 'integer' }, { type: 'null' }],
    description: 'Number of records; null when no replica has reported yet',
  })
  rows!: number | null;

  @ApiProperty({ type: [RingArcDto], description: 'Every slot of the ring, with the server that owns it' })
  ring!: RingArcDto[];
}

@ApiSchema({ name: 'VitalSigns' })
export class VitalSignsDto {
  @ApiProperty({ oneOf: [{ type: 'string', enum: ['ok', 'down'] }, { type: 'null' }] })
  postgres!: string | null;

  @ApiProperty({ oneOf: [{ type: 'integer' }, { type: 'null' }], description: 'Room where it keeps its data' })
  diskFreeBytes!: number | null;

  @ApiProperty({
    oneOf: [{ type: 'number' }, { type: 'null' }],
    description: 'How late its event loop was, 99th percentile between two heartbeats',
  })
  eventLoopDelayMs!: number | null;

  @ApiProperty({ oneOf: [{ type: 'number' }, { type: 'null' }], description: 'How long the answer took' })
  answerMs!: number | null;
}

@ApiSchema({ name: 'ServerStatus' })
export class ServerStatusDto {
  @ApiProperty({ type: 'string' })
  server!: string;

  @ApiProperty({ type: 'integer' })
  number!: number;

  @ApiProperty({ type: 'string', enum: ['starting', 'healthy', 'suspect', 'dead'] })
  health!: string;

  @ApiProperty({
    type: 'array',
    items: { type: 'string', enum: [...SUSPECT_CAUSES] },
    description: 'Why it is suspect: reads are answered by others then, where there are any',
  })
  causes!: string[];

  @ApiProperty({ oneOf: [{ type: 'number' }, { type: 'null' }] })
  heartbeatAgeMs!: number | null;

  @ApiProperty({ type: 'integer', description: 'Heartbeats missed in a row' })
  missed!: number;

  @ApiProperty({ type: VitalSignsDto, description: 'As reported with its last heartbeat' })
  vitals!: VitalSignsDto;

  @ApiProperty({ type: 'array', items: { type: 'string' } })
  shards!: string[];
}

@ApiSchema({ name: 'Ring' })
export class RingDto {
  @ApiProperty({ type: 'integer' })
  slots!: number;

  @ApiProperty({ type: 'integer' })
  virtualServers!: number;

  @ApiProperty({ type: 'string' })
  hash!: string;

  @ApiProperty({ type: 'number' })
  loadEpsilon!: number;
}

@ApiSchema({ name: 'Status' })
export class StatusAnswer {
  @ApiProperty({ type: 'integer', description: 'Servers; 0 before /init' })
  N!: number;

  @ApiProperty({
    oneOf: [{ $ref: '#/components/schemas/TableSchema' }, { type: 'null' }],
    description: 'null before /init',
  })
  schema!: TableSchemaDto | null;

  @ApiProperty({ type: [ShardStatusDto] })
  shards!: ShardStatusDto[];

  @ApiProperty({
    type: 'object',
    additionalProperties: { type: 'array', items: { type: 'string' } },
    description: 'Servers with their shards, as placed now',
  })
  servers!: Record<string, string[]>;

  @ApiProperty(success)
  status!: string;

  @ApiProperty({ type: 'string' })
  leader!: string;

  @ApiProperty({ type: 'integer', description: "The leader's number; grows with every take-over" })
  epoch!: number;

  @ApiProperty({ type: 'integer' })
  configId!: number;

  @ApiProperty({ type: RingDto })
  ring!: RingDto;

  @ApiProperty({ type: [ServerStatusDto] })
  serverDetails!: ServerStatusDto[];
}

@ApiSchema({ name: 'Rows' })
export class RowsAnswer {
  @ApiProperty({ type: 'array', items: { type: 'string' }, example: ['sh1', 'sh2', 'sh3'] })
  shards_queried!: string[];

  @ApiProperty({ type: 'array', items: ROW_SCHEMA, description: 'By key' })
  data!: Record<string, unknown>[];

  @ApiProperty(success)
  status!: string;
}

@ApiSchema({ name: 'Health' })
export class HealthAnswer {
  @ApiProperty({ type: 'string' })
  message!: string;

  @ApiProperty(success)
  status!: string;
}

@ApiSchema({ name: 'OperationRefusal' })
export class OperationRefusalDto {
  @ApiProperty({ type: 'integer', description: 'The status of the answer', example: 409 })
  httpStatus!: number;

  @ApiProperty({ type: 'string', example: 'KEY_EXISTS' })
  code!: string;

  @ApiProperty({ type: 'string', pattern: '^<Error> ' })
  message!: string;
}

@ApiSchema({ name: 'Operation' })
export class OperationAnswer {
  @ApiProperty({ type: 'string', description: 'Its id' })
  operation!: string;

  @ApiProperty({ type: 'string', enum: ['committed', 'refused', 'unknown'] })
  outcome!: 'committed' | 'refused' | 'unknown';

  @ApiPropertyOptional({ type: 'integer', description: 'Records written or removed, where it was committed' })
  added?: number;

  @ApiPropertyOptional({ type: OperationRefusalDto, description: 'Why it was refused' })
  error?: OperationRefusalDto;

  @ApiProperty(success)
  status!: string;
}
