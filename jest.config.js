/** One Jest run covers rules, contract suites and the real cluster; what a file needs it starts itself. */
module.exports = {
  rootDir: __dirname,
  testEnvironment: 'node',
  testMatch: ['<rootDir>/{apps,libs}/**/*.spec.ts', '<rootDir>/{apps,libs,test}/**/*.e2e-spec.ts'],
  transform: { '^.+\\.ts$': ['@swc/jest'] },
  moduleNameMapper: { '^#common/(.*)$': '<rootDir>/libs/common/src/$1' },
  modulePathIgnorePatterns: ['<rootDir>/dist/', '<rootDir>/.shardline/', '<rootDir>/.tools/', '<rootDir>/.guards/'],
  reporters: ['default', '<rootDir>/test/closing-line-reporter.js'],
  testTimeout: 30_000,
  // Whole clusters run beside one another: leave them room.
  maxWorkers: '50%',
};
