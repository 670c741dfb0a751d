import { channel } from 'node:diagnostics_channel'
import type { Loss } from '@tidemark/guard'
import type { ErrorCode, TidemarkError } from '@tidemark/protocol'
import type { ReadDoubt } from './read/judge-loaded.ts'
import type { TokenFlaw } from './session/token.ts'

/**
 * What happens inside, on `node:diagnostics_channel`: the package has no logger and no metrics of its own. Messages
 * carry names and counts, never keys or values.
 */
interface Events {
  /** A read ended. `doubt` says why the cell in Redis could not be used, null for a hit. */
  read: { keyspace: string; from: string; fresh: boolean; doubt: ReadDoubt | null }
  /** A read threw; `code` is null when its error has none. */
  readFailed: { keyspace: string; code: ErrorCode | null }
  /** A loaded value was offered to the cache. `outcome` is the guard's answer, or why there was nothing to offer. */
  refill: { keyspace: string; from: string; outcome: RefillOutcome }
  /** A replica was refused: it had not replayed far enough. `lagBytes` is what it lacked. It may be waited for now. */
  replicaLagging: { keyspace: string; replica: string; lagBytes: number }
  /** What became of a replica that was refused: it arrived within the wait, or the next source was asked. */
  replicaAwaited: { keyspace: string; replica: string; arrived: boolean }
  /** A replica failed several times in a row and is passed by from now on, or it has answered again. */
  replicaCircuit: { replica: string; state: 'open' | 'closed' }
  /** A load was not sent to the primary: its limit is reached. */
  primaryLimited: { keyspace: string }
  /** A source could not be used: it is away, promoted, not streaming, or refused the load. */
  sourceFailed: { keyspace: string; from: string; error: unknown }
  /** Redis did not answer in time, or holds what cannot be read. The read went on without it. */
  redisFailed: { keyspace: string; error: unknown }
  /** Redis failed several times in a row and is passed by from now on; of a cluster, as far as this partition goes. */
  redisCircuitOpened: { partition: number | null; error: unknown }
  /** It has answered again. */
  redisCircuitClosed: { partition: number | null }
  /** A load that went on behind a reader failed. The value is stale as before, and the next read tries again. */
  refreshFailed: { keyspace: string; error: unknown }
  /** As many loads as may be go on behind readers: this one is left to a later read. */
  refreshPutOff: { keyspace: string }
  /** The load returns what the keyspace's projection would not: handed over, and not cached. Told once by each cache. */
  misfit: { keyspace: string; error: TidemarkError }
  /** Another holds the lease; the read waits. */
  leaseWait: { keyspace: string }
  /** The values of a partition that this process held went: what it was told cannot be built upon any more. */
  memoryDropped: { partition: number; cause: Loss; copies: number }
  /** Values that this process held went, for there were too many. */
  memoryEvicted: { copies: number }
  /** The subscription to the news of the region failed. It is tried again; meanwhile nothing is held. */
  memoryFailed: { error: unknown }
  /** A fresh read was about to be older than what its session saw (must never happen; asserted after the decision). */
  versionRegression: { keyspace: string }
  /** A token was not believed, and its bearer's session is without it. */
  tokenRefused: { flaw: TokenFlaw }
  /** A session wrote or saw something after its token had gone out with the answer: no later read knows of it. */
  sessionUncarried: object
}

export type RefillOutcome =
  | 'stored'
  | 'stale'
  | 'older'
  | 'lease-lost'
  | 'view-missing'
  | 'gap'
  | 'unlabelled'
  | 'too-large'
  | 'not-wanted'
  | 'misfit'
  | 'redis-away'

export type RefillEvent = {
  [N in keyof Events]: { readonly source: string; readonly region: string; readonly event: N } & Events[N]
}[keyof Events]

/** The name of the channel that carries every {@link RefillEvent}. */
export const CHANNEL = 'tidemark:refill'

const refillChannel = channel(CHANNEL)

export function emit(event: RefillEvent): void {
  if (refillChannel.hasSubscribers) refillChannel.publish(event)
}
