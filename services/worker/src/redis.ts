import { isRedisError } from '@tidemark/redis'
import { type Logger, outageLevel, retrying } from '@tidemark/service'

/** How long a slot of a cluster may take to move: a matter of its size, and of the operator who moves it. */
const SLOT_MOVE_MS = 600_000

export interface Patience {
  /** Ends the trying at once. */
  readonly signal: AbortSignal
  /** How long one partition may go on trying before the worker gives its partitions back to the group. */
  readonly patienceMs: number
  /** The same while the partition's slot moves, when no other worker would fare better; ten minutes unless given. */
  readonly slotMoveMs?: number
  readonly log: Logger
}

/**
 * Runs a command until it succeeds, with back-off. Every command of the guard is idempotent or refuses to be run
 * twice, so trying again is safe; going on without it is not. Bounded by the patience and the signal.
 * Throws the last error after that time, what waiting cannot mend at once, and the signal's reason.
 */
export async function persistently<T>(what: string, run: () => Promise<T>, patience: Patience): Promise<T> {
  try {
    return await run()
  } catch (error) {
    patience.log.debug({ err: error }, `Redis: trying again to ${what}`)
    return await again(what, run, patience)
  }
}

async function again<T>(what: string, run: () => Promise<T>, patience: Patience): Promise<T> {
  const { signal, log } = patience
  const outOfPatience = new AbortController()
  const isTooLong = boundOf(patience)
  return retrying(run, {
    signal: AbortSignal.any([signal, outOfPatience.signal]),
    minDelayMs: 20,
    maxDelayMs: 1_000,
    onRetry: ({ error, failures, outageMs }) => {
      if (isTooLong(error, outageMs)) outOfPatience.abort(error)
      const facts = { err: error, failures, outageMs: Math.round(outageMs) }
      log[outageLevel(outageMs)](facts, `Redis: trying again to ${what}`)
    },
  })
}

/** Errors of another kind come in between while a slot moves, so what counts is the time since it last said so. */
function boundOf({ patienceMs, slotMoveMs = SLOT_MOVE_MS }: Patience): (error: unknown, outageMs: number) => boolean {
  let movedMs = 0
  return (error, outageMs) => {
    if (isRedisError(error, 'slot-moving')) movedMs = outageMs
    return outageMs - movedMs > patienceMs || outageMs > Math.max(slotMoveMs, patienceMs)
  }
}
