/** What an administrator's command must look like. The gateway sends no other; a person with the `nats` CLI may. */
import { z } from 'zod';
import type { AddCommand, InitCommand, RmCommand } from '#common/contracts/commands';
import { ShardlineError } from '#common/contracts/errors';
import { DTYPES, faultOfColumns, IDENTIFIER, isFreeName, KEY_LIMIT, MAX_COLUMNS } from '#common/contracts/schema';
import { parseJson } from '#common/nats/connection';

const columnName = z.string().regex(IDENTIFIER);
const name = columnName.refine(isFreeName, "is a word of JavaScript's");
/** Not `z.int()`, which leaves out both ends of the key range. */
const whole = (min: number, max: number): z.ZodType<number> =>
  z
    .number()
    .refine(
      (value) => Number.isInteger(value) && value >= min && value <= max,
      `must be a whole number from ${min} to ${max}`,
    );
const shardRange = z.object({
  shard: name,
  low: whole(-KEY_LIMIT, KEY_LIMIT),
  size: whole(1, KEY_LIMIT),
});
const servers = z.record(name, z.array(name));
const schema = z
  .object({ columns: z.array(columnName).min(1).max(MAX_COLUMNS), dtypes: z.array(z.enum(DTYPES)) })
  .refine(({ columns, dtypes }) => columns.length === dtypes.length, 'every column needs one dtype')
  .superRefine(({ columns }, context) => {
    const fault = faultOfColumns(columns);
    if (fault !== null) context.addIssue(fault);
  })
  .refine(({ dtypes }) => dtypes[0] === 'Number', 'the first column is the key and must be a Number');

const INIT = z.object({
  n: z.number().int().min(0).nullable().default(null),
  schema,
  shards: z.array(shardRange),
  servers: servers.nullable().default(null),
  allowReinit: z.boolean().default(false),
});
const ADD = z.object({ n: z.number().int().min(0), newShards: z.array(shardRange).default([]), servers });
const RM = z.object({ n: z.number().int().min(0), servers: z.array(name).default([]) });

/** @throws ShardlineError BAD_MESSAGE, BAD_REQUEST */
export const initCommand = (data: Uint8Array): InitCommand => parse(INIT, data);
/** @throws ShardlineError BAD_MESSAGE, BAD_REQUEST */
export const addCommand = (data: Uint8Array): AddCommand => parse(ADD, data);
/** @throws ShardlineError BAD_MESSAGE, BAD_REQUEST */
export const rmCommand = (data: Uint8Array): RmCommand => parse(RM, data);

function parse<S extends z.ZodType>(shape: S, data: Uint8Array): z.infer<S> {
  const parsed = shape.safeParse(parseJson<unknown>(data));
  if (parsed.success) return parsed.data;
  const faults = parsed.error.issues.map(({ path, message }) => `${path.map(String).join('.')}: ${message}`);
  throw new ShardlineError('BAD_REQUEST', faults.slice(0, 5).join('; '));
}
