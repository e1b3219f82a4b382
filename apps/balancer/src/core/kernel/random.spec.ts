import { mix32, randomItem, seededRandom, shuffled } from './random';

describe('seededRandom', () => {
  it('draws the same numbers again by the same seed, and others by another', () => {
    const draw = (seed: number): number[] => {
      const random = seededRandom(seed);
      return [random(), random(), random(), random()];
    };
    expect(draw(42)).toEqual(draw(42));
    expect(draw(42)).not.toEqual(draw(43));
  });

  it('stays in [0, 1) and fills it evenly', () => {
    const random = seededRandom(1);
    const tenths = new Array<number>(10).fill(0);
    for (let draw = 0; draw < 100_000; draw += 1) {
      const value = random();
      expect(value >= 0 && value < 1).toBe(true);
      tenths[Math.floor(value * 10)] = tenths[Math.floor(value * 10)]! + 1;
    }
    // 10,000 expected in each, standard deviation 95.
    for (const count of tenths) expect(Math.abs(count - 10_000)).toBeLessThan(500);
  });
});

describe('mix32', () => {
  it('sends different numbers to different numbers', () => {
    const mixed = new Set(Array.from({ length: 100_000 }, (_, value) => mix32(value)));
    expect(mixed.size).toBe(100_000);
  });

  it('flips about half of the bits when one bit flips', () => {
    let flipped = 0;
    for (let bit = 0; bit < 32; bit += 1) {
      for (let value = 0; value < 200; value += 1) {
        const change = mix32(value * 7919) ^ mix32((value * 7919) ^ (1 << bit));
        flipped += (change >>> 0).toString(2).replaceAll('0', '').length;
      }
    }
    expect(flipped / (32 * 200)).toBeGreaterThan(15);
    expect(flipped / (32 * 200)).toBeLessThan(17);
  });
});

describe('choices', () => {
  it('shuffle into every order about equally often, and lose nothing', () => {
    const random = seededRandom(3);
    const orders = new Map<string, number>();
    for (let draw = 0; draw < 6000; draw += 1) {
      const order = shuffled(['a', 'b', 'c'], random).join('');
      orders.set(order, (orders.get(order) ?? 0) + 1);
    }
    expect([...orders.keys()].sort()).toEqual(['abc', 'acb', 'bac', 'bca', 'cab', 'cba']);
    for (const count of orders.values()) expect(Math.abs(count - 1000)).toBeLessThan(200);
  });

  it('refuse to choose from nothing', () => {
    expect(() => randomItem([], seededRandom(1))).toThrow(RangeError);
  });
});
