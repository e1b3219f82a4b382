/** What `/help` answers. */
import { EXAMPLE_ROW } from '../openapi/dto/bodies';

const INIT_EXAMPLE = {
  N: 3,
  schema: { columns: ['Stud_id', 'Stud_name', 'Stud_marks'], dtypes: ['Number', 'String', 'String'] },
  shards: [
    { Stud_id_low: 0, Shard_id: 'sh1', Shard_size: 4096 },
    { Stud_id_low: 4096, Shard_id: 'sh2', Shard_size: 4096 },
    { Stud_id_low: 8192, Shard_id: 'sh3', Shard_size: 4096 },
  ],
  servers: { Server0: ['sh1', 'sh2'], Server1: ['sh2', 'sh3'], Server2: ['sh1', 'sh3'] },
};

/** One route: what it does, what it takes, and a body that works with the published configuration. */
interface RouteHelp {
  route: string;
  does: string;
  takes: string;
  example?: object;
}

const ROUTES: RouteHelp[] = [
  {
    route: 'POST /init',
    does: 'configures the cluster',
    takes:
      '{N, schema: {columns, dtypes}, shards: [{Stud_id_low, Shard_id, Shard_size}], servers: {name: [shard ids]}}; only shards is needed',
    example: INIT_EXAMPLE,
  },
  { route: 'GET /status', does: 'shows the cluster as it is now', takes: 'nothing' },
  {
    route: 'POST /add',
    does: 'adds servers, and shards',
    takes:
      '{n, new_shards: [shard], servers: {name: [shard ids]}}; a name with a bracket gets a random id; new_shards may be left out',
    example: {
      n: 2,
      new_shards: [{ Stud_id_low: 12288, Shard_id: 'sh5', Shard_size: 4096 }],
      servers: { Server4: ['sh3', 'sh5'], 'Server[5]': ['sh2', 'sh5'] },
    },
  },
  {
    route: 'DELETE /rm',
    does: 'removes servers',
    takes: '{n, servers: [name]}; when fewer names than n, the rest are chosen at random',
    example: { n: 1, servers: ['Server4'] },
  },
  { route: 'POST /scrub', does: 'compares the replicas of every shard now', takes: 'nothing' },
  {
    route: 'POST /read',
    does: 'reads one record, or all within a range of keys',
    takes: '{Stud_id: {low, high}}, both ends included, or {Stud_id: key}',
    example: { Stud_id: { low: 1000, high: 8889 } },
  },
  { route: 'GET /read', does: 'the same', takes: 'the same body, or ?low=1000&high=8889' },
  {
    route: 'POST /write',
    does: 'writes new records, all of them or none',
    takes: '{data: [row]}; ?onConflict=error|ignore|replace says what happens to keys that exist',
    example: { data: [EXAMPLE_ROW] },
  },
  {
    route: 'PUT /update',
    does: 'replaces one record',
    takes: '{Stud_id, data: row}',
    example: { Stud_id: EXAMPLE_ROW.Stud_id, data: { ...EXAMPLE_ROW, Stud_marks: '28' } },
  },
  { route: 'DELETE /del', does: 'deletes one record', takes: '{Stud_id}', example: { Stud_id: EXAMPLE_ROW.Stud_id } },
  {
    route: 'GET /operations/{id}',
    does: 'shows whether a change was committed, refused, or is not known',
    takes: 'nothing; the id is the Operation-Id of the answer to the change',
  },
  { route: 'GET /help', does: 'this list', takes: 'nothing' },
  { route: 'GET /docs', does: 'the OpenAPI page; /docs-json is its text', takes: 'nothing' },
  { route: 'GET /healthz', does: 'shows whether the gateway runs', takes: 'nothing' },
  { route: 'GET /readyz', does: 'shows whether there is a leader and every shard can be written', takes: 'nothing' },
  { route: 'GET /metrics', does: "the gateway's and the leader's figures as Prometheus text", takes: 'nothing' },
];

export const HELP = {
  message:
    'Bodies are JSON, whatever the method and content type; field names in any case; with another schema Stud_id is its first column; /write, /update and /del take the header Idempotency-Key: the same request with the same key is carried out once',
  routes: ROUTES,
  status: 'success',
};
