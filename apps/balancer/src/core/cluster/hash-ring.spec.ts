import fc from 'fast-check';
import {
  HashRing,
  loadBound,
  PUBLISHED_HASH,
  RING_SLOTS,
  VIRTUAL_SERVERS,
  type RingHash,
  type RingServer,
} from './hash-ring';
import { mix32, seededRandom, shuffled } from '../kernel/random';

/** Spreads requests and servers over the whole circle, as the published hashes do not. */
const MIXING_HASH: RingHash = {
  request: (id) => mix32(id),
  server: (number, virtual) => mix32(mix32(number) + virtual),
};

function named(numbers: Iterable<number>): RingServer[] {
  return [...numbers].map((number) => ({ name: `Server${number}`, number }));
}

function firstNumbers(count: number): number[] {
  return Array.from({ length: count }, (_, number) => number);
}

/**
 * The dumb ring: one circle of slots, numbers put there one after another from 0 on, whoever is absent wiped out at the
 * end, and a walk for every question. Knows no storeys: for numbers that fit on one circle.
 */
function naiveSuccessors(servers: readonly RingServer[], hash: RingHash, key: number): string[] {
  const circle = new Array<number | null>(RING_SLOTS).fill(null);
  for (let number = 0; number <= Math.max(...servers.map((server) => server.number)); number += 1) {
    for (let virtual = 0; virtual < VIRTUAL_SERVERS; virtual += 1) {
      let slot = hash.server(number, virtual) % RING_SLOTS;
      while (circle[slot] !== null) slot = (slot + 1) % RING_SLOTS;
      circle[slot] = number;
    }
  }
  const met: string[] = [];
  for (let step = 0; step < RING_SLOTS; step += 1) {
    const number = circle[((hash.request(key) % RING_SLOTS) + step) % RING_SLOTS];
    const server = servers.find((candidate) => candidate.number === number);
    if (server !== undefined && !met.includes(server.name)) met.push(server.name);
  }
  return met;
}

const fewNumbers = fc.uniqueArray(fc.integer({ min: 0, max: 55 }), { minLength: 1, maxLength: 12 });
const anyNumbers = fc.uniqueArray(
  fc.oneof(fc.integer({ min: 0, max: 300 }), fc.integer({ min: 0, max: 2 ** 53 - 1 })),
  { minLength: 1, maxLength: 80 },
);
const anyKey = fc.integer({ min: -(2 ** 53) + 1, max: 2 ** 53 - 1 });

describe('the published hashes', () => {
  it.each([0, 1, 2, 31, 511, 512, 100_000, 999_999])('H(%i) = i² + 2i + 17', (i) => {
    expect(PUBLISHED_HASH.request(i) % RING_SLOTS).toBe((i * i + 2 * i + 17) % RING_SLOTS);
  });

  it('stay exact modulo 512 for every whole number, of either sign', () => {
    fc.assert(
      fc.property(anyKey, fc.nat(), fc.nat({ max: 8 }), (key, number, virtual) => {
        const i = BigInt(key);
        const n = BigInt(number);
        const j = BigInt(virtual);
        expect(PUBLISHED_HASH.request(key) % 512).toBe(Number(BigInt.asUintN(9, i * i + 2n * i + 17n)));
        expect(PUBLISHED_HASH.server(number, virtual) % 512).toBe(
          Number(BigInt.asUintN(9, n * n + j * j + 2n * j + 25n)),
        );
      }),
    );
  });

  it('put the three servers of the published example where their sums say, the next free slot on a collision', () => {
    const slots = HashRing.build(named([0, 1, 2]), PUBLISHED_HASH).slots();
    // Server0: 25 28 33 …, Server1: 26 29 34 …, Server2: 29 (taken, so 30) 32 37 …
    expect(slots.slice(24, 34)).toEqual([
      ...['Server0', 'Server0', 'Server1', 'Server0', 'Server0', 'Server1'],
      ...['Server2', 'Server2', 'Server2', 'Server0'],
    ]);
  });
});

describe.each([
  ['the published hashes', PUBLISHED_HASH],
  ['hashes that mix', MIXING_HASH],
])('a ring over %s', (_, hash) => {
  it('equals the naive twin', () => {
    fc.assert(
      fc.property(fewNumbers, anyKey, (numbers, key) => {
        const servers = named(numbers);
        expect(HashRing.build(servers, hash).successors(key)).toEqual(naiveSuccessors(servers, hash, key));
      }),
    );
  });

  it('gives every slot an owner, and every key all servers, each once', () => {
    fc.assert(
      fc.property(anyNumbers, anyKey, (numbers, key) => {
        const servers = named(numbers);
        const ring = HashRing.build(servers, hash);
        const names = servers.map((server) => server.name);
        expect(ring.slots()).toHaveLength(RING_SLOTS);
        expect(ring.slots().every((slot) => names.includes(slot))).toBe(true);
        expect([...ring.successors(key)].sort()).toEqual([...names].sort());
      }),
    );
  });

  it('does not depend on the order in which servers are given', () => {
    fc.assert(
      fc.property(anyNumbers, fc.integer(), (numbers, seed) => {
        const servers = named(numbers);
        const other = shuffled(servers, seededRandom(seed));
        expect(HashRing.build(other, hash).slots()).toEqual(HashRing.build(servers, hash).slots());
      }),
    );
  });

  it('moves only the removed server’s keys, and keeps the order of the others', () => {
    fc.assert(
      fc.property(anyNumbers, fc.nat(), anyKey, (numbers, pick, key) => {
        const servers = named(numbers);
        const gone = servers[pick % servers.length]!;
        const rest = servers.filter((server) => server !== gone);
        const before = HashRing.build(servers, hash).successors(key);
        const after = HashRing.build(rest, hash).successors(key);
        expect(after).toEqual(before.filter((server) => server !== gone.name));
      }),
    );
  });
});

