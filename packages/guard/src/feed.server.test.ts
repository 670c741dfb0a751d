import assert from 'node:assert/strict'
import { describe, expect, test } from '@jest/globals'
import { waitUntil } from '@tidemark/local'
import { after, position } from '@tidemark/protocol'
import type { Redis } from 'ioredis'
import { Feed, type News } from './feed.ts'
import { DEFAULT_TOMBSTONE_LIMITS, Guard } from './guard.ts'
import { Copies } from './testing/copies.ts'
import { at, commit, KEYSPACE, PARTITION, PartitionContext } from './testing/partition-context.ts'

/** What subscribers hear of what is applied. */
const DEADLINE_MS = 10_000
const LONG_MS = 3_600_000

/** A feed on a connection of its own, and all that it has told. */
class Heard implements AsyncDisposable {
  readonly news: News[] = []
  readonly subscriber: Redis
  readonly feed: Feed

  static async of(ctx: PartitionContext, silenceMs = LONG_MS): Promise<Heard> {
    const subscriber = ctx.redis.duplicate({ lazyConnect: true })
    await subscriber.connect()
    const news: News[] = []
    const listener = (heard: News) => news.push(heard)
    const { prefix } = ctx
    const feed = await Feed.open({ subscriber, prefix, partitions: [PARTITION], silenceMs, listener })
    return new Heard(subscriber, feed, news)
  }

  private constructor(subscriber: Redis, feed: Feed, news: News[]) {
    this.subscriber = subscriber
    this.feed = feed
    this.news = news
  }

  get losses(): string[] {
    return this.news.flatMap((news) => ('dropped' in news ? [news.dropped] : []))
  }

  async until(count: number): Promise<readonly News[]> {
    await waitUntil('the feed has told', async () => this.news.length >= count, { timeoutMs: DEADLINE_MS })
    return this.news
  }

  async untilLost(loss: string): Promise<void> {
    await waitUntil(`the feed has lost: ${loss}`, async () => this.losses.includes(loss), { timeoutMs: DEADLINE_MS })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.feed[Symbol.asyncDispose]()
    this.subscriber.disconnect()
  }
}

const beat = { watermark: { position: at(150), beatMs: 2_000 } }

