import fc from 'fast-check';
import { DisjointSets } from './disjoint-sets';

const NAMES = Array.from({ length: 12 }, (_, index) => `n${index}`);
const name = fc.constantFrom(...NAMES);

it('groups as the naive twin does, which walks along all pairs', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(name, name), { maxLength: 15 }), (pairs) => {
      const sets = new DisjointSets();
      for (const [a, b] of pairs) sets.join(a, b);
      const reached = new Map(NAMES.map((from) => [from, new Set([from])]));
      NAMES.forEach(() => {
        for (const group of reached.values()) {
          for (const [a, b] of pairs) if (group.has(a) || group.has(b)) group.add(a).add(b);
        }
      });
      for (const a of NAMES) for (const b of NAMES) expect(sets.find(a) === sets.find(b)).toBe(reached.get(a)!.has(b));
    }),
  );
});
