import { expect, test } from '@jest/globals'
import { TidemarkError } from '@tidemark/protocol'
import { backoffDelayMs, cancellableSleep, outageLevel, type Retry, retrying } from './backoff.ts'

const unreachable = () => new TidemarkError('SERVER_UNREACHABLE', 'no server')

/** Options that remember the retries; delays are as short as can be. */
function quick(signal = new AbortController().signal) {
  const retries: Retry[] = []
  return { retries, options: { signal, minDelayMs: 1, maxDelayMs: 4, onRetry: (retry: Retry) => retries.push(retry) } }
}

test('an attempt that fails is made again until it succeeds', async () => {
  const { retries, options } = quick()
  let attempts = 0
  const result = await retrying(async () => {
    attempts += 1
    if (attempts < 4) throw attempts === 1 ? unreachable() : new Error('ECONNRESET')
    return 'there'
  }, options)
  expect(result).toBe('there')
  expect(retries.map((r) => r.failures)).toEqual([1, 2, 3])
  expect(retries[2]!.outageMs).toBeGreaterThan(0)
})

test('an error that trying again cannot mend is thrown at once', async () => {
  const { retries, options } = quick()
  const refused = new TidemarkError('SERVER_REFUSED', 'wrong password')
  await expect(retrying(() => Promise.reject(refused), options)).rejects.toBe(refused)
  expect(retries).toEqual([])
})

test('an attempt that was healthy begins a new outage', async () => {
  const { retries, options } = quick()
  let attempts = 0
  await retrying(async (healthy) => {
    attempts += 1
    if (attempts === 3) healthy()
    if (attempts < 5) throw unreachable()
  }, options)
  expect(retries.map((r) => r.failures)).toEqual([1, 2, 1, 2])
  expect(retries[2]!.outageMs).toBe(0)
})

test('an aborted signal ends the waiting at once, with its reason', async () => {
  const ending = new AbortController()
  const reason = new Error('asked to end')
  const options = { signal: ending.signal, minDelayMs: 60_000, maxDelayMs: 60_000, onRetry: () => ending.abort(reason) }
  await expect(retrying(() => Promise.reject(unreachable()), options)).rejects.toBe(reason)
})

test('an aborted signal ends the trying, whatever the attempt then throws', async () => {
  const ending = new AbortController()
  const { retries, options } = quick(ending.signal)
  const attempt = async () => {
    ending.abort(new Error('asked to end'))
    throw unreachable()
  }
  await expect(retrying(attempt, options)).rejects.toThrow('asked to end')
  await expect(retrying(() => Promise.resolve(1), options)).rejects.toThrow('asked to end')
  expect(retries).toEqual([])
})

test('the delay doubles up to its bound and keeps at least half of it', () => {
  const bounds = { minDelayMs: 100, maxDelayMs: 1_000 }
  expect([1, 2, 3, 4, 5, 10_000].map((n) => backoffDelayMs(n, bounds, 0))).toEqual([50, 100, 200, 400, 500, 500])
  expect(backoffDelayMs(10_000, bounds, 0.999)).toBeLessThanOrEqual(1_000)
})

test('a sleep that is cancelled throws the reason', async () => {
  const reason = new Error('asked to end')
  await expect(cancellableSleep(60_000, AbortSignal.abort(reason))).rejects.toBe(reason)
})

test('the level of a failure rises with the length of the outage', () => {
  expect([0, 10_000, 120_000].map(outageLevel)).toEqual(['info', 'warn', 'error'])
})
