/** Each kind of failure is provoked on a real Postgres where that is possible, and raised by hand where it is not. */
import { Client } from 'pg';
import { TestPostgres, runSql } from '../../../../test/support/test-postgres';
import type { PostgresAddress } from '../data-source';
import { asStoreFailure, breaksConnection } from './failures';
import { verdictOn, type Verdict } from './sqlstate';

let postgres: TestPostgres;
let address: Exclude<PostgresAddress, { url: string }>;

beforeAll(async () => {
  postgres = await TestPostgres.start();
  const fresh = await postgres.freshDatabase();
  if ('url' in fresh) throw new Error('a socket was expected');
  address = fresh;
  const many = Array.from({ length: 350 }, (_, index) => `c${index} text`).join(', ');
  await runSql(
    address,
    `CREATE TABLE wide (${many});
     CREATE TABLE t (id bigint PRIMARY KEY, v text NOT NULL CHECK (v <> 'no'), j json);
     INSERT INTO t VALUES (1, 'a', 'null'), (2, 'b', 'null');
     CREATE ROLE poor LOGIN; CREATE ROLE crowded LOGIN CONNECTION LIMIT 0;`,
  );
}, 60_000);

afterAll(async () => {
  await postgres.stop();
});

/** What Postgres answers to the SQL, statement by statement, in one session. */
async function provoke(statements: readonly string[], as: Partial<typeof address> = {}): Promise<unknown> {
  const client = new Client({ ...address, ...as });
  client.on('error', () => undefined);
  try {
    await client.connect();
    for (const statement of statements) await client.query(statement);
  } catch (error) {
    return error;
  } finally {
    await client.end().catch(() => undefined);
  }
  throw new Error(`nothing failed: ${statements.join('; ')}`);
}

const wide = `INSERT INTO wide VALUES (${Array.from({ length: 350 }, () => "'" + 'x'.repeat(23) + "'").join(', ')})`;
const columns = Array.from({ length: 1601 }, (_, index) => `c${index} int`).join(', ');

const PROVOKED: [code: string, verdict: Verdict, what: string, statements: string[]][] = [
  ['54000', 'data', 'a row that no page takes', [wide]],
  ['54001', 'data', 'values nested too deeply', [`SELECT '${'['.repeat(200_000)}'::json`]],
  ['54011', 'data', 'too many columns', [`CREATE TABLE much (${columns})`]],
  ['54023', 'data', 'too many arguments', [`SELECT concat(${Array.from({ length: 101 }, () => '1').join(', ')})`]],
  ['22P02', 'data', 'no number', [`SELECT 'x'::bigint`]],
  ['22P05', 'data', 'a character that text does not take', [`SELECT ('"\\u0000"'::jsonb)::text`]],
  ['22003', 'data', 'a number out of range', [`SELECT '1e400'::float8`]],
  ['22007', 'data', 'no time', [`SELECT 'x'::timestamptz`]],
  ['22008', 'data', 'a time out of range', [`SELECT '2026-13-45'::timestamptz`]],
  ['23502', 'data', 'a null where none may be', ['INSERT INTO t VALUES (3, NULL, NULL)']],
  ['23505', 'data', 'a key twice', [`INSERT INTO t VALUES (1, 'c', NULL)`]],
  ['23514', 'data', 'a check', [`INSERT INTO t VALUES (3, 'no', NULL)`]],
  ['21000', 'data', 'more rows than one', ['SELECT (SELECT id FROM t)']],
  ['P0001', 'data', 'a trigger that refuses', [`DO $$ BEGIN RAISE EXCEPTION 'no'; END $$`]],
  ['42701', 'data', 'a column of the system', ['CREATE TABLE s (xmin int)']],
  ['42P16', 'data', 'a table that cannot be', ['CREATE TABLE s (a int PRIMARY KEY, b int PRIMARY KEY)']],
  ['57014', 'resource', 'a statement that takes too long', ['SET statement_timeout = 20', 'SELECT pg_sleep(60)']],
  [
    '53200',
    'resource',
    'too many locks',
    ['BEGIN', 'SELECT pg_advisory_xact_lock(n) FROM generate_series(1, 200000) n'],
  ],
  [
    '53400',
    'resource',
    'too much in temporary files',
    ['SET temp_file_limit = 64', 'SET work_mem = 64', 'SELECT n FROM generate_series(1, 100000) n ORDER BY -n'],
  ],
  ['42P01', 'broken', 'a table that is gone', ['SELECT * FROM gone']],
  ['42703', 'broken', 'a column that is gone', ['SELECT gone FROM t']],
  ['25006', 'broken', 'a server that only reads', ['SET default_transaction_read_only = on', 'DELETE FROM t']],
  ['26000', 'broken', 'a statement that another session prepared', ['EXECUTE not_here']],
  [
    '0A000',
    'broken',
    'a plan that no longer fits',
    ['PREPARE p AS SELECT * FROM wide', 'EXECUTE p', 'BEGIN', 'ALTER TABLE wide ADD z int', 'EXECUTE p'],
  ],
  ['57P01', 'broken', 'an administrator', ['SELECT pg_terminate_backend(pg_backend_pid())']],
  ['58P01', 'broken', 'a file that is missing', [`LOAD 'no such library'`]],
];

