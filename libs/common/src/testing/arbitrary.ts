/** Test data from the definition of a message: everything that its shape allows, and nothing else. */
import fc from 'fast-check';
import { z } from 'zod';
import { DTYPES, tableSchema, type TableSchema } from '../contracts/schema';

type Any = fc.Arbitrary<unknown>;

/** @throws Error for a kind of shape that no message has had yet */
export function arbitraryOf<T>(shape: z.ZodType<T>): fc.Arbitrary<T> {
  return build(shape) as fc.Arbitrary<T>;
}

function build(shape: z.core.$ZodType): Any {
  if (shape === tableSchema) return TABLE;
  const made = raw(shape);
  const isRuled = shape._zod.def.checks?.some((check) => check._zod.def.check === 'custom') === true;
  return isRuled ? made.filter((value) => z.safeParse(shape, value).success) : made;
}

function raw(shape: z.core.$ZodType): Any {
  if (shape instanceof z.ZodObject) return objectOf(shape.shape);
  if (shape instanceof z.ZodArray) return fc.array(build(shape.element), { maxLength: 4 });
  if (shape instanceof z.ZodRecord) {
    return fc.dictionary(build(shape.keyType) as fc.Arbitrary<string>, build(shape.valueType), { maxKeys: 4 });
  }
  if (shape instanceof z.ZodUnion) return oneOf(shape.options.map(build)).chain((option) => option);
  if (shape instanceof z.ZodNullable) return fc.option(build(shape.unwrap()), { nil: null });
  if (shape instanceof z.ZodExactOptional) return build(shape.unwrap());
  if (shape instanceof z.ZodEnum) return oneOf(shape.options);
  if (shape instanceof z.ZodLiteral) return oneOf([...shape.values]);
  if (shape instanceof z.ZodBoolean) return fc.boolean();
  if (shape instanceof z.ZodString) return stringOf(shape);
  if (shape instanceof z.ZodNumber) return numberOf(shape);
  if (shape instanceof z.ZodUnknown) return fc.jsonValue().map(asJson);
  throw new Error(`no message has had a ${shape._zod.def.type} yet`);
}

function oneOf<T>(choices: readonly T[]): fc.Arbitrary<T> {
  return fc.nat({ max: choices.length - 1 }).map((place) => choices[place] as T);
}

function objectOf(fields: Readonly<Record<string, z.core.$ZodType>>): Any {
  const requiredKeys = Object.keys(fields).filter((name) => fields[name]?._zod.def.type !== 'optional');
  const arbitraries = Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, build(field)]));
  return fc.record(arbitraries, { requiredKeys, noNullPrototype: true });
}

function stringOf(shape: z.core.$ZodType): Any {
  const [pattern, ...others] = checksOf(shape).flatMap((check) =>
    'pattern' in check ? [check.pattern as RegExp] : [],
  );
  if (others.length > 0) throw new Error('no message has had a text with several patterns yet');
  return pattern === undefined ? fc.string({ unit: 'grapheme', maxLength: 8 }) : fc.stringMatching(shortened(pattern));
}

/** Long texts take long to make, and show nothing that short ones do not. */
function shortened({ source }: RegExp): RegExp {
  return new RegExp(source.replace(/\{(\d+),\d+\}/g, '{$1,6}'));
}

/** Whole numbers where the shape has ends. */
function numberOf(shape: z.core.$ZodType): Any {
  const ends = new Map(checksOf(shape).map((check) => [check.check, 'value' in check ? Number(check.value) : 1]));
  const minimum = ends.get('greater_than');
  const maximum = ends.get('less_than');
  if (minimum === undefined || maximum === undefined) {
    // JSON knows no negative zero.
    return fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => value + 0);
  }
  const { MIN_SAFE_INTEGER: least, MAX_SAFE_INTEGER: most } = Number;
  const whole = fc.integer({ min: Math.max(minimum, -1e6), max: Math.min(maximum, 1e6) });
  const large = fc.maxSafeInteger().map((value) => Math.min(Math.max(value, minimum, least), maximum, most));
  return fc.oneof({ weight: 3, arbitrary: whole }, large, fc.constantFrom(minimum, maximum));
}

function checksOf(shape: z.core.$ZodType): z.core.$ZodCheckDef[] {
  return (shape._zod.def.checks ?? []).map((check) => check._zod.def);
}

const COLUMN = fc.stringMatching(/^[A-Za-z_][A-Za-z0-9_]{0,8}$/).map((name) => `${name}_c`);
const TABLE: fc.Arbitrary<TableSchema> = fc
  .uniqueArray(COLUMN, { minLength: 1, maxLength: 4, selector: (name) => name.toLowerCase() })
  .chain((columns) =>
    fc
      .array(fc.constantFrom(...DTYPES), { minLength: columns.length - 1, maxLength: columns.length - 1 })
      .map((others) => ({ columns, dtypes: ['Number' as const, ...others] })),
  );

function asJson(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value));
}
