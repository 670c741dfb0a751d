/** Bounds on waiting, all in milliseconds. */
export interface Timings {
  /** How long one call may take, whatever it waits for. */
  readonly readMs: number
  /** How long one load may take. One that hangs has failed then. */
  readonly loadMs: number
  /** How long a lease lasts. Its holder prolongs it while it loads; a dead one's ends so soon. */
  readonly leaseMs: number
  /** How long a read waits for another's load before it loads for itself, without caching. */
  readonly leaseWaitMs: number
  /** How long a session that is ahead of a watermark waits for it. */
  readonly watermarkWaitMs: number
  /** How long one load waits for replicas that lag, all together, before the next source is asked. */
  readonly replicaWaitMs: number
  /** How long a replica may take to hand out a connection and say where it stands. */
  readonly replicaAnswerMs: number
  /** How long another region may take to answer, within `readMs`; see contract `route`. */
  readonly routeMs: number
  /** How long Redis may take to answer; then the read goes on without it. */
  readonly redisTimeoutMs: number
  /** How long Redis is passed by after some failures in a row, until one command probes it. */
  readonly redisPauseMs: number
  /** Between two looks while waiting. */
  readonly pollMs: number
}

export const DEFAULT_TIMINGS: Timings = {
  readMs: 10_000,
  loadMs: 5_000,
  leaseMs: 1_000,
  leaseWaitMs: 5_000,
  watermarkWaitMs: 500,
  replicaWaitMs: 20,
  replicaAnswerMs: 1_000,
  routeMs: 2_000,
  redisTimeoutMs: 250,
  redisPauseMs: 1_000,
  pollMs: 5,
}
