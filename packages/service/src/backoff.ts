import { setTimeout as sleep } from 'node:timers/promises'
import { isTidemarkError } from '@tidemark/protocol'

/** One failure that is about to be tried again. */
export interface Retry {
  readonly error: unknown
  /** Failures in a row, this one included. */
  readonly failures: number
  readonly delayMs: number
  /** Since the first of these failures; the level of a log line rises with it, not with their count. */
  readonly outageMs: number
}

export interface RetryOptions {
  /** Ends the waiting and the trying; it is the bound of the loop. */
  readonly signal: AbortSignal
  readonly minDelayMs: number
  readonly maxDelayMs: number
  readonly onRetry: (retry: Retry) => void
}

/**
 * Tries until an attempt succeeds, with exponential back-off and jitter. A coded error that trying again cannot mend
 * is thrown; so is the signal's reason once it is aborted. Makes progress because the delay is bounded by
 * `maxDelayMs`; stopped by `signal` alone, because a service has nothing better to do than to wait for its servers.
 *
 * @param attempt calls `healthy` when what it does works again: a run of hours that breaks is a new outage, and its
 * first retry is quick
 */
export async function retrying<T>(attempt: (healthy: () => void) => Promise<T>, options: RetryOptions): Promise<T> {
  const { signal, onRetry } = options
  let failures = 0
  let downSinceMs = 0
  const healthy = () => {
    failures = 0
  }
  for (;;) {
    signal.throwIfAborted()
    try {
      return await attempt(healthy)
    } catch (error) {
      if (signal.aborted) throw signal.reason
      if (isTidemarkError(error) && !error.retriable) throw error
      const nowMs = performance.now()
      if (failures === 0) downSinceMs = nowMs
      failures += 1
      const delayMs = backoffDelayMs(failures, options, Math.random())
      onRetry({ error, failures, delayMs, outageMs: nowMs - downSinceMs })
      await cancellableSleep(delayMs, signal)
    }
  }
}

/**
 * The delay after that many failures in a row: a random point in the upper half of `minDelayMs` doubled each time, so
 * that those who lost the same server do not all come back at once.
 *
 * @param random in [0, 1)
 */
export function backoffDelayMs(
  failures: number,
  { minDelayMs, maxDelayMs }: Pick<RetryOptions, 'minDelayMs' | 'maxDelayMs'>,
  random: number,
): number {
  const ceilingMs = Math.min(maxDelayMs, minDelayMs * 2 ** Math.min(failures - 1, 50))
  return (ceilingMs * (1 + random)) / 2
}

/** Waits; throws the signal's reason as soon as it is aborted. */
export async function cancellableSleep(delayMs: number, signal: AbortSignal): Promise<void> {
  try {
    await sleep(delayMs, undefined, { signal })
  } catch (error) {
    signal.throwIfAborted()
    throw error
  }
}

/** The level at which to log a failure, by how long it has lasted: a blip is no news, an outage is. */
export function outageLevel(outageMs: number): 'info' | 'warn' | 'error' {
  if (outageMs < 5_000) return 'info'
  return outageMs < 60_000 ? 'warn' : 'error'
}
