import type { CopyCursor } from '#common/contracts/node';
import { RESERVED_COLUMNS, type TableSchema } from '#common/contracts/schema';
import { splitRows } from '#common/nats/lines';
import type { PostgresAddress } from './data-source';
import type { RowPage, VersionPage, VersionStore, WriteTransaction } from '../../ports/version-store';
import { FIND_OPS, KNOWN_OPS } from './sql/op-statements';
import { describeOpRecords } from '../../../test/contract/op-records.contract';
import { describePreparing } from '../../../test/contract/prepared.contract';
import { describeVersionStore, type StoreFactory } from '../../../test/contract/version-store.contract';
import { openStore, runSql, TestPostgres } from '../../../test/support/test-postgres';
import { rowText, SCHEMA, shardState, UNINFORMED } from '../../../test/support/builders';

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

const factory: StoreFactory = {
  fresh: async () => open(await postgres.freshDatabase()),
  reopen: (store) => {
    const address = addresses.get(store);
    if (address === undefined) throw new Error('a store that was not opened here');
    return open(address);
  },
};

describeVersionStore('Postgres', factory);
describeOpRecords('Postgres', factory);
describePreparing('Postgres', factory);

it('keeps what was set aside last where people can look at it, until the shard is dropped', async () => {
  const address = await postgres.freshDatabase();
  const store = await open(address);
  const asideKeys = async (): Promise<unknown[]> =>
    (await runSql(address, 'SELECT id FROM set_aside.sh ORDER BY id')).map(({ id }) => Number(id));
  try {
    await store.load();
    await store.transact(async (transaction) => {
      transaction.saveIdentity({ server: 'Server0', epoch: 1, configId: 1, schema: SCHEMA, ...UNINFORMED });
      await transaction.createShard(shardState('sh'), SCHEMA);
    });
    for (const key of [1, 2]) {
      await store.transact(async (transaction) => {
        const births = [{ key, cat: key, row: rowText(key, 'x') }];
        transaction.write({ state: shardState('sh'), births, deaths: [], records: [] });
      });
      await store.transact((transaction) => transaction.setShardAside('sh', SCHEMA));
      expect(await asideKeys()).toEqual([key]);
    }
    const indexes = 'SELECT indexdef FROM pg_indexes WHERE schemaname IN';
    const defined = async (schema: string): Promise<unknown[]> =>
      (await runSql(address, `${indexes} ('${schema}') ORDER BY indexname`)).map(({ indexdef }) =>
        String(indexdef).replaceAll(`${schema}.`, ''),
      );
    expect(await defined('shards')).toEqual(await defined('set_aside'));
    await store.transact(async (transaction) => {
      transaction.dropShard('sh');
    });
    await expect(asideKeys()).rejects.toThrow('does not exist');
  } finally {
    await store.close();
  }
});

it('lets one process write to a database, and the next one when that is gone', async () => {
  const address = await postgres.freshDatabase();
  const [first, second] = [await open(address), await open(address)];
  const write = (store: VersionStore): Promise<void> =>
    store.transact(async (transaction) => {
      transaction.saveIdentity({ server: 'Server0', epoch: 1, configId: 1, schema: SCHEMA, ...UNINFORMED });
    });
  try {
    await write(first);
    await expect(write(second)).rejects.toThrow(/another process writes/);
    await write(first);
    await first.close();
    await write(second);
  } finally {
    await second.close();
  }
});

it('writes again when its connection was cut', async () => {
  const address = await postgres.freshDatabase();
  const store = await open(address);
  const write = (): Promise<void> =>
    store.transact(async (transaction) => {
      transaction.saveIdentity({ server: 'Server0', epoch: 1, configId: 1, schema: SCHEMA, ...UNINFORMED });
    });
  try {
    await write();
    await runSql(
      address,
      'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()',
    );
    await write().catch(() => undefined);
    await write();
  } finally {
    await store.close();
  }
});

it.each([
  ['of a part', KNOWN_OPS.text, [`'sh'`, `'{a1,a2}'`, '0', '9999999']],
  ['of a question', FIND_OPS.text, [`'a1'`, `'{sh}'`, `'{0}'`, `'{9999999}'`]],
])('finds the ids %s by their index, before anything has been counted in the table', async (_, statement, values) => {
  const address = await postgres.freshDatabase();
  const store = await open(address);
  try {
    await store.load();
    const text = values.reduce((filled, value, index) => filled.replaceAll(`$${index + 1}`, value), statement);
    await runSql(address, `INSERT INTO op_t SELECT 'sh', n, 'a' || n, NULL, '=1' FROM generate_series(1, 50000) AS n`);
    const plan = (await runSql(address, `EXPLAIN ${text}`)).map((row) => String(row['QUERY PLAN'])).join('\n');
    expect(plan).toContain('op_t_id');
  } finally {
    await store.close();
  }
});

it('knows the columns that Postgres has in every table, whose names no schema may use', async () => {
  const known = await runSql(
    await postgres.freshDatabase(),
    'SELECT DISTINCT attname FROM pg_attribute WHERE attnum < 0',
  );
  expect(known.map(({ attname }) => attname).sort()).toEqual(
    RESERVED_COLUMNS.filter((name) => name !== 'cat' && name !== 'dat').sort(),
  );
});

