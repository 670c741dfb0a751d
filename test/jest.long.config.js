import { shared } from '../jest.config.js'

/** The runs of many minutes: one at a time, on servers of their own where they break them. */
export default {
  ...shared,
  rootDir: '..',
  displayName: 'long',
  roots: ['<rootDir>/test'],
  testMatch: ['**/*.long.test.ts'],
  maxWorkers: 1,
  testTimeout: 7_200_000,
  reporters: ['default', '<rootDir>/infra/jest/closing-line.js'],
  globalSetup: '<rootDir>/test/src/global-setup.ts',
  globalTeardown: '<rootDir>/test/src/global-teardown.ts',
}