describe('a batch', () => {
  test('is told with its keys, cached or not, its watermark and its beat', async () => {
    await using ctx = await PartitionContext.open(at(100))
    await using heard = await Heard.of(ctx)
    await ctx.apply({ events: [{ key: 'a', version: commit(200), retainStaleMs: 0 }] })
    await ctx.apply({ events: [{ key: 'ü"\\/\n漢', version: commit(201), retainStaleMs: 0 }], ...beat })
    expect(await heard.until(3)).toEqual([
      { partition: PARTITION, dropped: 'first' },
      { partition: PARTITION, keys: ['a'], watermark: at(100), newest: commit(200), beat: 1_000 },
      { partition: PARTITION, keys: ['ü"\\/\n漢'], watermark: at(150), newest: commit(201), beat: 2_000 },
    ])
  })

  test('is told with all floors when one rose, and without when none did', async () => {
    await using ctx = await PartitionContext.open(at(100))
    await using heard = await Heard.of(ctx)
    await ctx.apply({ floors: [{ keyspace: KEYSPACE, position: at(500) }] })
    await ctx.apply({ floors: [{ keyspace: KEYSPACE, position: at(400) }] })
    const [, first, second] = await heard.until(3)
    expect(first).toMatchObject({ keys: [], floors: { '*': at(100), [KEYSPACE]: at(500) } })
    expect(second).not.toHaveProperty('floors')
  })

  test('of an abandoned epoch names no keys, and nothing seems to be missing', async () => {
    await using ctx = await PartitionContext.open(at(100))
    await using heard = await Heard.of(ctx)
    await ctx.apply({ epochStart: position(2, 50n) })
    await ctx.invalidate('k', commit(900))
    expect((await heard.until(3))[2]).toMatchObject({ keys: [] })
    expect(heard.losses).toEqual(['first'])
  })

  test('that is refused tells nothing', async () => {
    await using ctx = await PartitionContext.open(at(100))
    await using heard = await Heard.of(ctx)
    await ctx.apply({ from: 77n, ...beat })
    await ctx.apply({ events: [{ key: 'a', version: position(9, 1n) as never, retainStaleMs: 0 }] })
    await ctx.apply(beat)
    expect(await heard.until(2)).toHaveLength(2)
  })

  test.each([
    ['a thousand keys are named', 1_000, 10, null],
    ['more are not, and all is dropped', 1_001, 10, 'many'],
    ['nor are keys of more than 64 KiB', 700, 100, 'many'],
  ])('%s', async (_, count, length, loss) => {
    await using ctx = await PartitionContext.open(at(100))
    await using heard = await Heard.of(ctx)
    await ctx.apply(beat)
    const key = (i: number) => String(i).padStart(length, 'k')
    await ctx.apply({
      events: Array.from({ length: count }, (__, i) => ({ key: key(i), version: commit(200), retainStaleMs: 0 })),
    })
    await heard.until(3)
    expect(heard.losses.slice(1)).toEqual(loss === null ? [] : [loss])
    const last = heard.news.at(-1)!
    expect('keys' in last && last.keys).toHaveLength(loss === null ? count : 0)
  })

  test('is applied also by a user who may not publish, and its subscribers hear nothing', async () => {
    await using ctx = await PartitionContext.open(at(100))
    await using heard = await Heard.of(ctx)
    await using mute = await MuteUser.of(ctx)
    const event = { key: 'k', version: commit(200), retainStaleMs: 0 }
    const batch = { from: 1n, next: 2n, epochStart: null, floors: [], events: [event], watermark: null }
    const applied = await new Guard(mute.redis, ctx.keys).apply(batch, DEFAULT_TOMBSTONE_LIMITS)
    expect(applied).toEqual({ code: 'applied', outcomes: ['absent'] })
    await ctx.apply({ from: 2n, ...beat })
    expect(await heard.until(2)).toHaveLength(2)
  })
})

test('a gap is told, and nothing else until it is closed', async () => {
  await using ctx = await PartitionContext.open(at(100))
  await using heard = await Heard.of(ctx)
  await ctx.apply(beat)
  await ctx.guard.declareGap(9n, 'offset gone', ctx.offset, 0)
  await ctx.apply({ from: 9n, events: [{ key: 'k', version: commit(200), retainStaleMs: 0 }] })
  await ctx.apply({ watermark: { position: at(300), beatMs: 3_000 } })
  expect((await heard.until(5)).slice(2)).toEqual([
    { partition: PARTITION, dropped: 'gap' },
    { partition: PARTITION, dropped: 'gap' },
    expect.objectContaining({ keys: [], watermark: at(300), floors: { '*': at(300) } }),
  ])
})

test('a replay is told with its keys and floors, and nothing seems to be missing', async () => {
  await using ctx = await PartitionContext.open(at(100))
  await using heard = await Heard.of(ctx)
  await ctx.apply(beat)
  const repair = {
    epochStart: null,
    floors: [{ keyspace: KEYSPACE, position: at(160) }],
    events: [{ key: 'k', version: commit(170), retainStaleMs: 0 }],
  }
  await ctx.guard.replay(repair, DEFAULT_TOMBSTONE_LIMITS)
  await ctx.apply({ watermark: { position: after(commit(170)), beatMs: 3_000 } })
  await heard.until(4)
  expect(heard.losses).toEqual(['first'])
  expect(heard.news[2]).toMatchObject({ keys: ['k'], floors: { [KEYSPACE]: at(160) }, watermark: at(150) })
})

