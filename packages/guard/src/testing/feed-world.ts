import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import { after, covers, ORIGIN, type Position, type Version } from '@tidemark/protocol'
import { Redis } from 'ioredis'
import { Feed, type News } from '../feed.ts'
import { type Batch, DEFAULT_TOMBSTONE_LIMITS, Guard } from '../guard.ts'
import { partitionKeys } from '../keys.ts'
import type { Loss } from '../partition-feed.ts'
import { offsetOf } from '../view.ts'
import { Copies } from './copies.ts'
import { at, commit, KEYSPACE, leaseId } from './partition-context.ts'

const PARTITION = 0
const PREFIX = 'world'
const KEYS = Array.from({ length: 8 }, (_, i) => `k${i}`)
const BATCH_RECORDS = 5
const SILENCE_MS = 2_000
const LEASE_MS = 200
const PAUSE_MS = 2
/** So that a key stays as it is for a while. */
const WRITE_PAUSE_MS = 10

interface Write {
  readonly key: string
  readonly version: Version
}

/**
 * One partition with all who work on it, around a real Redis: writers with their log, two workers that both hold the
 * partition, readers that fill cells from the database, and a process that keeps copies by the feed. It asserts, at
 * every news and every copy, that no copy lacks a write that the watermark covers which it is judged by.
 */
export class FeedWorld implements AsyncDisposable {
  readonly losses = new Map<Loss, number>()
  /** How often a copy was held against the log. */
  looks = 0
  readonly #url: string
  readonly #log: Write[] = []
  readonly #clients: Redis[] = []
  readonly #stop = new AbortController()
  readonly #running: Promise<void>[] = []
  readonly #copies = new Copies(PARTITION, () => KEYSPACE)
  #feed: Feed | null = null
  #watermark: Position = ORIGIN
  #leases = 0
  #failed: unknown

  private constructor(url: string) {
    this.#url = url
  }

  static async open(url: string): Promise<FeedWorld> {
    const world = new FeedWorld(url)
    const subscriber = world.#client()
    const listener = (news: News) => world.#hear(news)
    world.#feed = await Feed.open({
      subscriber,
      prefix: PREFIX,
      partitions: [PARTITION],
      silenceMs: SILENCE_MS,
      listener,
    })
    world.#copies.feed = world.#feed
    world.#run(() => world.#write(), WRITE_PAUSE_MS)
    for (const guard of [world.#guard(), world.#guard()]) world.#run(() => world.#work(guard))
    for (const guard of [world.#guard(), world.#guard(), world.#guard()]) world.#run(() => world.#read(guard))
    return world
  }

  /** Whether copies are kept now, and know of everything that was written until `offset`. */
  isCurrent(offset: number): boolean {
    if (this.#failed) throw this.#failed
    const last = this.#log[offset - 1]
    return last !== undefined && this.#copies.size > 0 && covers(this.#watermark, last.version)
  }

  get end(): number {
    return this.#log.length
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    await Promise.all(this.#running)
    await this.#feed?.[Symbol.asyncDispose]()
    for (const client of this.#clients) client.disconnect()
    if (this.#failed) throw this.#failed
  }

  #client(): Redis {
    const client = new Redis(this.#url, { maxRetriesPerRequest: 0, retryStrategy: () => 20, commandTimeout: 2_000 })
    client.on('error', () => undefined)
    this.#clients.push(client)
    return client
  }

  #guard(): Guard {
    return new Guard(this.#client(), partitionKeys(PREFIX, PARTITION))
  }

  /** Over and over until the end; a Redis that is away is asked again, a broken promise is kept for the test. */
  #run(step: () => Promise<void> | void, pauseMs = PAUSE_MS): void {
    const loop = async () => {
      while (!this.#stop.signal.aborted) {
        try {
          await step()
        } catch (error) {
          if (error instanceof assert.AssertionError) this.#failed ??= error
        }
        await delay(pauseMs)
      }
    }
    this.#running.push(loop())
  }

  #write(): void {
    const version = commit(1_000 + this.#log.length)
    this.#log.push({ key: KEYS[Math.floor(Math.random() * KEYS.length)]!, version })
  }

  async #work(guard: Guard): Promise<void> {
    const view = await guard.view()
    if (view === null) {
      await guard.declareGap(BigInt(this.#log.length), 'view-missing', null, 1)
      return
    }
    const from = Number(offsetOf(view))
    const records = this.#log.slice(from, from + 1 + Math.floor(Math.random() * BATCH_RECORDS))
    if (records.length === 0) return
    await guard.apply(batchOf(from, records), DEFAULT_TOMBSTONE_LIMITS)
  }

  async #read(guard: Guard): Promise<void> {
    const key = KEYS[Math.floor(Math.random() * KEYS.length)]!
    const read = this.#copies.begin(key)
    const sight = await guard.look(key)
    // As slow as a loop that is busy with something else.
    if (Math.random() < 0.3) await delay(Math.random() * 4 * PAUSE_MS)
    this.#copies.finish(read, sight)
    this.#lookAtCopies()
    if (sight.cell?.state !== 'live') await this.#fill(guard, key)
  }

  /** As a load from the primary: labelled by what the lease grants. */
  async #fill(guard: Guard, key: string): Promise<void> {
    const id = leaseId(++this.#leases)
    const lease = await guard.lease(key, KEYSPACE, id, LEASE_MS, null)
    if (lease.code !== 'granted') return
    const payload = Buffer.from(this.#newest(key) ?? '')
    const label = { low: lease.granted, high: after(this.#log.at(-1)?.version ?? commit(1)) }
    await delay(PAUSE_MS)
    await guard.fill(key, KEYSPACE, id, { label, loadedAt: Date.now(), ttlMs: 600_000, payload })
  }

  #newest(key: string, below?: Position): Version | undefined {
    return this.#log.findLast((write) => write.key === key && (below === undefined || covers(below, write.version)))
      ?.version
  }

  #hear(news: News): void {
    this.#copies.follow(news)
    if ('dropped' in news) this.losses.set(news.dropped, (this.losses.get(news.dropped) ?? 0) + 1)
    else this.#watermark = news.watermark
    this.#lookAtCopies()
  }

  #lookAtCopies(): void {
    for (const [key, { payload }] of this.#copies.entries()) {
      this.looks++
      const covered = this.#newest(key, this.#watermark) ?? ''
      const failure = `the copy of ${key} is of ${payload}, and the watermark ${this.#watermark} covers ${covered}`
      if (payload.toString() < covered) this.#failed ??= new assert.AssertionError({ message: failure })
    }
  }
}

/** A batch of the log, with the watermark that covers it and nothing more. */
function batchOf(from: number, records: readonly Write[]): Batch {
  const newest = new Map(records.map((record) => [record.key, record]))
  const last = after(records.at(-1)!.version)
  return {
    from: BigInt(from),
    next: BigInt(from + records.length),
    epochStart: from === 0 ? at(1) : null,
    floors: [],
    events: [...newest.values()].map(({ key, version }) => ({ key, version, retainStaleMs: 0 })),
    watermark: { position: last, beatMs: Date.now() },
  }
}
