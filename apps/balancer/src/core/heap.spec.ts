import fc from 'fast-check';
import { Heap } from './heap';

it('gives the least of what is in it, whatever came and went before', () => {
  fc.assert(
    fc.property(fc.array(fc.option(fc.nat({ max: 20 }), { nil: 'pop' as const })), (steps) => {
      const heap = new Heap<number>((a, b) => a < b);
      const twin: number[] = [];
      for (const step of steps) {
        if (step !== 'pop') {
          heap.push(step);
          twin.push(step);
          twin.sort((a, b) => a - b);
        } else expect(heap.pop()).toBe(twin.shift());
        expect(heap.least).toBe(twin[0]);
      }
    }),
  );
});
