/** What excuses a shard that is not served: only that no disk can say what became of a round that it shares with a destroyed one. */
import type { NewestRound } from '#common/contracts/node';
import { isBlocked } from './blocked';
import type { Seen } from './seen';

const OPEN: NewestRound = { epoch: 2, round: 6, refused: false, lastTerms: { a: 4, b: 3 } };
const OTHER: NewestRound = { epoch: 2, round: 5, refused: false, lastTerms: { a: 4, c: 7 } };

interface Held {
  newestRound: NewestRound | null;
  committedVat: number;
  epochStarts?: object[];
  catchUp?: object | null;
}
const holding = (newestRound: NewestRound | null, committedVat = 2): Held => ({ newestRound, committedVat });

/** By shard and server what there is on the disks; null: nothing any more, `buried`: nobody can look. */
type Disks = Record<string, Record<string, Held | null | 'buried'>>;

function seen(disks: Disks): Seen {
  const names = [...new Set(Object.values(disks).flatMap((servers) => Object.keys(servers)))];
  const byName = names.map((name) => {
    const own = Object.entries(disks).map(([shard, servers]) => [shard, servers[name]] as const);
    const held = own.filter(([, one]) => one !== null && one !== undefined && one !== 'buried');
    const states = new Map(held.map(([shard, one]) => [shard, { catchUp: null, epochStarts: [], ...(one as Held) }]));
    const tables = new Map(held.map(([shard]) => [shard, new Map()]));
    const contents = { identity: { epoch: 2, configId: 1, prepared: null }, states, tables };
    return [name, { isBuried: own.some(([, one]) => one === 'buried'), disk: { contents } }] as const;
  });
  const newest = Object.entries(disks).map(
    ([shard, servers]) => [shard, { shard, inSync: Object.keys(servers) }] as const,
  );
  return { servers: { byName: new Map(byName) }, newest: new Map(newest), configId: () => 1 } as unknown as Seen;
}

const A = { S0: holding(OPEN), S1: holding(OPEN) };
const B = { S1: holding(OPEN), S2: null, S3: 'buried' as const };

function blocked(disks: Disks, lacking = ['b']): string[] {
  const others = Object.keys(disks).filter((shard) => !lacking.includes(shard));
  return others.filter((shard) => isBlocked(shard, new Set(lacking), seen(disks)));
}

it('excuses a shard that holds a round of which a destroyed one has nothing but the same', () => {
  expect(blocked({ a: A, b: B })).toEqual(['a']);
  expect(blocked({ a: A, b: { S2: null, S3: 'buried' } })).toEqual(['a']);
});

it('excuses every shard of such a round, and none that is tied to one of them by an earlier round', () => {
  const shared = holding({ ...OPEN, lastTerms: { a: 4, b: 3, c: 9 } });
  expect(blocked({ a: { S0: shared }, b: { S1: shared, S2: null }, c: { S4: shared } })).toEqual(['a', 'c']);
  expect(blocked({ a: A, b: B, c: { S4: holding(OTHER) } })).toEqual(['a']);
});

it.each<[string, Disks]>([
  ['it shares no round with the destroyed one', { a: { S0: holding(OTHER), S1: holding(OTHER) }, b: B, c: A }],
  ['it holds nothing', { a: { S0: holding(null), S1: holding(null) }, b: B }],
  ['one of its disks has not got the round', { a: { S0: holding(OPEN), S1: holding(OTHER) }, b: B }],
  ['one of its disks knows that it is committed', { a: { S0: holding(OPEN), S1: holding(OPEN, 4) }, b: B }],
  ['one of its disks refused it', { a: { S0: holding(OPEN), S1: holding({ ...OPEN, refused: true }) }, b: B }],
  ['a disk of the other has not got it', { a: A, b: { ...B, S4: holding({ ...OPEN, epoch: 1 }) } }],
  ['a disk of the other has another round', { a: A, b: { ...B, S4: holding({ ...OPEN, round: 7 }) } }],
  ['a disk of the other knows that it is committed', { a: A, b: { ...B, S4: holding(OPEN, 3) } }],
  [
    'a disk knows that the next epoch began',
    { a: A, b: { ...B, S4: { ...holding(OPEN), epochStarts: [{ epoch: 3, vat: 2 }] } } },
  ],
  [
    'a disk knows that it was given up',
    { a: A, b: { ...B, S4: { ...holding(OPEN), epochStarts: [{ epoch: 2, round: 7, vat: 2 }] } } },
  ],
])('excuses nobody when %s', (_, disks) => {
  expect(blocked(disks)).not.toContain('a');
});

it('excuses nobody when the other shard has enough copies', () => {
  expect(blocked({ a: A, b: { S1: holding(OPEN), S2: holding(OPEN) } }, [])).toEqual([]);
});

it('looks at no disk that is being filled', () => {
  const filled = { ...holding(null), catchUp: {} };
  expect(blocked({ a: A, b: { ...B, S4: filled } })).toEqual(['a']);
});
