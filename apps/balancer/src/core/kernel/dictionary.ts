/**
 * An object for names that are not known before, as messages have it. Made as `{}` each new name, be it a shard's, would give it a shape
 * of its own, which V8 has to build (some 10 µs).
 */
export function dictionary<T>(): Record<string, T> {
  return Object.create(null) as Record<string, T>;
}
