/** Single-row writes: COUNT new rows from START_KEY on, each key once. */
import exec from 'k6/execution';
import { studentOf } from './layout.mjs';
import { ask, keyAt, optionsFor, START_KEY, summarize } from './lib.js';

export const options = optionsFor();
export const handleSummary = summarize('write');

export default function () {
  const row = studentOf(keyAt(START_KEY + exec.scenario.iterationInTest));
  ask(
    'POST',
    '/write',
    { data: [row] },
    (body) => body.status === 'success' && body.message === '1 Data entries added',
  );
}
