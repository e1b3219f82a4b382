/**
 * What `make check` runs: the tests that need nothing but their own process, and take a second or so each. `make test` runs these and all
 * the others.
 */
const all = require('./jest.config.js');
const { LONG, WITH_PROCESSES } = require('./test/long-specs');

module.exports = {
  ...all,
  testMatch: ['<rootDir>/{apps,libs}/**/*.spec.ts'],
  testPathIgnorePatterns: ['/node_modules/', ...WITH_PROCESSES, ...LONG],
};
