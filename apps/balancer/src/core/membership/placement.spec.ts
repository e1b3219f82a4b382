import fc from 'fast-check';
import { chooseReplacement, missingServerNames, placeShards, unusedServerName, type Placement } from './placement';
import { seededRandom } from '../kernel/random';

const NOBODY: Placement = new Map();

function names(prefix: string, count: number): string[] {
  return Array.from({ length: count }, (_, index) => `${prefix}${index}`);
}

function replicasOf(shard: string, ...placements: Placement[]): number {
  return placements.flatMap((placement) => [...placement.values()]).filter((shards) => shards.includes(shard)).length;
}

const counts = fc.record({
  shards: fc.integer({ min: 1, max: 20 }),
  servers: fc.integer({ min: 1, max: 12 }),
  replicas: fc.integer({ min: 1, max: 4 }),
  seed: fc.integer(),
});

describe('placeShards', () => {
  it('gives every shard its replicas, on as many servers, when nobody holds anything', () => {
    fc.assert(
      fc.property(counts, ({ shards, servers, replicas, seed }) => {
        const ids = names('sh', shards);
        const placed = placeShards(ids, names('Server', servers), NOBODY, replicas, seededRandom(seed));
        const enoughForAll = shards * Math.min(replicas, servers) >= servers;
        for (const shard of ids) {
          const copies = replicasOf(shard, placed);
          expect(copies).toBeGreaterThanOrEqual(Math.min(replicas, servers));
          if (enoughForAll) expect(copies).toBe(Math.min(replicas, servers));
        }
      }),
    );
  });

  it('never puts two replicas of a shard on one server, and leaves no server empty', () => {
    fc.assert(
      fc.property(counts, ({ shards, servers, replicas, seed }) => {
        const placed = placeShards(names('sh', shards), names('S', servers), NOBODY, replicas, seededRandom(seed));
        expect([...placed.keys()]).toEqual(names('S', servers));
        for (const held of placed.values()) {
          expect(new Set(held).size).toBe(held.length);
          expect(held.length).toBeGreaterThan(0);
        }
      }),
    );
  });

  it('balances: no two servers differ by more than one shard', () => {
    fc.assert(
      fc.property(counts, ({ shards, servers, replicas, seed }) => {
        const placed = placeShards(names('sh', shards), names('S', servers), NOBODY, replicas, seededRandom(seed));
        const loads = [...placed.values()].map((held) => held.length);
        expect(Math.max(...loads) - Math.min(...loads)).toBeLessThanOrEqual(1);
      }),
    );
  });

  it('counts the replicas that others hold, and touches no list but those of its servers', () => {
    const listed: Placement = new Map([
      ['Server0', ['sh1', 'sh2']],
      ['Server1', ['sh2', 'sh3']],
      ['Server2', ['sh1', 'sh3']],
    ]);
    const placed = placeShards(['sh1', 'sh2', 'sh3'], ['Server3'], listed, 3, seededRandom(1));
    expect(placed).toEqual(new Map([['Server3', ['sh1', 'sh2', 'sh3']]]));
  });

  it('gives a server a shard even when every shard has its replicas already', () => {
    const listed: Placement = new Map(names('Server', 3).map((server) => [server, ['sh1', 'sh2']]));
    const placed = placeShards(['sh1', 'sh2'], ['Server3', 'Server4'], listed, 3, seededRandom(1));
    expect([...placed.values()].map((held) => held.length)).toEqual([1, 1]);
    expect([...placed.values()].flat().sort()).toEqual(['sh1', 'sh2']);
  });

  it('gives an empty server a shard that has the fewest replicas', () => {
    const listed: Placement = new Map([
      ['Server0', ['sh1', 'sh2', 'sh3', 'sh4']],
      ['Server1', ['sh1', 'sh2', 'sh4']],
    ]);
    for (let seed = 0; seed < 20; seed += 1) {
      const placed = placeShards(['sh1', 'sh2', 'sh3', 'sh4'], ['Server2'], listed, 1, seededRandom(seed));
      expect(placed).toEqual(new Map([['Server2', ['sh3']]]));
    }
  });

  it('breaks ties between servers at random', () => {
    const luckiest = Array.from({ length: 40 }, (_, seed) => {
      const placed = placeShards(names('sh', 4), names('S', 3), NOBODY, 1, seededRandom(seed));
      return names('S', 3).find((server) => placed.get(server)?.length === 2);
    });
    expect(new Set(luckiest).size).toBe(3);
  });

  it('keeps what its servers hold', () => {
    const listed: Placement = new Map([['Server0', ['sh1']]]);
    const placed = placeShards(['sh1', 'sh2'], ['Server0', 'Server1'], listed, 1, seededRandom(3));
    expect(placed).toEqual(
      new Map([
        ['Server0', ['sh1']],
        ['Server1', ['sh2']],
      ]),
    );
  });

  it('is repeated by the same seed, and differs between seeds', () => {
    const place = (seed: number): string =>
      JSON.stringify([...placeShards(names('sh', 8), names('S', 8), NOBODY, 3, seededRandom(seed))]);
    expect(place(5)).toBe(place(5));
    expect(new Set(names('', 20).map((seed) => place(Number(seed)))).size).toBeGreaterThan(10);
  });

  it('places nothing without shards or servers', () => {
    expect(placeShards([], ['S'], NOBODY, 3, seededRandom(1))).toEqual(new Map([['S', []]]));
    expect(placeShards(['sh1'], [], NOBODY, 3, seededRandom(1))).toEqual(new Map());
  });
});

describe('chooseReplacement', () => {
  const load = new Map([
    ['A', 2],
    ['B', 1],
    ['C', 1],
  ]);

  it.each([
    ['the one with the fewest shards, the first of several', ['X'], ['A', 'B', 'C'], 'B'],
    ['not a holder', ['B'], ['A', 'B', 'C'], 'C'],
    ['one that holds nothing yet', ['X'], ['A', 'B', 'new'], 'new'],
    ['nobody when all hold it', ['A', 'B'], ['A', 'B'], undefined],
    ['nobody when there is nobody', [], [], undefined],
  ])('chooses %s', (_, holders, candidates, chosen) => {
    expect(chooseReplacement(new Set(holders), candidates, load)).toBe(chosen);
  });
});

describe('server names', () => {
  it('of a bracket are Server and five random digits that nobody has', () => {
    fc.assert(
      fc.property(fc.integer(), (seed) => {
        const first = unusedServerName(new Set(), seededRandom(seed));
        expect(first).toMatch(/^Server[1-9]\d{4}$/);
        const second = unusedServerName(new Set([first]), seededRandom(seed));
        expect(second).toMatch(/^Server[1-9]\d{4}$/);
        expect(second).not.toBe(first);
      }),
    );
  });

  it('of a bracket get a digit more when the five are used up', () => {
    const taken = new Set(Array.from({ length: 90_000 }, (_, index) => `Server${10_000 + index}`));
    expect(unusedServerName(taken, seededRandom(1))).toMatch(/^Server\d{6}$/);
    taken.delete('Server54321');
    expect(unusedServerName(taken, seededRandom(1))).toBe('Server54321');
  });

  it('of missing servers count up from 0 past those that are taken', () => {
    expect(missingServerNames(3, new Set(['Server1', 'Server3', 'other']))).toEqual(['Server0', 'Server2', 'Server4']);
    expect(missingServerNames(0, new Set())).toEqual([]);
  });
});
