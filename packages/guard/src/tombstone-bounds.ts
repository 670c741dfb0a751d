import type { TombstoneLimits } from './guard.ts'
import { GENERATIONS } from './keys.ts'

/** Bounds of a region's memory of recent invalidations. */
export interface TombstoneBounds {
  /** Most keys, over all partitions. */
  readonly maxTombstones: number
  /** How long one lasts at least, in ms, unless there are too many. */
  readonly tombstoneMs: number
}

export const DEFAULT_TOMBSTONE_BOUNDS: TombstoneBounds = { maxTombstones: 640_000, tombstoneMs: 900_000 }

/**
 * The bounds of one partition's generations. A tombstone that is written last into its generation outlives it by as
 * many as there are others; the one that is written first, by one more. So it lasts from `tombstoneMs` to a third
 * longer while events come; a partition without any keeps what it has.
 */
export function tombstoneLimits({ maxTombstones, tombstoneMs }: TombstoneBounds, partitions: number): TombstoneLimits {
  return {
    // With no room at all the horizon would be as high as the newest event, and no replica could fill anything.
    perGeneration: Math.max(1, Math.floor(maxTombstones / (partitions * GENERATIONS))),
    generationMs: Math.ceil(tombstoneMs / (GENERATIONS - 1)),
  }
}
