import { HashRing, RING_SLOTS, type RingHash, type RingServer } from '../../core/cluster/hash-ring';
import { randomBelow, seededRandom, shuffled } from '../../core/kernel/random';
import { makeRingHash, RING_HASHES } from './ring-hashes';

const KEYS = Array.from({ length: 4096 }, (_, index) => 100_000 + index * 219);

function named(numbers: Iterable<number>): RingServer[] {
  return [...numbers].map((number) => ({ name: `Server${number}`, number }));
}

function firstNumbers(count: number): number[] {
  return Array.from({ length: count }, (_, number) => number);
}

function owner(ring: HashRing, key: number): string | undefined {
  return ring.successors(key)[0];
}

/** The share of the keys whose owner differs. */
function movedShare(before: HashRing, after: HashRing): number {
  return KEYS.filter((key) => owner(before, key) !== owner(after, key)).length / KEYS.length;
}

describe('the values', () => {
  it('of md5 are the first 32 bits of the digest', async () => {
    const hash = await makeRingHash('md5');
    // printf request:5 | md5sum; printf server:5:0 | md5sum
    expect(hash.request(5)).toBe(0x860bebb0);
    expect(hash.server(5, 0)).toBe(0x084f37e6);
  });

  it('of xxhash are those of XXH32 with different seeds for requests and servers', async () => {
    const hash = await makeRingHash('xxhash');
    expect(hash.request(5)).toBe(2_353_532_454);
    expect(hash.server(5, 0)).toBe(3_101_148_698);
  });

  it.each(RING_HASHES)('of %s are whole numbers from 0 to 2^32 - 1', async (name) => {
    const hash = await makeRingHash(name);
    for (const id of [-7, 0, 1, 999_999, 2 ** 53 - 1]) {
      for (const value of [hash.request(id), hash.server(Math.abs(id), 8)]) {
        expect(Number.isInteger(value) && value >= 0 && value < 2 ** 32).toBe(true);
      }
    }
  });
});

describe.each(RING_HASHES)('a ring over %s', (name) => {
  let hash: RingHash;
  beforeAll(async () => {
    hash = await makeRingHash(name);
  });

  it('gives a newcomer what it takes from the others, and moves nothing else', () => {
    const before = HashRing.build(named(firstNumbers(5)), hash);
    const after = HashRing.build(named(firstNumbers(6)), hash);
    const moved = KEYS.filter((key) => owner(before, key) !== owner(after, key));
    expect(moved.length).toBeGreaterThan(0);
    expect(moved.every((key) => owner(after, key) === 'Server5')).toBe(true);
  });

  it('moves at most 1/n + ε of the keys to the n-th server when numbers are given in order (ε = 0.1)', () => {
    for (let n = 2; n <= 56; n += 1) {
      const before = HashRing.build(named(firstNumbers(n - 1)), hash);
      const after = HashRing.build(named(firstNumbers(n)), hash);
      expect(movedShare(before, after)).toBeLessThanOrEqual(1 / n + 0.1);
    }
  });

  it('moves 1/n on the average over who of n servers is the newcomer', () => {
    const n = 8;
    const after = HashRing.build(named(firstNumbers(n)), hash);
    const shares = firstNumbers(n).map((newcomer) =>
      movedShare(HashRing.build(named(firstNumbers(n).filter((number) => number !== newcomer)), hash), after),
    );
    expect(shares.reduce((sum, share) => sum + share, 0) / n).toBeCloseTo(1 / n, 10);
  });
});

describe.each(['md5', 'xxhash'] as const)('a ring over %s, which mixes', (name) => {
  let hash: RingHash;
  beforeAll(async () => {
    hash = await makeRingHash(name);
  });

  it('moves at most 1/n + ε to any newcomer among servers of whatever numbers (ε = 2.5/n, 7 standard deviations)', () => {
    const random = seededRandom(20_160_803);
    for (let trial = 0; trial < 150; trial += 1) {
      const n = 2 + randomBelow(15, random);
      const numbers = shuffled(firstNumbers(500), random).slice(0, n);
      const moved = movedShare(HashRing.build(named(numbers.slice(1)), hash), HashRing.build(named(numbers), hash));
      expect(moved).toBeLessThanOrEqual(1 / n + 2.5 / n);
    }
  });

  it('gives no server more than twice the mean of the keys while numbers are given in order', () => {
    for (let n = 2; n <= 56; n += 6) {
      const counts = new Map<string, number>();
      const ring = HashRing.build(named(firstNumbers(n)), hash);
      for (const key of KEYS) counts.set(owner(ring, key) ?? '', (counts.get(owner(ring, key) ?? '') ?? 0) + 1);
      expect(Math.max(...counts.values())).toBeLessThanOrEqual((2 * KEYS.length) / n);
    }
  });

  it('gives servers beyond the 56 that have room beside each other their share too', () => {
    const ring = HashRing.build(named(firstNumbers(112)), hash);
    const late = ring.slots().filter((server) => Number(server.slice('Server'.length)) >= 56).length;
    expect(late).toBeGreaterThan(RING_SLOTS / 3);
    expect(late).toBeLessThan((2 * RING_SLOTS) / 3);
  });
});
