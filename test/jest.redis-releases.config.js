import { shared } from '../jest.config.js'

if (!process.env.TIDEMARK_REDIS_BIN) {
  throw new Error('TIDEMARK_REDIS_BIN must name the redis-server or valkey-server of another release')
}

/** The servers of the wheels are built without TLS. It is tested on the default release, and nothing else is left out here. */
const NEEDS_TLS = '/tls\\.server\\.test\\.ts$'

/** What touches Redis and nothing of Postgres, once more on another release of it. */
export default {
  ...shared,
  rootDir: '..',
  displayName: 'redis-releases',
  roots: ['<rootDir>/infra/local', '<rootDir>/packages/guard', '<rootDir>/packages/redis', '<rootDir>/services/worker'],
  testMatch: ['<rootDir>/infra/local/src/redis*.server.test.ts', '<rootDir>/{packages,services}/**/*.server.test.ts'],
  testPathIgnorePatterns: ['/node_modules/', NEEDS_TLS],
  // The seed of the reference model's operations is in the name of its test.
  verbose: true,
  maxWorkers: 2,
  testTimeout: 60_000,
  reporters: ['default', '<rootDir>/infra/jest/closing-line.js'],
  globalSetup: '<rootDir>/test/src/global-setup.ts',
  globalTeardown: '<rootDir>/test/src/global-teardown.ts',
}
