/** As many shards as there may be on a Postgres with the settings that it has by itself: no transaction needs more locks than it has. */
import type { ConfigRequest } from '#common/contracts/node';
import { shareRounds } from '#common/contracts/shared-rounds';
import type { VersionStore } from '../src/ports/version-store';
import type { Replica } from '../src/runtime/replica';
import { DirectSource, openReplica, rowText, SCHEMA, shardConfig } from './support/builders';
import { ForeignPostgres } from './support/foreign-postgres';
import { openStore } from './support/test-postgres';

jest.setTimeout(300_000);

const NAMES = Array.from({ length: 1_024 }, (_, index) => `sh${index}`);
const SIZE = 10;

let postgres: ForeignPostgres;
let store: VersionStore;
let replica: Replica;

beforeAll(async () => {
  postgres = await ForeignPostgres.start();
  store = await openStore({ url: postgres.url() }, 'Server0');
  replica = await openReplica('Server0', store, new DirectSource());
});
afterAll(async () => {
  await replica.stop();
  await store.close();
  await postgres.stop();
});

const shards = NAMES.map((name, index) => shardConfig(name, index * SIZE, SIZE));
const request = (more: Partial<ConfigRequest>): ConfigRequest => ({
  ...{ epoch: 1, configId: 1, schema: SCHEMA, shards: [], drop: [] },
  ...more,
});

test('1,024 shards are made by one request, written in one round, and dropped', async () => {
  const made = await replica.config(request({ shards, areNew: true }));
  expect(made.shards).toHaveLength(1_024);
  const rows = shards.map(({ low }) => rowText(low, 'x'));
  const parts = shards.map(({ shard, low }) => ({
    ...{ shard, vat: 0, firstTerm: 1, lastTerm: 1 },
    ops: [{ op: 'create' as const, onConflict: 'error' as const, keys: [low] }],
  }));
  const lastTerms = Object.fromEntries(NAMES.map((name) => [name, 1]));
  const { rounds } = await replica.apply({ epoch: 1, rounds: [{ round: 1, lastTerms, parts }] }, rows);
  expect(rounds[0]?.parts.map(({ outcomes }) => outcomes)).toEqual(NAMES.map(() => [{ ok: 1 }]));
  // All of them name all of them, in memory as well as after a start.
  const pongBytes = async (from: Replica): Promise<number> =>
    JSON.stringify(shareRounds(await from.fence({ epoch: 1 }))).length;
  expect(await pongBytes(replica)).toBeLessThan(1024 * 1024);
  expect(await pongBytes(await openReplica('Server0', store, new DirectSource()))).toBeLessThan(1024 * 1024);
  const left = await replica.config(request({ drop: NAMES.slice(1) }));
  expect(left.shards).toMatchObject([{ shard: 'sh0', rows: 1 }]);
});
