import { TidemarkError } from '@tidemark/protocol'
import type { RefillEvent } from '../events.ts'

const away = new Error('away')

export type Told = RefillEvent extends infer E ? (E extends RefillEvent ? Omit<E, 'source' | 'region'> : never) : never

/** One of each kind; a kind that is missing does not compile. */
export const ONE_OF_EACH: { readonly [N in RefillEvent['event']]: Told & { event: N } } = {
  read: { event: 'read', keyspace: 'product', from: 'redis', fresh: true, doubt: null },
  readFailed: { event: 'readFailed', keyspace: 'product', code: 'UNPROVABLE' },
  refill: { event: 'refill', keyspace: 'product', from: 'primary', outcome: 'stored' },
  replicaLagging: { event: 'replicaLagging', keyspace: 'product', replica: 'eu-1', lagBytes: 8 },
  replicaAwaited: { event: 'replicaAwaited', keyspace: 'product', replica: 'eu-1', arrived: true },
  replicaCircuit: { event: 'replicaCircuit', replica: 'eu-1', state: 'open' },
  primaryLimited: { event: 'primaryLimited', keyspace: 'product' },
  sourceFailed: { event: 'sourceFailed', keyspace: 'product', from: 'eu-1', error: away },
  redisFailed: { event: 'redisFailed', keyspace: 'product', error: away },
  redisCircuitOpened: { event: 'redisCircuitOpened', partition: null, error: away },
  redisCircuitClosed: { event: 'redisCircuitClosed', partition: 3 },
  refreshFailed: { event: 'refreshFailed', keyspace: 'product', error: away },
  refreshPutOff: { event: 'refreshPutOff', keyspace: 'product' },
  misfit: { event: 'misfit', keyspace: 'product', error: new TidemarkError('VALUE_UNCACHEABLE', 'x') },
  leaseWait: { event: 'leaseWait', keyspace: 'product' },
  memoryDropped: { event: 'memoryDropped', partition: 0, cause: 'hole', copies: 3 },
  memoryEvicted: { event: 'memoryEvicted', copies: 2 },
  memoryFailed: { event: 'memoryFailed', error: away },
  versionRegression: { event: 'versionRegression', keyspace: 'product' },
  tokenRefused: { event: 'tokenRefused', flaw: 'forged' },
  sessionUncarried: { event: 'sessionUncarried' },
}
