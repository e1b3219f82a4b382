/**
 * What the messages are made of. Each message is defined once, as a shape: its TypeScript type is inferred from that, `nats/message.ts`
 * derives the validator, and `testing/arbitrary.ts` test data. A new field is one line there.
 */
import { z } from 'zod';

/** Keys are whole numbers within ±KEY_LIMIT, both ends included. */
export const KEY_LIMIT = 2 ** 53;

/** Column, shard and server names. They are always quoted as well. */
export const IDENTIFIER = /^[A-Za-z_][A-Za-z0-9_\-[\]]{0,62}$/;

/**
 * Whether a shard or a server may be called so: not as what every JavaScript object has from its birth (`constructor`), since
 * objects with these names as keys travel and are stored.
 */
export function isFreeName(name: string): boolean {
  return !(name in {});
}

/** A whole number within both ends. Not `z.int()`, which leaves out both ends of the key range. */
export function wholeNumber(min: number, max: number = KEY_LIMIT): z.ZodNumber {
  return z.number().multipleOf(1).min(min).max(max);
}

export const key = wholeNumber(-KEY_LIMIT);
/** Terms, VATs, epochs, revisions, counts. */
export const term = wholeNumber(0);
/** By shard. */
export const terms = z.record(z.string(), term);
/** What is either so or not said. */
export const flag = z.literal(true).exactOptional();
/** A span of time, or how old something is; null when that is not known. */
export const milliseconds = z.number();

export const identifier = z.string().regex(IDENTIFIER);
/** Of a shard or a server, where one is made. */
export const freshName = identifier.refine(isFreeName, 'is a reserved name');
export const names = z.array(z.string());

/** A list that nobody changes. Only the type says so: `z.readonly` would freeze every message. */
export function listOf<S extends z.ZodType>(item: S): z.ZodType<readonly z.infer<S>[]> {
  return z.array(item);
}

/** A message that says nothing. */
export const nothing = z.strictObject({});
