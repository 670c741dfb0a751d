import type { Guard, Terms } from '@tidemark/guard'
import type { Contract } from '@tidemark/protocol'
import type { Session } from '../session/session.ts'
import { Budget } from './budget.ts'
import type { KeyspaceScope } from './keyspace-scope.ts'

export interface ReadOptions {
  /** Never older than what this session wrote or saw. */
  readonly session?: Session
  /** Ends the call; it rejects with the signal's reason. A load that others wait for goes on. */
  readonly signal?: AbortSignal
}

/** One key of a call. */
export interface Wanted {
  readonly key: string
  /** As the app gave them. Of no type here, or a cache could not be passed for one of narrower parameters. */
  readonly params: unknown
  readonly guard: Guard
}

/** What one call asks, whatever its keys. */
export interface Inquiry {
  readonly terms: Terms
  readonly whenUnprovable: Contract['whenUnprovable']
  readonly isBypass: boolean
  readonly session: Session | undefined
  readonly budget: Budget
  /** Until when another's lease is waited for, and until when a watermark; by the monotonic clock. */
  readonly leaseDeadline: number
  readonly watermarkDeadline: number
}

/** Throws the signal's reason when it is aborted already. */
export async function inquire(scope: KeyspaceScope, { session, signal }: ReadOptions): Promise<Inquiry> {
  const { timings, source } = scope.host
  const { name, contract } = scope.keyspace
  const budget = new Budget(timings.readMs, signal)
  const start = performance.now()
  const demand = session ? await session.demand(contract.session) : null
  return {
    terms: { keyspace: name, contract, clockSkewMs: source.clockSkewMs, demand },
    whenUnprovable: contract.whenUnprovable,
    isBypass: contract.reaction === 'bypass',
    session,
    budget,
    leaseDeadline: start + timings.leaseWaitMs,
    watermarkDeadline: start + timings.watermarkWaitMs,
  }
}
