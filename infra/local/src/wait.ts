import { setTimeout as sleep } from 'node:timers/promises'
import { LocalServerError } from './errors.ts'

export interface WaitOptions {
  readonly timeoutMs: number
  /** Pause between two looks at the condition. */
  readonly everyMs?: number
  readonly signal?: AbortSignal | undefined
}

/**
 * Waits until `condition` holds. A refusal that it throws counts as "not yet" and becomes the cause of the
 * error at the deadline. The condition's own signal is aborted at the deadline, so that no probe outlives it.
 */
export async function waitUntil(
  what: string,
  condition: (signal: AbortSignal) => boolean | Promise<boolean>,
  { timeoutMs, everyMs = 25, signal }: WaitOptions,
): Promise<void> {
  const deadline = AbortSignal.timeout(timeoutMs)
  const ended = signal ? AbortSignal.any([signal, deadline]) : deadline
  let refusal: unknown
  while (!ended.aborted) {
    try {
      if (await untilAborted(ended, async () => condition(ended))) return
    } catch (error) {
      if (!ended.aborted) refusal = error
    }
    if (!ended.aborted) await sleep(everyMs, undefined, { signal: ended }).catch(() => undefined)
  }
  if (signal?.aborted) throw interrupted(what, signal)
  throw new LocalServerError('DEADLINE', `${what}: not within ${timeoutMs} ms`, { cause: refusal })
}

/** The work's outcome, or a rejection as soon as the signal is aborted. */
async function untilAborted<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>()
  const onAbort = () => reject(signal.reason)
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    return await Promise.race([work(), promise])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}

export function interrupted(what: string, signal: AbortSignal): LocalServerError {
  return new LocalServerError('INTERRUPTED', `${what}: interrupted`, { cause: signal.reason })
}
