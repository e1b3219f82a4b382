/** I2: a read finds only rows that somebody had asked to be written by then, and none of a change that was refused or came to nothing. */
import type { Entry } from '#common/testing/history';

/** What is wrong with the reads of a history, or null. */
export function faultOfReads(entries: readonly Entry[]): string | null {
  const writers = new Map<string, { entry: Entry; keys: readonly number[] }>();
  for (const entry of entries) {
    const { operation } = entry;
    if ('tokens' in operation)
      for (const token of operation.tokens) writers.set(token, { entry, keys: operation.keys });
  }
  for (const { id, operation, answered, ending } of entries) {
    if (ending?.how !== 'seen') continue;
    for (const [place, value] of ending.values.entries()) {
      if (value === null) continue;
      const key = operation.keys[place] ?? Number.NaN;
      const found = writers.get(value);
      const read = `I2: read #${id} found ${value} at the key ${key}`;
      if (found === undefined) return `${read}, which nobody wrote`;
      const { entry: writer, keys } = found;
      if (!keys.includes(key)) return `${read}, which #${writer.id} wrote elsewhere`;
      if (writer.called > answered) return `${read}, which #${writer.id} wrote later`;
      if (writer.ending?.how === 'none') return `${read}, but #${writer.id} was answered that nothing happened`;
      if (writer.ending?.how === 'refused') return `${read}, but #${writer.id} was refused`;
    }
  }
  return null;
}
