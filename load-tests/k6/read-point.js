/** Reads of one record each, uniformly random among the ROWS that are stored. */
import { studentOf } from './layout.mjs';
import { ask, optionsFor, storedKey, summarize } from './lib.js';

export const options = optionsFor();
export const handleSummary = summarize('read-point');

export default function () {
  const key = storedKey();
  ask('POST', '/read', { Stud_id: { low: key, high: key } }, (body) => {
    const row = body.data.length === 1 ? body.data[0] : {};
    return body.status === 'success' && row.Stud_id === key && row.Stud_name === studentOf(key).Stud_name;
  });
}
