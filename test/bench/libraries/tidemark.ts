import { decodeView, partitionKeys } from '@tidemark/guard'
import { waitUntil } from '@tidemark/local'
import { type Position, parseLsn, position, roundDownInPageHeader } from '@tidemark/protocol'
import { openTidemark } from '@tidemark/refill'
import type { Redis } from 'ioredis-6'
import { hotSource } from '../../src/pipeline/hot-source.ts'
import { type Library, MOST_IN_MEMORY, type Place } from '../cache-libraries/library.ts'
import { connectedRedis } from './connected-redis.ts'

const SEGMENT_BYTES = 16 * 1024 * 1024
const TIMEOUT_MS = 60_000

/** Nobody else spares the primary. */
const NO_LIMIT = { perSecond: 1_000_000, burst: 1_000_000 }

/** With the contract's and the package's defaults. Nothing is done after a write: the pipeline sees it. */
export const tidemark: Library = {
  name: 'tidemark',
  needsPipeline: true,
  async open(place) {
    const { primary, name } = place
    const redis = await connectedRedis(place.redisUrl, { enableOfflineQueue: false })
    const subscriber = await connectedRedis(place.redisUrl)
    const app = await openTidemark({
      source: hotSource(name),
      redis,
      primary,
      replicas: place.replica ? [{ name: 'behind', pool: place.replica }] : [],
      memory: { subscriber, maxEntries: MOST_IN_MEMORY },
      primaryLimit: NO_LIMIT,
    })
    const rows = app.cache('hot', { load: (db, { id }) => place.load(db, Number(id)) })
    return {
      get: (id) => rows.get({ id }),
      written: async () => undefined,
      async [Symbol.asyncDispose]() {
        await app.close()
        redis.disconnect()
        subscriber.disconnect()
      },
    }
  },
  async toldOfWrites(place) {
    const redis = await connectedRedis(place.redisUrl)
    try {
      const end = await endOfLog(place)
      const isReached = async () =>
        (await viewsIn(redis, place.name)).every((v) => v?.gap === undefined && (v?.watermark ?? '') >= end)
      await waitUntil('every watermark has reached the end of the log', isReached, { timeoutMs: TIMEOUT_MS })
    } finally {
      redis.disconnect()
    }
  },
}

async function viewsIn(redis: Redis, name: string) {
  const { partitions, keyPrefix } = hotSource(name)
  const keys = Array.from({ length: partitions }, (_, p) => partitionKeys(keyPrefix, p).view)
  return (await redis.mgetBuffer(...keys)).map(decodeView)
}

async function endOfLog({ primary, name }: Place): Promise<Position> {
  await waitUntil(
    'the publisher has opened an epoch',
    async () => {
      const { rows } = await primary.query(`select to_regclass('tidemark.epoch') is not null as there`)
      return (rows[0] as { there: boolean }).there
    },
    { timeoutMs: TIMEOUT_MS },
  )
  const { rows } = await primary.query<{ lsn: string; epoch: number }>(
    `select pg_current_wal_insert_lsn()::text as lsn,
       (select max(epoch) from tidemark.epoch where source = $1 and start_lsn is not null) as epoch`,
    [name],
  )
  const { lsn, epoch } = rows[0]!
  return position(epoch ?? 1, roundDownInPageHeader(parseLsn(lsn), SEGMENT_BYTES))
}