/** What no test can bring about here, and each class besides. */
const RAISED: [code: string, verdict: Verdict][] = [
  ['53100', 'resource'],
  ['53000', 'resource'],
  ['55006', 'resource'],
  ['40003', 'broken'],
  ['57P02', 'broken'],
  ['57P03', 'broken'],
  ['57P05', 'broken'],
  ['58030', 'broken'],
  ['XX000', 'broken'],
  ['XX001', 'broken'],
  ['XX002', 'broken'],
  ['F0000', 'broken'],
  ['HV000', 'broken'],
  ['08006', 'broken'],
  ['09000', 'data'],
  ['27000', 'data'],
  ['39001', 'data'],
  ['44000', 'data'],
  ['0B000', 'broken'],
  ['0L000', 'broken'],
  ['0P000', 'broken'],
  ['34000', 'broken'],
  ['3F000', 'broken'],
  ['55000', 'broken'],
  ['55P02', 'broken'],
  ['ZZ999', 'broken'],
];

function expectVerdict(error: unknown, code: string, verdict: Verdict): void {
  expect(error).toMatchObject({ code });
  expect(verdictOn(code)).toBe(verdict);
  const expected = {
    data: { code: 'BAD_REQUEST', retryable: false },
    resource: { code: 'STORE_FAILED', retryable: true },
    broken: { code: 'STORE_FAILED', retryable: false },
  }[verdict];
  expect(asStoreFailure(error)).toMatchObject({
    ...expected,
    message: expect.stringMatching(/^postgres: ./) as string,
  });
  expect(breaksConnection(error)).toBe(verdict === 'broken');
}

test.each(PROVOKED)('%s is %s: %s', async (code, verdict, _what, statements) => {
  expectVerdict(await provoke(statements), code, verdict);
});

test.each(RAISED)('%s is %s', async (code, verdict) => {
  const raise = `DO $$ BEGIN RAISE EXCEPTION 'raised' USING ERRCODE = '${code}'; END $$`;
  expectVerdict(await provoke([raise]), code, verdict);
});

test('what an administrator set up wrongly is broken, and too many clients are not', async () => {
  expectVerdict(await provoke([], { database: 'nowhere' }), '3D000', 'broken');
  expectVerdict(await provoke([], { user: 'nobody here' }), '28000', 'broken');
  expectVerdict(await provoke([], { user: 'crowded' }), '53300', 'resource');
  expectVerdict(await provoke(['DELETE FROM t'], { user: 'poor' }), '42501', 'broken');
});

test('who was in the way of another one may come again', async () => {
  const [one, other] = [new Client(address), new Client(address)];
  await Promise.all([one.connect(), other.connect()]);
  try {
    await one.query(`BEGIN; UPDATE t SET v = 'x' WHERE id = 1`);
    await other.query(`BEGIN; UPDATE t SET v = 'x' WHERE id = 2; SET lock_timeout = 20`);
    const failed = await other.query(`UPDATE t SET v = 'y' WHERE id = 1`).catch((error: unknown) => error);
    expectVerdict(failed, '55P03', 'resource');
    await other.query(`ROLLBACK; SET lock_timeout = 0; BEGIN; UPDATE t SET v = 'x' WHERE id = 2`);
    const ends = await Promise.allSettled([
      one.query(`UPDATE t SET v = 'z' WHERE id = 2`),
      other.query(`UPDATE t SET v = 'z' WHERE id = 1`),
    ]);
    const reasons = ends.flatMap((end) => (end.status === 'rejected' ? [end.reason as unknown] : []));
    expect(reasons).toHaveLength(1);
    expectVerdict(reasons[0], '40P01', 'resource');
    await Promise.all([one.query('ROLLBACK'), other.query('ROLLBACK')]);
    await one.query(`BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT * FROM t`);
    await other.query(`UPDATE t SET v = 'w' WHERE id = 1`);
    const late = await one.query(`UPDATE t SET v = 'v' WHERE id = 1`).catch((error: unknown) => error);
    expectVerdict(late, '40001', 'resource');
  } finally {
    await Promise.all([one.end(), other.end()]);
  }
});

test.each([new Error('Connection terminated'), Object.assign(new Error('x'), { code: 'ECONNRESET' }), 'text', null])(
  'a failure without a SQLSTATE (%p) is broken',
  (thrown) => {
    expect(asStoreFailure(thrown)).toMatchObject({ code: 'STORE_FAILED', retryable: false });
    expect(breaksConnection(thrown)).toBe(true);
  },
);