describe('a ring of another size', () => {
  it.each([
    [1, 1, 5],
    [7, 3, 4],
    [9, 20, 3],
    [512, 512, 2],
  ])('of %i slots and %i virtual servers holds %i servers', (slots, virtualServers, count) => {
    const servers = named(firstNumbers(count));
    const ring = HashRing.build(servers, PUBLISHED_HASH, slots, virtualServers);
    expect(ring.slots()).toHaveLength(slots);
    expect([...ring.successors(3)].sort()).toEqual(servers.map((server) => server.name));
  });

  it('has no owner, no successor and no pick without servers', () => {
    const ring = HashRing.build([], PUBLISHED_HASH);
    expect(ring.slots()).toEqual([]);
    expect(ring.successors(1)).toEqual([]);
    expect(ring.pick(1, new Map(), 0.25)).toBeUndefined();
  });

  it.each([
    [
      'a number that is taken',
      [
        { name: 'a', number: 1 },
        { name: 'b', number: 1 },
      ],
      512,
      9,
    ],
    [
      'a name that is taken',
      [
        { name: 'a', number: 1 },
        { name: 'a', number: 2 },
      ],
      512,
      9,
    ],
    ['a negative number', [{ name: 'a', number: -1 }], 512, 9],
    ['a broken number', [{ name: 'a', number: 0.5 }], 512, 9],
    ['no slots', [], 0, 9],
    ['no virtual servers', [], 512, 0],
    ['half a slot', [], 8.5, 9],
    ['half a virtual server', [], 512, 1.5],
  ])('refuses %s', (_, servers, slots, virtualServers) => {
    expect(() => HashRing.build(servers, PUBLISHED_HASH, slots, virtualServers)).toThrow(RangeError);
  });
});

describe('bounded loads', () => {
  const epsilons = fc.constantFrom(0, 0.1, 0.25, 1);

  it('keep every server within ⌈(1+ε)·mean⌉ over random histories of requests that come and end', () => {
    const history = fc.array(fc.record({ key: fc.nat(), ends: fc.boolean() }), { maxLength: 300 });
    fc.assert(
      fc.property(fewNumbers, epsilons, history, (numbers, epsilon, steps) => {
        const ring = HashRing.build(named(numbers), PUBLISHED_HASH);
        const inFlight: string[] = [];
        const loads = new Map<string, number>();
        for (const { key, ends } of steps) {
          if (ends && inFlight.length > 0) {
            const [ended] = inFlight.splice(key % inFlight.length, 1) as [string];
            loads.set(ended, loads.get(ended)! - 1);
            continue;
          }
          const server = ring.pick(key, loads, epsilon)!;
          loads.set(server, (loads.get(server) ?? 0) + 1);
          inFlight.push(server);
          const mean = inFlight.length / numbers.length;
          expect(loads.get(server)).toBeLessThanOrEqual(Math.ceil((1 + epsilon) * mean));
        }
      }),
    );
  });

  it('keep all servers within the bound while requests only come, however poor the hash', () => {
    const ring = HashRing.build(named(firstNumbers(3)), PUBLISHED_HASH);
    const loads = new Map<string, number>();
    for (let id = 0; id < 3000; id += 1) {
      const server = ring.pick(id, loads, 0.25)!;
      loads.set(server, (loads.get(server) ?? 0) + 1);
    }
    expect(Math.max(...loads.values())).toBeLessThanOrEqual(1250);
    // Without a bound nearly all of them go to one server.
    const unbounded = new Map<string, number>();
    for (let id = 0; id < 3000; id += 1) {
      const server = ring.pick(id, unbounded, Number.POSITIVE_INFINITY)!;
      unbounded.set(server, (unbounded.get(server) ?? 0) + 1);
    }
    expect(Math.max(...unbounded.values())).toBeGreaterThan(2500);
  });

  it('take the first clockwise that is eligible and below the bound', () => {
    const loadsOf = fc.array(fc.nat({ max: 20 }), { minLength: 12, maxLength: 12 });
    const mask = fc.array(fc.boolean(), { minLength: 12, maxLength: 12 });
    fc.assert(
      fc.property(fewNumbers, anyKey, epsilons, loadsOf, mask, (numbers, key, epsilon, counts, allowed) => {
        const servers = named(numbers);
        const ring = HashRing.build(servers, PUBLISHED_HASH);
        const loads = new Map(servers.map((server, index) => [server.name, counts[index]!]));
        const eligible = new Set(servers.filter((_, index) => allowed[index]).map((server) => server.name));
        const total = [...eligible].reduce((sum, server) => sum + loads.get(server)!, 0);
        const picked = ring.pick(key, loads, epsilon, (server) => eligible.has(server));
        if (eligible.size === 0) {
          expect(picked).toBeUndefined();
          return;
        }
        const bound = Math.ceil(((1 + epsilon) * (total + 1)) / eligible.size - 1e-9);
        const inOrder = ring.successors(key).filter((server) => eligible.has(server));
        expect(picked).toBe(inOrder.find((server) => loads.get(server)! < bound));
        expect(picked).toBeDefined();
      }),
    );
  });

  it('do not gain a request by the rounding of floating point', () => {
    // (1 + 0.1) × 50 is a hair above 55 in binary.
    expect(loadBound(50, 1, 0.1)).toBe(55);
  });
});
