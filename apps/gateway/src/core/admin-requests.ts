/** `/init`, `/add` and `/rm`: what can be said about a body without knowing the cluster. */
import type { AddCommand, InitCommand, RmCommand } from '#common/contracts/commands';
import {
  DEFAULT_SCHEMA,
  DTYPES,
  faultOfColumns,
  MAX_COLUMNS,
  MAX_SERVERS,
  type Dtype,
  type TableSchema,
} from '#common/contracts/schema';
import { badRequest, describe, fieldsOf, listOf, namesOf, requiredField, wholeNumber } from './body-fields';
import { placementOf, shardRangesOf } from './shard-ranges';

/** @throws ShardlineError BAD_REQUEST */
export function initCommandOf(body: unknown, allowReinit: boolean): InitCommand {
  const fields = fieldsOf(body, 'the body of /init');
  const n = fields.get('n');
  const schema = fields.get('schema');
  const servers = fields.get('servers');
  const shards = shardRangesOf(requiredField(fields, 'shards', 'the body of /init'), 'shards');
  if (shards.length === 0) throw badRequest('shards is empty: name at least one shard');
  return {
    n: n === undefined ? null : serverCount(n, 'N', 0),
    schema: schema === undefined ? DEFAULT_SCHEMA : tableSchemaOf(schema),
    shards,
    servers: servers === undefined ? null : placementOf(servers, 'servers'),
    allowReinit,
  };
}

/** `new_shards` may be left out; a name with a bracket is kept as it is. @throws ShardlineError BAD_REQUEST */
export function addCommandOf(body: unknown): AddCommand {
  const what = 'the body of /add';
  const fields = fieldsOf(body, what);
  const n = serverCount(requiredField(fields, 'n', what), 'n', 1);
  const newShards = fields.get('new_shards');
  const servers = placementOf(requiredField(fields, 'servers', what), 'servers');
  const listed = Object.keys(servers).length;
  if (n > listed) throw badRequest('Number of new servers (n) is greater than newly added instances');
  if (n < listed) throw badRequest('Number of new servers (n) is smaller than newly added instances');
  return { n, newShards: newShards === undefined ? [] : shardRangesOf(newShards, 'new_shards'), servers };
}

/** Fewer names than `n` are fine: the balancer chooses the rest. @throws ShardlineError BAD_REQUEST */
export function rmCommandOf(body: unknown): RmCommand {
  const what = 'the body of /rm';
  const fields = fieldsOf(body, what);
  const n = serverCount(requiredField(fields, 'n', what), 'n', 1);
  const servers = listOf(fields.get('servers') ?? [], 'servers');
  if (servers.length > n) throw badRequest('Length of server list is more than removable instances');
  return { n, servers: namesOf(servers, 'servers') };
}

function serverCount(value: unknown, what: string, min: number): number {
  return wholeNumber(value, what, min, MAX_SERVERS);
}

function tableSchemaOf(value: unknown): TableSchema {
  const fields = fieldsOf(value, 'schema');
  const columns = namesOf(requiredField(fields, 'columns', 'schema'), 'schema.columns', MAX_COLUMNS);
  const dtypes = listOf(requiredField(fields, 'dtypes', 'schema'), 'schema.dtypes', MAX_COLUMNS).map(dtypeOf);
  if (columns.length !== dtypes.length) {
    throw badRequest(`schema has ${columns.length} columns and ${dtypes.length} dtypes: name one dtype per column`);
  }
  const fault = faultOfColumns(columns);
  if (fault !== null) throw badRequest(fault);
  if (dtypes[0] !== 'Number') throw badRequest(`schema.dtypes[0] is ${dtypes[0] ?? ''}: the key must be a Number`);
  return { columns, dtypes };
}

function dtypeOf(value: unknown, index: number): Dtype {
  const dtype = DTYPES.find((known) => known === value);
  if (dtype === undefined)
    throw badRequest(`schema.dtypes[${index}] must be one of ${DTYPES.join(', ')}, not ${describe(value)}`);
  return dtype;
}
