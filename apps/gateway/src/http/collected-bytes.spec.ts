import fc from 'fast-check';
import { CollectedBytes } from './collected-bytes';

const LIMIT = 1_000_000;

test('the bytes are those of the pieces, in their order', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array()), (pieces) => {
      const collected = new CollectedBytes(LIMIT);
      for (const piece of pieces) collected.append(Buffer.from(piece));
      expect(collected.bytes()).toEqual(Buffer.concat(pieces));
    }),
  );
});

test('one piece is not copied', () => {
  const collected = new CollectedBytes(LIMIT);
  const piece = Buffer.from('all of it');
  collected.append(piece);
  expect(collected.bytes().buffer).toBe(piece.buffer);
});

test('of many small pieces nothing is kept but their bytes, in less than twice the room, and few copies', () => {
  const collected = new CollectedBytes(LIMIT);
  const piece = Buffer.alloc(1);
  const rooms = new Set<number>();
  let mostRoom = 0;
  collected.append(Buffer.alloc(1));
  for (let count = 1; count < LIMIT; count += 1) {
    piece[0] = count % 251;
    collected.append(piece);
    rooms.add(collected.capacity);
    if (collected.length >= 4_096) mostRoom = Math.max(mostRoom, collected.capacity / collected.length);
  }
  expect(mostRoom).toBeLessThanOrEqual(2);
  expect(collected.bytes()[1_000]).toBe(1_000 % 251);
  expect(collected.capacity).toBe(LIMIT);
  expect(rooms.size).toBeLessThan(20);
});
