import { expect, test } from '@jest/globals'
import { DEFAULT_TOMBSTONE_LIMITS } from './guard.ts'
import { DEFAULT_TOMBSTONE_BOUNDS, tombstoneLimits } from './tombstone-bounds.ts'

test('the defaults are those of a partition, 16 times', () => {
  expect(tombstoneLimits(DEFAULT_TOMBSTONE_BOUNDS, 16)).toEqual(DEFAULT_TOMBSTONE_LIMITS)
})

test('a region holds no more of them when it has more partitions', () => {
  for (const partitions of [1, 16, 64, 1000, 4096]) {
    const { perGeneration } = tombstoneLimits(DEFAULT_TOMBSTONE_BOUNDS, partitions)
    expect(perGeneration * 4 * partitions).toBeLessThanOrEqual(640_000)
  }
})

test('a partition always has room for one, and three generations outlast the time asked for', () => {
  expect(tombstoneLimits({ maxTombstones: 1, tombstoneMs: 1_000 }, 64)).toEqual({ perGeneration: 1, generationMs: 334 })
})
