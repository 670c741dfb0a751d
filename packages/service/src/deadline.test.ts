import { expect, test } from '@jest/globals'
import { withDeadline } from './deadline.ts'

const never = new Promise<never>(() => undefined)

test('a result in time is given, and no timer is left', async () => {
  const before = process.getActiveResourcesInfo().filter((r) => r === 'Timeout').length
  expect(await withDeadline(Promise.resolve(7), 60_000, 'no answer')).toBe(7)
  expect(process.getActiveResourcesInfo().filter((r) => r === 'Timeout')).toHaveLength(before)
})

test('a promise’s own error is given', async () => {
  await expect(withDeadline(Promise.reject(new Error('odd')), 60_000, 'no answer')).rejects.toThrow('odd')
})

test('what takes too long is DEADLINE_EXCEEDED, which may be tried again', async () => {
  await expect(withDeadline(never, 5, 'no answer from Kafka')).rejects.toMatchObject({
    code: 'DEADLINE_EXCEEDED',
    message: 'DEADLINE_EXCEEDED: no answer from Kafka within 5 ms',
    retriable: true,
  })
})

test('an error that comes after the deadline is nobody’s unhandled rejection', async () => {
  const { promise, reject } = Promise.withResolvers<never>()
  await expect(withDeadline(promise, 1, 'no answer')).rejects.toThrow('DEADLINE_EXCEEDED')
  reject(new Error('late'))
  await new Promise((resolve) => setImmediate(resolve))
})
