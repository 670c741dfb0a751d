import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { Cluster } from 'ioredis'
import { withRedis } from './redis-client.ts'
import { RedisCluster } from './redis-cluster.ts'

const SLOT_OF_TAG = '{1}'

let cluster: RedisCluster
let client: Cluster

beforeAll(async () => {
  cluster = await RedisCluster.start({ replicas: 1 })
  client = new Cluster(cluster.nodes.map(({ port }) => ({ host: '127.0.0.1', port })))
})

afterAll(async () => {
  client.disconnect()
  await cluster[Symbol.asyncDispose]()
})

test('a slot can be held half moved: what has moved is asked for at one node, the rest at the other', async () => {
  const keys = ['a', 'b', 'c'].map((name) => `${SLOT_OF_TAG}${name}`)
  for (const key of keys) await client.set(key, key)
  const slot = await cluster.slotOf(SLOT_OF_TAG)
  const from = await cluster.ownerOf(slot)
  const to = cluster.nodes.slice(0, 3).find((node) => node !== from)!
  const moved: number[] = []
  const answers = new Set<string>()
  await cluster.moveSlot(slot, to, {
    between: async (movedKeys) => {
      moved.push(movedKeys)
      expect(await Promise.all(keys.map((key) => client.get(key)))).toEqual(keys)
      for (const key of keys) answers.add(await withRedis(from.url, (redis) => firstWord(redis.get(key))))
    },
  })
  expect(moved).toEqual([0, 1, 2, 3])
  expect(answers).toEqual(new Set(['value', 'ASK']))
  expect(await cluster.ownerOf(slot)).toBe(to)
  expect(await withRedis(from.url, (redis) => firstWord(redis.get(keys[0]!)))).toBe('MOVED')
  expect(await client.get(keys[0]!)).toBe(keys[0])
})

test('a replica takes over the slots of a master that was killed', async () => {
  const [killed, , , replica] = cluster.nodes
  await killed!.kill()
  expect((await cluster.failedOverFrom(killed!, 0)).port).toBe(replica!.port)
  await killed!.start()
  await cluster.untilOk()
  expect((await cluster.ownerOf(0)).port).toBe(replica!.port)
})

async function firstWord(answer: Promise<string | null>): Promise<string> {
  return answer.then(
    () => 'value',
    (error: Error) => error.message.split(' ')[0]!,
  )
}
