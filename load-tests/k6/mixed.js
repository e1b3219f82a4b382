/** Of 100 requests 70 read a record, 10 a short range, 10 write a new row (from START_KEY on), 10 update a stored one. */
import exec from 'k6/execution';
import { keyOfRank, studentOf } from './layout.mjs';
import { ask, keyAt, optionsFor, ROWS, SHARD_SIZE, START_KEY, storedKey, summarize } from './lib.js';

export const options = optionsFor();
export const handleSummary = summarize('mixed');

const RANGE_ROWS = 20;

function readOne() {
  const key = storedKey();
  ask('POST', '/read', { Stud_id: { low: key, high: key } }, (body) => {
    return body.status === 'success' && body.data.length === 1 && body.data[0].Stud_id === key;
  });
}

function readSome() {
  const rows = Math.min(RANGE_ROWS, ROWS);
  const first = Math.floor(Math.random() * (ROWS - rows + 1));
  const low = keyOfRank(first, ROWS, SHARD_SIZE);
  const high = keyOfRank(first + rows - 1, ROWS, SHARD_SIZE);
  ask('POST', '/read', { Stud_id: { low, high } }, (body) => body.status === 'success' && body.data.length >= rows);
}

function write(index) {
  const data = [studentOf(keyAt(START_KEY + index))];
  ask('POST', '/write', { data }, (body) => body.status === 'success' && body.message === '1 Data entries added');
}

function update() {
  const row = studentOf(storedKey());
  row.Stud_marks = String(Math.floor(Math.random() * 101));
  const message = `Data entry for Stud_id: ${row.Stud_id} updated`;
  ask('PUT', '/update', { Stud_id: row.Stud_id, data: row }, (body) => {
    return body.status === 'success' && body.message === message;
  });
}

export default function () {
  const turn = exec.scenario.iterationInTest;
  const slot = turn % 10;
  if (slot === 3) readSome();
  else if (slot === 6) write(Math.floor(turn / 10));
  else if (slot === 9) update();
  else readOne();
}
