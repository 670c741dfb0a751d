import { expect, test } from '@jest/globals'
import { RedisServer, RunFolder, waitUntil } from '@tidemark/local'
import { Redis } from 'ioredis'
import { FeedWorld } from './testing/feed-world.ts'

/** Who keeps copies by the feed's rules never serves what an invalidation took, whatever befalls Redis and the feed. */
const RECOVERY_MS = 20_000
/** At copies, after each of the things that befall them. */
const LOOKS = 150
const LIMIT_MS = 120_000

test(
  'I2 no copy lacks an invalidation that its watermark covers: fills, two workers, broken connections, a flushed and a restored Redis',
  async () => {
    await using folder = await RunFolder.create()
    await using server = await RedisServer.start({ name: 'feed', dir: folder.at('redis') })
    await using admin = new Administrator(server.url)
    await using world = await FeedWorld.open(server.url)
    const recovered = async () => {
      const { end, looks } = world
      const isKeeping = async () => world.isCurrent(end) && world.looks >= looks + LOOKS
      await waitUntil('copies are kept again', isKeeping, { timeoutMs: RECOVERY_MS })
    }
    await recovered()
    await server.snapshotTo(folder.at('earlier.rdb'))
    for (let i = 0; i < 5; i++) {
      await admin.client.call('CLIENT', 'KILL', 'TYPE', 'pubsub')
      await recovered()
    }
    await admin.client.flushall()
    await recovered()
    await admin.client.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
    await recovered()
    await server.restoreFrom(folder.at('earlier.rdb'))
    await recovered()
    expect(Object.fromEntries(world.losses)).toMatchObject({
      first: expect.any(Number),
      gap: expect.any(Number),
      disconnected: expect.any(Number),
    })
  },
  LIMIT_MS,
)

class Administrator implements AsyncDisposable {
  readonly client: Redis

  constructor(url: string) {
    this.client = new Redis(url)
    this.client.on('error', () => undefined)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.client.disconnect()
  }
}
