/** Bounds on waiting, all in milliseconds. */
export interface Timings {
  /** How long a lease lasts: longer than a load takes, or two will load. */
  readonly leaseMs: number
  /** How long a read waits for another's load before it loads for itself, without caching. */
  readonly leaseWaitMs: number
  /** How long a session that is ahead of a watermark waits for it. */
  readonly watermarkWaitMs: number
  /** How long a lagging replica is waited for before the next source is asked. */
  readonly replicaWaitMs: number
  /** How long Redis may take to answer; then the read goes on without it. */
  readonly redisTimeoutMs: number
  /** Between two looks while waiting. */
  readonly pollMs: number
}

export const DEFAULT_TIMINGS: Timings = {
  leaseMs: 5_000,
  leaseWaitMs: 2_000,
  watermarkWaitMs: 500,
  replicaWaitMs: 20,
  redisTimeoutMs: 250,
  pollMs: 5,
}
