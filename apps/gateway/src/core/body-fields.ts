/** Bodies as the contract reads them: field names without regard to case, and messages that say what is wrong where. */
import { ShardlineError } from '#common/contracts/errors';
import { firstRepeated, IDENTIFIER, isFreeName, KEY_LIMIT } from '#common/contracts/schema';
import { Numeral, toNumber } from './numeral';

/** The fields of a JSON object by their names in lower case. */
export type Fields = ReadonlyMap<string, unknown>;

const PREVIEW_LENGTH = 60;

/** A request's own fault. */
export function badRequest(message: string): ShardlineError {
  return new ShardlineError('BAD_REQUEST', message);
}

/** Whether the value is a JSON object (not a list, not null, not a number kept as text). */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Numeral);
}

/** The fields of an object. @throws ShardlineError BAD_REQUEST when it is none, or has two spellings of one name */
export function fieldsOf(value: unknown, what: string): Fields {
  if (!isObject(value)) throw badRequest(`${what} must be a JSON object, not ${describe(value)}`);
  const fields = new Map<string, unknown>();
  for (const [name, content] of Object.entries(value)) {
    const known = name.toLowerCase();
    if (fields.has(known))
      throw badRequest(`${what} has the field ${quote(known)} twice: names differ in more than case`);
    fields.set(known, content);
  }
  return fields;
}

/** A field that must be there. @throws ShardlineError BAD_REQUEST */
export function requiredField(fields: Fields, name: string, what: string): unknown {
  const value = fields.get(name.toLowerCase());
  if (value === undefined) throw badRequest(`${what} lacks the field ${quote(name)}`);
  return value;
}

/** A list of at most `most` items. @throws ShardlineError BAD_REQUEST */
export function listOf(value: unknown, what: string, most = Number.POSITIVE_INFINITY): unknown[] {
  if (!Array.isArray(value)) throw badRequest(`${what} must be a list, not ${describe(value)}`);
  if (value.length > most) throw badRequest(`${what} has ${value.length} items: there may be at most ${most}`);
  return value as unknown[];
}

/** A whole number from `min` to `max`, or the text of one. @throws ShardlineError BAD_REQUEST */
export function wholeNumber(value: unknown, what: string, min: number, max: number): number {
  const number = toNumber(value);
  if (number === null || !Number.isInteger(number)) {
    throw badRequest(`${what} must be a whole number, not ${describe(value)}`);
  }
  if (number < min || number > max) throw badRequest(`${what} is ${number}: it must lie between ${min} and ${max}`);
  // Adding zero turns -0 into 0.
  return number + 0;
}

/** A key. @throws ShardlineError BAD_REQUEST */
export function keyOf(value: unknown, what: string): number {
  return wholeNumber(value, what, -KEY_LIMIT, KEY_LIMIT);
}

/** A column's name; those of shards and servers are `freeNameOf`. @throws ShardlineError BAD_REQUEST */
function nameOf(value: unknown, what: string): string {
  if (typeof value !== 'string') throw badRequest(`${what} must be a text, not ${describe(value)}`);
  if (!IDENTIFIER.test(value)) {
    throw badRequest(
      `${what} is ${quote(value)}: a name starts with a letter or _, followed by at most 62 letters, digits, _ - [ ]`,
    );
  }
  // It has a meaning of its own in every JavaScript object, whoever may read it later.
  if (value === '__proto__') throw badRequest(`${what} is "__proto__": choose another name`);
  return value;
}

/** The name of a shard or of a server. @throws ShardlineError BAD_REQUEST */
export function freeNameOf(value: unknown, what: string): string {
  const name = nameOf(value, what);
  if (!isFreeName(name)) throw badRequest(`${what} is ${quote(name)}, a reserved name: choose another name`);
  return name;
}

/** Names in a list of at most `most`, each once. @throws ShardlineError BAD_REQUEST */
export function namesOf(value: unknown, what: string, most?: number): string[] {
  const names = listOf(value, what, most).map((name, index) => nameOf(name, `${what}[${index}]`));
  const repeated = firstRepeated(names);
  if (repeated !== undefined) throw badRequest(`${what} names ${quote(repeated)} twice`);
  return names;
}

/** A value in a message: its kind, and its text where that is short. */
export function describe(value: unknown): string {
  if (value === null) return 'null';
  if (value === undefined) return 'nothing';
  if (value instanceof Numeral) return `the number ${shorten(value.text)}`;
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'string') return `the text ${quote(value)}`;
  if (typeof value === 'number') return `the number ${value}`;
  return typeof value === 'boolean' ? String(value) : 'an object';
}

/** A client's text in a message: short, in quotes, and harmless whatever is in it. */
export function quote(text: string): string {
  return JSON.stringify(shorten(text));
}

function shorten(text: string): string {
  return text.length > PREVIEW_LENGTH ? `${text.slice(0, PREVIEW_LENGTH)}…` : text;
}
