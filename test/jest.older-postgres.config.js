import { shared } from '../jest.config.js'

if (!process.env.TIDEMARK_POSTGRES_BIN) {
  throw new Error('TIDEMARK_POSTGRES_BIN must name the folder with the initdb and postgres of an older release')
}

/**
 * What tests something that an older Postgres does not have has its release in the file's name. These files are not part
 * of the run, and nothing else is left out of it.
 */
const NEEDS_NEWER = '\\.since-1[678]\\.server\\.test\\.ts$'

/** What touches Postgres, once more on an older one. */
export default {
  ...shared,
  rootDir: '..',
  displayName: 'older-postgres',
  roots: [
    '<rootDir>/packages/postgres',
    '<rootDir>/services/cli',
    '<rootDir>/services/publisher',
    '<rootDir>/services/worker',
    '<rootDir>/test',
  ],
  testMatch: ['**/*.server.test.ts', '<rootDir>/test/src/i?-*.test.ts'],
  testPathIgnorePatterns: ['/node_modules/', NEEDS_NEWER],
  maxWorkers: 2,
  testTimeout: 60_000,
  reporters: ['default', '<rootDir>/infra/jest/closing-line.js'],
  globalSetup: '<rootDir>/test/src/global-setup.ts',
  globalTeardown: '<rootDir>/test/src/global-teardown.ts',
}
