import { isAtWork } from '@tidemark/postgres'
import { TidemarkError } from '@tidemark/protocol'
import { cancellableSleep, type Logger, outageLevel } from '@tidemark/service'
import type { Client } from 'pg'
import { CLIENT } from './client-name.ts'

export interface ServerWorkOptions {
  readonly client: Client
  readonly postgresUrl: string
  readonly signal: AbortSignal
  readonly log: Logger
}

const REPORT_MS = 5_000
/** Looks after which an answer that has not come will not come: one may have been under way at the first. */
const MAX_IDLE_LOOKS = 2

/**
 * Waits for what the server alone can end, for as long as it takes, and says what is being waited for. A connection that
 * broke without a sign would be waited for as well: the server is asked every now and then whether it is still at work.
 */
export async function whileServerWorks<T>(work: Promise<T>, options: ServerWorkOptions, what: string): Promise<T> {
  const done = new AbortController()
  const signal = AbortSignal.any([done.signal, options.signal])
  try {
    return await Promise.race([work, untilIdle({ ...options, signal }, what)])
  } finally {
    done.abort()
  }
}

async function untilIdle({ client, postgresUrl, signal, log }: ServerWorkOptions, what: string): Promise<never> {
  const sinceMs = performance.now()
  for (let idleLooks = 0; idleLooks < MAX_IDLE_LOOKS; ) {
    await cancellableSleep(REPORT_MS, signal)
    const waitedMs = performance.now() - sinceMs
    log[outageLevel(waitedMs)]({ waitedMs }, what)
    idleLooks = (await isAtWork(postgresUrl, CLIENT, client)) ? 0 : idleLooks + 1
  }
  throw new TidemarkError('SERVER_UNREACHABLE', 'Postgres has finished what it was asked for, and its answer is lost')
}
