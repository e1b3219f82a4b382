/** One Jest run covers rules, contract suites and the real cluster; what a file needs it starts itself. */
const { availableParallelism } = require('node:os');

const { env } = process;
// What the developer's shell says of another Postgres is not for ours.
for (const name of Object.keys(env)) if (name.startsWith('PG')) delete env[name];

module.exports = {
  rootDir: __dirname,
  testEnvironment: 'node',
  testMatch: ['<rootDir>/{apps,libs}/**/*.spec.ts', '<rootDir>/{apps,libs,test}/**/*.e2e-spec.ts'],
  transform: { '^.+\\.ts$': ['@swc/jest'] },
  moduleNameMapper: { '^#common/(.*)$': '<rootDir>/libs/common/src/$1' },
  modulePathIgnorePatterns: ['<rootDir>/dist/', '<rootDir>/.shardline/', '<rootDir>/.tools/', '<rootDir>/.guards/'],
  reporters: ['default', '<rootDir>/test/closing-line-reporter.js'],
  testSequencer: '<rootDir>/test/longest-first-sequencer.js',
  testTimeout: 30_000,
  // Most of the time of a whole cluster is waiting for a start, a lease, a disk: another one runs meanwhile. Beyond two leave them room.
  maxWorkers: Math.max(2, Math.floor(availableParallelism() / 2)),
};
