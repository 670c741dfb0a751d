import type { Guard, Terms } from '@tidemark/guard'
import { type Contract, TidemarkError } from '@tidemark/protocol'
import type { Session } from '../session/session.ts'
import { Budget } from './budget.ts'
import type { KeyspaceScope } from './keyspace-scope.ts'

export interface ReadOptions {
  /** Never older than what this session wrote or saw. */
  readonly session?: Session
  /** Ends the call; it rejects with the signal's reason. A load that others wait for goes on. */
  readonly signal?: AbortSignal
  /**
   * `contract`: what the keyspace promises. `strong`: the primary is asked, and nothing else. `any`: what is there is
   * taken at once, live or retained, however old and whatever the session asks, and says what it is.
   */
  readonly consistency?: 'strong' | 'contract' | 'any'
  /** In place of the contract's. */
  readonly maxStalenessMs?: number
  readonly whenUnprovable?: Contract['whenUnprovable']
  /** False for a read that is made for another region's: it is not passed on. */
  readonly mayRoute?: boolean
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
  /** The primary is asked, and nothing else. */
  readonly isBypass: boolean
  /** What is there is taken. */
  readonly takesAny: boolean
  readonly session: Session | undefined
  readonly budget: Budget
  /** Until when another's lease is waited for, and until when a watermark; by the monotonic clock. */
  readonly leaseDeadline: number
  readonly watermarkDeadline: number
}

/** What each may be; null where that is not one of a few words. */
const OPTIONS: Readonly<Record<keyof ReadOptions, readonly unknown[] | null>> = {
  consistency: [undefined, 'strong', 'contract', 'any'],
  whenUnprovable: [undefined, 'serve-stale', 'fail', 'route'],
  session: null,
  signal: null,
  maxStalenessMs: null,
  mayRoute: null,
}

/** Misspelt, a wish for `strong` would be none. */
function checkOptions(options: ReadOptions): void {
  for (const name in options) {
    const known = Object.hasOwn(OPTIONS, name) ? OPTIONS[name as keyof ReadOptions] : []
    if (known === null || known.includes(options[name as keyof ReadOptions])) continue
    const what = known.length === 0 ? 'is no option of a read' : `of a read is one of ${known.slice(1).join(', ')}`
    throw new TidemarkError('CONFIG_INVALID', `${name} ${what}`)
  }
}

/** Throws the signal's reason when it is aborted already, and CONFIG_INVALID for what is no option or bounds nothing. */
export async function inquire(scope: KeyspaceScope, options: ReadOptions): Promise<Inquiry> {
  checkOptions(options)
  const { timings, source, route } = scope.host
  const { name, contract } = scope.keyspace
  const { session, signal, consistency = 'contract', maxStalenessMs = contract.maxStalenessMs } = options
  // An age that is compared with what is no number is never too old.
  if (!(maxStalenessMs > 0)) throw new TidemarkError('CONFIG_INVALID', 'maxStalenessMs of a read must be more than 0')
  const whenUnprovable = whenUnprovableOf(contract, options)
  const start = performance.now()
  // Another region is asked within the call's time, too.
  const routeMs = whenUnprovable === 'route' && route ? timings.routeMs : 0
  const budget = new Budget(timings.readMs - routeMs, signal)
  const demand = session ? await session.demand(contract.session) : null
  return {
    terms: { keyspace: name, contract: { maxStalenessMs }, clockSkewMs: source.clockSkewMs, demand },
    whenUnprovable,
    isBypass: consistency === 'strong' || (contract.reaction === 'bypass' && consistency !== 'any'),
    takesAny: consistency === 'any',
    session,
    budget,
    leaseDeadline: start + timings.leaseWaitMs,
    watermarkDeadline: start + timings.watermarkWaitMs,
  }
}

function whenUnprovableOf(contract: Contract, options: ReadOptions): Contract['whenUnprovable'] {
  const { consistency, mayRoute = true } = options
  const ofCall = consistency === 'strong' ? 'fail' : consistency === 'any' ? 'serve-stale' : contract.whenUnprovable
  const asked = options.whenUnprovable ?? ofCall
  return asked === 'route' && !mayRoute ? 'fail' : asked
}
