// Strict, type-aware rules for everything, and the purity of the cores (see docs/architecture.md).
import js from '@eslint/js';
import regexp from 'eslint-plugin-regexp';
import tseslint from 'typescript-eslint';
import { noSpreadIntoCalls } from './scripts/lint/no-spread-into-calls.mjs';
import { plainTexts } from './scripts/lint/private-words.mjs';

/** What a core or a protocol rule may not reach for: time, chance, the process and the outside come in as arguments. */
const IMPURE_GLOBALS = [
  'process',
  'performance',
  'setTimeout',
  'setInterval',
  'setImmediate',
  'clearTimeout',
  'clearInterval',
  'clearImmediate',
  'queueMicrotask',
  'Date',
  'fetch',
  'console',
  'crypto',
  'require',
].map((name) => ({ name, message: 'A core is pure: time, chance and I/O come in as fields of events.' }));

/** `globalThis.Date` would be a way around the names above. */
const IMPURE_PROPERTIES = [
  { object: 'Math', property: 'random', message: 'A core is pure: use the seeded generator that is injected.' },
  ...IMPURE_GLOBALS.map(({ name, message }) => ({ object: 'globalThis', property: name, message })),
];

const IMPURE_SYNTAX = [
  { selector: ':function[async=true]', message: 'A core is synchronous: say what is to be done as an effect.' },
  { selector: 'AwaitExpression', message: 'A core is synchronous: say what is to be done as an effect.' },
  { selector: 'ForOfStatement[await=true]', message: 'A core is synchronous: say what is to be done as an effect.' },
  { selector: "NewExpression[callee.name='Promise']", message: 'A core is synchronous.' },
  { selector: "MemberExpression[object.name='Promise']", message: 'A core is synchronous.' },
  { selector: 'ImportExpression', message: 'A core is synchronous.' },
];

const IMPURE_IMPORTS = {
  patterns: [
    {
      group: ['@nestjs/*', 'nats', '@nats-io/*', 'pg', 'typeorm', 'fastify', 'pino'],
      message: 'A core knows no framework and no wire.',
    },
    { group: ['node:*'], message: 'A core does no I/O.' },
    {
      regex: '/(adapters|runtime|ports)/|^#common/(nats|process|config|logging|testing)/',
      message: 'Imports point towards the core, not out of it.',
    },
  ],
};

/** Rules of this repository. */
const shardline = { rules: { 'no-spread-into-calls': noSpreadIntoCalls, 'plain-texts': plainTexts } };

export default tseslint.config(
  {
    ignores: [
      '**/dist/**',
      '**/node_modules/**',
      '.shardline/**',
      '.tools/**',
      '.guards/**',
      'coverage/**',
      '**/*.d.ts',
    ],
  },
  js.configs.recommended,
  {
    // What a client sends may make no regular expression work longer than linear time.
    files: ['**/*.{ts,js,cjs,mjs}'],
    plugins: { regexp },
    rules: {
      'regexp/no-super-linear-backtracking': ['error', { report: 'potential' }],
      'regexp/no-super-linear-move': ['error', { report: 'potential' }],
    },
  },
  {
    files: ['**/*.ts'],
    extends: [...tseslint.configs.strictTypeChecked, ...tseslint.configs.stylisticTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': 'error',
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'inline-type-imports' }],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', caughtErrorsIgnorePattern: '^_' }],
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
      '@typescript-eslint/no-extraneous-class': ['error', { allowWithDecorator: true }],
      '@typescript-eslint/dot-notation': ['error', { allowProtectedClassPropertyAccess: true }],
      // "The caller says what type the JSON has" needs a type parameter that is used once.
      '@typescript-eslint/no-unnecessary-type-parameters': 'off',
      // Nest types its options as classes and takes plain objects for them.
      '@typescript-eslint/no-unsafe-class-instance-assignment': 'off',
      // Handlers of ports and of Nest are async by contract, also where one of them has nothing to wait for.
      '@typescript-eslint/require-await': 'off',
      'no-restricted-globals': ['error', { name: 'isNaN', message: 'Use Number.isNaN.' }],
      eqeqeq: 'error',
      'no-console': 'error',
      'max-lines': ['error', { max: 400, skipBlankLines: true, skipComments: true }],
    },
  },
  {
    files: ['apps/*/src/**/*.ts', 'apps/*/main.ts', 'libs/**/*.ts'],
    ignores: ['**/*.spec.ts'],
    plugins: { shardline },
    rules: { 'shardline/no-spread-into-calls': 'error', 'shardline/plain-texts': 'error' },
  },
  {
    files: ['apps/*/src/core/**/*.ts', 'libs/common/src/protocol/**/*.ts', 'libs/common/src/contracts/**/*.ts'],
    ignores: ['**/*.spec.ts', '**/*.e2e-spec.ts'],
    rules: {
      'no-restricted-globals': ['error', ...IMPURE_GLOBALS],
      'no-restricted-properties': ['error', ...IMPURE_PROPERTIES],
      'no-restricted-syntax': ['error', ...IMPURE_SYNTAX],
      '@typescript-eslint/no-restricted-imports': ['error', IMPURE_IMPORTS],
    },
  },
  {
    files: ['**/*.spec.ts', '**/*.e2e-spec.ts', '**/test/**/*.ts'],
    rules: {
      'max-lines': ['error', { max: 600, skipBlankLines: true, skipComments: true }],
      // In a test a wrong `!` fails the test, which is what it is for.
      '@typescript-eslint/no-non-null-assertion': 'off',
      // Jest's own matchers (`expect.any`, `expect.stringMatching`) are of type `any`.
      '@typescript-eslint/no-unsafe-argument': 'off',
      '@typescript-eslint/no-unsafe-assignment': 'off',
    },
  },
  {
    files: ['**/*.{js,cjs,mjs}'],
    ignores: ['load-tests/k6/**'],
    languageOptions: {
      globals: {
        process: 'readonly',
        console: 'readonly',
        __dirname: 'readonly',
        require: 'readonly',
        module: 'writable',
        Buffer: 'readonly',
        URL: 'readonly',
        fetch: 'readonly',
        setTimeout: 'readonly',
        clearTimeout: 'readonly',
        performance: 'readonly',
        AbortSignal: 'readonly',
      },
    },
  },
  {
    // What these print is read, too.
    files: ['scripts/*.js', 'load-tests/**/*.js', 'apps/*/test/**/*.ts'],
    ignores: ['**/*.spec.ts', '**/*.e2e-spec.ts'],
    plugins: { shardline },
    rules: { 'shardline/plain-texts': 'error' },
  },
  {
    // k6 runs these, with globals of its own.
    files: ['load-tests/k6/**/*.js'],
    languageOptions: {
      globals: { __ENV: 'readonly', __VU: 'readonly', __ITER: 'readonly', open: 'readonly', console: 'readonly' },
    },
  },
);
