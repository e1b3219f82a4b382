/** What the verbs take, checked: nothing that comes over the wire is believed to have the shape it should have. */
import { z } from 'zod';
import { ShardlineError } from '#common/contracts/errors';
import type {
  ApplyRequest,
  CatchupRequest,
  ConfigRequest,
  CopyRequest,
  DigestRequest,
  FenceRequest,
  NodeReadRequest,
  OperationLookup,
  PingRequest,
} from '#common/contracts/node';
import { CONFLICT_POLICIES, OPERATION_PATTERN, PRINT_PATTERN } from '#common/contracts/commands';
import { DTYPES, IDENTIFIER, KEY_LIMIT, RESERVED_COLUMNS, type TableSchema } from '#common/contracts/schema';
import { parseJson } from '#common/nats/connection';
import { decodeRawLines, splitRows } from '#common/nats/lines';

const name = z.string().regex(IDENTIFIER);
// Faster than `z.int()`, and it lets both ends of the key range in.
const whole = z
  .number()
  .refine((value) => Number.isInteger(value) && Math.abs(value) <= KEY_LIMIT, 'not a whole number');
const term = whole.refine((value) => value >= 0, 'negative');
const terms = z.record(z.string(), term);
const pageBytes = whole.refine((value) => value >= 1 && value <= 8 * 1024 * 1024, 'not a size of a page');
const cursor = z.object({ key: whole, cat: term, op: term.exactOptional() }).nullable();

const id = z.string().regex(OPERATION_PATTERN);
const opName = { id: id.exactOptional(), print: z.string().regex(PRINT_PATTERN).exactOptional() };
const outcome = z.union([
  z.object({ ok: term, known: z.literal(true).exactOptional() }).strict(),
  z.object({
    refused: z.enum(['KEY_EXISTS', 'KEY_NOT_FOUND', 'ID_REUSED']),
    key: whole,
    known: z.literal(true).exactOptional(),
  }),
]);

const op = z.discriminatedUnion('op', [
  z.object({
    op: z.literal('create'),
    onConflict: z.enum(CONFLICT_POLICIES),
    keys: z.array(whole),
    spans: z.literal(true).exactOptional(),
    ...opName,
  }),
  z.object({ op: z.literal('update'), key: whole, ...opName }),
  z.object({ op: z.literal('delete'), key: whole, ...opName }),
  z.object({ op: z.literal('note'), outcome, ...opName, id }),
]);

const part = z.object({
  shard: z.string(),
  vat: term,
  idsAfter: term.exactOptional(),
  firstTerm: term,
  lastTerm: term,
  ops: z.array(op),
});
const apply = z.object({
  epoch: term,
  rounds: z.array(z.object({ round: term, lastTerms: terms, parts: z.array(part) })),
});
const read = z.object({
  epoch: term,
  reads: z.array(z.object({ shard: z.string(), vat: term, low: whole, high: whole })),
  maxBytes: pageBytes,
});
const schema = z
  .object({ columns: z.array(name).min(1), dtypes: z.array(z.enum(DTYPES)) })
  .refine(isSchema, 'columns and dtypes do not make a table');
const shardConfig = z.object({
  shard: name,
  low: whole,
  size: whole.refine((value) => value >= 1, 'no keys'),
  configEpoch: term,
  configVersion: term,
  inSync: z.array(z.string()),
  replicas: z.array(z.string()),
  joining: z.array(z.string()),
  diverged: z.array(z.string()).exactOptional(),
  disputed: z.literal(true).exactOptional(),
  epochStarts: z.array(z.object({ epoch: term, round: term.exactOptional(), vat: term }).strict()).exactOptional(),
});
const stamp = { configId: term, configEpoch: term, configVersion: term };
const mark = z.object({ epoch: term, instance: z.string(), revision: term }).strict();
const range = z.object({ shard: name, low: whole, size: whole }).strict();
const cluster = z
  .object({
    ...stamp,
    schema,
    init: z
      .object({
        n: whole.nullable(),
        schema,
        shards: z.array(range),
        servers: z.record(z.string(), z.array(z.string())).nullable(),
      })
      .strict(),
    shards: z.array(name),
    servers: z.array(z.string()),
    numbers: z.record(z.string(), term),
    born: z.array(shardConfig),
    moves: z.array(z.object({ shard: name, to: name, from: name.exactOptional() }).strict()).exactOptional(),
  })
  .strict();
