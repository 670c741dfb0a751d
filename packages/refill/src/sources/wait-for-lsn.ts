import { formatLsn, type Lsn } from '@tidemark/protocol'
import type { Standing } from './standing.ts'

/** The first release whose standbys can be asked to answer when they have replayed up to an LSN. */
const SINCE = 190_000

/** Whether the server has the command, and has not replayed that far yet: a newer epoch is not waited for by it. */
export function canWaitFor(lsn: Lsn, { version, role }: Standing, at: Lsn): boolean {
  return version >= SINCE && role === 'replica' && at < lsn
}

/**
 * Waits on a standby of Postgres 19 until it has replayed up to an LSN: one answer, at once when it is there, in place of
 * a question every few milliseconds. It must be a statement of its own and hold no snapshot, so outside a transaction or
 * in READ COMMITTED. It knows no timelines: who has waited asks where the server stands. A time-out of 0 would be none.
 */
export function waitForLsn(lsn: Lsn, timeoutMs: number): string {
  return `wait for lsn '${formatLsn(lsn)}' with (timeout '${Math.max(1, Math.floor(timeoutMs))}ms', no_throw)`
}
