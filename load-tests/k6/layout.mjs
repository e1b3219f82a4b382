/**
 * Which key the i-th row has. Rows are dealt out to the shards in turn and lie densely in each, so that rows 0 … n-1 load
 * all shards alike. Plain functions, used by the k6 scripts and by Node alike.
 */

export const SHARDS = 4;

/** The key of the row of this index. */
export function keyOf(index, shardSize) {
  const offset = Math.floor(index / SHARDS);
  if (offset >= shardSize) {
    throw new Error(`row ${index} does not fit into ${SHARDS} shards of ${shardSize} keys: use a larger SHARD_SIZE`);
  }
  return (index % SHARDS) * shardSize + offset;
}

/** With rows 0 … rows-1 stored: the key of the row that is the `rank`-th by key, from 0 on. */
export function keyOfRank(rank, rows, shardSize) {
  let left = rank;
  for (let shard = 0; shard < SHARDS; shard += 1) {
    const here = Math.floor((rows - shard + SHARDS - 1) / SHARDS);
    if (left < here) return shard * shardSize + left;
    left -= here;
  }
  throw new Error(`there is no rank ${rank} among ${rows} rows`);
}

/** The indices of the rows of one batch that all lie in one shard; batches take the shards in turn. */
export function batchIndices(batch, batchRows, startIndex) {
  const shard = batch % SHARDS;
  const first = Math.ceil(startIndex / SHARDS) + Math.floor(batch / SHARDS) * batchRows;
  return Array.from({ length: batchRows }, (_, row) => (first + row) * SHARDS + shard);
}

/** A row of the default schema. */
export function studentOf(key) {
  return { Stud_id: key, Stud_name: `Student ${key}`, Stud_marks: String(key % 101) };
}
