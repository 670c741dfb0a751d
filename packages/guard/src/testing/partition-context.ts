import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { type Position, position, type Version, version } from '@tidemark/protocol'
import { Redis } from 'ioredis'
import { type ApplyResult, type Batch, DEFAULT_TOMBSTONE_LIMITS, Guard, type TombstoneLimits } from '../guard.ts'
import { type PartitionKeys, partitionKeys } from '../keys.ts'
import type { View } from '../view.ts'

export const PARTITION = 3
export const KEYSPACE = 'product'
export const LEASE_MS = 600_000
export const TTL_MS = 1_800_000

/** Positions and versions of epoch 1, where nearly every test plays. */
export const at = (lsn: number): Position => position(1, BigInt(lsn))
export const commit = (lsn: number): Version => version(1, BigInt(lsn))

/** An id of a lease, 16 hexadecimal digits. */
export const leaseId = (n: number): string => n.toString(16).padStart(16, '0')

/** One partition under a prefix of its own in the run's Redis; its keys are removed when it is disposed. */
export class PartitionContext implements AsyncDisposable {
  readonly redis: Redis
  readonly keys: PartitionKeys
  readonly guard: Guard
  readonly prefix = `guard-${randomBytes(6).toString('hex')}`
  #offset = 0n
  #leases = 0

  /** A partition without a view, as an empty Redis has it. */
  static async empty(): Promise<PartitionContext> {
    const url = process.env.TIDEMARK_REDIS_EU_WEST_URL
    assert(url, 'TIDEMARK_REDIS_EU_WEST_URL names the Redis of the run')
    const ctx = new PartitionContext(new Redis(url, { lazyConnect: true }))
    await ctx.redis.connect()
    return ctx
  }

  /** A partition whose gap is open: a view, and no watermark yet. */
  static async inGap(): Promise<PartitionContext> {
    const ctx = await PartitionContext.empty()
    return await ctx.#prepared(async () => assert(await ctx.guard.declareGap(0n, 'first start', null, 0)))
  }

  /** A partition whose watermark, horizon and floor are `watermark`. */
  static async open(watermark: Position): Promise<PartitionContext> {
    const ctx = await PartitionContext.inGap()
    return await ctx.#prepared(() => ctx.apply({ watermark: { position: watermark, beatMs: 1_000 } }))
  }

  private constructor(redis: Redis) {
    this.redis = redis
    this.keys = partitionKeys(this.prefix, PARTITION)
    this.guard = new Guard(redis, this.keys)
  }

  /** A context that fails before its test has it would leave a connection behind, and the run would not end. */
  async #prepared(step: () => Promise<unknown>): Promise<this> {
    try {
      await step()
      return this
    } catch (error) {
      await this[Symbol.asyncDispose]()
      throw error
    }
  }

  /** The offset of the next batch that {@link apply} gives. */
  get offset(): bigint {
    return this.#offset
  }

  /** Applies one record's worth of offsets where the last batch ended, or at `from`. */
  async apply(batch: Partial<Batch>, limits: TombstoneLimits = DEFAULT_TOMBSTONE_LIMITS): Promise<ApplyResult> {
    const from = batch.from ?? this.#offset
    const whole = { next: from + 1n, epochStart: null, floors: [], events: [], watermark: null, ...batch, from }
    const result = await this.guard.apply(whole, limits)
    if (result.code === 'applied') this.#offset = whole.next
    return result
  }

  /** Applies one event and gives its outcome. */
  async invalidate(key: string, v: Version, retainStaleMs = 0, limits?: TombstoneLimits): Promise<string | undefined> {
    const result = await this.apply({ events: [{ key, version: v, retainStaleMs }] }, limits)
    assert.equal(result.code, 'applied')
    return result.outcomes[0]
  }

  /** Takes the lease of a key, whatever live value is there. */
  async lease(key: string, ms = LEASE_MS): Promise<string> {
    const id = leaseId(++this.#leases)
    const { cell } = await this.guard.look(key)
    const result = await this.guard.lease(key, KEYSPACE, id, ms, cell?.label.low ?? null)
    assert.equal(result.code, 'granted')
    return id
  }

  /** Stores a value labelled `[low, high]` by lease and fill. */
  async store(key: string, low: Position, high: Position = low, payload: string | Buffer = 'value'): Promise<void> {
    const id = await this.lease(key)
    const value = { label: { low, high }, loadedAt: null, ttlMs: TTL_MS, payload: Buffer.from(payload) }
    const result = await this.guard.fill(key, KEYSPACE, id, value)
    assert.equal(result.code, 'stored')
  }

  /** The view, which must be there. */
  async view(): Promise<View> {
    const view = await this.guard.view()
    assert(view)
    return view
  }

  /** The tombstones of a generation, key → version. */
  async tombstones(slot: number): Promise<Record<string, string>> {
    return await this.redis.hgetall(this.keys.generations[slot]!)
  }

  /** What is under a key's cell, byte for byte. */
  async raw(key: string): Promise<string | null> {
    return await this.redis.get(this.keys.cell(key))
  }

  async remainingMs(key: string): Promise<number> {
    return await this.redis.pttl(this.keys.cell(key))
  }

  /** Removes all that is under the prefix. */
  async clear(): Promise<void> {
    const mine = await this.redis.keys(`${this.prefix}*`)
    if (mine.length > 0) await this.redis.del(mine)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.clear()
    await this.redis.quit()
  }
}
