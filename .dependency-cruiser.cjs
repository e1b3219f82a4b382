/** Imports point one way: runtime -> adapters -> ports -> core -> libs/common/{contracts,protocol}. */
const { roomRules } = require('./scripts/rooms.cjs');

const TESTS = String.raw`\.(spec|e2e-spec)\.ts$|/test/|^libs/common/src/testing/`;

/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [
    {
      name: 'no-cycles',
      comment: 'Two files that need each other are one file, or one of them holds something that belongs elsewhere.',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    {
      name: 'everything-resolves',
      comment: 'An import that leads nowhere is a mistake, or a package that package.json does not name.',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true },
    },
    {
      name: 'only-named-packages',
      comment: 'A package that we import stands in package.json; it must not come along with another by chance.',
      severity: 'error',
      from: { path: '^(apps|libs)/' },
      to: { dependencyTypes: ['npm-no-pkg', 'npm-unknown'] },
    },
    {
      name: 'services-run-without-dev-packages',
      severity: 'error',
      from: { path: '^(apps|libs)/', pathNot: TESTS },
      to: { dependencyTypes: ['npm-dev'], dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'no-app-imports-another',
      comment: 'Services meet over NATS only. Tests in simulated worlds run the real cores together.',
      severity: 'error',
      from: { path: '^apps/([^/]+)/', pathNot: '^apps/balancer/test/(simulation/|scenarios/|recovery[.]spec)' },
      to: { path: '^apps/', pathNot: '^apps/$1/' },
    },
    {
      name: 'common-imports-no-app',
      severity: 'error',
      from: { path: '^libs/' },
      to: { path: '^apps/' },
    },
    {
      name: 'core-stands-alone',
      comment: 'A core knows its own files, the contracts and the protocol, and no package.',
      severity: 'error',
      from: { path: '^apps/([^/]+)/src/core/', pathNot: TESTS },
      to: { pathNot: ['^apps/$1/src/core/', '^libs/common/src/(contracts|protocol)/'] },
    },
    {
      name: 'protocol-stands-alone',
      severity: 'error',
      from: { path: '^libs/common/src/protocol/', pathNot: TESTS },
      to: { pathNot: '^libs/common/src/(contracts|protocol)/' },
    },
    {
      name: 'contracts-stand-alone',
      comment: 'Messages are defined in the words of one package.',
      severity: 'error',
      from: { path: '^libs/common/src/contracts/', pathNot: TESTS },
      to: { pathNot: ['^libs/common/src/(contracts|protocol)/', '^node_modules/zod/'] },
    },
    {
      name: 'ports-know-the-core-only',
      severity: 'error',
      from: { path: '^apps/([^/]+)/src/ports/', pathNot: TESTS },
      to: { pathNot: ['^apps/$1/src/(ports|core)/', '^libs/common/src/(contracts|protocol)/'] },
    },
    {
      name: 'services-know-no-tests',
      severity: 'error',
      from: { path: '^(apps|libs)/', pathNot: TESTS },
      to: { path: TESTS },
    },
    ...roomRules(TESTS),
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '(^|/)dist/' },
    tsPreCompilationDeps: true,
    combinedDependencies: true,
    moduleSystems: ['cjs', 'es6'],
    enhancedResolveOptions: {
      extensions: ['.ts', '.js', '.json'],
      exportsFields: ['exports'],
      conditionNames: ['import', 'require', 'node', 'default', 'types'],
      mainFields: ['main', 'types'],
    },
    webpackConfig: { fileName: 'scripts/cruise-resolve.cjs' },
  },
};
