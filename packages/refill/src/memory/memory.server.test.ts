import { describe, expect, test } from '@jest/globals'
import { DEFAULT_TOMBSTONE_LIMITS, encodePayload } from '@tidemark/guard'
import { localServers, RedisCluster, RedisServer, RunFolder, waitUntil } from '@tidemark/local'
import { Cluster, Redis } from 'ioredis'
import { at, commit, MemoryContext } from '../testing/memory-context.ts'
import { RefillEvents } from '../testing/refill-events.ts'

const DEADLINE_MS = 10_000
const CLUSTER_LIMIT_MS = 120_000

const URL = localServers().redisUrls['eu-west']!

function open(contract: object = {}, url = URL): MemoryContext {
  return new MemoryContext(client(url), client(url), contract)
}

function client(url: string): Redis {
  return new Redis(url, { retryStrategy: () => 20 }).on('error', () => undefined)
}

function causes(events: RefillEvents): string[] {
  return [...new Set(events.named('memoryDropped').map(({ cause }) => cause))]
}

const invalidation = (key: string, lsn: number) => ({ events: [{ key, version: commit(lsn), retainStaleMs: 0 }] })
const beat = (lsn: number) => ({ watermark: { position: at(lsn), beatMs: Date.now() } })

describe('what is held goes', () => {
  test('I2 with its invalidation, and nothing else with it', async () => {
    await using region = open()
    await region.hold('a', 'b')
    await region.apply(invalidation('a', 200))
    await region.untilNotHeld('a')
    expect(region.held('b')).toBe('first')
  })

  test('when it is updated in place, and the next look brings what it is now', async () => {
    await using region = open()
    await region.hold('a')
    const payload = encodePayload({ body: Buffer.from('second'), storedAt: Date.now() })
    const update = { keyspace: 'product', payload, ttlMs: 60_000 }
    await region.apply({ events: [{ key: 'a', version: commit(200), retainStaleMs: 0, update }] })
    await region.untilNotHeld('a')
    await region.heldAgain('a')
    expect(region.held('a')).toBe('second')
  })

  test('under a floor, and what begins above it stays', async () => {
    await using region = open()
    await region.hold('a', 'b')
    await region.store('b', 300, 'second')
    await region.memory.forget('b')
    await region.heldAgain('b')
    await region.apply({ floors: [{ keyspace: 'product', position: at(200) }] })
    await region.untilNotHeld('a')
    expect(region.held('b')).toBe('second')
    await region.read('a') // whose cell is live, and below the floor
    expect(region.held('a')).toBeNull()
  })

  test('in a hole', async () => {
    await using region = open()
    using events = new RefillEvents()
    await region.hold('a', 'b')
    await using mute = new MuteWorker(region)
    await mute.apply('b', 200) // told to nobody
    expect(region.held('b')).toBe('first') // which no watermark covers that this process was told
    await region.apply(beat(300))
    await region.untilNotHeld('b')
    expect(region.held('a')).toBeNull()
    expect(causes(events)).toEqual(['hole'])
  })

  test('in a gap', async () => {
    await using region = open()
    using events = new RefillEvents()
    await region.hold('a')
    await region.guard.declareGap(region.offset + 9n, 'offset gone', region.offset, 0)
    await region.untilNotHeld('a')
    expect(causes(events)).toEqual(['gap'])
  })

  test('when memory is closed', async () => {
    await using region = open()
    using events = new RefillEvents()
    await region.hold('a')
    await region.memory[Symbol.asyncDispose]()
    expect(region.held('a')).toBeNull()
    await region.read('a')
    expect(region.held('a')).toBeNull()
    expect(causes(events)).toEqual(['closed'])
  })
})

test('I2 what was read before a repair is not kept after it: a repair has no offsets', async () => {
  await using region = open()
  await region.hold('a', 'b')
  region.memory.forget('b')
  const read = region.memory.begin('b')
  const sight = await region.guard.look('b')
  const events = [
    { key: 'b', version: commit(200), retainStaleMs: 0 },
    { key: 'a', version: commit(200), retainStaleMs: 0 },
  ]
  await region.guard.replay({ epochStart: null, floors: [], events }, DEFAULT_TOMBSTONE_LIMITS)
  await region.untilNotHeld('a') // the repair was told
  const payload = { codec: 0, storedAt: Date.now(), costMs: 0, dependencies: [], body: Buffer.from('first') }
  region.memory.keep(read, 'b', region.source.keyspaces.product, sight, payload, 'first')
  expect(region.held('b')).toBeNull()
})

