import { isTidemarkError, TidemarkError } from '@tidemark/protocol'
import { type Logger, outageLevel, redactUrls, retrying } from '@tidemark/service'
import { Redis } from 'ioredis'

/** Refusals that somebody has to mend; everything else passes by itself. */
const REFUSED = /^(NOAUTH|WRONGPASS|NOPERM)\b/
const MAX_RECONNECT_DELAY_MS = 1_000

/**
 * A client whose every command ends, one way or the other, within `commandTimeoutMs`. Nothing is queued while there
 * is no connection, and nothing is sent again by itself: the next apply's answer tells where this Redis stands, and
 * a command that waited through a failover would know nothing of it.
 */
export function regionRedis(url: string, commandTimeoutMs: number, log: Logger): Redis {
  const redis = new Redis(url, {
    commandTimeout: commandTimeoutMs,
    socketTimeout: commandTimeoutMs * 2,
    connectTimeout: commandTimeoutMs,
    maxRetriesPerRequest: 0,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    retryStrategy: (times) => Math.min(50 * 2 ** Math.min(times, 10), MAX_RECONNECT_DELAY_MS),
    // After a failover the old primary answers as a replica for as long as the connection lasts.
    reconnectOnError: (error) => error.message.startsWith('READONLY'),
  })
  // Whoever sends a command learns of the failure and reports it with the outage's length.
  redis.on('error', (error: Error) => log.debug({ reason: redactUrls(error.message) }, 'Redis connection failed'))
  return redis
}

export interface Patience {
  /** Ends the trying at once. */
  readonly signal: AbortSignal
  /** How long one partition may go on trying before the worker gives its partitions back to the group. */
  readonly patienceMs: number
  readonly log: Logger
}

/**
 * Runs a command until it succeeds, with back-off. Every command of the guard is idempotent or refuses to be run
 * twice, so trying again is safe; going on without it is not. Bounded by `patienceMs` and the signal.
 * Throws SERVER_UNREACHABLE after that time, SERVER_REFUSED at once, and the signal's reason.
 */
export async function persistently<T>(what: string, run: () => Promise<T>, patience: Patience): Promise<T> {
  const attempt = () =>
    run().catch((error: unknown) => {
      throw redisError(error, what)
    })
  try {
    return await attempt()
  } catch (error) {
    patience.log.debug({ err: error }, 'Redis: trying again')
    return await again(attempt, patience)
  }
}

async function again<T>(attempt: () => Promise<T>, { signal, patienceMs, log }: Patience): Promise<T> {
  const deadline = AbortSignal.timeout(patienceMs)
  let last: unknown
  try {
    return await retrying(attempt, {
      signal: AbortSignal.any([signal, deadline]),
      minDelayMs: 20,
      maxDelayMs: 1_000,
      onRetry: ({ error, failures, outageMs }) => {
        last = error
        log[outageLevel(outageMs)]({ err: error, failures, outageMs: Math.round(outageMs) }, 'Redis: trying again')
      },
    })
  } catch (error) {
    if (signal.aborted) throw signal.reason
    throw deadline.aborted && last ? last : error
  }
}

/** What an operator can make of an error of the client; an error of ours stays what it is. */
export function redisError(error: unknown, what: string): TidemarkError {
  if (isTidemarkError(error)) return error
  const message = error instanceof Error ? redactUrls(error.message) : String(error)
  if (REFUSED.test(message)) {
    return new TidemarkError('SERVER_REFUSED', `Redis refuses ${what}: ${message}`, {
      mend: 'Mend the URL or the grants',
      cause: error,
    })
  }
  return new TidemarkError('SERVER_UNREACHABLE', `Redis does not ${what}: ${message}`, { cause: error })
}
