import { expect, test } from '@jest/globals'
import { Health } from './health.ts'

test('since is when the check began to fail, whatever its reason since', () => {
  let nowMs = 1_000
  const health = new Health(() => nowMs)
  const redis = health.check('redis')
  redis.pass()
  nowMs = 5_000
  redis.fail('refused')
  nowMs = 9_000
  redis.fail('timed out')
  expect(health.failing()).toEqual([{ check: 'redis', reason: 'timed out', since: new Date(5_000).toISOString() }])
  redis.pass()
  nowMs = 12_000
  redis.fail('refused')
  expect(health.failing()[0]!.since).toBe(new Date(12_000).toISOString())
})

test('a watch is asked anew each time', () => {
  const health = new Health()
  let ageMs = 0
  health.watch('beat', () => (ageMs > 100 ? `no beat for ${ageMs} ms` : undefined))
  expect(health.failing()).toEqual([])
  ageMs = 200
  expect(health.failing()).toMatchObject([{ check: 'beat', reason: 'no beat for 200 ms' }])
  ageMs = 0
  expect(health.failing()).toEqual([])
})

test('no checks, nothing that fails', () => {
  expect(new Health().failing()).toEqual([])
})

test('two checks of one name are a slip', () => {
  const health = new Health()
  health.check('redis')
  expect(() => health.check('redis')).toThrow(RangeError)
})
