/** What needs a real Docker engine: `make test-docker` sees to one, and says which image is tried. */
module.exports = {
  ...require('./jest.config.js'),
  testMatch: ['<rootDir>/apps/**/*.docker-spec.ts'],
  testSequencer: undefined,
  maxWorkers: 1,
};
delete module.exports.testSequencer;
