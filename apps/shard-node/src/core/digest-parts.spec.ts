import fc from 'fast-check';
import { partAt, partWidth } from './digest-parts';

it('parts lie side by side, from the first key to the last, and none is empty', () => {
  const range = fc.record({ low: fc.integer({ min: -50, max: 50 }), size: fc.integer({ min: 1, max: 60 }) });
  fc.assert(
    fc.property(range, fc.integer({ min: 1, max: 70 }), ({ low, size }, parts) => {
      const asked = { low, high: low + size - 1, parts };
      const count = Math.ceil(size / partWidth(asked));
      expect(count).toBeLessThanOrEqual(parts);
      let next = low;
      for (let index = 0; index < count; index += 1) {
        const part = partAt(asked, index);
        expect(part.low).toBe(next);
        expect(part.high).toBeGreaterThanOrEqual(part.low);
        next = part.high + 1;
      }
      expect(next).toBe(asked.high + 1);
    }),
  );
});
