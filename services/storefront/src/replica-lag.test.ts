import { expect, test } from '@jest/globals'
import { ReplicaLag } from './replica-lag.ts'

test('the lag is the age of the newest mark that was replayed', () => {
  const lag = new ReplicaLag()
  lag.mark(100n, 1_000)
  lag.mark(200n, 2_000)
  lag.mark(300n, 3_000)
  expect(lag.lagMs(300n, 3_005)).toBe(5)
  expect(lag.lagMs(299n, 3_005)).toBe(1_005)
  expect(lag.lagMs(100n, 3_005)).toBe(2_005)
})

test('an idle primary makes no replica look behind', () => {
  const lag = new ReplicaLag()
  for (let at = 0; at < 60_000; at += 500) lag.mark(100n, at)
  expect(lag.lagMs(100n, 59_510)).toBe(10)
})

test('a replica behind every mark has an unknown lag', () => {
  const lag = new ReplicaLag()
  expect(lag.lagMs(100n, 0)).toBeUndefined()
  lag.mark(100n, 0)
  expect(lag.lagMs(99n, 10)).toBeUndefined()
})

test('memory is bounded: the oldest marks are let go', () => {
  const lag = new ReplicaLag()
  for (let i = 0; i < 10_000; i++) lag.mark(BigInt(i), i)
  expect(lag.lagMs(0n, 10_000)).toBeUndefined()
  expect(lag.lagMs(9_999n, 10_000)).toBe(1)
})
