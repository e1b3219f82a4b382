/**
 * The validator of a message, from its definition in `contracts/`. It is strict: nothing that comes over the wire is believed to have the
 * shape it should have, and a field that the definition does not know is an error.
 *
 * Rounds and reads are validated on every message, so the definition (zod) is compiled, by way of its JSON schema, by ajv; a tenth of
 * zod's own time (docs/performance.md). Only what JSON schema cannot say is left to zod, and what is wrong with a message.
 */
import { Ajv, type ValidateFunction } from 'ajv';
import { z } from 'zod';
import { ShardlineError } from '../contracts/errors';

/** Faults that are named in an error. */
const FAULTS = 5;

/** A kind of message. */
export class Message<T> {
  private validate: ValidateFunction<T> | null = null;

  constructor(readonly shape: z.ZodType<T>) {}

  /** Whether the value is such a message. */
  accepts(value: unknown): value is T {
    this.validate ??= compile<T>(this.shape);
    return this.validate(value);
  }

  /** The value, as what it is. @throws ShardlineError BAD_MESSAGE */
  check(value: unknown): T {
    if (this.accepts(value)) return value;
    throw new ShardlineError('BAD_MESSAGE', `unreadable message: ${faultsOf(this.shape, value)}`);
  }
}

/** A request and the answer to it. */
export interface Exchange<Q, A> {
  request: Message<Q>;
  reply: Message<A>;
}

export function exchange<Q, A>(request: z.ZodType<Q>, reply: z.ZodType<A>): Exchange<Q, A> {
  return { request: new Message(request), reply: new Message(reply) };
}

/** What is wrong with a value, in words. */
export function faultsOf(shape: z.ZodType, value: unknown): string {
  const issues = shape.safeParse(value).error?.issues ?? [];
  const faults = issues.map(({ path, message }) => `${path.map(String).join('.')}: ${message}`);
  return faults.slice(0, FAULTS).join('; ');
}

function compile<T>(shape: z.ZodType<T>): ValidateFunction<T> {
  // The schema is made below, so that it need not be compared with the one of all schemas, which takes longer than to compile it.
  const ajv = new Ajv({ strict: true, allowUnionTypes: true, meta: false, validateSchema: false });
  /** The rules that are functions, of each shape that has some. */
  const ruled: Rule[][] = [];
  ajv.addKeyword({
    keyword: 'ruled',
    schemaType: 'number',
    errors: false,
    // Rules may rely on the rest of the shape.
    post: true,
    validate: (place: number, value: unknown) => ruled[place]?.every((rule) => keeps(value, rule)) === true,
  });
  const schema = z.toJSONSchema(shape, {
    target: 'draft-7',
    override: ({ zodSchema, jsonSchema }) => {
      simplify(jsonSchema);
      const rules = rulesOf(zodSchema);
      if (rules.length > 0) jsonSchema.ruled = ruled.push(rules) - 1;
    },
  });
  return ajv.compile<T>(schema);
}

/** The same in words that ajv is quick with. */
function simplify(schema: z.core.JSONSchema.BaseSchema): void {
  if (schema.multipleOf === 1) {
    delete schema.multipleOf;
    schema.type = 'integer';
  }
  if (schema.oneOf !== undefined) {
    schema.anyOf = schema.oneOf;
    delete schema.oneOf;
  }
  // Keys are strings.
  const { propertyNames } = schema;
  if (typeof propertyNames === 'object' && Object.keys(propertyNames).join() === 'type') delete schema.propertyNames;
}

type Rule = z.core.$ZodCheck;

function rulesOf(shape: z.core.$ZodType): Rule[] {
  const { checks = [] } = shape._zod.def;
  return checks.filter((check) => check._zod.def.check === 'custom');
}

function keeps(value: unknown, rule: Rule): boolean {
  const payload: z.core.ParsePayload<never> = { value: value as never, issues: [] };
  void rule._zod.check(payload);
  return payload.issues.length === 0;
}