const config = z.object({
  epoch: term,
  configId: term,
  schema,
  shards: z.array(shardConfig),
  drop: z.array(z.string()),
  areNew: z.literal(true).exactOptional(),
  cluster: cluster.exactOptional(),
  mark: mark.exactOptional(),
  stage: z.enum(['prepare', 'discard']).exactOptional(),
});
const fence = z.object({ epoch: term, known: z.object(stamp).strict().exactOptional() });
const ping = z.object({ epoch: term, vats: terms, marks: terms, bucket: mark.exactOptional() });
const copy = z.object({ epoch: term, shard: z.string(), from: term, to: term, after: cursor, maxBytes: pageBytes });
const catchup = z.object({
  epoch: term,
  turn: term,
  shard: z.string(),
  source: z.string(),
  from: term,
  to: term,
  maxBytes: term,
  setAside: z.literal(true).exactOptional(),
});
const digestRange = z
  .object({
    low: whole,
    high: whole,
    parts: whole.refine((value) => value >= 2 && value <= 1024, 'too few or too many'),
  })
  .refine(({ low, high }) => low <= high, 'no keys');
const digest = z.object({
  epoch: term,
  shard: z.string(),
  vat: term,
  after: whole.exactOptional(),
  idsAfter: term.exactOptional(),
  within: digestRange.exactOptional(),
});
const operation = z.object({
  epoch: term,
  id,
  shards: z.array(z.object({ shard: z.string(), vat: term, idsAfter: term })),
});

/** Reads each message. @throws ShardlineError BAD_MESSAGE */
export const parseMessage = {
  apply: (data: Uint8Array): { request: ApplyRequest; rows: string[] } => {
    const { header, text } = decodeRawLines<unknown>(data);
    return { request: check(apply, header), rows: splitRows(text) };
  },
  read: (data: Uint8Array): NodeReadRequest => check(read, headerOf(data)),
  copy: (data: Uint8Array): CopyRequest => check(copy, headerOf(data)),
  config: (data: Uint8Array): ConfigRequest => check(config, parseJson(data)),
  fence: (data: Uint8Array): FenceRequest => check(fence, parseJson(data)),
  ping: (data: Uint8Array): PingRequest => check(ping, parseJson(data)),
  catchup: (data: Uint8Array): CatchupRequest => check(catchup, parseJson(data)),
  digest: (data: Uint8Array): DigestRequest => check(digest, parseJson(data)),
  operation: (data: Uint8Array): OperationLookup => check(operation, parseJson(data)),
} as const;

const BRACKET = '['.charCodeAt(0);

/** A message without rows may come as the header alone. */
function headerOf(data: Uint8Array): unknown {
  return data[0] === BRACKET ? decodeRawLines<unknown>(data).header : parseJson(data);
}

function check<S extends z.ZodType>(shape: S, message: unknown): z.infer<S> {
  const parsed = shape.safeParse(message);
  if (parsed.success) return parsed.data;
  const faults = parsed.error.issues.map((issue) => `${issue.path.map(String).join('.')}: ${issue.message}`);
  throw new ShardlineError('BAD_MESSAGE', `unreadable message: ${faults.slice(0, 5).join('; ')}`);
}

function isSchema({ columns, dtypes }: TableSchema): boolean {
  const names = new Set(columns);
  const taken = columns.some((column) => (RESERVED_COLUMNS as readonly string[]).includes(column.toLowerCase()));
  return names.size === columns.length && dtypes.length === columns.length && dtypes[0] === 'Number' && !taken;
}
