import type { Cache, Replica, Tidemark } from '@tidemark/refill'
import { openTidemark } from '@tidemark/refill'
import { quietPool, quietRedis } from '../pipeline/pipeline-context.ts'
import { type Account, type AppsSource, appsSource, type KeyspaceName } from './apps-source.ts'

/** What a process is told: who it is, and where everything is. */
export interface AppSetup {
  readonly source: string
  readonly process: string
  readonly region: string
  readonly redisUrl: string
  /** Where visits are handed on, the same for all. */
  readonly visitsUrl: string
  readonly primaryUrl: string
  readonly replicas: readonly { readonly name: string; readonly url: string }[]
  readonly historyFile: string
  /** How often each path was taken by now. */
  readonly pathsFile: string
  readonly seed: number
  readonly pauseMs: number
  /** Whether it holds values in its own memory. */
  readonly hasMemory: boolean
}

export interface App {
  readonly tidemark: Tidemark<{ readonly [N in KeyspaceName]: AppsSource['keyspaces'][N]['key'] }>
  readonly caches: Readonly<Record<KeyspaceName, Cache<{ readonly id: number }, Account>>>
}

const CONNECTIONS = 4
const TIMINGS = { watermarkWaitMs: 100, leaseWaitMs: 300, replicaWaitMs: 100, readMs: 5_000 }
/** Little enough to be reached while all replicas lag. */
const PRIMARY_LIMIT = { perSecond: 10, burst: 5, waitMs: 20 }
const TOKEN_KEYS = [{ id: 1, secret: 'a secret of the test, of 32 bytes' }]

export async function openApp(setup: AppSetup): Promise<App> {
  const replicas = setup.replicas.map(({ name, url }): Replica => ({ name, pool: quietPool(url, CONNECTIONS) }))
  const tidemark = await openTidemark({
    ...{ source: appsSource(setup.source), region: setup.region, redis: quietRedis(setup.redisUrl), replicas },
    primary: quietPool(setup.primaryUrl, CONNECTIONS),
    ...{ tokenKeys: TOKEN_KEYS, timings: TIMINGS, primaryLimit: PRIMARY_LIMIT },
    ...(setup.hasMemory && { memory: { subscriber: quietRedis(setup.redisUrl) } }),
  })
  const cacheOf = (keyspace: KeyspaceName) =>
    tidemark.cache<KeyspaceName, Account>(keyspace, {
      load: async (db, { id }) => {
        const { rows } = await db.query<Account>('select n::int4 as n, cents::int4 as cents from hot where id = $1', [
          id,
        ])
        return rows[0]!
      },
      loadMany: async (db, wanted) => {
        const { rows } = await db.query<Account & { readonly id: number }>(
          'select id, n::int4 as n, cents::int4 as cents from hot where id = any($1)',
          [wanted.map(({ id }) => id)],
        )
        const byId = new Map(rows.map(({ id, n, cents }) => [id, { n, cents }]))
        return wanted.map(({ id }) => byId.get(Number(id))!)
      },
    })
  const caches = {
    ...{ shown: cacheOf('shown'), exact: cacheOf('exact'), brief: cacheOf('brief') },
    ...{ refreshed: cacheOf('refreshed'), updated: cacheOf('updated'), direct: cacheOf('direct') },
  }
  return { tidemark, caches }
}
