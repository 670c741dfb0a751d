import { expect, test } from '@jest/globals'
import { RedisCluster } from '@tidemark/local'
import { redisAt } from '@tidemark/redis'
import { withRedis } from '../connections.ts'
import { redisFindings } from '../doctor/redis-findings.ts'
import { NOW_MS, SHOP } from '../testing/facts.ts'
import { type RedisFacts, readRedis } from './redis-facts.ts'

const read = (url: string): Promise<RedisFacts> => withRedis(redisAt(url), (redis) => readRedis(redis, SHOP))

const checksOf = (facts: RedisFacts) => redisFindings('eu-west', SHOP, facts, 1, NOW_MS).map(({ check }) => check)

test('a cluster is read whole: every master, the slots, and the view of each partition wherever it lies', async () => {
  await using cluster = await RedisCluster.start({ settings: { maxmemory: '64mb', 'maxmemory-policy': 'noeviction' } })
  const facts = await read(cluster.url)
  expect(facts).toMatchObject({ cluster: { isUp: true, slotsUp: 16_384 }, views: [null, null] })
  expect(facts.servers.map(({ isReplica, failsToSave }) => isReplica || failsToSave)).toEqual([false, false, false])
  expect(checksOf(facts)).toEqual(['redis-shards', 'redis-eviction', 'view-missing'])
  await expect(read(cluster.nodes[0]!.url)).rejects.toThrow('name it by redis-cluster://')
})
