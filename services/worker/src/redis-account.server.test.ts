import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from '@jest/globals'
import { Guard, partitionKeys } from '@tidemark/guard'
import { RedisServer, waitUntil } from '@tidemark/local'
import { position, version } from '@tidemark/protocol'
import { RegionRedis, redisAt } from '@tidemark/redis'
import { Redis } from 'ioredis'

const README = readFileSync(join(import.meta.dirname, '../../../packages/redis/README.md'), 'utf8')
const RULES = /ACL SETUSER worker (.*)/.exec(README)![1]!.replace('>…', '>secret').split(' ')

test('an account with what the README grants may do all that workers and apps do, and nothing under other prefixes', async () => {
  await using server = await RedisServer.start()
  await using resources = new AsyncDisposableStack()
  const operator = resources.adopt(new Redis(server.url), (client) => client.disconnect())
  await operator.acl('SETUSER', 'worker', ...RULES)
  const connection = redisAt(server.url.replace('//', '//worker:secret@'))
  const options = { clientName: 'test', commandTimeoutMs: 2_000 }
  const redis = resources.adopt(new RegionRedis(connection, options), (client) => client.close())
  await waitUntil('it is connected', () => redis.ping().then(() => true), { timeoutMs: 10_000 })
  await doAll(new Guard(redis, partitionKeys('tm', 0)))
  await expect(doAll(new Guard(redis, partitionKeys('foreign', 0)))).rejects.toMatchObject({ kind: 'refused' })
})

async function doAll(guard: Guard): Promise<void> {
  const id = 'a'.repeat(16)
  const at = position(1, 10n)
  const batch = { from: 0n, next: 1n, epochStart: null, floors: [], events: [], watermark: { position: at, beatMs: 1 } }
  const limits = { perGeneration: 10, generationMs: 1_000 }
  await guard.declareGap(0n, 'first start', null, 0)
  await guard.apply(batch, limits)
  expect(await guard.lease('product:1', 'product', id, 1_000, null)).toMatchObject({ code: 'granted' })
  const value = { label: { low: at, high: at }, loadedAt: null, ttlMs: 1_000, payload: Buffer.from('v') }
  expect(await guard.fill('product:1', 'product', id, value)).toEqual({ code: 'stored' })
  const event = { key: 'product:1', version: version(1, 20n), retainStaleMs: 0 }
  await guard.apply({ ...batch, from: 1n, next: 2n, events: [event] }, limits)
  await guard.release('product:1', id)
  await guard.shed(['product:1'], true)
  expect(await guard.look('product:1')).toMatchObject({ cell: null, view: { newest: event.version } })
}
