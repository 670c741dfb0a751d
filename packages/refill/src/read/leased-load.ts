import { randomBytes } from 'node:crypto'
import { type Cell, encodePayload, type Guard, type LeaseResult, type Terms, type View } from '@tidemark/guard'
import { misfitOf } from '@tidemark/protocol'
import type { RefillOutcome } from '../events.ts'
import type { Load, Loaded } from '../sources/labelled-load.ts'
import type { FromSource } from '../sources/sources.ts'
import type { KeyspaceScope } from './keyspace-scope.ts'

/** The key that a load is for, and what the value is asked to be. */
export interface Wanted<Value> {
  readonly key: string
  readonly guard: Guard
  readonly terms: Terms
  readonly load: Load<Value>
}

export interface Lease {
  readonly id: string
  readonly answer: LeaseResult
}

export interface Refilled<Value> {
  readonly got: FromSource<Value>
  /** What became of the value. */
  readonly outcome: RefillOutcome
}

/**
 * Asks for the lease of a key; null when Redis does not answer.
 *
 * @param cell what is there and could not be used
 */
export async function takeLease(
  scope: KeyspaceScope,
  { guard, key }: Wanted<unknown>,
  cell: Cell | null,
): Promise<Lease | null> {
  const id = randomBytes(8).toString('hex')
  const unusable = cell?.state === 'live' ? cell.label.low : null
  const answer = await scope.redis(() =>
    guard.lease(key, scope.keyspace.name, id, scope.host.timings.leaseMs, unusable),
  )
  return answer && { id, answer }
}

/**
 * Loads under a lease and stores, by compare-and-set, what may be cached. Whatever happens the lease is over then. Throws
 * what the sources and the serializer throw.
 */
export async function loadUnderLease<Value>(
  scope: KeyspaceScope,
  wanted: Wanted<Value>,
  view: View | null,
  id: string,
  { required, granted }: LeaseResult & { code: 'granted' },
): Promise<Refilled<Value>> {
  const { terms, load } = wanted
  // What a replica shows is known to have been current at the view's beat, not at the time of the load.
  const beatIsRecent = view !== null && Date.now() - view.beat + terms.clockSkewMs <= terms.contract.maxStalenessMs
  let got: FromSource<Value>
  let body: Buffer
  const startedAt = performance.now()
  try {
    const need = { required, granted, demand: terms.demand }
    got = await scope.host.sources.load(terms.keyspace, load, need, beatIsRecent)
    body = scope.host.serializer.encode(got.loaded.value)
  } catch (error) {
    await release(scope, wanted, id)
    throw error
  }
  const outcome = await offer(scope, wanted, id, got.loaded, { body, costMs: performance.now() - startedAt })
  scope.emit({ event: 'refill', from: got.from, outcome })
  return { got, outcome }
}

/** Stores the value if it may be cached, else gives the lease back. */
async function offer(
  scope: KeyspaceScope,
  wanted: Wanted<unknown>,
  id: string,
  loaded: Loaded<unknown>,
  { body, costMs }: { readonly body: Buffer; readonly costMs: number },
): Promise<RefillOutcome> {
  const { value, label, loadedAt } = loaded
  const { contract } = scope.keyspace
  const ttlMs = value === undefined || value === null ? contract.negativeTtlMs : contract.ttlMs
  const why = ttlMs === 0 ? 'not-wanted' : unfit(scope, value, body)
  if (label === null || why !== null) {
    await release(scope, wanted, id)
    return label === null || why === null ? 'unlabelled' : why
  }
  const filled = await scope.redis(() =>
    wanted.guard.fill(wanted.key, scope.keyspace.name, id, {
      label,
      loadedAt,
      ttlMs,
      payload: encodePayload({ body, storedAt: Date.now(), costMs }),
    }),
  )
  return filled?.code ?? 'redis-away'
}

function unfit(scope: KeyspaceScope, value: unknown, body: Buffer): RefillOutcome | null {
  if (body.length > scope.host.maxValueBytes) return 'too-large'
  const { projection } = scope.keyspace
  // Cached, it would be of one shape now and of another after the row's next change.
  const misfit = projection ? misfitOf(projection, value) : null
  if (misfit === null) return null
  scope.tellMisfit(misfit)
  return 'misfit'
}

async function release(scope: KeyspaceScope, { guard, key }: Wanted<unknown>, id: string): Promise<void> {
  await scope.redis(() => guard.release(key, id))
}
