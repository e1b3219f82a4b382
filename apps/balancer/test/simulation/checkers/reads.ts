/** I2: a read finds only rows that somebody had asked to be written by then, and none of a change that was refused or came to nothing. */
import type { Entry } from '#common/testing/history';

/** What is wrong with the reads of a history, or null. */
export function faultOfReads(entries: readonly Entry[]): string | null {
  const writers = new Map<string, Entry>();
  for (const entry of entries) {
    if ('tokens' in entry.operation) for (const token of entry.operation.tokens) writers.set(token, entry);
  }
  for (const { id, operation, answered, ending } of entries) {
    if (ending?.how !== 'seen') continue;
    for (const [place, value] of ending.values.entries()) {
      if (value === null) continue;
      const key = operation.keys[place] ?? Number.NaN;
      const writer = writers.get(value);
      const read = `I2: read #${id} found ${value} at the key ${key}`;
      if (writer === undefined) return `${read}, which nobody wrote`;
      if (!writer.operation.keys.includes(key)) return `${read}, which #${writer.id} wrote elsewhere`;
      if (writer.called > answered) return `${read}, which #${writer.id} wrote later`;
      if (writer.ending?.how === 'none') return `${read}, but #${writer.id} was told that nothing happened`;
      if (writer.ending?.how === 'refused') return `${read}, but #${writer.id} was refused`;
    }
  }
  return null;
}
