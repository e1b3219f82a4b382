/**
 * Writes of BATCH new rows each, COUNT of them, from START_KEY on. The rows of one write have consecutive keys in one
 * shard; with SPREAD=true they are dealt out to all shards, so that every write has to be all or nothing across them.
 */
import exec from 'k6/execution';
import { batchIndices, studentOf } from './layout.mjs';
import { ask, BATCH, keyAt, optionsFor, START_KEY, summarize } from './lib.js';

export const options = optionsFor();
export const handleSummary = summarize(__ENV.SPREAD === 'true' ? 'bulk-write, spread' : 'bulk-write');

export default function () {
  const batch = exec.scenario.iterationInTest;
  const indices =
    __ENV.SPREAD === 'true'
      ? Array.from({ length: BATCH }, (_, row) => START_KEY + batch * BATCH + row)
      : batchIndices(batch, BATCH, START_KEY);
  const data = indices.map((index) => studentOf(keyAt(index)));
  ask(
    'POST',
    '/write',
    { data },
    (body) => body.status === 'success' && body.message === `${BATCH} Data entries added`,
  );
}
