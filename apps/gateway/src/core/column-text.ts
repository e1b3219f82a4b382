/**
 * One value of a row as the JSON text that travels and is stored, by the type of its column.
 *
 * A value of another type is taken where nothing is lost: `"2255"` for a Number, 27 for a String. Whatever Postgres could
 * not store is refused here.
 */
import type { Dtype } from '#common/contracts/schema';
import { KEY_LIMIT } from '#common/contracts/schema';
import { describe } from './body-fields';
import { Numeral, exactDouble, toNumber } from './numeral';
import { toUtcTimestamp } from './timestamp';

/** The text, or why the value cannot be taken. */
export type ColumnText = { text: string; fault?: undefined } | { fault: string };

/** How deep a JSON column's value may be nested. */
export const MAX_JSON_DEPTH = 64;

/** NUL, which Postgres cannot store, and halves of surrogate pairs, which are no characters. */
const UNSTORABLE = /[\0\p{Surrogate}]/u;
const UNSTORABLE_FAULT = 'the text holds a NUL character or half of a surrogate pair, which cannot be stored';

/** The text of a value in a column of this type. */
export function columnText(dtype: Dtype, value: unknown): ColumnText {
  switch (dtype) {
    case 'Number':
      return numberText(value);
    case 'String':
      return stringText(value);
    case 'Boolean':
      return booleanText(value);
    case 'Timestamp':
      return timestampText(value);
    case 'JSON':
      return jsonText(value);
  }
}

/** The text of a key. */
export function keyText(value: unknown): ColumnText {
  const key = toNumber(value);
  if (key === null || !Number.isInteger(key) || Math.abs(key) > KEY_LIMIT) {
    return { fault: `must be a whole number within ±2^53, not ${describe(value)}` };
  }
  return { text: String(key + 0) };
}

function numberText(value: unknown): ColumnText {
  const number = toNumber(value);
  if (number === null) return { fault: `must be a number that a double holds exactly, not ${describe(value)}` };
  return { text: String(number + 0) };
}

function stringText(value: unknown): ColumnText {
  if (typeof value === 'string')
    return UNSTORABLE.test(value) ? { fault: UNSTORABLE_FAULT } : { text: JSON.stringify(value) };
  if (value instanceof Numeral) return { text: `"${value.text}"` };
  if (typeof value === 'number' || typeof value === 'boolean') return { text: `"${value}"` };
  return { fault: `must be a text, not ${describe(value)}` };
}

function booleanText(value: unknown): ColumnText {
  if (value === true || value === 'true') return { text: 'true' };
  if (value === false || value === 'false') return { text: 'false' };
  return { fault: `must be true or false, not ${describe(value)}` };
}

function timestampText(value: unknown): ColumnText {
  const utc = typeof value === 'string' ? toUtcTimestamp(value) : null;
  if (utc !== null) return { text: `"${utc}"` };
  return {
    fault: `must be an ISO 8601 instant with a zone such as "2024-02-29T12:00:00Z", not ${describe(value)}`,
  };
}

function jsonText(value: unknown): ColumnText {
  const check = new JsonCheck();
  const kept = check.value(value, 0);
  if (check.fault !== null) return { fault: check.fault };
  return { text: JSON.stringify(kept) };
}

/** Walks a JSON value once: finds what cannot be stored, and turns numerals into numbers where they stand. */
class JsonCheck {
  fault: string | null = null;

  value(value: unknown, depth: number): unknown {
    if (typeof value === 'string') this.text(value);
    else if (typeof value === 'number') this.number(value);
    else if (value instanceof Numeral) return this.numeral(value);
    else if (typeof value === 'object' && value !== null) this.container(value as Record<string, unknown>, depth + 1);
    return value;
  }

  private text(text: string): void {
    if (UNSTORABLE.test(text)) this.fault ??= UNSTORABLE_FAULT;
  }

  private number(number: number): void {
    if (!Number.isFinite(number)) this.fault ??= 'holds a number that is too large';
  }

  private numeral(numeral: Numeral): number {
    const number = exactDouble(numeral.text);
    if (number === null)
      this.fault ??= `holds ${describe(numeral)}, which a double does not hold exactly: send it as a text`;
    else this.number(number);
    return number ?? 0;
  }

  private container(container: Record<string, unknown>, depth: number): void {
    if (depth > MAX_JSON_DEPTH) {
      this.fault ??= `is nested more than ${MAX_JSON_DEPTH} levels deep`;
      return;
    }
    const list = Array.isArray(container);
    for (const name of Object.keys(container)) {
      if (this.fault !== null) return;
      if (!list) this.text(name);
      const value = container[name];
      const kept = this.value(value, depth);
      if (kept !== value)
        Object.defineProperty(container, name, { value: kept, enumerable: true, configurable: true, writable: true });
    }
  }
}