test('what was read before a replay and would be kept after it is forgotten: a repair has no offsets', async () => {
  await using ctx = await PartitionContext.open(at(100))
  await using heard = await Heard.of(ctx)
  const copies = new Copies(PARTITION, () => KEYSPACE)
  copies.feed = heard.feed
  await ctx.apply(beat)
  await heard.until(2)
  await ctx.store('k', at(150))
  const read = copies.begin('k')
  const sight = await ctx.guard.look('k')
  const events = [{ key: 'k', version: commit(170), retainStaleMs: 0 }]
  await ctx.guard.replay({ epochStart: null, floors: [], events }, DEFAULT_TOMBSTONE_LIMITS)
  for (const news of (await heard.until(3)).slice(2)) copies.follow(news)
  expect(heard.feed.mayKeep(PARTITION, sight.view)).toBe(true)
  copies.finish(read, sight)
  expect(copies.size).toBe(0)
})

describe('everything is dropped', () => {
  test('when the connection breaks, and once more when it is back', async () => {
    await using ctx = await PartitionContext.open(at(100))
    await using heard = await Heard.of(ctx)
    await ctx.apply(beat)
    await heard.until(2)
    const id = await clientId(ctx, heard.subscriber)
    await ctx.redis.client('KILL', 'ID', id)
    await waitUntil('it is back', async () => heard.losses.length >= 3, { timeoutMs: DEADLINE_MS })
    expect(heard.losses).toEqual(['first', 'disconnected', 'disconnected'])
    expect(heard.feed.mayKeep(PARTITION, await ctx.view())).toBe(false)
    const isSubscribed = async () => ((await ctx.redis.pubsub('NUMSUB', ctx.keys.feed)) as [string, number])[1] === 1
    await waitUntil('it has subscribed again', isSubscribed, { timeoutMs: DEADLINE_MS })
    await ctx.apply(beat)
    await heard.until(6)
    expect(heard.losses.at(-1)).toBe('first')
    expect(heard.feed.mayKeep(PARTITION, await ctx.view())).toBe(true)
  })

  test('when nothing was told for too long', async () => {
    await using ctx = await PartitionContext.open(at(100))
    await using heard = await Heard.of(ctx, 40)
    await ctx.apply(beat)
    await heard.untilLost('silent')
    expect(heard.feed.mayKeep(PARTITION, await ctx.view())).toBe(false)
  })

  test('when something is told that no batch tells', async () => {
    await using ctx = await PartitionContext.open(at(100))
    await using heard = await Heard.of(ctx)
    await ctx.apply(beat)
    await ctx.redis.publish(ctx.keys.feed, 'something else')
    await heard.untilLost('malformed')
    await ctx.apply(beat)
    await heard.until(5)
    expect(heard.losses).toEqual(['first', 'malformed', 'first'])
  })

  test('when the feed is closed, and nothing is told after it', async () => {
    await using ctx = await PartitionContext.open(at(100))
    await using heard = await Heard.of(ctx)
    await ctx.apply(beat)
    await heard.until(2)
    await heard.feed[Symbol.asyncDispose]()
    await ctx.apply(beat)
    expect(heard.losses).toEqual(['first', 'closed'])
    expect(heard.feed.mayKeep(PARTITION, await ctx.view())).toBe(false)
  })
})

/** Who may do all but publish. */
class MuteUser implements AsyncDisposable {
  readonly #ctx: PartitionContext
  readonly redis: Redis

  static async of(ctx: PartitionContext): Promise<MuteUser> {
    await ctx.redis.acl('SETUSER', ctx.prefix, 'on', 'nopass', '~*', '+@all', 'resetchannels')
    return new MuteUser(ctx)
  }

  private constructor(ctx: PartitionContext) {
    this.#ctx = ctx
    this.redis = ctx.redis.duplicate({ username: ctx.prefix, password: 'any' })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.redis.disconnect()
    await this.#ctx.redis.acl('DELUSER', this.#ctx.prefix)
  }
}

/** As the server knows it: a connection in subscriber mode may not ask. */
async function clientId(ctx: PartitionContext, { stream }: Redis): Promise<string> {
  assert('localPort' in stream)
  const clients = String(await ctx.redis.client('LIST')).split('\n')
  const line = clients.find((client) => client.includes(` addr=127.0.0.1:${stream.localPort} `))
  return /id=(\d+)/.exec(line ?? '')![1]!
}
