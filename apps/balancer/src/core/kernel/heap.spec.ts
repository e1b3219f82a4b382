import fc from 'fast-check';
import { Heap } from './heap';

/** Unlike a number, an item of which there is none cannot be compared. */
interface Item {
  at: number;
}

it('gives the least of what is in it, whatever came and went before', () => {
  fc.assert(
    fc.property(fc.array(fc.option(fc.nat({ max: 20 }), { nil: 'pop' as const })), (steps) => {
      const heap = new Heap<Item>((a, b) => a.at < b.at);
      const twin: number[] = [];
      for (const step of steps) {
        if (step !== 'pop') {
          heap.push({ at: step });
          twin.push(step);
          twin.sort((a, b) => a - b);
        } else expect(heap.pop()?.at).toBe(twin.shift());
        expect(heap.least?.at).toBe(twin[0]);
        expect(heap.size).toBe(twin.length);
      }
    }),
  );
});

it('compares no more than it must: an item that stays where it comes costs one comparison, or two on the way down', () => {
  let compared = 0;
  const heap = new Heap<Item>((a, b) => {
    compared += 1;
    return a.at < b.at;
  });
  for (let count = 0; count < 1_000; count += 1) heap.push({ at: 1 });
  expect(compared).toBe(999);
  compared = 0;
  heap.pop();
  expect(compared).toBe(2);
});
