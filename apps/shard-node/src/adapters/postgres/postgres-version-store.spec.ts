import type { PostgresAddress } from './data-source';
import type { VersionStore } from '../../ports/version-store';
import { describeVersionStore } from '../../../test/contract/version-store.contract';
import { openStore, TestPostgres } from '../../../test/support/test-postgres';

let postgres: TestPostgres;
const addresses = new Map<VersionStore, PostgresAddress>();

beforeAll(async () => {
  postgres = await TestPostgres.start();
}, 60_000);

afterAll(async () => {
  await postgres.stop();
});

async function open(address: PostgresAddress): Promise<VersionStore> {
  const store = await openStore(address, 'Server0');
  addresses.set(store, address);
  return store;
}

describeVersionStore('Postgres', {
  fresh: async () => open(await postgres.freshDatabase()),
  reopen: (store) => {
    const address = addresses.get(store);
    if (address === undefined) throw new Error('a store that was not opened here');
    return open(address);
  },
});