describe('on a Redis of its own', () => {
  test('a broken connection empties it, and nothing is held until the feed is heard again', async () => {
    await using server = await RedisServer.start()
    await using region = open({}, server.url)
    using events = new RefillEvents()
    await region.hold('a')
    await using admin = new Admin(server.url)
    await admin.client.call('CLIENT', 'KILL', 'TYPE', 'pubsub')
    await region.untilNotHeld('a')
    await region.read('a')
    expect(region.held('a')).toBeNull()
    await region.heldAgain('a')
    expect(causes(events)).toContain('disconnected')
  })

  test('silence past the strictest contract empties it, and it fills again', async () => {
    await using server = await RedisServer.start()
    await using region = open({ maxStalenessMs: 1_000 }, server.url)
    using events = new RefillEvents()
    await region.hold('a')
    server.pause()
    await waitUntil('it is silent', () => causes(events).includes('silent'), { timeoutMs: DEADLINE_MS })
    expect(region.held('a')).toBeNull()
    server.resume()
    await region.heldAgain('a')
  })

  test('I3 a Redis that is flushed, or set back, takes what is held along, and brings nothing old', async () => {
    await using folder = await RunFolder.create()
    await using server = await RedisServer.start({ dir: folder.at('redis') })
    await using region = open({}, server.url)
    await region.hold('a', 'b')
    await server.snapshotTo(folder.at('earlier.rdb'))
    const earlier = region.offset
    await region.apply(invalidation('a', 200))
    await region.untilNotHeld('a')
    await server.restoreFrom(folder.at('earlier.rdb'))
    await waitUntil('it answers', async () => (await region.read('a')) === 'first', { timeoutMs: DEADLINE_MS })
    expect(region.held('a')).toBeNull()
    region.goOnAt(earlier)
    await region.apply({ ...invalidation('a', 200), ...beat(300) })
    await region.heldAgain('b')
    expect(region.held('a')).toBeNull()
    await server.kill()
    await server.start() // with nothing
    await region.hold('a')
    expect(region.held('b')).toBeNull()
  })
})

test(
  'I3 on a Cluster news come from whichever node, and after a failover nothing is held that was missed',
  async () => {
    await using cluster = await RedisCluster.start({ replicas: 1 })
    const nodes = cluster.nodes.map(({ port }) => ({ host: '127.0.0.1', port }))
    const options = { clusterRetryStrategy: () => 50, redisOptions: { maxRetriesPerRequest: null } }
    const connect = () => new Cluster(nodes, options).on('error', () => undefined)
    await using region = new MemoryContext(connect(), connect())
    await region.hold('a', 'b')
    await region.apply(invalidation('a', 200))
    await region.untilNotHeld('a')
    const slot = await cluster.slotOf('{0}')
    const owner = await cluster.ownerOf(slot)
    await owner.kill()
    await cluster.failedOverFrom(owner, slot)
    const offsetThere = async () => (await region.guard.view())?.offset ?? null
    await waitUntil('the new master answers', async () => (await offsetThere()) !== null, { timeoutMs: 30_000 })
    region.goOnAt(BigInt(`0x${await offsetThere()}`))
    await region.apply({ ...invalidation('b', 300), ...beat(400) })
    await region.untilNotHeld('b')
    await region.store('a', 400, 'second')
    await region.heldAgain('a')
    expect(region.held('a')).toBe('second')
  },
  CLUSTER_LIMIT_MS,
)

/** A worker that may not publish: what it applies nobody is told. */
class MuteWorker implements AsyncDisposable {
  readonly #region: MemoryContext
  readonly #admin = client(URL)

  constructor(region: MemoryContext) {
    this.#region = region
  }

  async apply(key: string, lsn: number): Promise<void> {
    const { keyPrefix: user } = this.#region.source
    await this.#admin.acl('SETUSER', user, 'on', 'nopass', '~*', '+@all', 'resetchannels')
    const mute = this.#admin.duplicate({ username: user, password: 'any' })
    try {
      await this.#region.applyBy(mute, invalidation(key, lsn))
    } finally {
      mute.disconnect()
      await this.#admin.acl('DELUSER', user)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#admin.disconnect()
  }
}

class Admin implements AsyncDisposable {
  readonly client: Redis

  constructor(url: string) {
    this.client = client(url)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.client.disconnect()
  }
}
