/** Writes of as many rows as fit into a body: the number of rows is no number of arguments anywhere on their way. */
import { sharedCluster } from '#common/testing/cluster-harness';
import { failure, success } from './asking';

jest.setTimeout(300_000);

/** Far more than arguments fit on a stack of the default size. */
const ROWS = 150_000;

const shards = ['a', 'b'].map((shard, index) => ({ K_low: index * ROWS, Shard_id: shard, Shard_size: ROWS }));
/** However long a busy machine takes over so many rows. */
const env = { REQUEST_TIMEOUT_MS: '200000', APPLY_TIMEOUT_MS: '100000' };
const { ask } = sharedCluster({ init: { N: 2, schema: { columns: ['K'], dtypes: ['Number'] }, shards }, env });

const rowsFrom = (low: number): { data: { K: number }[] } => ({
  data: Array.from({ length: ROWS }, (_, index) => ({ K: low + index })),
});

test('150,000 rows in one write are added, all of them and once, in two shards', async () => {
  const low = ROWS / 2;
  const key = { 'Idempotency-Key': 'all-of-them' };
  const added = success({ message: `${ROWS} Data entries added`, status: 'success' });
  expect(await ask('POST', '/write', rowsFrom(low), key)).toEqual(added);
  expect(await ask('POST', '/write', rowsFrom(low), key)).toEqual(added);
  const { body } = await ask('POST', '/read', { K: { low: 0, high: 2 * ROWS } });
  const { data, shards_queried: shards } = body as { data: { K: number }[]; shards_queried: string[] };
  expect(shards).toEqual(['a', 'b']);
  expect(data).toHaveLength(ROWS);
  expect([data[0], data.at(-1)]).toEqual([{ K: low }, { K: low + ROWS - 1 }]);
});

test('as many that exist are refused, or ignored when that is asked for', async () => {
  expect(await ask('POST', '/write', rowsFrom(ROWS / 2))).toEqual(failure(409));
  const ignored = await ask('POST', '/write?onConflict=ignore', rowsFrom(ROWS / 2 + 1));
  expect(ignored).toEqual(success({ message: '1 Data entries added', status: 'success' }));
  const replaced = await ask('POST', '/write?onConflict=replace', rowsFrom(ROWS / 2));
  expect(replaced).toEqual(success({ message: `${ROWS} Data entries added`, status: 'success' }));
});

test('rows whose keys make them too many for one message are refused in words that say what to do', async () => {
  const data = Array.from({ length: 290_000 }, (_, index) => ({ K: index }));
  expect(await ask('POST', '/write', { data })).toEqual(failure(400, /send fewer/));
});
