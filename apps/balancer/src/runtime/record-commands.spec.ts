import { encodeLines } from '#common/nats/lines';
import { readCommands } from './record-commands';

const write = (id: number, keys: number[]): object => ({ id, onConflict: 'error', keys, operation: `op${id}` });
const BAD_MESSAGE: unknown = expect.objectContaining({ code: 'BAD_MESSAGE' });

test('every operation of a message gets the rows that are its own', () => {
  const ops = [write(0, [1, 2]), write(1, []), write(2, [3])];
  const { configId, commands } = readCommands.write(encodeLines({ configId: 4, ops }, ['a', 'b', 'c']));
  expect(configId).toBe(4);
  expect(commands).toEqual([
    { op: 'write', ...write(0, [1, 2]), rows: ['a', 'b'] },
    { op: 'write', ...write(1, []), rows: [] },
    { op: 'write', ...write(2, [3]), rows: ['c'] },
  ]);
});

test('updates, deletes and reads are distinguished by their subject', () => {
  const change = { id: 0, key: 7, operation: 'op', fingerprint: 'x' };
  const message = { configId: 1, ops: [change] };
  expect(readCommands.update(encodeLines(message, ['r'])).commands).toEqual([{ op: 'update', ...change, row: 'r' }]);
  expect(readCommands.del(encodeLines(message, [])).commands).toEqual([{ op: 'delete', ...change }]);
  const read = { id: 0, low: 1, high: 2 };
  expect(readCommands.read(encodeLines({ configId: 1, ops: [read] }, [])).commands).toEqual([{ op: 'read', ...read }]);
});

test.each<[string, () => unknown]>([
  ['fewer rows than keys', () => readCommands.write(encodeLines({ configId: 1, ops: [write(0, [1, 2])] }, ['a']))],
  ['more rows than keys', () => readCommands.write(encodeLines({ configId: 1, ops: [write(0, [1])] }, ['a', 'b']))],
  ['an update without a row', () => readCommands.update(encodeLines({ configId: 1, ops: [{ id: 0, key: 1 }] }, []))],
  [
    'a field that nobody knows',
    () => readCommands.del(encodeLines({ configId: 1, ops: [{ id: 0, key: 1, x: 1 }] }, [])),
  ],
  ['no operations', () => readCommands.read(encodeLines({ configId: 1 }, []))],
])('a message with %s is refused', (_name, act) => {
  expect(act).toThrow(BAD_MESSAGE as Error);
});
