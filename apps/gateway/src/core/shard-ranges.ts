/** Shards as `/init` and `/add` list them. */
import { firstRepeated, KEY_LIMIT, MAX_SERVERS, MAX_SHARDS, type ShardRange } from '#common/contracts/schema';
import {
  badRequest,
  fieldsOf,
  keyOf,
  listOf,
  freeNameOf,
  namesOf,
  requiredField,
  wholeNumber,
  type Fields,
} from './body-fields';
import { isObject, describe, quote } from './body-fields';

const LOW_FIELD = 'Stud_id_low';

/** `[{Stud_id_low, Shard_id, Shard_size}]`. @throws ShardlineError BAD_REQUEST */
export function shardRangesOf(value: unknown, what: string): ShardRange[] {
  const ranges = listOf(value, what, MAX_SHARDS).map((item, index) => shardRangeOf(item, `${what}[${index}]`));
  const repeated = firstRepeated(ranges.map((range) => range.shard));
  if (repeated !== undefined) throw badRequest(`${what} names the shard ${quote(repeated)} twice`);
  return ranges;
}

function shardRangeOf(value: unknown, what: string): ShardRange {
  const fields = fieldsOf(value, what);
  const shard = freeNameOf(requiredField(fields, 'Shard_id', what), `${what}.Shard_id`);
  const low = keyOf(lowOf(fields, what), `${what}.${LOW_FIELD}`);
  const size = wholeNumber(requiredField(fields, 'Shard_size', what), `${what}.Shard_size`, 1, KEY_LIMIT);
  // Written so that no sum leaves the range in which doubles are exact.
  if (size - 1 > KEY_LIMIT - low) throw badRequest(`${what} ends at a key above 2^53: make it smaller`);
  return { shard, low, size };
}

/** With another key than `Stud_id` the field may carry that name: `Roll_low`. */
function lowOf(fields: Fields, what: string): unknown {
  const published = fields.get(LOW_FIELD.toLowerCase());
  if (published !== undefined) return published;
  const others = [...fields.keys()].filter((name) => name.endsWith('_low'));
  const [other] = others;
  return other !== undefined && others.length === 1 ? fields.get(other) : requiredField(fields, LOW_FIELD, what);
}

/** `{"Server0": ["sh1", "sh2"]}`: which server is to hold which shards. @throws ShardlineError BAD_REQUEST */
export function placementOf(value: unknown, what: string): Record<string, string[]> {
  if (!isObject(value))
    throw badRequest(`${what} must be an object of server names with lists of shards, not ${describe(value)}`);
  const servers = Object.entries(value);
  if (servers.length > MAX_SERVERS) {
    throw badRequest(`${what} names ${servers.length} servers: a cluster has at most ${MAX_SERVERS}`);
  }
  return Object.fromEntries(
    servers.map(([server, shards]) => {
      const name = freeNameOf(server, `a server name in ${what}`);
      return [name, namesOf(shards, `${what}.${name}`, MAX_SHARDS)];
    }),
  );
}
