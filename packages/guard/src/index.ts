export { type Cell, decodeCell, type Label, type Lease } from './cell.ts'
export { Feed, type FeedOptions, type FeedSubscriber, type News } from './feed.ts'
export { type Demand, type Doubt, judge, type Known, type Terms, type Verdict } from './freshness.ts'
export {
  type ApplyResult,
  type Batch,
  DEFAULT_TOMBSTONE_LIMITS,
  type FillResult,
  Guard,
  type Invalidation,
  type LeaseResult,
  MAX_REQUIRED_KEYS,
  type Outcome,
  type Repair,
  type ReplayResult,
  type RequiredKey,
  type RequireResult,
  type Sight,
  type TombstoneLimits,
  type Update,
} from './guard.ts'
export { type Inspection, type Malformed, requiredOf, type ValueFacts } from './inspection.ts'
export { GENERATIONS, type PartitionKeys, partitionKeys } from './keys.ts'
export type { Loss } from './partition-feed.ts'
export {
  COMPRESSION_SHIFT,
  decodePayload,
  encodePayload,
  FORM_MASK,
  MAX_DEPENDENCIES,
  type NewPayload,
  type Payload,
} from './payload.ts'
export type { RedisClient } from './script.ts'
export { DEFAULT_TOMBSTONE_BOUNDS, type TombstoneBounds, tombstoneLimits } from './tombstone-bounds.ts'
export { decodeView, floorOf, offsetOf, type View } from './view.ts'