it.each([
  ['j', 'k'],
  ['c', 'j'],
  ['k', 'c'],
  ['int8', 'part'],
  ['id', 'part'],
  ['count', 'fits'],
])(
  'orders and counts by the key when columns are called %s and %s, as statements call something else',
  async (key, other) => {
    const schema: TableSchema = { columns: [key, other], dtypes: ['Number', 'String'] };
    const store = await open(await postgres.freshDatabase());
    // Texts, and terms, sort the other way round than keys.
    const births = Array.from({ length: 90 }, (_, index) => {
      return { key: index, cat: 90 - index, row: `{"${key}":${index},"${other}":"${999 - index}"}` };
    });
    const sh = shardState('sh', { rows: births.length, currentTerm: 90 });
    await store.load();
    await store.transact(async (transaction) => {
      transaction.saveIdentity({ server: 'Server0', epoch: 3, configId: 7, schema, ...UNINFORMED });
      await transaction.createShard(shardState('sh'), schema);
      transaction.write({ state: sh, births, deaths: [], records: [] });
    });
    const read: string[] = [];
    for (let low: number | null = 0; low !== null;) {
      const page: RowPage = await store.readRange({ shard: 'sh', vat: 90, low, high: 200 }, 200);
      read.push(...splitRows(page.text));
      low = page.next;
    }
    expect(read).toEqual(births.map(({ row }) => row));
    const copied: number[] = [];
    for (let after: CopyCursor | null = null, more = true; more;) {
      const page: VersionPage = await store.copyPage({ shard: 'sh', from: 0, to: 90 }, after, 200);
      for (const line of page.text.split('\n').filter(Boolean)) copied.push(Number(line.split('\t')[0]));
      after = page.next;
      more = after !== null;
    }
    expect(copied).toEqual(births.map((birth) => birth.key));
    const { parts } = await store.digestWithin('sh', 90, { low: 0, high: 89, parts: 3 });
    expect(parts?.map(({ low, rows }) => [low, rows])).toEqual([
      [0, 30],
      [30, 30],
      [60, 30],
    ]);
    const { versions } = await store.digestWithin('sh', 90, { low: 10, high: 12, parts: 3 });
    expect(versions?.map((version) => version.key)).toEqual([10, 11, 12]);
    await store.close();
  },
);

describe('connections, which keep what they have prepared until they end,', () => {
  const SHARDS = Array.from({ length: 40 }, (_, index) => `sh${index}`);
  const stores: VersionStore[] = [];
  afterEach(async () => {
    for (const store of stores.splice(0)) await store.close();
  });

  async function holding(mostStatements?: number): Promise<{ store: VersionStore; address: PostgresAddress }> {
    const address = await postgres.freshDatabase();
    const store = await openStore(address, 'Server0', mostStatements);
    stores.push(store);
    await store.load();
    await store.transact(async (transaction) => {
      transaction.saveIdentity({ server: 'Server0', epoch: 1, configId: 1, schema: SCHEMA, ...UNINFORMED });
      for (const shard of SHARDS) await transaction.createShard(shardState(shard), SCHEMA);
    });
    return { store, address };
  }
  const save = (store: VersionStore, shard = 'sh0'): Promise<void> =>
    store.transact(async (transaction) => {
      transaction.write({ state: shardState(shard), births: [], deaths: [], records: [] });
    });
  /** The connection that writes. */
  const writer = async (address: PostgresAddress): Promise<unknown> => {
    const held = await runSql(address, `SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted`);
    expect(held).toHaveLength(1);
    return held[0]?.pid;
  };
  /** Those that have read, the last one first. */
  const readers = async (address: PostgresAddress): Promise<unknown[]> => {
    const idle = `FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%string_agg%' AND pid <> pg_backend_pid()`;
    return (await runSql(address, `SELECT pid ${idle} ORDER BY query_start DESC`)).map(({ pid }) => pid);
  };
  const read = async (store: VersionStore, shard = 'sh0'): Promise<unknown> =>
    store.readRange({ shard, vat: 0, low: 0, high: 9 }, 1000);

  it('are kept as long as the shards are the same', async () => {
    const { store, address } = await holding();
    await save(store);
    const first = await writer(address);
    for (const shard of SHARDS) await save(store, shard);
    expect(await writer(address)).toBe(first);
  });

  it.each<[what: string, change: (transaction: WriteTransaction) => Promise<void> | void]>([
    [
      'another configuration is in force',
      async (transaction) => {
        await transaction.prepareTables(['sh0'], SCHEMA);
        transaction.activatePrepared([shardState('sh0')], SCHEMA);
      },
    ],
    [
      'another one will be made',
      (transaction) => {
        transaction.discardPrepared();
      },
    ],
    [
      'many shards are gone',
      (transaction) => {
        for (const shard of SHARDS.slice(1)) transaction.dropShard(shard);
      },
    ],
  ])('are replaced when %s', async (_, change) => {
    const { store, address } = await holding();
    await save(store);
    await read(store);
    const before = [await writer(address), ...(await readers(address))];
    await store.transact(async (transaction) => {
      await change(transaction);
    });
    await save(store);
    await read(store);
    expect(before).not.toContain(await writer(address));
    expect(before).not.toContain((await readers(address))[0]);
  });

  it('are replaced when they have prepared very much', async () => {
    const { store, address } = await holding(10);
    await save(store);
    const pids = new Set([await writer(address)]);
    for (const shard of SHARDS) {
      await save(store, shard);
      pids.add(await writer(address));
    }
    expect(pids.size).toBeGreaterThan(3);
    expect(pids.size).toBeLessThan(8);
    for (const shard of SHARDS) await read(store, shard);
    expect((await readers(address)).length).toBeLessThan(4);
  });
});
