/** Small POSTs to load-tests/baseline/server.js: what this machine, this load generator and bare HTTP come to. */
import { studentOf } from './layout.mjs';
import { ask, optionsFor, summarize } from './lib.js';

export const options = optionsFor();
export const handleSummary = summarize('baseline');

export default function () {
  ask('POST', '/write', { data: [studentOf(1)] }, (body) => {
    return body.status === 'success' && body.message === '1 Data entries added';
  });
}
