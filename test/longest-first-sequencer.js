/**
 * Whole clusters first, then what starts processes or tries much, then the rest: where two workers share the files, the last ones are short, so that no
 * worker waits for a long one at the end. Within each the larger file first. Jest's own order would need the durations of a run before.
 */
const { statSync } = require('node:fs');
const { LONG, WITH_PROCESSES } = require('./long-specs');

const long = [...WITH_PROCESSES, ...LONG].map((pattern) => new RegExp(pattern));

/** The later, the shorter. */
function rankOf(path) {
  if (path.endsWith('.e2e-spec.ts')) return 0;
  return long.some((pattern) => pattern.test(path)) ? 1 : 2;
}

module.exports = class LongestFirstSequencer {
  sort(tests) {
    const keys = new Map(tests.map(({ path }) => [path, { rank: rankOf(path), bytes: statSync(path).size }]));
    return [...tests].sort(({ path: one }, { path: other }) => {
      const [a, b] = [keys.get(one), keys.get(other)];
      return a.rank - b.rank || b.bytes - a.bytes;
    });
  }

  allFailedTests(tests) {
    return tests;
  }

  cacheResults() {}
};
