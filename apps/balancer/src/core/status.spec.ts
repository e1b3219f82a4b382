import fc from 'fast-check';
import { arcsOf } from './status';

test('the arcs of a ring name every slot once, with its owner, and no two neighbours have the same', () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom('a', 'b', 'c'), { maxLength: 40 }), (slots) => {
      const arcs = arcsOf(slots);
      const unrolled = arcs.flatMap(({ from, to, server }) => Array.from({ length: to - from + 1 }, () => server));
      expect(unrolled).toEqual(slots);
      arcs.slice(1).forEach((arc, index) => {
        expect(arc.from).toBe((arcs[index]?.to ?? NaN) + 1);
        expect(arc.server).not.toBe(arcs[index]?.server);
      });
    }),
  );
});
