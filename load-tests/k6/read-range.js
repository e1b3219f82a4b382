/**
 * Reads of uniformly random ranges over the ROWS that are stored, a third of them on the average; with RANGE_ROWS no
 * wider than that. With EXACT=true nothing but those rows is stored, and every answer must hold exactly its rows.
 */
import exec from 'k6/execution';
import { keyOfRank } from './layout.mjs';
import { askForText, optionsFor, ROWS, SHARD_SIZE, summarize } from './lib.js';

export const options = optionsFor();
export const handleSummary = summarize('read-range');

const WIDEST = Number(__ENV.RANGE_ROWS || ROWS);
const EXACT = __ENV.EXACT === 'true';
/** Parsing every answer would measure the load generator. */
const PARSE_EVERY = 50;

function randomBelow(bound) {
  return Math.floor(Math.random() * bound);
}

function countOf(text, part) {
  let count = 0;
  for (let at = text.indexOf(part); at !== -1; at = text.indexOf(part, at + part.length)) count += 1;
  return count;
}

function isSortedWithin(rows, low, high) {
  return rows.every(({ Stud_id: key }, at) => key >= low && key <= high && (at === 0 || rows[at - 1].Stud_id < key));
}

export default function () {
  const [one, other] = [randomBelow(ROWS), randomBelow(ROWS)];
  const first = Math.min(one, other);
  const last = Math.min(Math.max(one, other), first + WIDEST - 1);
  const low = keyOfRank(first, ROWS, SHARD_SIZE);
  const high = keyOfRank(last, ROWS, SHARD_SIZE);
  askForText('POST', '/read', { Stud_id: { low, high } }, (text) => {
    const count = countOf(text, '"Stud_id":');
    const expected = last - first + 1;
    if (!(EXACT ? count === expected : count >= expected)) return false;
    if (!/"status":"success"/.test(text.slice(0, 200) + text.slice(-200))) return false;
    if (exec.scenario.iterationInTest % PARSE_EVERY !== 0) return true;
    const body = JSON.parse(text);
    return body.shards_queried.length > 0 && body.data.length === count && isSortedWithin(body.data, low, high);
  });
}
