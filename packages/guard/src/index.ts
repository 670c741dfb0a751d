export { type Cell, decodeCell, type Label } from './cell.ts'
export { type Demand, type Doubt, judge, type Terms, type Verdict } from './freshness.ts'
export {
  type ApplyResult,
  type Batch,
  DEFAULT_TOMBSTONE_LIMITS,
  type FillResult,
  Guard,
  type Invalidation,
  type LeaseResult,
  type Outcome,
  type Sight,
  type TombstoneLimits,
  type Update,
} from './guard.ts'
export { GENERATIONS, type PartitionKeys, partitionKeys } from './keys.ts'
export type { RedisClient } from './script.ts'
export { DEFAULT_TOMBSTONE_BOUNDS, type TombstoneBounds, tombstoneLimits } from './tombstone-bounds.ts'
export { decodeView, floorOf, offsetOf, type View } from './view.ts'
