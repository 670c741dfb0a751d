import { expect } from '@jest/globals'
import { isRedisError, type RedisError } from '../redis-error.ts'

/** For tests: how long a client gives one command. */
export const COMMAND_TIMEOUT_MS = 500

/** What the command fails with, which must be soon. */
export async function failureOf(asked: Promise<unknown>): Promise<RedisError> {
  const sinceMs = performance.now()
  const error: unknown = await asked.then(
    () => new Error('it succeeded'),
    (reason) => reason,
  )
  expect(performance.now() - sinceMs).toBeLessThan(2 * COMMAND_TIMEOUT_MS)
  if (isRedisError(error)) return error
  throw error
}
