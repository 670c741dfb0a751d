/**
 * Two kinds of tests. `unit` needs nothing and starts at once; `server` needs Postgres, Kafka and Redis, which its global
 * setup starts once for the whole run, and only if the run holds a test of this kind.
 */
const needsServers = ['<rootDir>/test/src/**/*.test.ts', '**/*.server.test.ts']

/** Runs of many minutes, with a command of their own: `npm run test:long`. */
const LONG = '\\.long\\.test\\.ts$'

export const shared = {
  testEnvironment: '<rootDir>/infra/jest/environment.js',
  extensionsToTreatAsEsm: ['.ts'],
  transform: { '\\.ts$': '<rootDir>/infra/jest/strip-types.js' },
}

export default {
  maxWorkers: 2,
  testTimeout: 60_000,
  reporters: ['default', '<rootDir>/infra/jest/closing-line.js'],
  projects: [
    {
      ...shared,
      displayName: 'unit',
      roots: [
        '<rootDir>/packages',
        '<rootDir>/services',
        '<rootDir>/infra',
        '<rootDir>/test/model',
        '<rootDir>/test/mutants',
      ],
      testMatch: ['**/*.test.ts'],
      testPathIgnorePatterns: ['/node_modules/', '\\.server\\.test\\.ts$', LONG],
    },
    {
      ...shared,
      displayName: 'server',
      roots: ['<rootDir>/packages', '<rootDir>/services', '<rootDir>/infra', '<rootDir>/test'],
      testMatch: needsServers,
      testPathIgnorePatterns: ['/node_modules/', LONG],
      globalSetup: '<rootDir>/test/src/global-setup.ts',
      globalTeardown: '<rootDir>/test/src/global-teardown.ts',
    },
  ],
}
